/* verify/verify.h - `seawall verify`: checks whether a replica is complete and sound.
 *
 * It reads the tail of every listed object, and of every object that a listed one names. These rules are always
 * checked:
 *   1. The object exists and has the size that is listed or named. Its trailer, records, index and list can be
 *      decoded.
 *   2. It fits its key, belongs to this database, and agrees with the object that names it.
 *   3. The chunks of a base cover all its pages, and each chunk has every page of its range. A segment holds what
 *      its flags say.
 *   4. Level 0 is linked: if an object begins right after the one before, the SHA-256 that it names is that of the
 *      one before. What follows a pack names an object in the pack, which may be gone: there rule 6 decides.
 *   5. From the oldest state that can be restored to the newest object, no txid is missing on all levels at once.
 *      Txids may be missing only right before a base, where retention deletes objects, or in a noticed loss (below).
 *   6. Where two objects give the database checksum of one state, the checksums are equal, whatever the levels of
 *      the objects.
 * The SHA-256 of rule 4, or of a list, is compared only if the object has at most 64 KiB: then the tail is the whole
 * object.
 *
 * With VERIFY_FULL, these rules are checked too:
 *   7. Every object is read whole. Its SHA-256 is the one that a link or a list names; each block can be inflated;
 *      each image has the hash that the index names.
 *   8. The page hashes in the indexes give the database checksum of each recorded commit, and each patch finds the
 *      version that it changes.
 * The page that results from a patch is not checked: only a restore computes it.
 *
 * A noticed loss. If objects vanish, and the newest txid can't be restored without them, the writer logs an error and
 * puts a new base, whose marker has the txids that can't be restored since then (replica/losses.h). The loss was logged
 * and healed, so verify says which txids they are, and allows that
 *   - no object has txids of that range before the start of the base;
 *   - a part or chunk does not exist, if the segment or base that names it is in that range.
 * All other rules hold in that range too: an object that exists must be sound. A txid that is missing before the range
 * or from the start of the base on is a problem, and so is a loss without a new base.
 *
 * What verify can't see: no object links to the newest object of level 0. If the newest objects are missing
 * altogether, the replica looks older, not damaged.
 *
 * What is not checked: objects that nothing needs are only counted. They are chunks and parts of a base or segment that
 * is not complete, and objects that retention left over. Objects that came after the listing are ignored. If retention
 * deletes an object after it was listed, that is not a problem: verify starts again. It looks at most 20 times.
 *
 * Memory: names and commit records, as for a list of restore points; a tail, an index and 1 MiB for each thread.
 * With VERIFY_FULL also 16 bytes for each page of the database, and the indexes of WALK_BATCH_BYTES of objects. */
#ifndef SEAWALL_VERIFY_VERIFY_H
#define SEAWALL_VERIFY_VERIFY_H

#include "replica/handle.h"
#include "verify/result.h"

/* Verifies an open replica. Problems of the replica are not errors: they are in *ret_result, which the caller releases
 * if 0 is returned.
 * ERR_NOTFOUND: the place has no replica, or a replica without a restore point and without a problem.
 * ERR_CANCELED: options->cancel was set. ERR_BUSY: retention deleted objects during each of 20 looks, so nothing
 * is known. Other errors: the store can't be read. */
int verify_run(struct replica_handle *replica, const struct verify_options *options, struct verify_result *ret_result,
               struct err *e) MUST_CHECK;
void verify_result_release(struct verify_result *r); /* a zeroed result is allowed */

#endif
