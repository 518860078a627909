/* cli/skipped.c */
#include "cli/skipped.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "replica/handle.h"

#include <inttypes.h>

static void tell_last(FILE *out, const char *head, int64_t time_ms, uint64_t txid, const struct skipped *s)
{
    char moment[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX], which[64];
    clock_format(time_ms, moment);
    clock_format(s->last_ms, last);
    if (txid + 1 < s->last)
        snprintf(which, sizeof which, "txid %" PRIu64 " to %" PRIu64 " are newer", txid + 1, s->last);
    else
        snprintf(which, sizeof which, "txid %" PRIu64 " is newer", s->last);
    if (s->future)
        text_print_to(out, "%sskipped: %s, and the time of the last, %s, has not come yet: a clock is wrong\n", head,
                      which, last);
    else
        text_print_to(
            out,
            "%sskipped: %s, and the last was there before %s, but its time is %s: the clock of the writer was "
            "ahead, and times never fall within a replica\n",
            head, which, moment, last);
    text_print_to(out,
                  head[0] ? "  HINT: restore that database alone, with --txid %" PRIu64 " instead of --time\n"
                          : "  HINT: to restore the newest of them, say --txid %" PRIu64 " instead of --time\n",
                  s->last);
}

void skipped_tell(FILE *out, const char *head, int64_t time_ms, uint64_t txid, const struct skipped *s)
{
    if (s->last)
        tell_last(out, head, time_ms, txid, s);
    if (s->unread)
        text_print_to(out,
                      "%s%" PRIu64 " object%s could not be read now, so it is not known whether a newer restore point "
                      "was skipped\n",
                      head, s->unread, cli_plural(s->unread));
}

static int find_in(const char *url, int64_t time_ms, uint64_t txid, struct skipped *ret_found, struct err *e)
{
    const struct replica_options options = {.mode = STORE_READ};
    struct replica_handle replica;
    if (replica_handle_open(&replica, url, &options, e))
        return -1;
    int rc = replica_handle_list(&replica, e);
    if (rc == 0)
        rc = skipped_find(&replica.catalog, time_ms, clock_wall_ms(), txid, ret_found, e);
    replica_handle_close(&replica);
    return rc;
}

void skipped_tell_of(const char *url, int64_t time_ms, uint64_t txid)
{
    struct skipped found = {.last = 0};
    struct err e;
    if (find_in(url, time_ms, txid, &found, &e))
        text_print_to(stderr, "it is not known whether a newer restore point was skipped: %s\n", e.msg);
    else
        skipped_tell(stderr, "", time_ms, txid, &found);
}
