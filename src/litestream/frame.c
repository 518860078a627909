/* litestream/frame.c */
#include "litestream/frame.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES ((size_t)1 << 20)
#define ENCRYPTED "age-encryption.org/"

struct frame_reader {
    LZ4F_dctx *context;
    uint8_t *out; /* OUT_BYTES */
};

int frame_reader_new(struct frame_reader **ret, struct err *e)
{
    struct frame_reader *r = calloc(1, sizeof *r);
    *ret = NULL;
    if (!r || !(r->out = malloc(OUT_BYTES)) ||
        LZ4F_isError(LZ4F_createDecompressionContext(&r->context, LZ4F_VERSION))) {
        frame_reader_free(r);
        return err_nomem(e, OUT_BYTES);
    }
    *ret = r;
    return 0;
}

void frame_reader_free(struct frame_reader *r)
{
    if (!r)
        return;
    LZ4F_freeDecompressionContext(r->context);
    free(r->out);
    free(r);
}

static int check_encryption(struct feed *f, struct err *e)
{
    const size_t n = strlen(ENCRYPTED);
    if (feed_left(f) < n)
        return err_set(e, ERR_CORRUPT, 0, "it ends too early");
    const uint8_t *bytes = feed_take(f, n, e);
    if (!bytes)
        return -1;
    if (memcmp(bytes, ENCRYPTED, n) == 0) {
        err_set(e, ERR_CONFIG, 0, "it is encrypted with age, which Seawall can't read");
        return err_hint(e, "restore it with Litestream 0.3 and its key, then replicate the database with Seawall");
    }
    feed_unread(f, n);
    return 0;
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "it can't be decompressed");
}

int frame_read(struct frame_reader *r, struct feed *f, frame_fn *fn, void *context, struct err *e)
{
    size_t wanted = 1;
    LZ4F_resetDecompressionContext(r->context);
    if (check_encryption(f, e))
        return -1;
    while (wanted != 0) {
        size_t n = 0, out = OUT_BYTES;
        if (feed_left(f) == 0)
            return err_set(e, ERR_CORRUPT, 0, "it ends too early");
        const uint8_t *bytes = feed_some(f, FEED_WINDOW, &n, e);
        if (!bytes)
            return -1;
        const size_t had = n;
        wanted = LZ4F_decompress(r->context, r->out, &out, bytes, &n, NULL);
        if (LZ4F_isError(wanted) || (n == 0 && out == 0))
            return damaged(e);
        feed_unread(f, had - n);
        if (out > 0 && fn(context, r->out, out, e))
            return -1;
    }
    return feed_left(f) ? err_set(e, ERR_CORRUPT, 0, "bytes follow its end") : 0;
}
