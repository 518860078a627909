/* verify/verify.h - `seawall verify`: is a replica complete and sound?
 *
 * Always, of every object that the replica has or names, by its tail:
 *   1. it is there with its size, and trailer, records, index and list decode;
 *   2. it is what its key says, of this database, and what the object that names it says of it;
 *   3. a base's chunks fill its pages, and hold every page of their ranges; a segment holds what its flags say;
 *   4. level 0 is linked: where min is max + 1 of the one before, the SHA-256 of that one is the one it names;
 *   5. from the oldest state that can be restored to the newest object no txid is missing, in whatever level, but right before a
 * base;
 *   6. database checksums agree wherever two objects speak of one state, of whatever levels.
 * The SHA-256 of 4, and of what lists name, is compared for objects of up to 64 KiB, whose tail is all of them.
 *
 * With VERIFY_FULL also:
 *   7. every object is read whole: its SHA-256 against what links to it or lists it, each block inflated, the hash of each image;
 *   8. from page hashes alone, the database checksum of each commit that is recorded, and that each patch finds what it changes.
 * What a patch makes of a page only a restore shows.
 *
 * The newest object of level 0 is not linked to by anything: if the newest ones are missing altogether, the replica looks older,
 * not damaged. Objects that nothing needs (of a base or a large segment that is under way or was given up, or left over by
 * retention) are counted, not checked further. Objects that came after the listing are left alone. One that retention deleted since
 * is no problem: everything is looked at again, up to 20 times.
 *
 * Memory: names and commit records, as for a listing of restore points; a tail, an index and 1 MiB for each thread; with
 * VERIFY_FULL 16 bytes for each page of the database, and indexes of WALK_BATCH_BYTES of objects. */
#ifndef SEAWALL_VERIFY_VERIFY_H
#define SEAWALL_VERIFY_VERIFY_H

#include "replica/handle.h"
#include "verify/result.h"

/* ERR_NOTFOUND: no replica, or no restore point yet and nothing wrong. ERR_CANCELED. ERR_BUSY: at each of many looks retention took
 * something meanwhile, so nothing is known. Anything else: the store can't be read. Problems are no error. */
int verify_run(struct replica_handle *replica, const struct verify_options *options, struct verify_result *ret_result,
               struct err *e) MUST_CHECK;
void verify_result_release(struct verify_result *r);

#endif
