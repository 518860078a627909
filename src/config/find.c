/* config/find.c */
#include "config/find.h"

#include "base/array.h"
#include "config/variables.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- databases */

bool config_is_of_many(const struct config *c)
{
    return c->db_count > 1 || (c->db_count == 1 && config_is_pattern(&c->dbs[0]));
}

/* The only section, for a command line without a path. NULL: there is none, and `e` is set. */
static const struct config_db *only_section(const struct config *c, struct err *e)
{
    if (c->db_count > 0 && !config_is_of_many(c))
        return &c->dbs[0];
    if (c->db_count == 0)
        err_set(e, ERR_CONFIG, 0, "the configuration has no [db PATH]");
    else if (c->db_count == 1)
        err_set(e, ERR_CONFIG, 0, "[db %.200s] of the configuration is a pattern", c->dbs[0].path);
    else
        err_set(e, ERR_CONFIG, 0, "the configuration has %zu databases", c->db_count);
    if (c->db_count > 0)
        err_hint(e, "name one of them on the command line");
    return NULL;
}

/* Finds the section, and the path that its pattern matches: `path` made absolute, else what it leads to. */
static const struct config_db *section_of(const struct config *c, const char *path, char ret_path[PATH_TEXT_MAX])
{
    struct err e;
    const struct config_db *db = config_section_of(c, path);
    if (db)
        return path_format(ret_path, &e, "%s", path) ? NULL : db;
    if (!path_has_parent(path) && path_absolute(path, ret_path, &e) == 0)
        db = config_section_of(c, ret_path);
    return db || !path_resolve(path, ret_path) ? db : config_section_of(c, ret_path);
}

const struct config_db *config_find_section(const struct config *c, const char *path)
{
    char found[PATH_TEXT_MAX];
    return section_of(c, path, found);
}

/* Sets ERR_CONFIG: the configuration lacks a section. */
static int PRINTF_LIKE(2, 3) no_section(struct err *e, const char *fmt, ...)
{
    char sections[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sections, sizeof sections, fmt, args);
    va_end(args);
    err_set(e, ERR_CONFIG, 0, "the configuration has no %s", sections);
    return err_hint(e, "'seawall config -c FILE' shows the sections that it has");
}

int config_find_db(const struct config *c, const char *path, struct config_member *ret, struct err *e)
{
    char found[PATH_TEXT_MAX];
    const struct config_db *db = path ? section_of(c, path, found) : only_section(c, e);
    if (!db)
        return path ? no_section(e, "[db %.200s]", path) : -1;
    return config_member_make(db, path ? found : db->path, ret, e);
}

/* ---- URLs */

/* Keeps a copy of the URL for the configuration, which frees it. */
static int keep(struct config *c, const char *url, const char **ret_url, struct err *e)
{
    if (array_reserve(&c->found, &c->found_cap, c->found_count + 1, sizeof *c->found, e))
        return -1;
    char *copy = strdup(url);
    if (!copy)
        return err_nomem(e, strlen(url));
    c->found[c->found_count++] = copy;
    *ret_url = copy;
    return 0;
}

int config_find_url_at(struct config *c, const struct config_member *m, size_t index, const char **ret_url,
                       struct err *e)
{
    assert(index < m->url_count);
    return keep(c, m->urls[index], ret_url, e);
}

static int url_of_db(struct config *c, const char *path, const char **ret_url, struct err *e)
{
    struct config_member m = {.path = NULL};
    if (config_find_db(c, path, &m, e))
        return -1;
    assert(m.url_count > 0);
    int rc = keep(c, m.urls[0], ret_url, e);
    config_member_release(&m);
    return rc;
}

static int url_of_replica(struct config *c, const struct config_replica *r, const char **ret_url, struct err *e)
{
    char url[CONFIG_URL_MAX];
    if (variables_in(r->url)) {
        err_set(e, ERR_CONFIG, 0, "replica '%s' has a place for each database", r->name);
        return err_hint(e, "name the database in place of the replica");
    }
    return variables_expand(r->url, "/", url, sizeof url, e) ? -1 : keep(c, url, ret_url, e);
}

int config_find_url(struct config *c, const char *word, const char **ret_url, struct err *e)
{
    char path[PATH_TEXT_MAX];
    const struct config_replica *replica = word ? config_find_replica(c, word) : NULL;
    if (replica)
        return url_of_replica(c, replica, ret_url, e);
    if (!word || (!strstr(word, "://") && section_of(c, word, path)))
        return url_of_db(c, word, ret_url, e);
    if (!strpbrk(word, "/:"))
        return no_section(e, "[replica %.100s] and no [db %.100s]", word, word);
    *ret_url = word;
    return 0;
}
