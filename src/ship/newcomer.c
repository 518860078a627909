/* ship/newcomer.c */
#include "ship/newcomer.h"

#include "base/path.h"
#include "format/names.h"
#include "storage/open.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_SHARE 8

static uint64_t bytes_of(const char *db_path, const char *suffix)
{
    char path[PATH_TEXT_MAX];
    struct stat st;
    struct err e;
    return path_format(path, &e, "%s%s", db_path, suffix) == 0 && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

bool newcomer_is_small(const char *db_path, uint64_t replica_bytes)
{
    return bytes_of(db_path, "") == 0 ||
           bytes_of(db_path, "") + bytes_of(db_path, "-wal") < replica_bytes / SMALL_SHARE;
}

int newcomer_refuse(const char *db_path, const char *url, struct err *e)
{
    const bool there = bytes_of(db_path, "") > 0;
    err_set(e, ERR_CONFLICT, CONFLICT_NEWCOMER,
            "the replica has a history, and the database is %s: nothing is begun over it",
            there ? "new" : "missing or empty");
    return err_hint(e, "seawall restore %s-o %s %s brings it back; seawall replicate --take-over %s %s begins again",
                    access(db_path, F_OK) == 0 ? "--force " : "", db_path, url, db_path, url);
}

static int note_history(void *context, const struct store_entry *entry)
{
    bool *history = context;
    *history |= name_parse(entry->key).kind == NAME_LEVEL0;
    return *history;
}

/* A folder that does not exist has none. */
static int has_history(const char *url, const atomic_bool *cancel, char shown[STORE_URL_MAX], bool *ret_has,
                       struct err *e)
{
    struct store *store = NULL;
    *ret_has = false;
    if (store_check(url, shown, e))
        return -1;
    if (store_open(url, STORE_READ, &store, e))
        return e->code == ERR_NOTFOUND ? 0 : -1;
    store->cancel = cancel;
    int rc = store_list(store, NAME_LEVEL0_PREFIX, "", note_history, ret_has, e);
    store_close(store);
    return rc != 0 && e->code == ERR_NOTFOUND ? 0 : rc;
}

int newcomer_check(const char *db_path, const char *const *urls, size_t count, const atomic_bool *cancel, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        char shown[STORE_URL_MAX];
        struct err failed;
        bool has = false;
        if (has_history(urls[i], cancel, shown, &has, &failed)) {
            if (rc == 0)
                *e = failed;
            rc = -1;
        }
        if (has)
            return newcomer_refuse(db_path, shown, e);
    }
    return rc;
}
