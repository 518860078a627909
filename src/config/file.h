/* config/file.h - a configuration file: what could stand on the command line, and what should not.
 *
 *   [seawall]                      options for all databases
 *   put-rate = 30/m
 *
 *   [db /var/lib/app/app.db]       one database
 *   replica = offsite              a name from below, or a URL; several lines for several replicas
 *   wal-limit = 256M
 *
 *   [replica offsite]              one destination
 *   url = s3://bucket/app
 *   endpoint = https://s3.example.com      and what else an s3:// URL takes
 *
 * Strict: an unknown section or key, a key given twice, a value out of range is an error with file and line. */
#ifndef SEAWALL_CONFIG_FILE_H
#define SEAWALL_CONFIG_FILE_H

#include "base/path.h"
#include "config/options.h"

#define CONFIG_DBS_MAX 64
#define CONFIG_REPLICAS_MAX 64
#define CONFIG_DB_REPLICAS_MAX 16
#define CONFIG_NAME_MAX 64
#define CONFIG_URL_MAX 8192

struct config_replica {
    char name[CONFIG_NAME_MAX];
    char url[CONFIG_URL_MAX];        /* as the file has it; then with its parameters as a query */
    char parameters[CONFIG_URL_MAX]; /* "key=value&key=value" */
};

struct config_db {
    char path[PATH_TEXT_MAX];
    char *replicas[CONFIG_DB_REPLICAS_MAX]; /* names or URLs; then URLs */
    size_t replica_count;
    struct options options;
};

struct config {
    struct options options; /* of [seawall] */
    struct config_db *dbs;
    size_t db_count;
    struct config_replica *replicas;
    size_t replica_count;
};

/* `parameter_known`: whether `url` may have the option `name`; with `url` NULL, whether the URLs of any kind of store may.
 * ERR_CONFIG, ERR_NOTFOUND, ERR_IO. */
int config_read(const char *path, bool (*parameter_known)(const char *url, const char *name),
                struct config **ret_config, struct err *e) MUST_CHECK;
void config_free(struct config *c); /* NULL is fine */

/* Puts file and line in front of an error that shows only when the whole file was read. The line: of the key "replica" with this
 * value; NULL: where the section [kind name] begins. Returns -1. */
int config_blame(const char *path, const char *kind, const char *name, const char *replica, struct err *e);

/* The database with this path, or the only one if `path` is NULL. ERR_CONFIG: none, or several. */
int config_find_db(const struct config *c, const char *path, const struct config_db **ret_db, struct err *e) MUST_CHECK;

/* The replica that stands for this URL in the list of a database, or NULL: the URL stands there itself. */
const struct config_replica *config_replica_of(const struct config *c, const char *url);

/* The URL behind a word: the name of a replica, the path of a database (its first replica), or a URL or path itself; NULL: the only
 * database. ERR_CONFIG: none of these. */
int config_find_url(const struct config *c, const char *word, const char **ret_url, struct err *e) MUST_CHECK;

#endif
