/* extension/host.h - the functions of one SQLite library, as far as this room calls them.
 *
 * One process may contain several SQLite libraries, and each may load the extension. So nothing here calls SQLite by
 * name: each file of a replica, and each SQL function, has the functions of its library. */
#ifndef SEAWALL_EXTENSION_HOST_H
#define SEAWALL_EXTENSION_HOST_H

#include <sqlite3.h>

#include <stddef.h>

typedef void host_function(sqlite3_context *context, int count, sqlite3_value **values);

struct host {
    const char *(*uri_parameter)(const char *name, const char *parameter);
    const char *(*filename_wal)(const char *name); /* NULL: SQLite is older than 3.31 */
    int (*file_control)(sqlite3 *db, const char *schema, int op, void *arg);
    void (*log)(int code, const char *format, ...);
    char *(*mprintf)(const char *format, ...);
    int (*create_function)(sqlite3 *db, const char *name, int arguments, int encoding, void *user,
                           host_function *function, host_function *step, void (*final)(sqlite3_context *));
    sqlite3 *(*context_db_handle)(sqlite3_context *context);
    void (*result_int64)(sqlite3_context *context, sqlite3_int64 value);
    void (*result_text)(sqlite3_context *context, const char *text, int bytes, void (*destroy)(void *));
    void (*result_error)(sqlite3_context *context, const char *text, int bytes);
    sqlite3_int64 (*value_int64)(sqlite3_value *value);
    const unsigned char *(*value_text)(sqlite3_value *value);
    /* For connections that write. */
    const char *(*db_filename)(sqlite3 *db, const char *schema);
    void *(*wal_hook)(sqlite3 *db, int (*hook)(void *context, sqlite3 *db, const char *schema, int frames),
                      void *context);
    void *(*commit_hook)(sqlite3 *db, int (*hook)(void *context), void *context);
    int (*wal_checkpoint)(sqlite3 *db, const char *schema, int mode, int *log, int *checkpointed);
    int (*exec)(sqlite3 *db, const char *sql, int (*row)(void *context, int count, char **values, char **names),
                void *context, char **error);
    int (*create_function_for)(sqlite3 *db, const char *name, int arguments, int encoding, void *user,
                               host_function *function, host_function *step, void (*final)(sqlite3_context *),
                               void (*destroy)(void *user)); /* sqlite3_create_function_v2 */
};

#define HOSTS_MAX 4 /* SQLite libraries of one process; more can't read replicas */

/* Keeps a copy for the life of the process. The same library gets the same copy again. NULL: there are HOSTS_MAX
 * others. Several threads may call it. */
const struct host *host_keep(const struct host *host);

/* The place of a copy, below HOSTS_MAX; and the copy at a place. */
size_t host_index(const struct host *host);
const struct host *host_at(size_t index);

#endif
