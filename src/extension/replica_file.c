/* extension/replica_file.c
 *
 * SQLite asks whether a file has a -wal by its name alone. The name that it asks for is a part of the memory in which
 * the file name was passed to xOpen, so the pointer tells whose it is: a database of that name on the disk is another
 * file. For a journal it asks whether a connection holds the reserved lock, and leaves it alone if so.
 *
 * The parameters are read as SQLite's own VFS for Unix reads them: if SQLITE_OPEN_URI says that they are there. A VFS
 * above that passes names of its own must leave that flag out, or have parameters behind the name. */
#include "extension/replica_file.h"

#include "base/endian.h"
#include "extension/request.h"
#include "extension/trouble.h"
#include "reader/fork.h"
#include "vfs/shim.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES 4096

struct replica_file {
    sqlite3_file base;
    const struct host *host;
    struct reader *reader; /* owned */
    const char *wal_name;  /* as a pointer; NULL: not known */
    char *wal_path;        /* owned: of a file that the environment makes a replica; otherwise NULL */
    struct replica_file *next;
    int level;          /* of the lock, as SQLite counts */
    bool taken, shared; /* by one connection; by several, which is refused */
};

static struct replica_file *ours(sqlite3_file *file)
{
    return (struct replica_file *)file;
}

/* ---- the names of the -wal of open files */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static struct replica_file *files; /* guarded by names_lock */

static void forget(void)
{
    pthread_mutex_init(&names_lock, NULL);
    files = NULL;
}

static void watch_forks(void)
{
    int rc = fork_forgets(forget);
    (void)rc;
}

static void add_name(struct replica_file *f)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&names_lock);
    f->next = files;
    files = f;
    pthread_mutex_unlock(&names_lock);
}

static void remove_name(const struct replica_file *f)
{
    pthread_mutex_lock(&names_lock);
    struct replica_file **at = &files;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at)
        *at = f->next;
    pthread_mutex_unlock(&names_lock);
}

int replica_file_is_wal_name(const char *name)
{
    pthread_mutex_lock(&names_lock);
    const struct replica_file *f = files;
    while (f && f->wal_name != name && !(f->wal_path && strcmp(f->wal_path, name) == 0))
        f = f->next;
    pthread_mutex_unlock(&names_lock);
    return name && f;
}

/* ---- the file methods */

static int code_of(const struct err *e)
{
    switch (e->code) {
    case ERR_NOMEM:
        return SQLITE_IOERR_NOMEM;
    case ERR_CORRUPT:
        return SQLITE_IOERR_DATA;
    default:
        return SQLITE_IOERR_READ;
    }
}

/* SQLite lets connections share the file and its pages by the file name alone, though it may name another replica or
 * another moment. xOpen is not told. */
static int refuse_shared(const struct replica_file *f)
{
    struct err e;
    if (!f->shared)
        return SQLITE_OK;
    int rc = err_set(&e, ERR_CONFIG, 0, "a replica can't be read with a shared cache: open each connection without it");
    (void)rc;
    return trouble_note(f->host, code_of(&e), &e);
}

static int replica_close(sqlite3_file *file)
{
    struct replica_file *f = ours(file);
    remove_name(f);
    reader_close(f->reader);
    free(f->wal_path);
    file->pMethods = NULL;
    return SQLITE_OK;
}

/* Puts `value` at `at` of the file, as far as the bytes have it. */
static void put_at(uint64_t at, uint32_t value, size_t width, uint64_t offset, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < width; i++)
        if (at + i >= offset && at + i < offset + n)
            bytes[at + i - offset] = (uint8_t)(value >> 8 * (width - 1 - i));
}

void replica_file_adapt(const struct commit_record *record, uint32_t history, uint64_t offset, uint8_t *bytes, size_t n)
{
    const uint32_t counter = (uint32_t)record->txid + history;
    if (offset >= 96)
        return;
    put_at(18, 0x0101, 2, offset, bytes, n);
    put_at(24, counter, 4, offset, bytes, n);
    put_at(28, record->pages, 4, offset, bytes, n);
    put_at(92, counter, 4, offset, bytes, n);
}

static int replica_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
    struct replica_file *f = ours(file);
    const struct commit_record *record = reader_record(f->reader);
    const uint64_t size = (uint64_t)record->pages * reader_page_size(f->reader);
    struct err e;
    size_t have = 0;
    if (n < 0 || offset < 0)
        return SQLITE_IOERR_READ;
    if (f->shared)
        return refuse_shared(f);
    if ((uint64_t)offset < size)
        have = (uint64_t)n < size - (uint64_t)offset ? (size_t)n : (size_t)(size - (uint64_t)offset);
    if (have > 0 && reader_read(f->reader, (uint64_t)offset, out, have, &e))
        return trouble_note(f->host, code_of(&e), &e);
    record = reader_record(f->reader); /* the same, planned again */
    replica_file_adapt(record, reader_history(f->reader), (uint64_t)offset, out, have);
    if (have == (size_t)n)
        return SQLITE_OK;
    memset((uint8_t *)out + have, 0, (size_t)n - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int replica_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    (void)file, (void)bytes, (void)n, (void)offset;
    return SQLITE_READONLY;
}

static int replica_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    (void)file, (void)size;
    return SQLITE_READONLY;
}

static int replica_sync(sqlite3_file *file, int flags)
{
    (void)file, (void)flags;
    return SQLITE_OK;
}

static int replica_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    const struct reader *r = ours(file)->reader;
    *ret_size = (sqlite3_int64)reader_record(r)->pages * reader_page_size(r);
    return SQLITE_OK;
}

/* A read transaction begins with the shared lock. */
static int replica_lock(sqlite3_file *file, int level)
{
    struct replica_file *f = ours(file);
    struct err e;
    if (level > SQLITE_LOCK_SHARED)
        return SQLITE_READONLY;
    if (f->shared)
        return refuse_shared(f);
    if (level == SQLITE_LOCK_SHARED && f->level == SQLITE_LOCK_NONE && reader_begin(f->reader, &e))
        return trouble_note(f->host, code_of(&e), &e);
    f->level = level;
    return SQLITE_OK;
}

static int replica_unlock(sqlite3_file *file, int level)
{
    ours(file)->level = level;
    return SQLITE_OK;
}

static int replica_check_reserved_lock(sqlite3_file *file, int *ret_reserved)
{
    (void)file;
    *ret_reserved = 1; /* so that no journal beside the name is taken for one of this file */
    return SQLITE_OK;
}

static int replica_file_control(sqlite3_file *file, int op, void *arg)
{
    struct replica_file *f = ours(file);
    switch (op) {
    case REPLICA_FILE_READER:
        memcpy(arg, &f->reader, sizeof(struct reader *));
        return SQLITE_OK;
    case SQLITE_FCNTL_PDB: /* a connection has opened the file */
        f->shared = f->taken;
        f->taken = true;
        return SQLITE_NOTFOUND;
    case SQLITE_FCNTL_VFSNAME: {
        char *name = f->host->mprintf("seawall/replica");
        memcpy(arg, &name, sizeof name);
        return SQLITE_OK;
    }
    default:
        return SQLITE_NOTFOUND;
    }
}

static int replica_sector_size(sqlite3_file *file)
{
    (void)file;
    return SECTOR_BYTES;
}

static int replica_device_characteristics(sqlite3_file *file)
{
    return reader_follows(ours(file)->reader) ? 0 : SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods replica_methods = {
    .iVersion = 1,
    .xClose = replica_close,
    .xRead = replica_read,
    .xWrite = replica_write,
    .xTruncate = replica_truncate,
    .xSync = replica_sync,
    .xFileSize = replica_file_size,
    .xLock = replica_lock,
    .xUnlock = replica_unlock,
    .xCheckReservedLock = replica_check_reserved_lock,
    .xFileControl = replica_file_control,
    .xSectorSize = replica_sector_size,
    .xDeviceCharacteristics = replica_device_characteristics,
};

/* ---- opening */

struct uri {
    const struct host *host;
    const char *name;
};

static const char *uri_get(const void *context, const char *parameter)
{
    const struct uri *u = context;
    return u->host->uri_parameter(u->name, parameter);
}

/* What one open asks for. */
struct asked {
    struct reader_options options;
    bool replica, by_environment;
    struct request_text text;
};

/* Checks the names of the parameters of a URI. They lie between the file name and the name of its -wal; SQLite before
 * 3.31 does not say where that is. A VFS above may have parameters of its own, and so may libraries that open files:
 * these begin with '_'. */
static int check_names(const struct uri *uri, struct err *e)
{
    const char *end = uri->host->filename_wal ? uri->host->filename_wal(uri->name) : NULL;
    const char *at = uri->name + strlen(uri->name) + 1;
    while (end && at < end && *at) {
        if (*at != '_' && request_check_name(at, e))
            return -1;
        at += strlen(at) + 1;
        at += strlen(at) + 1;
    }
    return 0;
}

static int read_uri(const struct uri *uri, struct asked *a, struct err *e)
{
    const char *vfs = uri_get(uri, "vfs");
    const bool for_us = vfs && strcmp(vfs, SEAWALL_VFS_NAME) == 0;
    if (request_read(uri_get, uri, &a->options, &a->replica, e))
        return -1;
    if ((for_us || (a->replica && !vfs)) && check_names(uri, e))
        return -1;
    return for_us && !a->replica ? request_check_none(uri_get, uri, e) : 0;
}

static int find_request(const struct host *host, const char *name, int flags, struct asked *a, struct err *e)
{
    const struct uri uri = {host, name};
    const char *environment = getenv("SEAWALL_REPLICA");
    if ((flags & SQLITE_OPEN_URI) && read_uri(&uri, a, e))
        return -1;
    if (a->replica || !environment)
        return 0;
    if (request_decode(environment, name, &a->text, &a->by_environment, e))
        return -1;
    return a->by_environment ? request_read(request_text_get, &a->text, &a->options, &a->replica, e) : 0;
}

/* The name of the -wal: its pointer if SQLite's own name is here, its text if the environment decides about each file
 * of this name. */
static int name_wal(struct replica_file *f, const struct asked *a, const char *name, int flags, struct err *e)
{
    if (!a->by_environment) {
        f->wal_name = f->host->filename_wal && (flags & SQLITE_OPEN_URI) ? f->host->filename_wal(name) : NULL;
        return 0;
    }
    const size_t n = strlen(name) + sizeof "-wal";
    f->wal_path = malloc(n);
    if (!f->wal_path)
        return err_nomem(e, n);
    snprintf(f->wal_path, n, "%s-wal", name);
    return 0;
}

static int open_reader(struct replica_file *f, struct asked *a, const char *name, int flags, struct err *e)
{
    if (find_request(f->host, name, flags, a, e))
        return -1;
    if (!a->replica)
        return 0;
    if (name_wal(f, a, name, flags, e) || reader_open(&a->options, &f->reader, e)) {
        free(f->wal_path);
        return -1;
    }
    return 0;
}

int replica_file_open(const void *context, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    struct replica_file f = {.host = context};
    struct asked *a = calloc(1, sizeof *a);
    struct err e;
    int rc = a ? open_reader(&f, a, name, flags, &e) : err_nomem(&e, sizeof *a);
    const bool forward = rc == 0 && a && !a->replica;
    free(a);
    if (forward)
        return SHIM_FORWARD;
    file->pMethods = NULL;
    if (rc)
        return trouble_note(f.host, e.code == ERR_NOMEM ? SQLITE_NOMEM : SQLITE_CANTOPEN, &e);
    f.base.pMethods = &replica_methods;
    *ours(file) = f;
    add_name(ours(file));
    if (ret_flags)
        *ret_flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    return SQLITE_OK;
}

int replica_file_bytes(void)
{
    return (int)sizeof(struct replica_file);
}
