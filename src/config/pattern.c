/* config/pattern.c */
#include "config/pattern.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WILDCARDS "*?["

bool pattern_is(const char *path)
{
    return strpbrk(path, WILDCARDS) != NULL;
}

/* ---- reading */

/* The ']' of the set that begins at `set`, a '['. NULL: there is none, and fnmatch would take the '[' as it is. */
static const char *set_end(const char *set)
{
    const char *at = set + 1;
    at += *at == '!' || *at == '^';
    at += *at == ']';
    while (*at && *at != ']') {
        const char *class = at[0] == '[' && at[1] && strchr(":.=", at[1]) ? at + 1 : NULL;
        const char end[3] = {class ? *class : 0, ']', 0};
        const char *class_end = class ? strstr(class + 1, end) : NULL;
        at = class_end ? class_end + 2 : at + 1;
    }
    return *at ? at : NULL;
}

static int check_part(const char *part, struct err *e)
{
    if (strcmp(part, "..") == 0)
        return err_set(e, ERR_CONFIG, 0, "a path with wildcards has '..'");
    for (const char *at = part; *at; at++) {
        if (at[0] == '*' && at[1] == '*') {
            err_set(e, ERR_CONFIG, 0, "a path has '**'");
            return err_hint(e, "write one '*' for each folder on the way, and a section for each depth");
        }
        const char *end = *at == '[' ? set_end(at) : at;
        if (!end) {
            err_set(e, ERR_CONFIG, 0, "a '[' in '%.100s' has no ']' before the next slash", part);
            return err_hint(e, "write [[] for the character itself");
        }
        at = end;
    }
    return 0;
}

static size_t count_parts(const char *absolute)
{
    size_t n = 0;
    for (const char *at = absolute; *at; at++)
        n += at[0] == '/' && at[1] != 0;
    return n;
}

/* Sets the parts of the absolute path, and notes which have wildcards. `fixed`: parts at the front that have none. */
static int set_parts(struct pattern *p, const char *absolute, size_t fixed, struct err *e)
{
    p->count = count_parts(absolute);
    if (p->count == 0)
        return err_set(e, ERR_CONFIG, 0, "the path is '/'");
    if (p->count > PATTERN_PARTS_MAX)
        return err_set(e, ERR_CONFIG, 0, "a path with wildcards has more than %d parts", PATTERN_PARTS_MAX);
    p->parts = strdup(absolute + 1);
    if (!p->parts)
        return err_nomem(e, strlen(absolute));
    for (char *at = p->parts; (at = strchr(at, '/')); at++)
        *at = 0;
    for (size_t i = fixed; i < p->count; i++) {
        const char *part = pattern_part(p, i);
        if (check_part(part, e))
            return -1;
        p->wild |= (uint64_t)pattern_is(part) << i;
    }
    return 0;
}

int pattern_read(struct pattern *ret, const char *path, struct err *e)
{
    char text[PATH_TEXT_MAX], here[PATH_TEXT_MAX] = "/";
    struct pattern p = {.written = NULL};
    size_t n = strlen(path);
    if (n > 1 && path[n - 1] == '/')
        return err_set(e, ERR_CONFIG, 0, "the path ends with a slash: it is that of a folder");
    if (path_absolute(path, text, e) || (*path != '/' && path_absolute(".", here, e)))
        return -1;
    p.written = strdup(path);
    if (!p.written)
        return err_nomem(e, n);
    if (set_parts(&p, text, count_parts(here), e)) {
        pattern_release(&p);
        return -1;
    }
    *ret = p;
    return 0;
}

void pattern_release(struct pattern *p)
{
    free(p->written);
    free(p->parts);
    *p = (struct pattern){.written = NULL};
}

const char *pattern_part(const struct pattern *p, size_t index)
{
    const char *part = p->parts;
    assert(index < p->count);
    for (size_t i = 0; i < index; i++)
        part += strlen(part) + 1;
    return part;
}

/* ---- matching */

bool pattern_part_is_wild(const struct pattern *p, size_t index)
{
    assert(index < p->count);
    return p->wild >> index & 1;
}

bool pattern_part_matches(const struct pattern *p, size_t index, const char *name)
{
    const char *part = pattern_part(p, index);
    return pattern_part_is_wild(p, index) ? fnmatch(part, name, FNM_PATHNAME | FNM_PERIOD | FNM_NOESCAPE) == 0
                                          : strcmp(part, name) == 0;
}

const char *pattern_tail(const struct pattern *p)
{
    const char *tail = pattern_part(p, p->count - 1);
    for (const char *at = tail; pattern_part_is_wild(p, p->count - 1) && *at; at++) {
        at = *at == '[' ? set_end(at) : at;
        if (strchr("*?]", *at))
            tail = at + 1;
    }
    return tail;
}

/* Whether the first `parts` parts match those of `path`, which has no other ones. */
static bool front_matches(const struct pattern *p, size_t parts, const char *path)
{
    char name[PATH_TEXT_MAX];
    if (*path != '/' || count_parts(path) != parts || strlen(path) >= sizeof name)
        return false;
    for (size_t i = 0; i < parts; i++) {
        size_t n = strcspn(++path, "/");
        memcpy(name, path, n);
        name[n] = 0;
        if (!pattern_part_matches(p, i, name))
            return false;
        path += n;
    }
    return true;
}

bool pattern_matches(const struct pattern *p, const char *path)
{
    return front_matches(p, p->count, path);
}

/* Two parts with wildcards are taken to meet. */
bool pattern_may_meet(const struct pattern *a, const struct pattern *b)
{
    for (size_t i = 0; a->count == b->count && i < a->count; i++)
        if (!(pattern_part_is_wild(a, i) && pattern_part_is_wild(b, i)) &&
            !pattern_part_matches(a, i, pattern_part(b, i)) && !pattern_part_matches(b, i, pattern_part(a, i)))
            return false;
    return a->count == b->count;
}

bool pattern_covers(const struct pattern *p, const struct pattern *other, const char *path, size_t parts)
{
    if (p->count != other->count || !front_matches(p, parts, path))
        return false;
    for (size_t i = parts; i < p->count; i++) {
        const char *part = pattern_part(p, i);
        /* '*' matches no name with a dot at the front, which `other` finds only by a dot of its own */
        bool all = pattern_part_is_wild(p, i) && strcmp(part, "*") == 0 && pattern_part(other, i)[0] != '.';
        if (!all &&
            (pattern_part_is_wild(p, i) != pattern_part_is_wild(other, i) || strcmp(part, pattern_part(other, i)) != 0))
            return false;
    }
    return true;
}

/* ---- walking */

struct way {
    const struct pattern *p;
    const struct pattern_walk *w;
    char path[PATH_TEXT_MAX]; /* of the folder, without a slash at the end; "": the root */
    size_t len;
};

static int report(struct way *y, int (*fn)(void *, const char *, size_t, struct err *), size_t parts, struct err *e)
{
    return fn ? fn(y->w->context, y->len > 0 ? y->path : "/", parts, e) : 0;
}

static int report_unreadable(struct way *y, size_t parts, int sys, struct err *e)
{
    if (sys == EMFILE || sys == ENFILE || sys == ENOMEM)
        return err_set(e, ERR_NOMEM, sys, "open '%s': %s", y->path, strerror(sys));
    if (sys == ENOENT || sys == ENOTDIR || sys == ELOOP) /* it vanished, or is not a folder */
        return 0;
    return y->w->unreadable ? y->w->unreadable(y->w->context, y->len > 0 ? y->path : "/", parts, sys, e) : 0;
}

/* Appends a name to the path. False: the path would be too long. */
static bool enter(struct way *y, const char *name)
{
    size_t n = strlen(name);
    if (n + 2 > sizeof y->path - y->len)
        return false;
    y->path[y->len++] = '/';
    memcpy(y->path + y->len, name, n + 1);
    y->len += n;
    return true;
}

static void leave(struct way *y, size_t len)
{
    y->len = len;
    y->path[len] = 0;
}

static int walk(struct way *y, size_t parts, struct err *e);

/* Goes on with the next name, which matches part `parts`. */
static int step(struct way *y, size_t parts, const char *name, struct err *e)
{
    size_t len = y->len;
    if (!enter(y, name))
        return report_unreadable(y, parts, ENAMETOOLONG, e);
    int rc = parts + 1 < y->p->count ? walk(y, parts + 1, e) : y->w->found ? y->w->found(y->w->context, y->path, e) : 0;
    leave(y, len);
    return rc;
}

/* Whether a name of a folder can match the next part. A folder is wanted on the way, at the end anything is. */
static bool fits(const struct way *y, size_t parts, const struct dirent *d)
{
    bool on_the_way = parts + 1 < y->p->count;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return false;
    if (on_the_way && d->d_type != DT_DIR && d->d_type != DT_LNK && d->d_type != DT_UNKNOWN)
        return false;
    return pattern_part_matches(y->p, parts, d->d_name);
}

/* Goes on with each name in the folder that matches part `parts`. */
static int walk_names(struct way *y, size_t parts, struct err *e)
{
    DIR *dir = opendir(y->len > 0 ? y->path : "/");
    int rc = dir ? report(y, y->w->folder, parts, e) : report_unreadable(y, parts, errno, e);
    while (dir && rc == 0) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d) {
            rc = errno ? report_unreadable(y, parts, errno, e) : 0;
            break;
        }
        if (fits(y, parts, d))
            rc = step(y, parts, d->d_name, e);
    }
    if (dir)
        closedir(dir);
    return rc;
}

/* Reports the folder in which a part without wildcards is looked up, if it is needed: for the last part, or if the part
 * is missing. */
static int report_folder(struct way *y, size_t parts, struct err *e)
{
    struct stat st;
    size_t len = y->len;
    if (parts + 1 < y->p->count && enter(y, pattern_part(y->p, parts))) {
        bool there = stat(y->path, &st) == 0;
        leave(y, len);
        if (there)
            return 0;
    }
    if (stat(y->len > 0 ? y->path : "/", &st) != 0)
        return report_unreadable(y, parts, errno, e);
    return S_ISDIR(st.st_mode) ? report(y, y->w->folder, parts, e) : 0;
}

/* Goes on from the folder, whose path is the first `parts` parts. */
static int walk(struct way *y, size_t parts, struct err *e)
{
    if (pattern_part_is_wild(y->p, parts))
        return walk_names(y, parts, e);
    if (y->w->folder && report_folder(y, parts, e))
        return -1;
    return step(y, parts, pattern_part(y->p, parts), e);
}

int pattern_walk(const struct pattern *p, const struct pattern_walk *w, struct err *e)
{
    struct way y = {.p = p, .w = w, .path = ""};
    return walk(&y, 0, e);
}
