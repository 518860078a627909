/* config/members.c */
#include "config/members.h"

#include "base/array.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/search.h"
#include "base/sqlite_file.h"
#include "config/variables.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *config_reason_text(enum config_reason reason)
{
    static const char *const texts[REASONS] = {
        [REASON_COMPANION] = "is a file beside a database",
        [REASON_NOT_A_FILE] = "is not a regular file",
        [REASON_NOT_A_DATABASE] = "is not a SQLite database",
        [REASON_OTHER_NAME] = "is the same file as a database with another path",
        [REASON_UNREADABLE] = "can't be read: a database there is not found",
        [REASON_NO_URL] = "has no valid url",
    };
    assert(reason < REASONS);
    return texts[reason];
}

/* ---- one member */

static void free_url(char *url) /* it can have a secret */
{
    if (url)
        wipe(url, strlen(url));
    free(url);
}

void config_member_release(struct config_member *m)
{
    for (size_t i = 0; m->urls && i < m->url_count; i++)
        free_url(m->urls[i]);
    free(m->urls);
    free(m->path);
    *m = (struct config_member){.path = NULL};
}

/* Adds the URL of replica `index`. Only those of a pattern have variables left. */
static int add_url(struct config_member *m, size_t index, const char *absolute, struct err *e)
{
    char expanded[CONFIG_URL_MAX];
    const char *url = m->section->replicas[index];
    if (config_is_pattern(m->section) && variables_expand(url, absolute, expanded, sizeof expanded, e))
        return -1;
    m->urls[index] = strdup(config_is_pattern(m->section) ? expanded : url);
    wipe(expanded, sizeof expanded);
    if (!m->urls[index])
        return err_nomem(e, strlen(url));
    m->url_count++;
    return 0;
}

int config_member_make(const struct config_db *section, const char *path, struct config_member *ret, struct err *e)
{
    struct config_member m = {.section = section, .path = strdup(path)};
    m.urls = calloc(section->replica_count, sizeof *m.urls);
    int rc = m.path && m.urls ? 0 : err_nomem(e, strlen(path));
    for (size_t i = 0; rc == 0 && i < section->replica_count; i++)
        rc = add_url(&m, i, path, e);
    if (rc) {
        config_member_release(&m);
        return e->code == ERR_NOMEM ? -1 : err_wrap(e, "database '%s'", path);
    }
    *ret = m;
    return 0;
}

/* ---- what a path is */

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), len = strlen(ending);
    return n >= len && strcmp(text + n - len, ending) == 0;
}

bool config_is_companion(const char *path)
{
    const char *name = path_name(path);
    return ends_with(name, "-wal") || ends_with(name, "-shm") || ends_with(name, "-journal") ||
           strstr(name, "-seawall") != NULL;
}

static bool is_excluded(const struct config_db *db, const char *path)
{
    for (size_t i = 0; i < db->exclude_count; i++)
        if (pattern_matches(&db->excludes[i], path))
            return true;
    return false;
}

static bool belongs_to(const struct config_db *db, const char *path)
{
    return config_is_pattern(db) && pattern_matches(&db->pattern, path) && !is_excluded(db, path) &&
           !config_is_companion(path);
}

const struct config_db *config_section_of(const struct config *c, const char *path)
{
    for (size_t i = 0; i < c->db_count; i++)
        if (!config_is_pattern(&c->dbs[i]) && strcmp(c->dbs[i].path, path) == 0)
            return &c->dbs[i];
    for (size_t i = 0; i < c->db_count; i++)
        if (belongs_to(&c->dbs[i], path))
            return &c->dbs[i];
    return NULL;
}

enum look {
    LOOK_DATABASE,
    LOOK_GONE,
    LOOK_NOT_A_FILE,
    LOOK_NOT_A_DATABASE,
    LOOK_UNREADABLE, /* a folder on the way does not let us through */
};

/* Reads the first bytes. What can't be read is taken as a database, which will be reported as failed. ERR_NOMEM. */
static int look_inside(const char *path, enum look *ret, struct err *e)
{
    uint8_t magic[SQLITE_FILE_MAGIC_BYTES];
    struct err ignored;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int sys = errno;
    *ret = LOOK_DATABASE;
    if (fd < 0 && (sys == EMFILE || sys == ENFILE || sys == ENOMEM))
        return err_set(e, ERR_NOMEM, sys, "open '%s': %s", path, strerror(sys));
    if (fd < 0 && (sys == ENOENT || sys == ENOTDIR))
        *ret = LOOK_GONE;
    if (fd >= 0 && (io_pread(fd, magic, sizeof magic, 0, &ignored) == 0 ? !sqlite_file_has_magic(magic, sizeof magic)
                                                                        : ignored.code == ERR_CORRUPT))
        *ret = LOOK_NOT_A_DATABASE;
    io_close(&fd);
    return 0;
}

static bool is_known(const struct config_known *known, const char *path, const struct stat *st)
{
    return known && known->is(known->context, path, st);
}

static int look_at(const char *path, const struct config_known *known, struct stat *ret_stat, enum look *ret,
                   struct err *e)
{
    struct stat *st = ret_stat, link;
    if (stat(path, st) != 0) {
        bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
        *ret = !gone ? LOOK_UNREADABLE : lstat(path, &link) == 0 ? LOOK_NOT_A_FILE : LOOK_GONE;
        return 0;
    }
    *ret = LOOK_DATABASE;
    if (!S_ISREG(st->st_mode))
        *ret = LOOK_NOT_A_FILE;
    else if (st->st_size > 0 && st->st_size < SQLITE_FILE_MAGIC_BYTES)
        *ret = LOOK_NOT_A_DATABASE;
    else if (st->st_size > 0 && sqlite_file_is_beside(path))
        *ret = LOOK_NOT_A_DATABASE;
    else if (st->st_size > 0 && !is_known(known, path, st))
        return look_inside(path, ret, e);
    return 0;
}

/* ---- all members: candidates */

struct candidate {
    char *path; /* owned; NULL: it is not a member */
    const struct config_db *section;
    bool there; /* the file exists; if not, dev and ino are 0 */
    bool real;  /* no link is on the way; known only if the file has several candidates */
    dev_t dev;
    ino_t ino;
};

struct search {
    const struct config *c;
    const struct config_db *section; /* whose pattern is walked */
    const struct config_known *known;
    struct config_members m; /* the result */
    struct candidate *list;
    size_t count, cap;
};

static int pass_over(struct search *s, const char *path, enum config_reason reason, struct err *e)
{
    struct config_members *m = &s->m;
    if (m->passed_over[reason]++ >= CONFIG_NAMED_MAX)
        return 0;
    if (array_reserve(&m->named, &m->named_cap, m->named_count + 1, sizeof *m->named, e))
        return -1;
    struct config_passed_over *p = &m->named[m->named_count];
    *p = (struct config_passed_over){.path = strdup(path), .reason = reason};
    if (!p->path)
        return err_nomem(e, strlen(path));
    m->named_count++;
    return 0;
}

/* `st`: NULL if the file does not exist. */
static int add_candidate(struct search *s, const char *path, const struct stat *st, struct err *e)
{
    if (s->count == CONFIG_MEMBERS_MAX)
        return err_set(e, ERR_LIMIT, 0, "the configuration matches more than %d databases", CONFIG_MEMBERS_MAX);
    if (array_reserve(&s->list, &s->cap, s->count + 1, sizeof *s->list, e))
        return -1;
    struct candidate *added = &s->list[s->count];
    *added = (struct candidate){.path = strdup(path), .section = s->section, .there = st != NULL};
    if (!added->path)
        return err_nomem(e, strlen(path));
    if (st) {
        added->dev = st->st_dev;
        added->ino = st->st_ino;
    }
    s->count++;
    return 0;
}

static int on_found(void *context, const char *path, struct err *e)
{
    struct search *s = context;
    struct stat st;
    enum look look;
    if (is_excluded(s->section, path))
        return 0;
    if (config_is_companion(path))
        return pass_over(s, path, REASON_COMPANION, e);
    if (look_at(path, s->known, &st, &look, e))
        return -1;
    switch (look) {
    case LOOK_GONE:
        return 0;
    case LOOK_NOT_A_FILE:
        return pass_over(s, path, REASON_NOT_A_FILE, e);
    case LOOK_NOT_A_DATABASE:
        return pass_over(s, path, REASON_NOT_A_DATABASE, e);
    case LOOK_UNREADABLE:
        return pass_over(s, path, REASON_UNREADABLE, e);
    default:
        return add_candidate(s, path, &st, e);
    }
}

static int on_unreadable(void *context, const char *path, size_t parts, int sys, struct err *e)
{
    struct search *s = context;
    (void)sys;
    for (size_t i = 0; i < s->section->exclude_count; i++)
        if (pattern_covers(&s->section->excludes[i], &s->section->pattern, path, parts))
            return 0;
    return pass_over(s, path, REASON_UNREADABLE, e);
}

static int add_named(struct search *s, bool look, struct err *e)
{
    struct stat st;
    for (size_t i = 0; i < s->c->db_count; i++) {
        s->section = &s->c->dbs[i];
        if (!config_is_pattern(s->section) &&
            add_candidate(s, s->section->path, look && stat(s->section->path, &st) == 0 ? &st : NULL, e))
            return -1;
    }
    return 0;
}

static int add_matches(struct search *s, struct err *e)
{
    const struct pattern_walk walk = {.found = on_found, .unreadable = on_unreadable, .context = s};
    for (size_t i = 0; i < s->c->db_count; i++) {
        s->section = &s->c->dbs[i];
        if (config_is_pattern(s->section) && pattern_walk(&s->section->pattern, &walk, e))
            return err_wrap(e, "[db %s]", s->section->path);
    }
    return 0;
}

/* ---- all members: one for each file */

static int compare_files(const struct candidate *a, const struct candidate *b)
{
    if (a->there != b->there)
        return a->there ? 1 : -1;
    if (a->dev != b->dev)
        return a->dev < b->dev ? -1 : 1;
    return a->ino < b->ino ? -1 : a->ino > b->ino;
}

/* Which of two candidates of one file comes first. */
static int compare_ranks(const struct candidate *a, const struct candidate *b)
{
    bool pattern_a = config_is_pattern(a->section), pattern_b = config_is_pattern(b->section);
    if (pattern_a != pattern_b)
        return pattern_a ? 1 : -1;
    if (a->real != b->real)
        return a->real ? -1 : 1;
    int order = strcmp(a->path, b->path);
    /* sections of one path lie together, the first of them in front */
    return order ? order : a->section < b->section ? -1 : a->section > b->section;
}

static int by_file(const void *a, const void *b)
{
    int order = compare_files(a, b);
    return order ? order : compare_ranks(a, b);
}

static int by_path(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (!x->path || !y->path)
        return x->path ? -1 : y->path != NULL;
    int order = strcmp(x->path, y->path);
    return order ? order : compare_ranks(x, y);
}

/* The end of the candidates of the same file as the one at `begin`. */
static size_t end_of_file(const struct search *s, size_t begin)
{
    size_t end = begin + 1;
    while (end < s->count && compare_files(&s->list[begin], &s->list[end]) == 0)
        end++;
    return end;
}

/* Finds out which candidates of one file have a path without links, and sorts them again by rank. */
static void rank(struct search *s, size_t begin, size_t end)
{
    char real[PATH_MAX];
    for (size_t i = begin; i < end; i++)
        s->list[i].real = realpath(s->list[i].path, real) && strcmp(real, s->list[i].path) == 0;
    qsort(&s->list[begin], end - begin, sizeof *s->list, by_file);
}

/* Candidates of one file, in the order of their ranks: those of sections stay, and of the others the first if no
 * section is before it. */
static int choose(struct search *s, size_t begin, size_t end, struct err *e)
{
    for (size_t i = begin + 1; i < end; i++)
        if (config_is_pattern(s->list[i].section) && strcmp(s->list[i].path, s->list[i - 1].path) != 0 &&
            strcmp(s->list[i].path, s->list[begin].path) != 0 && pass_over(s, s->list[i].path, REASON_OTHER_NAME, e))
            return -1;
    for (size_t i = begin + 1; i < end; i++)
        if (config_is_pattern(s->list[i].section)) {
            free(s->list[i].path);
            s->list[i].path = NULL;
        }
    return 0;
}

static int choose_all(struct search *s, struct err *e)
{
    if (s->count > 1)
        qsort(s->list, s->count, sizeof *s->list, by_file);
    for (size_t begin = 0, end; begin < s->count; begin = end) {
        end = end_of_file(s, begin);
        if (!s->list[begin].there) /* of sections alone, each with a path of its own */
            continue;
        if (end - begin > 1)
            rank(s, begin, end);
        if (choose(s, begin, end, e))
            return -1;
    }
    return 0;
}

/* ---- all members: the list */

static int add_member(struct search *s, const struct candidate *from, struct err *e)
{
    struct config_members *m = &s->m;
    if (m->count > 0 && strcmp(m->list[m->count - 1].path, from->path) == 0) /* it was replaced during the search */
        return 0;
    if (array_reserve(&m->list, &m->cap, m->count + 1, sizeof *m->list, e))
        return -1;
    if (config_member_make(from->section, from->path, &m->list[m->count], e))
        return e->code == ERR_CONFIG ? pass_over(s, from->path, REASON_NO_URL, e) : -1;
    m->matched[from->section - s->c->dbs]++;
    m->count++;
    return 0;
}

static int make_list(struct search *s, struct err *e)
{
    if (s->count > 1)
        qsort(s->list, s->count, sizeof *s->list, by_path);
    for (size_t i = 0; i < s->count && s->list[i].path; i++)
        if (add_member(s, &s->list[i], e))
            return -1;
    return 0;
}

/* Hands the result over, or releases it. */
static int finish(struct search *s, int rc, struct config_members *ret)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].path);
    free(s->list);
    if (rc)
        config_members_release(&s->m);
    else
        *ret = s->m;
    return rc;
}

int config_find_members(const struct config *c, const struct config_known *known, struct config_members *ret,
                        struct err *e)
{
    struct search s = {.c = c, .known = known};
    int rc = add_named(&s, true, e) || add_matches(&s, e) || choose_all(&s, e) || make_list(&s, e) ? -1 : 0;
    return finish(&s, rc, ret);
}

int config_list_named(const struct config *c, struct config_members *ret, struct err *e)
{
    struct search s = {.c = c};
    int rc = add_named(&s, false, e) || make_list(&s, e) ? -1 : 0;
    return finish(&s, rc, ret);
}

void config_members_release(struct config_members *m)
{
    for (size_t i = 0; i < m->count; i++)
        config_member_release(&m->list[i]);
    for (size_t i = 0; i < m->named_count; i++)
        free(m->named[i].path);
    free(m->list);
    free(m->named);
    *m = (struct config_members){.list = NULL};
}

struct wanted {
    const struct config_members *m;
    const char *path;
};

static bool is_not_below(const void *context, size_t index)
{
    const struct wanted *w = context;
    return strcmp(w->m->list[index].path, w->path) >= 0;
}

const struct config_member *config_members_find(const struct config_members *m, const char *path)
{
    const struct wanted w = {m, path};
    size_t at = search_first(m->count, is_not_below, &w);
    return at < m->count && strcmp(m->list[at].path, path) == 0 ? &m->list[at] : NULL;
}

bool config_is_missed(enum config_reason reason)
{
    return reason == REASON_UNREADABLE || reason == REASON_NO_URL;
}

size_t config_members_missed(const struct config_members *m)
{
    size_t count = 0;
    for (enum config_reason reason = 0; reason < REASONS; reason++)
        count += config_is_missed(reason) ? m->passed_over[reason] : 0;
    return count;
}

/* ---- a path that appeared */

/* The path by which a section has the file at `path`, if it is another one. False: there is none. */
static bool has_other_name(const struct config *c, const char *path, const struct stat *st, char out[PATH_MAX])
{
    struct stat named;
    for (size_t i = 0; i < c->db_count; i++)
        if (!config_is_pattern(&c->dbs[i]) && stat(c->dbs[i].path, &named) == 0 && named.st_dev == st->st_dev &&
            named.st_ino == st->st_ino) {
            snprintf(out, PATH_MAX, "%s", c->dbs[i].path);
            return true;
        }
    return realpath(path, out) && strcmp(path, out) != 0 && config_section_of(c, out);
}

static int explain_look(enum look look, const char *path, struct err *e)
{
    switch (look) {
    case LOOK_GONE:
        return err_set(e, ERR_NOTFOUND, 0, "'%s' does not exist", path);
    case LOOK_UNREADABLE:
        return err_set(e, ERR_NOTFOUND, 0, "'%s' can't be reached: %s", path, strerror(EACCES));
    case LOOK_NOT_A_FILE:
        return err_set(e, ERR_NOTFOUND, 0, "'%s' %s", path, config_reason_text(REASON_NOT_A_FILE));
    default:
        return err_set(e, ERR_NOTFOUND, 0, "'%s' %s", path, config_reason_text(REASON_NOT_A_DATABASE));
    }
}

int config_member_of(const struct config *c, const char *path, const struct config_known *known,
                     struct config_member *ret, struct err *e)
{
    const struct config_db *db = config_section_of(c, path);
    char other[PATH_MAX];
    struct stat st;
    enum look look;
    if (!db && config_is_companion(path))
        return err_set(e, ERR_NOTFOUND, 0, "'%s' %s", path, config_reason_text(REASON_COMPANION));
    if (!db)
        return err_set(e, ERR_NOTFOUND, 0, "the configuration has no [db] section for '%s'", path);
    if (!config_is_pattern(db))
        return config_member_make(db, path, ret, e);
    if (look_at(path, known, &st, &look, e))
        return -1;
    if (look != LOOK_DATABASE)
        return explain_look(look, path, e);
    if (has_other_name(c, path, &st, other))
        return err_set(e, ERR_NOTFOUND, 0, "'%s' is the same file as database '%s'", path, other);
    return config_member_make(db, path, ret, e);
}

/* ---- folders to watch */

struct folders {
    int (*fn)(void *context, const char *path, struct err *e);
    void *context;
    const struct config_db *section;
};

static int on_folder(void *context, const char *path, size_t parts, struct err *e)
{
    const struct folders *f = context;
    for (size_t i = 0; i < f->section->exclude_count; i++)
        if (pattern_covers(&f->section->excludes[i], &f->section->pattern, path, parts))
            return 0;
    return f->fn(f->context, path, e);
}

int config_each_folder(const struct config *c, int (*fn)(void *context, const char *path, struct err *e), void *context,
                       struct err *e)
{
    struct folders f = {.fn = fn, .context = context};
    const struct pattern_walk walk = {.folder = on_folder, .context = &f};
    for (size_t i = 0; i < c->db_count; i++) {
        f.section = &c->dbs[i];
        if (config_is_pattern(f.section) && pattern_walk(&f.section->pattern, &walk, e))
            return -1;
    }
    return 0;
}

/* ---- places */

struct place {
    uint64_t hash; /* of its name */
    const struct config_member *member;
    const char *url;
};

static int by_hash(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->member->section != y->member->section)
        return x->member->section < y->member->section ? -1 : 1;
    return x->member < y->member ? -1 : x->member > y->member;
}

static int refuse(const struct place *first, const struct place *second, const char *name,
                  const struct config_member **ret_wrong, struct err *e)
{
    const struct config_member *one = first->member, *other = second->member;
    *ret_wrong = other;
    if (one == other)
        return err_set(e, ERR_CONFIG, 0, "database '%s': replica '%s' is given twice", other->path, name);
    err_set(e, ERR_CONFIG, 0, "database '%s': replica '%s' also belongs to database '%s'", other->path, name,
            one->path);
    return config_is_pattern(other->section)
               ? err_hint(e, "write variables in the url that tell the databases apart, as in {path} or {folder}")
               : err_hint(e, "give each database a folder or a prefix of its own");
}

/* A hash that is equal for two URLs of one place, and fast: place_of can have to read files. In front of the query the
 * scheme, the decoded bytes, and slashes as one matter. */
static uint64_t hash_roughly(const char *url)
{
    char text[CONFIG_URL_MAX];
    size_t len = 0, n = strcspn(url, "?");
    for (size_t i = 0; i < n && len < sizeof text; i++) {
        char c = url[i];
        if (c == '%' && i + 2 < n) { /* XX that is not hexadecimal is refused when the URL is used */
            const char hex[3] = {url[i + 1], url[i + 2], 0};
            c = (char)strtoul(hex, NULL, 16);
            i += 2;
        }
        if (c != '/' || len == 0 || text[len - 1] != '/')
            text[len++] = c;
    }
    while (len > 0 && text[len - 1] == '/')
        len--;
    return hash64(text, len);
}

static bool is_folder(const char *url)
{
    return !strstr(url, "://") || strncmp(url, "file://", 7) == 0;
}

static size_t list_places(const struct config_members *m, config_place_fn *place_of, struct place *all)
{
    char name[PATH_TEXT_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->list[i].url_count; k++) {
            struct place p = {.member = &m->list[i], .url = m->list[i].urls[k]};
            if (is_folder(p.url) && !place_of(p.url, name))
                continue;
            p.hash = is_folder(p.url) ? hash64(name, strlen(name)) : hash_roughly(p.url);
            all[count++] = p;
        }
    return count;
}

/* Checks places that can be the same one. */
static int check_group(struct place *group, size_t count, config_place_fn *place_of,
                       const struct config_member **ret_wrong, struct err *e)
{
    char name[PATH_TEXT_MAX], before[PATH_TEXT_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!place_of(group[i].url, name))
            continue;
        group[kept] = group[i];
        group[kept++].hash = hash64(name, strlen(name));
    }
    if (kept > 1)
        qsort(group, kept, sizeof *group, by_hash);
    for (size_t i = 1; i < kept; i++)
        if (group[i].hash == group[i - 1].hash && place_of(group[i].url, name) && place_of(group[i - 1].url, before) &&
            strcmp(name, before) == 0)
            return refuse(&group[i - 1], &group[i], name, ret_wrong, e);
    return 0;
}

int config_check_places(const struct config_members *m, config_place_fn *place_of,
                        const struct config_member **ret_wrong, struct err *e)
{
    size_t most = 1;
    for (size_t i = 0; i < m->count; i++)
        most += m->list[i].url_count;
    struct place *all = calloc(most, sizeof *all);
    if (!all)
        return err_nomem(e, most * sizeof *all);
    size_t count = list_places(m, place_of, all);
    int rc = 0;
    if (count > 1)
        qsort(all, count, sizeof *all, by_hash);
    for (size_t begin = 0, end; rc == 0 && begin < count; begin = end) {
        for (end = begin + 1; end < count && all[end].hash == all[begin].hash; end++)
            ;
        if (end - begin > 1)
            rc = check_group(&all[begin], end - begin, place_of, ret_wrong, e);
    }
    free(all);
    return rc;
}
