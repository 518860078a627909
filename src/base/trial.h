/* base/trial.h - the switches of the property test (tests/property). The test turns off a rule of the protocol and then
 * must find a fault. It also makes sizes small, so that a few pages reach every path.
 *
 * In the program both are constants: RULE() is true, SCALE() is its first argument. */
#ifndef SEAWALL_BASE_TRIAL_H
#define SEAWALL_BASE_TRIAL_H

#include <stdbool.h>

/* The rules. Without any one of them, the property test must find a wrong or missing restore point, or a false
 * conflict. */
#define RULES(X)                                                                                                       \
    X(zero_growth, "a page grown over but not written gets an explicit zero version")                                  \
    X(durable_first, "only a level-0 append may put a txid beyond the durable one")                                    \
    X(attempts, "an object found under a key is compared with those sent there without an answer")                     \
    X(runs, "objects that an earlier run of this writer put are recognised after a restart")                           \
    X(runs_upto, "of an earlier run only txids up to the one with which the next run began are our past")              \
    X(bind, "the state file is bound to its place and inode: a copy proves no ownership")                              \
    X(proof_age,                                                                                                       \
      "an append is believed only while its key can't have been deleted by retention; otherwise list first")           \
    X(proof_answer, "the answer to an append is believed only if it came while that was so")                           \
    X(base_start, "a base needs the levels from the txid that fixed its ranges, not from its newest chunk")            \
    X(base_span, "a base serves only targets at or after its newest chunk")                                            \
    X(base_map, "a page whose map entry is zero is stored as zeros, not read from the file")                           \
    X(attach, "a replica whose head is not in our proven past is compared page by page with what it holds")            \
    X(lost_map, "a map that was lost is related to no replica until it was compared with it")                          \
    X(splice, "commits captured before this comparison are not sent to that replica one by one")                       \
    X(split_state, "a torn map does not take identity, runs, attempts and positions with it")                          \
    X(sync_run, "run, position and head are on disk before the first put of a run to a replica")                       \
    X(full_xor, "the checksum of the map covers the txids, not only the page hashes")                                  \
    X(from_empty, "another page size begins from empty: objects before it do not count")                               \
    X(unbroken, "other salts continue the log only while the watch was held without a break")                          \
    X(guard, "a log that others have reset continues only if it was guarded: all of it was captured before")           \
    X(frame_sum, "a position in the log is its salts, frame and checksum: the same salts can go on with other frames") \
    X(files_as_left, "a database file that is not as the last run left it is compared page by page")                   \
    X(stamp, "the log is followed from its first frame only if the database file has its stamp: it was not written")   \
    X(empty_log, "an empty log has no salts: that it is empty again does not show that nothing was committed")         \
    X(old_end, "after a comparison of all pages no older log goes on: where the state lies in it is not known")        \
    X(stamp_age, "two writes within one tick of the clock get one time: a stamp is taken later")                       \
    X(halfway, "a capture that failed half-way is never resumed from")                                                 \
    X(mask_drop, "a page that changed in a way that is not known loses what was known of its changes")                 \
    X(cover_age, "a segment goes only when the one that has its commits is older than what is kept")                   \
    X(anchor_age, "what goes before a base goes only when that base is older than what is kept")                       \
    X(own_age, "an object is as young as it says itself, whatever the time of its file is")                            \
    X(look, "what was put is looked at again, and after a loss the replica is begun again")                            \
    X(look_twice, "a loss is believed at the second look: a listing can lag")                                          \
    X(pack_first, "the first object of a run is not packed before it is older than the grace period")                  \
    X(pack_proof, "where objects are packed, the proof of the head must be younger than what goes because of a pack")  \
    X(pack_aligned, "no compacted segment reaches from before a pack into its middle")                                 \
    X(pack_equal, "of a pack and a segment with the same txids, no two prunes delete one each")                        \
    X(reader_pinned, "what is planned again in a read transaction is the state with which it began")                   \
    X(reader_same, "another history's state with the same txid is not taken for the state of a read transaction")      \
    X(reader_continues, "the next object is added to a state only if it says that it continues that state")            \
    X(reader_lists, "that the next object is missing proves nothing once it can have been packed away")                \
    X(reader_lists_on, "when what a listing showed was taken, another listing says whether that was all")              \
    X(reader_behind, "while the newest object waits for its base, only a plan shows that a state is the newest one")   \
    X(reader_on, "a reader never goes back to an older txid while its own can be read")                                \
    X(follow_first, "the note has the state of the first copy before that copy is there")                              \
    X(follow_note, "the note has the next state before the log of the copy has the last frame of it")                  \
    X(follow_frames, "the wal-index of the copy names a frame only when the log has it")                               \
    X(follow_restart, "frames of a copy's log count as copied back only while the log has them")                       \
    X(follow_cookie, "a copy that skipped a commit gets a schema cookie above all that it had")                        \
    X(follow_lists, "a copy is called current only after a listing: retention may have removed the next object")       \
    X(follow_on, "a copy never goes back to an older txid, although only that one can be restored")                    \
    X(patch_from,                                                                                                      \
      "a patch is written into a segment only if it begins not after the state that the segment begins with")

#ifdef SEAWALL_TRIAL
#define RULE_ENUM(name, text) RULE_##name,
enum rule { RULES(RULE_ENUM) RULE_COUNT };
extern bool rule_off[RULE_COUNT]; /* defined by the test */
#define RULE(name) (!rule_off[RULE_##name])
#define SCALE(real, trial) (trial)
#else
#define RULE(name) true
#define SCALE(real, trial) (real)
#endif

#endif
