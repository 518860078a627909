/* config/file.h - a configuration file: databases, replicas, options, and the folder of the control sockets.
 *
 *   [seawall]                      options for all databases
 *   put-rate = 30/m
 *   control = /run/seawall         folder of the control sockets
 *
 *   [db /var/lib/app/app.db]       one database
 *   replica = offsite              the name of a [replica] section, or a URL; one line for each replica
 *   wal-limit = 256M               an option for this database
 *
 *   [replica offsite]              one replica
 *   url = s3://bucket/app
 *   endpoint = https://s3.example.com      a key of s3:// URLs
 *
 * Reading is strict. An unknown section or key, a key given twice, or an invalid value is an error. Its message has
 * file and line. */
#ifndef SEAWALL_CONFIG_FILE_H
#define SEAWALL_CONFIG_FILE_H

#include "base/path.h"
#include "config/options.h"

/* Ceilings; more is ERR_CONFIG. */
#define CONFIG_DBS_MAX 64
#define CONFIG_REPLICAS_MAX 64
#define CONFIG_DB_REPLICAS_MAX 16
#define CONFIG_NAME_MAX 64  /* bytes of the name of a replica, with terminator */
#define CONFIG_URL_MAX 8192 /* bytes of a URL, with terminator */

struct config_replica {
    char name[CONFIG_NAME_MAX];
    char url[CONFIG_URL_MAX];        /* with the parameters as a query, once the file was read */
    char parameters[CONFIG_URL_MAX]; /* the other keys: "key=value&key=value"; '%' and '&' in values are encoded */
};

struct config_db {
    char path[PATH_TEXT_MAX];
    char *replicas[CONFIG_DB_REPLICAS_MAX]; /* URLs */
    size_t replica_count;                   /* at least 1 */
    struct options options;                 /* those of [seawall], with the changes of this section */
};

struct config {
    struct options options;      /* of [seawall] */
    char control[PATH_TEXT_MAX]; /* of [seawall]: folder of the control sockets; "": not chosen */
    struct config_db *dbs;
    size_t db_count;
    struct config_replica *replicas;
    size_t replica_count;
};

/* Reads a configuration file. The caller frees *ret_config with config_free. `parameter_known`: returns whether `url`
 * may have the parameter `name`; with `url` NULL, whether a URL of any kind of store may. ERR_NOTFOUND: the file does
 * not exist. ERR_CONFIG: the file is wrong; the message has file and line. ERR_IO, ERR_NOMEM. */
int config_read(const char *path, bool (*parameter_known)(const char *url, const char *name),
                struct config **ret_config, struct err *e) MUST_CHECK;
void config_free(struct config *c); /* NULL is allowed */

/* Puts file and line in front of an error that was found after reading. The line is that of the key "replica" with the
 * value `replica` in section [kind name]; with `replica` NULL, the line where the section begins. If the file has no
 * longer that line, only the file. Precondition: `e` is an error. Returns -1. */
int config_blame(const char *path, const char *kind, const char *name, const char *replica, struct err *e);

/* Finds the database with this path; with `path` NULL the only database. *ret_db belongs to `c`.
 * ERR_CONFIG: there is none, or `path` is NULL and there are several. */
int config_find_db(const struct config *c, const char *path, const struct config_db **ret_db, struct err *e) MUST_CHECK;

/* Returns the [replica] section with this URL; it belongs to `c`. NULL: there is none; a [db] section has the URL. */
const struct config_replica *config_replica_of(const struct config *c, const char *url);

/* Finds the URL that a word of the command line means: the name of a replica, the path of a database (its first
 * replica), a URL, or the path of a folder; with `word` NULL the first replica of the only database. *ret_url
 * belongs to `c`, or is `word`. ERR_CONFIG: the word is none of these. */
int config_find_url(const struct config *c, const char *word, const char **ret_url, struct err *e) MUST_CHECK;

#endif
