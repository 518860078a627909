/* cli/contest.c */
#include "cli/contest.h"

#include "cli/each.h"
#include "cli/place.h"
#include "storage/open.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Claims of one place, next to each other. */
struct group {
    size_t begin, end;
};

struct work {
    struct contest *contest;
    struct each each;
    struct group *groups; /* owned; those that are contested */
    size_t count;
};

static int by_place(const void *a, const void *b)
{
    const struct contest_claim *x = a, *y = b;
    int order = strcmp(x->place ? x->place : "", y->place ? y->place : "");
    return order ? order : strcmp(x->path, y->path);
}

/* ---- which places are contested */

/* Whether `place` is in `folder`. What follows a '?' is the server. */
static bool is_in(const char *place, const char *folder)
{
    const size_t p = strcspn(place, "?"), f = strcspn(folder, "?");
    size_t n = f;
    while (n > 0 && folder[n - 1] == '/')
        n--;
    return p >= n && strncmp(place, folder, n) == 0 && (p == n || place[n] == '/') &&
           strcmp(place + p, folder + f) == 0;
}

static bool may_be_of_unread(const struct contest *c, const struct contest_claim *claim)
{
    for (size_t i = 0; i < c->unread_count; i++)
        if (c->unread[i].section != claim->section && is_in(claim->place, c->unread[i].place))
            return true;
    return false;
}

static bool has_name(const struct contest_claim *c)
{
    return !config_is_pattern(c->section);
}

static bool is_contested(const struct contest *c, const struct group *g)
{
    if (!c->claims[g->begin].place)
        return false;
    for (size_t i = g->begin + 1; i < g->end; i++)
        if (strcmp(c->claims[i].path, c->claims[g->begin].path) != 0)
            return true;
    return !has_name(&c->claims[g->begin]) && may_be_of_unread(c, &c->claims[g->begin]);
}

static int find_groups(struct work *w, struct err *e)
{
    struct contest *c = w->contest;
    w->groups = calloc(c->count + 1, sizeof *w->groups);
    if (!w->groups)
        return err_nomem(e, c->count * sizeof *w->groups);
    if (c->count > 1)
        qsort(c->claims, c->count, sizeof *c->claims, by_place);
    for (struct group g = {.begin = 0}; g.begin < c->count; g.begin = g.end) {
        const char *place = c->claims[g.begin].place;
        for (g.end = g.begin + 1;
             place && g.end < c->count && c->claims[g.end].place && strcmp(c->claims[g.end].place, place) == 0;)
            g.end++;
        if (is_contested(c, &g))
            w->groups[w->count++] = g;
    }
    return 0;
}

/* ---- who has one */

struct votes {
    const struct contest_claim *claims;
    size_t count;
    const char *winner; /* path */
    bool several;
};

static void take_note(void *context, const struct writer_note *note)
{
    struct votes *v = context;
    for (size_t i = 0; i < v->count; i++) {
        const char *path = v->claims[i].path;
        if (!place_note_is_of(note, path))
            continue;
        v->several |= v->winner && strcmp(v->winner, path) != 0;
        v->winner = path;
    }
}

static const char *named_winner(const struct contest_claim *claims, size_t count)
{
    const char *winner = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!has_name(&claims[i]))
            continue;
        if (winner && strcmp(winner, claims[i].path) != 0)
            return NULL;
        winner = claims[i].path;
    }
    return winner;
}

static int undecided(const struct contest_claim *claims, size_t count, const struct votes *v, struct err *e)
{
    const struct contest_claim *other = &claims[count - 1];
    const char *why = v->several ? "its notes name several of them" : "its seawall.json names none of them";
    char shown[STORE_URL_MAX];
    place_shown(claims->url, shown);
    if (strcmp(claims->path, other->path) != 0)
        err_set(e, ERR_CONFIG, 0, "'%.500s' can be the replica of '%.500s' and of '%.500s', and %s", shown,
                claims->path, other->path, why);
    else
        err_set(e, ERR_CONFIG, 0,
                "'%.500s' can be the replica of '%.500s' or of a database of another section, which is not known now",
                shown, claims->path);
    return err_hint(e,
                    "give each section places of its own, as with {path} in its url, or name one of the databases in "
                    "a section without wildcards");
}

/* The path that has the place; NULL: nobody. */
static int decide(struct work *w, const struct group *g, const char **ret_winner, bool *ret_there, struct err *e)
{
    const struct contest_claim *claims = &w->contest->claims[g->begin];
    struct votes v = {.claims = claims, .count = g->end - g->begin};
    *ret_there = true;
    *ret_winner = named_winner(claims, v.count);
    if (*ret_winner)
        return 0;
    if (place_notes(claims->url, w->contest->cancel, ret_there, take_note, &v, e))
        return -1;
    if (*ret_there && (!v.winner || v.several))
        return undecided(claims, v.count, &v, e);
    *ret_winner = v.winner;
    return 0;
}

static enum each_answer settle_one(void *context, size_t index, bool alone)
{
    struct work *w = context;
    struct contest *c = w->contest;
    const struct group *g = &w->groups[index];
    const char *winner = NULL;
    bool there = true;
    struct err e;
    (void)alone;
    int rc = decide(w, g, &winner, &there, &e);
    for (size_t i = g->begin; i < g->end; i++)
        c->claims[i].lost = rc != 0 || !winner || strcmp(c->claims[i].path, winner) != 0;
    each_begin_output(&w->each);
    c->empty += rc == 0 && !there;
    if (rc != 0 && e.code != ERR_CANCELED) {
        text_print_to(stderr, "seawall: %s\n", e.msg);
        if (c->failed++ == 0)
            c->error = e;
    }
    each_end_output(&w->each);
    return EACH_DONE;
}

int contest_settle(struct contest *c, struct err *e)
{
    struct work w = {.contest = c};
    int rc = find_groups(&w, e);
    if (rc == 0 && w.count > 0) {
        w.each =
            (struct each){.count = w.count, .at_once = c->jobs, .cancel = c->cancel, .run = settle_one, .context = &w};
        rc = each_run(&w.each, "places", "looking for replicas", e);
    }
    if (rc == 0 && w.count > 0 && c->cancel && atomic_load(c->cancel))
        rc = err_set(e, ERR_CANCELED, 0, "interrupted while looking for replicas; nothing was begun");
    free(w.groups);
    return rc;
}
