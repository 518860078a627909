/* config/file.c */
#include "config/file.h"

#include "base/hash.h"
#include "base/ini.h"
#include "base/log.h"
#include "config/listen.h"
#include "config/variables.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct config *c;
    bool (*parameter_known)(const char *url, const char *name);
    bool dbs_began; /* a [db] section has copied the options of [seawall] */
    /* options given in [seawall], then in each [db]: a bit for each entry of option_table */
    uint64_t given[1 + CONFIG_DBS_MAX];
};

/* "db /a/b" -> "/a/b". NULL: the section is of another kind. */
static const char *argument(const char *section, const char *kind)
{
    size_t n = strlen(kind);
    if (strncmp(section, kind, n) != 0 || section[n] != ' ')
        return NULL;
    return section + n + strspn(section + n, " ");
}

/* ---- replicas */

struct config_replica *config_find_replica(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->replica_count; i++)
        if (strcmp(c->replicas[i].name, name) == 0)
            return &c->replicas[i];
    return NULL;
}

/* Finds or adds the replica. */
static int obtain_replica(struct config *c, const char *name, struct config_replica **ret_replica, struct err *e)
{
    *ret_replica = config_find_replica(c, name);
    if (*ret_replica)
        return 0;
    if (*name == 0 || strlen(name) >= CONFIG_NAME_MAX || strpbrk(name, "/:"))
        return err_set(e, ERR_CONFIG, 0, "invalid name '%.80s' of a replica: up to %d characters, without '/' and ':'",
                       name, CONFIG_NAME_MAX - 1);
    if (c->replica_count == CONFIG_REPLICAS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d replicas", CONFIG_REPLICAS_MAX);
    *ret_replica = &c->replicas[c->replica_count++];
    snprintf((*ret_replica)->name, CONFIG_NAME_MAX, "%s", name);
    return 0;
}

static int append(char *to, size_t max, const char *text, struct err *e)
{
    size_t at = strlen(to), n = strlen(text);
    if (n >= max - at)
        return err_set(e, ERR_CONFIG, 0, "the url with its keys is longer than %zu bytes", max - 1);
    memcpy(to + at, text, n + 1);
    return 0;
}

/* Appends the value of a parameter. '%' and '&', which have a meaning in a query, are encoded. */
static int append_value(char *to, size_t max, const char *value, struct err *e)
{
    for (; *value; value++) {
        char plain[2] = {*value, 0};
        if (append(to, max, *value == '%' ? "%25" : *value == '&' ? "%26" : plain, e))
            return -1;
    }
    return 0;
}

/* `key` "": the section begins. */
static int set_replica(struct reading *r, const char *name, const char *key, const char *value, struct err *e)
{
    struct config_replica *replica = NULL;
    char needle[CONFIG_NAME_MAX + 2];
    if (obtain_replica(r->c, name, &replica, e))
        return -1;
    if (!*key)
        return 0;
    if (strcmp(key, "url") == 0) {
        if (replica->url[0])
            return err_set(e, ERR_CONFIG, 0, "replica '%s' has two urls", name);
        return append(replica->url, CONFIG_URL_MAX, value, e);
    }
    if (!r->parameter_known(NULL, key))
        return err_set(e, ERR_CONFIG, 0, "unknown key '%.60s' of a replica", key);
    snprintf(needle, sizeof needle, "%s=", key);
    const char *twice = strstr(replica->parameters, needle);
    if (twice && (twice == replica->parameters || twice[-1] == '&') && strcmp(key, "header") != 0)
        return err_set(e, ERR_CONFIG, 0, "'%s' is given twice", key);
    if (replica->parameters[0] && append(replica->parameters, CONFIG_URL_MAX, "&", e))
        return -1;
    return append(replica->parameters, CONFIG_URL_MAX, needle, e) ||
                   append_value(replica->parameters, CONFIG_URL_MAX, value, e)
               ? -1
               : 0;
}

/* ---- databases */

/* `given`: bits of the options that the section has set. */
static int set_option(struct options *o, const char *key, const char *value, uint64_t *given, struct err *e)
{
    assert(option_count <= 64); /* bits of *given */
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].name, key) == 0) {
            if (*given >> i & 1)
                return err_set(e, ERR_CONFIG, 0, "'%s' is given twice", key);
            *given |= UINT64_C(1) << i;
        }
    return options_set(o, key, value, e);
}

/* Finds or adds the database. */
static int obtain_db(struct reading *r, const char *path, struct config_db **ret_db, struct err *e)
{
    struct config *c = r->c;
    for (size_t i = 0; i < c->db_count; i++)
        if (strcmp(c->dbs[i].path, path) == 0) {
            *ret_db = &c->dbs[i];
            return 0;
        }
    if (*path == 0) {
        err_set(e, ERR_CONFIG, 0, "missing path of the database");
        return err_hint(e, "write [db PATH]");
    }
    if (path_check_given(path, e))
        return -1;
    if (strlen(path) >= PATH_TEXT_MAX)
        return err_set(e, ERR_CONFIG, 0, "the path of the database is longer than %d bytes", PATH_TEXT_MAX - 1);
    if (c->db_count == CONFIG_DBS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d databases", CONFIG_DBS_MAX);
    struct config_db *db = &c->dbs[c->db_count];
    if (pattern_is(path) && pattern_read(&db->pattern, path, e))
        return -1;
    c->db_count++;
    db->options = c->options;
    snprintf(db->path, sizeof db->path, "%s", path);
    r->dbs_began = true;
    *ret_db = db;
    return 0;
}

/* An exclusion that can't match any path of the pattern is an error: a slip must not put a database at the mercy of a
 * later change of the folders. */
static int add_exclude(struct config_db *db, const char *value, struct err *e)
{
    if (!config_is_pattern(db))
        return err_set(e, ERR_CONFIG, 0, "'exclude' in a section without wildcards in its path");
    if (db->exclude_count == CONFIG_EXCLUDES_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d lines with 'exclude' in one section", CONFIG_EXCLUDES_MAX);
    if (!db->excludes && !(db->excludes = calloc(CONFIG_EXCLUDES_MAX, sizeof *db->excludes)))
        return err_nomem(e, CONFIG_EXCLUDES_MAX * sizeof *db->excludes);
    struct pattern *exclude = &db->excludes[db->exclude_count];
    if (pattern_read(exclude, value, e))
        return err_wrap(e, "exclude");
    db->exclude_count++;
    if (pattern_may_meet(exclude, &db->pattern))
        return 0;
    err_set(e, ERR_CONFIG, 0, "'exclude = %.200s' matches no path that '%.200s' matches", value, db->path);
    return err_hint(e, "write the whole path of the databases to leave out; a '*' does not match a slash");
}

/* `key` "": the section begins. */
static int set_db(struct reading *r, const char *path, const char *key, const char *value, struct err *e)
{
    struct config_db *db = NULL;
    if (obtain_db(r, path, &db, e))
        return -1;
    if (!*key)
        return 0;
    if (strcmp(key, "exclude") == 0)
        return add_exclude(db, value, e);
    if (strcmp(key, "replica") != 0)
        return set_option(&db->options, key, value, &r->given[1 + (db - r->c->dbs)], e);
    if (db->replica_count == CONFIG_DB_REPLICAS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d replicas of one database", CONFIG_DB_REPLICAS_MAX);
    db->words[db->replica_count] = strdup(value);
    return db->words[db->replica_count++] ? 0 : err_nomem(e, strlen(value));
}

static int set_control(struct config *c, const char *value, struct err *e)
{
    if (c->control[0])
        return err_set(e, ERR_CONFIG, 0, "'control' is given twice");
    if (!*value) {
        err_set(e, ERR_CONFIG, 0, "'control' has no value");
        return err_hint(e, "write control = FOLDER, or remove the line");
    }
    return path_check_given(value, e) || path_format(c->control, e, "%s", value) ? -1 : 0;
}

static int set_listen(struct config *c, const char *value, struct err *e)
{
    struct listen_place place;
    if (c->listen[0])
        return err_set(e, ERR_CONFIG, 0, "'listen' is given twice");
    if (listen_parse(value, &place, e))
        return err_wrap(e, "'listen'");
    return path_format(c->listen, e, "%s", value);
}

static int set_log_format(struct config *c, const char *value, struct err *e)
{
    enum log_format format;
    if (c->log_format[0])
        return err_set(e, ERR_CONFIG, 0, "'log-format' is given twice");
    if (!log_format_of(value, &format)) {
        err_set(e, ERR_CONFIG, 0, "'log-format': invalid value '%.60s'", value);
        return err_hint(e, "write one of " LOG_FORMATS);
    }
    snprintf(c->log_format, sizeof c->log_format, "%s", value);
    return 0;
}

/* Takes one line. */
static int set(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    struct reading *r = context;
    if (strchr(key, '.')) {
        err_set(e, ERR_CONFIG, 0, "'%.80s' is indented", strchr(key, '.') + 1);
        return err_hint(e, "remove the blanks before the key");
    }
    if (!*section) {
        err_set(e, ERR_CONFIG, 0, "'%.80s' is before the first section", key);
        return err_hint(e, "write options for all databases in a section [seawall]");
    }
    const char *db = argument(section, "db"), *replica = argument(section, "replica");
    if (db)
        return set_db(r, db, key, value, e);
    if (replica)
        return set_replica(r, replica, key, value, e);
    if (strcmp(section, "seawall") != 0) {
        err_set(e, ERR_CONFIG, 0, "unknown section '%.60s'", section);
        return err_hint(e, "write [seawall], [db PATH] or [replica NAME]");
    }
    if (!*key)
        return 0;
    if (r->dbs_began) {
        err_set(e, ERR_CONFIG, 0, "'%s' of [seawall] is after a [db] section", key);
        return err_hint(e, "move [seawall] before the first [db] section");
    }
    if (strcmp(key, "control") == 0)
        return set_control(r->c, value, e);
    if (strcmp(key, "listen") == 0)
        return set_listen(r->c, value, e);
    if (strcmp(key, "log-format") == 0)
        return set_log_format(r->c, value, e);
    return set_option(&r->c->options, key, value, &r->given[0], e);
}

/* ---- errors that are found after reading */

struct blame {
    const char *kind, *name; /* of the section */
    const char *replica;     /* value of the key; NULL: the section itself */
    const struct err *story;
    bool found;
};

/* Fails on the line to blame. Then ini_read puts file and line in front of the error. */

static int blame_line(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    struct blame *b = context;
    const char *name = argument(section, b->kind);
    if (!name || strcmp(name, b->name) != 0)
        return 0;
    if (b->replica && (strcmp(key, "replica") != 0 || strcmp(value, b->replica) != 0))
        return 0;
    b->found = true;
    *e = *b->story;
    return -1;
}

int config_blame(const char *path, const char *kind, const char *name, const char *replica, struct err *e)
{
    struct err story = *e, line;
    assert(e->code != ERR_NONE);
    struct blame b = {.kind = kind, .name = name, .replica = replica, .story = &story};
    if (ini_read(path, blame_line, &b, &line) == 0 || !b.found) /* the file was changed in between */
        return err_wrap(e, "'%s'", path);
    *e = line;
    return -1;
}

/* ---- after reading: names become URLs */

/* Appends the parameters to the URL. */
static int finish_replica(const struct reading *reading, struct config_replica *r, struct err *e)
{
    if (!r->url[0])
        return err_set(e, ERR_CONFIG, 0, "[replica %s] has no url", r->name);
    if (variables_check(r->url, e))
        return -1;
    if (!r->parameters[0])
        return 0;
    for (const char *at = r->parameters; *at; at += strcspn(at, "&"), at += *at == '&') {
        char key[CONFIG_NAME_MAX];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(at, "="), at);
        if (!reading->parameter_known(r->url, key))
            return err_set(e, ERR_CONFIG, 0, "replica '%s': a url of this kind has no key '%s'", r->name, key);
    }
    return append(r->url, CONFIG_URL_MAX, strchr(r->url, '?') ? "&" : "?", e) ||
                   append(r->url, CONFIG_URL_MAX, r->parameters, e)
               ? -1
               : 0;
}

/* Puts the values of variables into a URL of one database. */
static int expand_for(const struct config_db *db, const char *url, char out[CONFIG_URL_MAX], struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (variables_in(url) && path_has_parent(db->path))
        return err_set(e, ERR_CONFIG, 0, "the path has '..', and the url has variables");
    return path_absolute(db->path, path, e) ? -1 : variables_expand(url, path, out, CONFIG_URL_MAX, e);
}

/* Makes the URL of a word: that of a replica with this name, else the word itself. */
static int finish_word(const struct config *c, struct config_db *db, size_t index, struct err *e)
{
    char expanded[CONFIG_URL_MAX];
    const char *word = db->words[index], *url = word;
    const struct config_replica *named = config_find_replica(c, word);
    if (!named && !strpbrk(word, "/:"))
        return err_set(e, ERR_CONFIG, 0, "there is no section [replica %.60s]", word);
    if (named)
        url = named->url;
    else if (variables_check(url, e))
        return -1;
    if (!config_is_pattern(db)) {
        if (expand_for(db, url, expanded, e))
            return -1;
        url = expanded;
    }
    db->replicas[index] = strdup(url);
    wipe(expanded, sizeof expanded);
    return db->replicas[index] ? 0 : err_nomem(e, strlen(url));
}

static int finish(const struct reading *reading, const char *path, struct err *e)
{
    struct config *c = reading->c;
    for (size_t i = 0; i < c->replica_count; i++)
        if (finish_replica(reading, &c->replicas[i], e))
            return config_blame(path, "replica", c->replicas[i].name, NULL, e);
    for (size_t i = 0; i < c->db_count; i++) {
        struct config_db *db = &c->dbs[i];
        if (db->replica_count == 0) {
            err_set(e, ERR_CONFIG, 0, "database '%s' has no replica", db->path);
            return config_blame(path, "db", db->path, NULL, e);
        }
        for (size_t k = 0; k < db->replica_count; k++)
            if (finish_word(c, db, k, e)) {
                err_wrap(e, "database '%s'", db->path);
                return config_blame(path, "db", db->path, db->words[k], e);
            }
    }
    return 0;
}

int config_read(const char *path, bool (*parameter_known)(const char *url, const char *name),
                struct config **ret_config, struct err *e)
{
    struct config *c = calloc(1, sizeof *c);
    struct reading r = {.c = c, .parameter_known = parameter_known};
    if (c) {
        c->options = options_default();
        c->dbs = calloc(CONFIG_DBS_MAX, sizeof *c->dbs);
        c->replicas = calloc(CONFIG_REPLICAS_MAX, sizeof *c->replicas);
    }
    int rc = c && c->dbs && c->replicas ? ini_read(path, set, &r, e) : err_nomem(e, sizeof *c);
    if (rc == 0)
        rc = finish(&r, path, e);
    if (rc) {
        config_free(c);
        return -1;
    }
    *ret_config = c;
    return 0;
}

/* A URL can have a secret in the value of a header. */
static void free_url(char *url)
{
    if (url)
        wipe(url, strlen(url));
    free(url);
}

static void release_db(struct config_db *db)
{
    pattern_release(&db->pattern);
    for (size_t i = 0; i < db->exclude_count; i++)
        pattern_release(&db->excludes[i]);
    free(db->excludes);
    for (size_t k = 0; k < db->replica_count; k++) {
        free_url(db->words[k]);
        free_url(db->replicas[k]);
    }
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->dbs && i < c->db_count; i++)
        release_db(&c->dbs[i]);
    for (size_t i = 0; i < c->found_count; i++)
        free_url(c->found[i]);
    if (c->replicas)
        wipe(c->replicas, CONFIG_REPLICAS_MAX * sizeof *c->replicas); /* headers can hold secrets */
    free(c->found);
    free(c->dbs);
    free(c->replicas);
    free(c);
}
