/* reader/reader.h - reads a replica as if it were a database file: for one connection of SQLite.
 *
 * Readers of one URL share the store, what is known of the newest state, and the memory for blocks. A read transaction
 * sees one txid from its beginning to its end, whatever arrives meanwhile. One thread at a time uses a reader. A
 * process that was forked can't use a reader of its parent: each call returns ERR_IO. */
#ifndef SEAWALL_READER_READER_H
#define SEAWALL_READER_READER_H

#include "reader/snapshot.h"

struct reader;

struct reader_options {
    const char *url;
    struct moment moment;
    int64_t follow_ms; /* with MOMENT_NEWEST: how old the knowledge of the newest state may be when a read transaction
                              begins; 0: the reader stays at the state that was the newest when it was opened */
    const char *cache; /* folder; NULL: none */
    uint64_t cache_bytes; /* its limit */
};

/* Opens a reader. Errors: those of snapshot_open, store_open and disk_open. The caller closes it. */
int reader_open(const struct reader_options *options, struct reader **ret_reader, struct err *e) MUST_CHECK;
void reader_close(struct reader *r); /* NULL does nothing */

/* A read transaction begins: takes the newest state that is known, and asks the store for a newer one if it is due. If
 * the store does not answer, the reader stays where it is, and the reason is in reader_trouble: reader_known_ms grows.
 * ERR_IO: the process has forked. Other errors: the state can't be read, and there is no newer one. */
int reader_begin(struct reader *r, struct err *e) MUST_CHECK;

/* Reads `n` bytes at `offset` of the database file. Before: offset + n does not exceed its size. Errors: those of
 * snapshot_read; an object that is gone is looked for in other objects first. */
int reader_read(struct reader *r, uint64_t offset, uint8_t *out, size_t n, struct err *e) MUST_CHECK;

/* Whether a page has the same bytes for both readers; no page is read. Precondition and errors: snapshot_same_page. Objects
 * that are gone are looked for in other objects first. */
int reader_same_page(struct reader *a, struct reader *b, uint32_t pgno, bool *ret_same, struct err *e) MUST_CHECK;

/* Asks the store, again and again for up to `timeout_ms` ms, until it has `txid`. The read transaction that begins
 * next sees it. *ret_there: whether it has. ERR_CONFIG: the reader does not follow. */
int reader_wait(struct reader *r, uint64_t txid, int64_t timeout_ms, bool *ret_there, struct err *e) MUST_CHECK;

/* Of the state that the reader has now. */
const struct commit_record *reader_record(const struct reader *r);
uint32_t reader_page_size(const struct reader *r);
uint32_t reader_history(const struct reader *r); /* a number of the history, so that equal txids of two differ */

/* How many ms ago the store was asked, and had nothing newer than the state that the reader has now. Another reader of
 * this URL that finds something newer does not change that. -1: the reader does not follow. */
int64_t reader_known_ms(struct reader *r);

bool reader_follows(const struct reader *r);

/* Why the store could not be asked last time; "": it could. Valid until the next call. */
const char *reader_trouble(struct reader *r);

/* Requests for blocks and indexes, and their bytes, of all readers of this URL. */
void reader_traffic(const struct reader *r, uint64_t *ret_requests, uint64_t *ret_bytes);

#endif
