/* config/file.h - a configuration file: databases, replicas, options, and the folder of the control sockets.
 *
 *   [seawall]                      options for all databases
 *   put-rate = 30/m
 *   control = /run/seawall         folder of the control sockets
 *   listen = 127.0.0.1:9099        where the status page is served (config/listen.h)
 *
 *   [db /var/lib/app/app.db]       one database
 *   replica = offsite              the name of a [replica] section, or a URL; one line for each replica
 *   wal-limit = 256M               an option for this database
 *
 *   [db /srv/tenants/?*.d/app.db]  each database that the pattern (config/pattern.h) matches; see config/members.h
 *   exclude = /srv/tenants/test.d/app.db   not those that this pattern matches; one line for each pattern
 *   replica = s3://bucket/{path}   a URL with variables (config/variables.h)
 *
 *   [replica offsite]              one replica, or with variables in its url one for each database
 *   url = s3://bucket/app
 *   endpoint = https://s3.example.com      a key of s3:// URLs
 *
 * Reading is strict. An unknown section or key, a key given twice, or an invalid value is an error. Its message has
 * file and line. */
#ifndef SEAWALL_CONFIG_FILE_H
#define SEAWALL_CONFIG_FILE_H

#include "base/path.h"
#include "config/options.h"
#include "config/pattern.h"

/* Ceilings; more is ERR_CONFIG. */
#define CONFIG_DBS_MAX 64 /* sections; a pattern is one of them */
#define CONFIG_EXCLUDES_MAX 64
#define CONFIG_REPLICAS_MAX 64
#define CONFIG_DB_REPLICAS_MAX 16
#define CONFIG_NAME_MAX 64  /* bytes of the name of a replica, with terminator */
#define CONFIG_URL_MAX 8192 /* bytes of a URL, with terminator */

struct config_replica {
    char name[CONFIG_NAME_MAX];
    char url[CONFIG_URL_MAX];        /* with the parameters as a query, once the file was read; may have variables */
    char parameters[CONFIG_URL_MAX]; /* the other keys: "key=value&key=value"; '%' and '&' in values are encoded */
};

/* A [db] section: one database, or those that a pattern matches. */
struct config_db {
    char path[PATH_TEXT_MAX];               /* as it is written */
    struct pattern pattern;                 /* pattern.count is 0: the path of one database */
    struct pattern *excludes;               /* of a pattern; owned */
    char *words[CONFIG_DB_REPLICAS_MAX];    /* values of the key "replica", as they are written */
    char *replicas[CONFIG_DB_REPLICAS_MAX]; /* their URLs; in those of a pattern the variables have no values yet */
    size_t exclude_count, replica_count;    /* replica_count: at least 1 */
    struct options options;                 /* those of [seawall], with the changes of this section */
};

struct config {
    struct options options;      /* of [seawall] */
    char control[PATH_TEXT_MAX]; /* of [seawall]: folder of the control sockets; "": not chosen */
    char listen[PATH_TEXT_MAX];  /* of [seawall]: as it is written, and valid; "": not chosen */
    char log_format[16];         /* of [seawall]: a word of log_format_of; "": not chosen */
    struct config_db *dbs;
    size_t db_count;
    struct config_replica *replicas;
    size_t replica_count;
    char **found; /* URLs that config_find_url made; owned */
    size_t found_count, found_cap;
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

/* Whether a section is a pattern. */
static inline bool config_is_pattern(const struct config_db *db)
{
    return db->pattern.count > 0;
}

/* Returns the section [replica NAME]; it belongs to `c`. NULL: there is none. */
struct config_replica *config_find_replica(const struct config *c, const char *name);

#endif
