/* replica/handle.c */
#include "replica/handle.h"

#include <assert.h>

int replica_handle_open(struct replica_handle *r, const char *url, const struct replica_options *options, struct err *e)
{
    assert(url);
    *r = (struct replica_handle){.codec = options->codec, .traffic = options->traffic};
    if (!r->codec) {
        r->codec = codec_new();
        r->owns_codec = true;
    }
    if (!r->codec)
        return err_nomem(e, 0);
    if (store_open(url, options->mode, &r->store, e)) {
        replica_handle_close(r);
        return -1;
    }
    r->owns_store = true;
    r->store->cancel = options->cancel;
    r->store->retrying = options->retrying;
    return 0;
}

struct replica_handle replica_handle_borrow(struct store *store, struct codec *codec)
{
    assert(store && codec);
    return (struct replica_handle){.store = store, .codec = codec};
}

int replica_handle_list(struct replica_handle *r, struct err *e)
{
    assert(r->store && r->codec);
    catalog_release(&r->catalog);
    if (catalog_open(&r->catalog, r->store, r->codec, e))
        return -1;
    catalog_hold(&r->catalog);
    return 0;
}

void replica_handle_close(struct replica_handle *r)
{
    catalog_release(&r->catalog);
    if (r->store && r->traffic)
        store_traffic_add(r->traffic, store_traffic(r->store));
    if (r->owns_store)
        store_close(r->store);
    if (r->owns_codec)
        codec_free(r->codec);
    *r = (struct replica_handle){0};
}
