/* config/places.c */
#include "config/places.h"

#include "base/array.h"
#include "config/variables.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 100000 /* of a search for ways to divide names; beyond it, there are several */

/* ---- reading the URL */

/* What has been read of the URL. */
struct reading {
    struct places *p;
    char text[CONFIG_URL_MAX]; /* of the piece that is being read, decoded */
    size_t len;
    const char *slash; /* the last one in front of the first level */
};

static void release_level(struct places_level *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->pieces[i].text);
    free(l->pieces);
}

void places_release(struct places *p)
{
    for (size_t i = 0; i < p->level_count; i++)
        release_level(&p->levels[i]);
    free(p->levels);
    *p = (struct places){.section = NULL};
}

static int begin_level(struct places *p, struct err *e)
{
    if (p->level_count == PLACES_LEVELS_MAX)
        return err_set(e, ERR_CONFIG, 0, "the url has more than %d slashes", PLACES_LEVELS_MAX);
    if (array_reserve(&p->levels, &p->level_cap, p->level_count + 1, sizeof *p->levels, e))
        return -1;
    p->levels[p->level_count++] = (struct places_level){.count = 0};
    return 0;
}

static int add_piece(struct places *p, struct places_piece piece, struct err *e)
{
    assert(p->level_count > 0);
    struct places_level *l = &p->levels[p->level_count - 1];
    if (array_reserve(&l->pieces, &l->cap, l->count + 1, sizeof *l->pieces, e)) {
        free(piece.text);
        return -1;
    }
    l->wild |= piece.kind != PIECE_TEXT;
    l->pieces[l->count++] = piece;
    return 0;
}

/* Ends the text that is being read. */
static int end_text(struct reading *r, struct err *e)
{
    if (r->len == 0)
        return 0;
    char *text = strndup(r->text, r->len);
    r->len = 0;
    return text ? add_piece(r->p, (struct places_piece){.kind = PIECE_TEXT, .text = text}, e)
                : err_nomem(e, CONFIG_URL_MAX);
}

/* A level without a text is that of a second slash, which means nothing. */
static int end_level(struct reading *r, struct err *e)
{
    if (end_text(r, e))
        return -1;
    return r->p->levels[r->p->level_count - 1].count > 0 ? begin_level(r->p, e) : 0;
}

static int add_bytes(struct reading *r, const char *bytes, size_t n, struct err *e)
{
    if (n >= sizeof r->text - r->len)
        return err_set(e, ERR_CONFIG, 0, "the url is longer than %d bytes", CONFIG_URL_MAX - 1);
    memcpy(r->text + r->len, bytes, n);
    r->len += n;
    return 0;
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) % 16 : -1;
}

/* Adds the character at `at` of the URL, or the byte of %XX. *ret_len: characters that were read. */
static int add_character(struct reading *r, const char *at, size_t *ret_len, struct err *e)
{
    const int high = *at == '%' && variables_are_encoded(r->p->url) ? digit(at[1]) : -1;
    const int low = high >= 0 ? digit(at[2]) : -1;
    const char byte = low >= 0 ? (char)(high << 4 | low) : *at;
    *ret_len = low >= 0 ? 3 : 1;
    return add_bytes(r, &byte, 1, e);
}

/* Adds a part of the path: as text if it is known. */
static int add_part(struct reading *r, size_t part, struct err *e)
{
    const struct pattern *pattern = &r->p->section->pattern;
    const char *text = pattern_part(pattern, part);
    if (!pattern_part_is_wild(pattern, part))
        return add_bytes(r, text, strlen(text), e);
    return end_text(r, e) ? -1 : add_piece(r->p, (struct places_piece){.kind = PIECE_PART, .part = part}, e);
}

static int add_stem(struct reading *r, struct err *e)
{
    const struct pattern *pattern = &r->p->section->pattern;
    const char *name = pattern_part(pattern, pattern->count - 1);
    if (!pattern_part_is_wild(pattern, pattern->count - 1))
        return add_bytes(r, name, variables_stem_length(name), e);
    return end_text(r, e) ? -1 : add_piece(r->p, (struct places_piece){.kind = PIECE_STEM}, e);
}

static int add_path(struct reading *r, struct err *e)
{
    const size_t count = r->p->section->pattern.count;
    for (size_t i = 0; i < count; i++)
        if ((i > 0 && end_level(r, e)) || add_part(r, i, e))
            return -1;
    return 0;
}

static int add_variable(struct reading *r, enum variable v, struct err *e)
{
    const size_t count = r->p->section->pattern.count;
    switch (v) {
    case VARIABLE_NAME:
        return add_part(r, count - 1, e);
    case VARIABLE_STEM:
        return add_stem(r, e);
    case VARIABLE_FOLDER:
        return count > 1 ? add_part(r, count - 2, e)
                         : err_set(e, ERR_CONFIG, 0, "{folder} has no value: the root folder has no name");
    case VARIABLE_PATH:
        return add_path(r, e);
    default:
        return add_bytes(r, "{", 1, e);
    }
}

/* Reads the URL from `at` into levels. */
static int read_levels(struct reading *r, const char *at, struct err *e)
{
    const char *end = variables_end(r->p->url);
    size_t len = 0;
    if (begin_level(r->p, e))
        return -1;
    for (; at < end; at += len) {
        enum variable v = variables_at(at, &len);
        int rc = v != VARIABLE_NONE ? add_variable(r, v, e)
                 : *at == '/'       ? end_level(r, e)
                                    : add_character(r, at, &len, e);
        if (rc)
            return -1;
    }
    if (end_text(r, e))
        return -1;
    if (r->p->levels[r->p->level_count - 1].count == 0)
        r->p->level_count--;
    return 0;
}

/* Moves levels without wildcards at the front into the root. */
static int take_known_levels(struct places *p, struct err *e)
{
    size_t known = 0, len = strlen(p->root);
    for (; known < p->level_count && !p->levels[known].wild; known++) {
        const char *text = p->levels[known].pieces[0].text;
        if (!variables_put_value(p->url, text, strlen(text), p->root + len, sizeof p->root - len - 1))
            return err_set(e, ERR_CONFIG, 0, "the url is longer than %d bytes", CONFIG_URL_MAX - 1);
        len += strlen(p->root + len);
        if (known + 1 < p->level_count)
            memcpy(p->root + len++, "/", 2);
        release_level(&p->levels[known]);
    }
    if (known > 0)
        memmove(p->levels, p->levels + known, (p->level_count - known) * sizeof *p->levels);
    p->level_count -= known;
    return 0;
}

/* Whether the levels have each part of the path that is not known. */
static bool is_complete(const struct places *p)
{
    const struct pattern *pattern = &p->section->pattern;
    uint64_t missing = pattern->wild;
    for (size_t i = 0; i < p->level_count; i++)
        for (size_t k = 0; k < p->levels[i].count; k++) {
            const struct places_piece *piece = &p->levels[i].pieces[k];
            if (piece->kind == PIECE_PART)
                missing &= ~(UINT64_C(1) << piece->part);
            else if (piece->kind == PIECE_STEM && p->ending)
                missing &= ~(UINT64_C(1) << (pattern->count - 1));
        }
    return missing == 0;
}

/* The first character after the last slash in front of all variables. NULL: it would be in the name of the bucket. */
static const char *first_level(const char *url)
{
    const char *end = variables_end(url), *at = url, *after = url;
    size_t len = 0;
    for (; at < end && variables_at(at, &len) >= VARIABLE_BRACE; at += len)
        if (*at == '/')
            after = at + 1;
    const char *scheme = variables_are_encoded(url) ? strstr(url, "://") + 3 : NULL;
    return scheme && after <= scheme ? NULL : after;
}

/* Sets root and levels of a pattern. */
static int read_url(struct places *p, struct err *e)
{
    const char *levels = first_level(p->url);
    struct reading *r = levels ? malloc(sizeof *r) : NULL;
    if (!levels) {
        err_set(e, ERR_CONFIG, 0, "the name of the bucket has a variable, and buckets are not listed");
        return err_hint(e, "restore each database by its path: 'seawall restore -c FILE -o PATH PATH'");
    }
    if (!r)
        return err_nomem(e, sizeof *r);
    *r = (struct reading){.p = p};
    int n = snprintf(p->root, sizeof p->root, "%.*s", (int)(levels - p->url), p->url);
    int rc = n < (int)sizeof p->root ? 0 : err_set(e, ERR_CONFIG, 0, "the url is longer than %d bytes", CONFIG_URL_MAX);
    if (rc == 0)
        rc = read_levels(r, levels, e);
    if (rc == 0)
        rc = take_known_levels(p, e);
    free(r);
    return rc;
}

int places_init(struct places *ret, const struct config_db *section, size_t replica, struct err *e)
{
    assert(config_is_pattern(section) && replica < section->replica_count);
    *ret = (struct places){.section = section, .url = section->replicas[replica]};
    ret->ending = strrchr(pattern_tail(&section->pattern), '.');
    if (read_url(ret, e)) {
        places_release(ret);
        return -1;
    }
    ret->complete = is_complete(ret);
    return 0;
}

/* ---- names */

const char *places_known_name(const struct places *p, size_t level)
{
    assert(level < p->level_count);
    const struct places_level *l = &p->levels[level];
    return l->wild ? NULL : l->pieces[0].text;
}

int places_url(const struct places *p, const char *const *names, size_t count, char out[CONFIG_URL_MAX], struct err *e)
{
    size_t len = strlen(p->root);
    bool fits = true;
    assert(count <= p->level_count);
    memcpy(out, p->root, len + 1);
    for (size_t i = 0; fits && i < count; i++) {
        if (i > 0 && len + 1 < CONFIG_URL_MAX)
            memcpy(out + len++, "/", 2);
        fits = variables_put_value(p->url, names[i], strlen(names[i]), out + len, CONFIG_URL_MAX - len);
        len += strlen(out + len);
    }
    const char *query = variables_end(p->url);
    int n = fits ? snprintf(out + len, CONFIG_URL_MAX - len, "%s", query) : CONFIG_URL_MAX;
    return len + (size_t)n < CONFIG_URL_MAX
               ? 0
               : err_set(e, ERR_CONFIG, 0, "the url is longer than %d bytes", CONFIG_URL_MAX - 1);
}

/* ---- from names to a path */

struct value {
    const char *text; /* in a name; NULL: not known */
    size_t len;
};

struct division {
    const struct places *p;
    const char *const *names;
    size_t first, end; /* levels that are looked at */
    struct value parts[PATTERN_PARTS_MAX], stem;
    unsigned steps;
    size_t found;
    char path[PATH_TEXT_MAX]; /* the first one */
};

static bool is_name(const char *text, size_t len)
{
    return len > 0 && !(text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.'))) && !memchr(text, '/', len);
}

/* Writes the last part: by {name}, by {stem}, or as it is known. False: the two contradict each other. */
static bool put_name(const struct division *d, char *out, size_t size)
{
    const struct pattern *pattern = &d->p->section->pattern;
    const struct value *name = &d->parts[pattern->count - 1];
    int n = 0;
    if (name->text)
        n = snprintf(out, size, "%.*s", (int)name->len, name->text);
    else if (d->stem.text)
        n = snprintf(out, size, "%.*s%s", (int)d->stem.len, d->stem.text, d->p->ending ? d->p->ending : "");
    else
        n = snprintf(out, size, "%s", pattern_part(pattern, pattern->count - 1));
    if (n < 0 || (size_t)n >= size)
        return false;
    return !d->stem.text || (variables_stem_length(out) == d->stem.len && memcmp(out, d->stem.text, d->stem.len) == 0);
}

/* Writes the path of the values. False: there is none that the pattern matches. */
static bool put_path(const struct division *d, char out[PATH_TEXT_MAX])
{
    const struct pattern *pattern = &d->p->section->pattern;
    size_t len = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct value *v = &d->parts[i];
        if (len + 1 >= PATH_TEXT_MAX)
            return false;
        out[len++] = '/';
        if (i + 1 == pattern->count) {
            if (!put_name(d, out + len, PATH_TEXT_MAX - len))
                return false;
        } else {
            int n = v->text ? snprintf(out + len, PATH_TEXT_MAX - len, "%.*s", (int)v->len, v->text)
                            : snprintf(out + len, PATH_TEXT_MAX - len, "%s", pattern_part(pattern, i));
            if (n < 0 || (size_t)n >= PATH_TEXT_MAX - len)
                return false;
        }
        if (!is_name(out + len, strlen(out + len)))
            return false;
        len += strlen(out + len);
    }
    return pattern_matches(pattern, out);
}

static void note_path(struct division *d)
{
    char path[PATH_TEXT_MAX];
    if (!d->p->complete) { /* of one level alone, or of a place that does not say all: any value will do */
        d->found++;
        return;
    }
    if (!put_path(d, path) || (d->found > 0 && strcmp(path, d->path) == 0))
        return;
    if (d->found++ == 0)
        memcpy(d->path, path, sizeof path);
}

static void divide(struct division *d, size_t level, size_t piece, const char *at);

/* Tries each length of the value of a piece, or only the one that it has already. */
static void try_values(struct division *d, size_t level, size_t piece, const char *at, struct value *v)
{
    const struct places_level *l = &d->p->levels[level];
    const struct places_piece *here = &l->pieces[piece];
    const size_t left = strlen(at);
    char name[NAME_MAX + 1];
    if (v->text) {
        if (v->len <= left && memcmp(v->text, at, v->len) == 0)
            divide(d, level, piece + 1, at + v->len);
        return;
    }
    for (size_t n = piece + 1 == l->count && left > 0 ? left : 1; n <= left && d->found < 2; n++) {
        if (!is_name(at, n) || n >= sizeof name)
            continue;
        memcpy(name, at, n);
        name[n] = 0;
        if (here->kind == PIECE_PART && !pattern_part_matches(&d->p->section->pattern, here->part, name))
            continue;
        *v = (struct value){at, n};
        divide(d, level, piece + 1, at + n);
        v->text = NULL;
    }
}

/* Divides the names from `at` on, which is piece `piece` of level `level`. */
static void divide(struct division *d, size_t level, size_t piece, const char *at)
{
    if (d->steps++ == STEPS_MAX)
        d->found = 2;
    if (d->found >= 2)
        return;
    if (level == d->end) {
        note_path(d);
        return;
    }
    const struct places_level *l = &d->p->levels[level];
    if (piece == l->count) {
        if (!*at)
            divide(d, level + 1, 0, level + 1 < d->end ? d->names[level + 1 - d->first] : NULL);
        return;
    }
    const struct places_piece *here = &l->pieces[piece];
    if (here->kind == PIECE_TEXT) {
        const size_t n = strlen(here->text);
        if (strncmp(at, here->text, n) == 0)
            divide(d, level, piece + 1, at + n);
        return;
    }
    try_values(d, level, piece, at, here->kind == PIECE_PART ? &d->parts[here->part] : &d->stem);
}

bool places_may_have(const struct places *p, size_t level, const char *name)
{
    struct places any = *p;
    const char *const names[] = {name};
    assert(level < p->level_count);
    any.complete = false;
    struct division d = {.p = &any, .names = names, .first = level, .end = level + 1};
    divide(&d, level, 0, name);
    return d.found > 0;
}

enum places_answer places_path(const struct places *p, const char *const *names, char out[PATH_TEXT_MAX])
{
    struct division d = {.p = p, .names = names, .end = p->level_count};
    divide(&d, 0, 0, p->level_count > 0 ? names[0] : NULL);
    if (d.found == 0)
        return PLACES_NONE;
    if (d.found > 1 || !p->complete)
        return PLACES_SEVERAL;
    memcpy(out, d.path, PATH_TEXT_MAX);
    return PLACES_ONE;
}

/* ---- from a path to names */

/* Part `index` of a path that the pattern matches. */
static struct value part_of(const char *path, size_t index)
{
    for (size_t i = 0; i < index; i++)
        path = strchr(path + 1, '/');
    return (struct value){path + 1, strcspn(path + 1, "/")};
}

static bool level_fits(const struct places_level *l, const char *name, const char *path)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct places_piece *piece = &l->pieces[i];
        const char *last = path_name(path);
        struct value v = piece->kind == PIECE_PART   ? part_of(path, piece->part)
                         : piece->kind == PIECE_STEM ? (struct value){last, variables_stem_length(last)}
                                                     : (struct value){piece->text, strlen(piece->text)};
        if (strncmp(name, v.text, v.len) != 0)
            return false;
        name += v.len;
    }
    return !*name;
}

bool places_fit(const struct places *p, const char *const *names, const char *path)
{
    if (path_has_parent(path) || !pattern_matches(&p->section->pattern, path))
        return false;
    for (size_t i = 0; i < p->level_count; i++)
        if (!level_fits(&p->levels[i], names[i], path))
            return false;
    return true;
}
