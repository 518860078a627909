/* config/file.c */
#include "config/file.h"

#include "base/hash.h"
#include "base/ini.h"

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

static struct config_replica *find_replica(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->replica_count; i++)
        if (strcmp(c->replicas[i].name, name) == 0)
            return &c->replicas[i];
    return NULL;
}

/* Finds or adds the replica. */
static int obtain_replica(struct config *c, const char *name, struct config_replica **ret_replica, struct err *e)
{
    *ret_replica = find_replica(c, name);
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
    if (strlen(path) >= PATH_TEXT_MAX)
        return err_set(e, ERR_CONFIG, 0, "the path of the database is longer than %d bytes", PATH_TEXT_MAX - 1);
    if (c->db_count == CONFIG_DBS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d databases", CONFIG_DBS_MAX);
    *ret_db = &c->dbs[c->db_count++];
    (*ret_db)->options = c->options;
    snprintf((*ret_db)->path, sizeof(*ret_db)->path, "%s", path);
    r->dbs_began = true;
    return 0;
}

/* `key` "": the section begins. */
static int set_db(struct reading *r, const char *path, const char *key, const char *value, struct err *e)
{
    struct config_db *db = NULL;
    if (obtain_db(r, path, &db, e))
        return -1;
    if (!*key)
        return 0;
    if (strcmp(key, "replica") != 0)
        return set_option(&db->options, key, value, &r->given[1 + (db - r->c->dbs)], e);
    if (db->replica_count == CONFIG_DB_REPLICAS_MAX)
        return err_set(e, ERR_CONFIG, 0, "more than %d replicas of one database", CONFIG_DB_REPLICAS_MAX);
    db->replicas[db->replica_count] = strdup(value);
    return db->replicas[db->replica_count++] ? 0 : err_nomem(e, strlen(value));
}

static int set_control(struct config *c, const char *value, struct err *e)
{
    if (c->control[0])
        return err_set(e, ERR_CONFIG, 0, "'control' is given twice");
    if (!*value) {
        err_set(e, ERR_CONFIG, 0, "'control' has no value");
        return err_hint(e, "write control = FOLDER, or remove the line");
    }
    return path_format(c->control, e, "%s", value);
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

/* Replaces the name of a replica by its URL. A URL stays. */
static int finish_word(const struct config *c, char **word, struct err *e)
{
    const struct config_replica *named = find_replica(c, *word);
    if (!named && !strpbrk(*word, "/:"))
        return err_set(e, ERR_CONFIG, 0, "there is no section [replica %.60s]", *word);
    if (!named)
        return 0;
    char *url = strdup(named->url);
    if (!url)
        return err_nomem(e, CONFIG_URL_MAX);
    free(*word);
    *word = url;
    return 0;
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
            if (finish_word(c, &db->replicas[k], e)) {
                err_wrap(e, "database '%s'", db->path);
                return config_blame(path, "db", db->path, db->replicas[k], e);
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

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->dbs && i < c->db_count; i++)
        for (size_t k = 0; k < c->dbs[i].replica_count; k++)
            free(c->dbs[i].replicas[k]);
    if (c->replicas)
        wipe(c->replicas, CONFIG_REPLICAS_MAX * sizeof *c->replicas); /* headers can hold secrets */
    free(c->dbs);
    free(c->replicas);
    free(c);
}

int config_find_db(const struct config *c, const char *path, const struct config_db **ret_db, struct err *e)
{
    *ret_db = NULL;
    for (size_t i = 0; i < c->db_count; i++)
        if (!path || strcmp(c->dbs[i].path, path) == 0)
            *ret_db = &c->dbs[i];
    if (!path && c->db_count > 1) {
        err_set(e, ERR_CONFIG, 0, "the configuration has %zu databases", c->db_count);
        return err_hint(e, "name one of them on the command line");
    }
    if (!*ret_db)
        return err_set(e, ERR_CONFIG, 0, "the configuration has no [db %.200s]", path ? path : "PATH");
    return 0;
}

const struct config_replica *config_replica_of(const struct config *c, const char *url)
{
    for (size_t i = 0; i < c->replica_count; i++)
        if (strcmp(c->replicas[i].url, url) == 0)
            return &c->replicas[i];
    return NULL;
}

int config_find_url(const struct config *c, const char *word, const char **ret_url, struct err *e)
{
    const struct config_db *db = NULL;
    const struct config_replica *replica = word ? find_replica(c, word) : NULL;
    if (!word) {
        if (config_find_db(c, NULL, &db, e))
            return -1;
        assert(db->replica_count > 0);
        *ret_url = db->replicas[0];
        return 0;
    }
    *ret_url = replica ? replica->url : word;
    for (size_t i = 0; !replica && i < c->db_count; i++)
        if (strcmp(c->dbs[i].path, word) == 0) {
            assert(c->dbs[i].replica_count > 0);
            *ret_url = c->dbs[i].replicas[0];
        }
    if (*ret_url == word && !strpbrk(word, "/:"))
        return err_set(e, ERR_CONFIG, 0, "the configuration has no [replica %.100s] and no [db %.100s]", word, word);
    return 0;
}
