/* cli/replicas.c */
#include "cli/replicas.h"

#include "base/array.h"
#include "base/claim.h"
#include "cli/cli.h"
#include "cli/contest.h"
#include "cli/each.h"
#include "cli/place.h"
#include "config/places.h"
#include "storage/open.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDERS_MAX (10 * (size_t)CONFIG_MEMBERS_MAX) /* names of folders that are kept at a time */

/* Names that lead to a place or to a folder on the way there. */
struct way {
    const struct places *places; /* borrowed */
    size_t replica;              /* of the section */
    size_t bytes;                /* that it has taken from the budget */
    size_t count;
    char *names[]; /* owned */
};

struct search {
    const struct config *config;
    const atomic_bool *cancel;
    struct places *places; /* owned; of each replica of each pattern */
    size_t places_count, places_cap;
    struct way **ways; /* owned; folders to list now, and places to look at */
    size_t way_count, way_cap;
    struct way **next; /* owned; those below them */
    size_t next_count, next_cap;
    atomic_size_t names;           /* in the lists that are being read, in all threads */
    struct contest_unread *unread; /* owned; folders that could not be listed, and places whose database is not known */
    size_t unread_count, unread_cap;
    struct each each;
    struct replicas found;
    bool failed; /* the search itself */
    struct err error;
};

/* ---- ways */

static void free_way(struct way *w)
{
    for (size_t i = 0; w && i < w->count; i++)
        free(w->names[i]);
    if (w)
        claim_give(w->bytes);
    free(w);
}

/* The name of level `i` of a way that goes on with `name`. NULL: it is not known. */
static const char *name_at(const struct way *w, const char *name, size_t i)
{
    return i < w->count ? w->names[i] : i == w->count && name ? name : places_known_name(w->places, i);
}

/* What a store claims to have is in the budget of base/claim.h. */
static struct way *claim_way(const struct way *w, const char *name, struct err *e)
{
    const struct places *p = w->places;
    size_t bytes = sizeof(struct way) + p->level_count * sizeof(char *);
    for (size_t i = 0; i < p->level_count && name_at(w, name, i); i++)
        bytes += strlen(name_at(w, name, i)) + 1;
    if (claim_take(bytes, e))
        return NULL;
    struct way *longer = calloc(1, sizeof *longer + p->level_count * sizeof(char *));
    if (longer)
        *longer = (struct way){.places = p, .replica = w->replica, .bytes = bytes};
    else
        claim_give(bytes);
    if (!longer)
        err_nomem(e, bytes);
    return longer;
}

/* A way that goes on with `name`, and with all names after it that are known. NULL: ERR_NOMEM, ERR_CLAIM. */
static struct way *longer_way(const struct way *w, const char *name, struct err *e)
{
    struct way *longer = claim_way(w, name, e);
    bool whole = longer != NULL;
    for (size_t i = 0; whole && i < w->places->level_count && name_at(w, name, i); i++) {
        longer->names[i] = strdup(name_at(w, name, i));
        whole = longer->names[i] != NULL;
        longer->count += whole;
    }
    if (whole || !longer)
        return longer;
    err_nomem(e, longer->bytes);
    free_way(longer);
    return NULL;
}

static const char *const *names_of(const struct way *w)
{
    return (const char *const *)w->names;
}

/* ---- what is found. Each function is called with the lock of the threads held */

static void fail(struct search *s, const struct err *e)
{
    if (!s->failed)
        s->error = *e;
    s->failed = true;
}

static int add_db(struct search *s, const struct config_db *section, size_t replica, const char *path, struct err *e)
{
    struct replicas *r = &s->found;
    if (r->count == CONFIG_MEMBERS_MAX)
        return err_set(e, ERR_LIMIT, 0, "the stores have places for more than %d databases", CONFIG_MEMBERS_MAX);
    if (array_reserve(&r->list, &r->cap, r->count + 1, sizeof *r->list, e))
        return -1;
    struct replicas_db *db = &r->list[r->count];
    *db = (struct replicas_db){.path = strdup(path), .section = section, .at = UINT32_C(1) << replica};
    if (!db->path)
        return err_nomem(e, strlen(path));
    r->count++;
    return 0;
}

/* A database that the section has, unless it excludes it or another section has it. */
static int add_place(struct search *s, const struct way *w, const char *path, struct err *e)
{
    if (config_section_of(s->config, path) == w->places->section)
        return add_db(s, w->places->section, w->replica, path, e);
    s->found.strange++;
    return 0;
}

/* Something failed at one place or folder; the search goes on. */
static void report(struct search *s, const struct way *w, struct err *e)
{
    if (e->code == ERR_CANCELED)
        return;
    err_wrap(e, "[db %.200s]", w->places->section->path);
    each_begin_output(&s->each);
    text_print_to(stderr, "seawall: %s\n", e->msg);
    if (s->found.failed++ == 0)
        s->found.error = *e;
    each_end_output(&s->each);
}

/* ---- a place that does not say whose it is */

struct candidates {
    const struct search *search;
    const struct way *way;
    char place[PATH_TEXT_MAX];
    char path[PATH_TEXT_MAX];
    size_t count;
    bool of_other; /* a note names a database of another section, and this is its place */
};

/* Whether another section has the database at `path`, with a replica at this place. */
static bool is_of_other(const struct candidates *c, const char *path)
{
    const struct config_db *section = config_section_of(c->search->config, path);
    struct config_member m;
    char place[PATH_TEXT_MAX];
    struct err e;
    bool found = false;
    if (!section || section == c->way->places->section || config_member_make(section, path, &m, &e))
        return false;
    for (size_t k = 0; !found && k < m.url_count; k++)
        found = cli_place_of_url(m.urls[k], place) && strcmp(place, c->place) == 0;
    config_member_release(&m);
    return found;
}

/* A path of a note counts if it is whole, and its replica is at this place. */
static void take_note(void *context, const struct writer_note *note)
{
    struct candidates *c = context;
    if (note->hashed || !note->path[0])
        return;
    c->of_other |= is_of_other(c, note->path);
    if (!places_fit(c->way->places, names_of(c->way), note->path) || (c->count > 0 && strcmp(c->path, note->path) == 0))
        return;
    if (c->count++ == 0)
        snprintf(c->path, sizeof c->path, "%s", note->path);
}

static int no_answer(const struct candidates *c, struct err *e)
{
    err_set(e, ERR_NOTFOUND, 0, "'%s' is the place of several databases of the pattern, and %s", c->place,
            c->count > 1 ? "had several writers" : "its seawall.json does not name one of them");
    return err_hint(e, "restore it with 'seawall restore -o PATH URL'; {path} in the url tells all databases apart");
}

/* Asks seawall.json and the notes of writers. A place without seawall.json has no replica, and one of another section
 * is not this one's: *ret_path is "". */
static int ask_notes(const struct search *s, const struct way *w, char ret_path[PATH_TEXT_MAX], struct err *e)
{
    char url[CONFIG_URL_MAX];
    bool there = false;
    struct candidates c = {.search = s, .way = w};
    ret_path[0] = 0;
    if (places_url(w->places, names_of(w), w->count, url, e))
        return -1;
    if (!cli_place_of_url(url, c.place))
        snprintf(c.place, sizeof c.place, "?");
    if (place_notes(url, s->cancel, &there, take_note, &c, e))
        return -1;
    if (!there || (c.count == 0 && c.of_other))
        return 0;
    if (c.count != 1)
        return no_answer(&c, e);
    memcpy(ret_path, c.path, sizeof c.path);
    return 0;
}

/* What is there can be of the section. Called with the lock held. */
static int add_unread(struct search *s, const struct way *w, struct err *e)
{
    char url[CONFIG_URL_MAX], place[PATH_TEXT_MAX];
    if (places_url(w->places, names_of(w), w->count, url, e) || !cli_place_of_url(url, place))
        return 0; /* no URL, no place */
    if (array_reserve(&s->unread, &s->unread_cap, s->unread_count + 1, sizeof *s->unread, e))
        return -1;
    char *copy = strdup(place);
    if (!copy)
        return err_nomem(e, strlen(place));
    s->unread[s->unread_count++] = (struct contest_unread){.place = copy, .section = w->places->section};
    return 0;
}

static void look_at_place(struct search *s, const struct way *w)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    enum places_answer answer = places_path(w->places, names_of(w), path);
    if (answer == PLACES_SEVERAL && ask_notes(s, w, path, &e)) {
        report(s, w, &e);
        each_begin_output(&s->each);
        if (add_unread(s, w, &e))
            fail(s, &e);
        each_end_output(&s->each);
        return;
    }
    each_begin_output(&s->each);
    if (answer == PLACES_NONE || !path[0])
        s->found.strange++;
    else if (add_place(s, w, path, &e))
        fail(s, &e);
    each_end_output(&s->each);
}

/* ---- a folder */

struct folder_names {
    struct search *search;
    const struct way *way;
    char **list; /* owned */
    size_t count, cap;
    size_t bytes; /* taken from the budget */
    uint64_t strange;
    struct err *err;
    bool failed;
};

static int take_name(void *context, const char *name)
{
    struct folder_names *n = context;
    const size_t bytes = strlen(name) + 1 + sizeof(char *);
    if (!*name || !places_may_have(n->way->places, n->way->count, name)) {
        n->strange++;
        return 0;
    }
    char *copy = NULL;
    n->failed = true;
    if (atomic_fetch_add(&n->search->names, 1) >= FOLDERS_MAX) {
        atomic_fetch_sub(&n->search->names, 1);
        err_set(n->err, ERR_LIMIT, 0, "the stores have more than %zu folders", FOLDERS_MAX);
        return 1;
    }
    if (claim_take(bytes, n->err) == 0) {
        n->bytes += bytes;
        if (array_reserve(&n->list, &n->cap, n->count + 1, sizeof *n->list, n->err) == 0 && !(copy = strdup(name)))
            err_nomem(n->err, strlen(name));
    }
    if (copy)
        n->list[n->count++] = copy;
    else
        atomic_fetch_sub(&n->search->names, 1);
    n->failed = !copy;
    return n->failed;
}

static void release_names(struct folder_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n->list);
    claim_give(n->bytes);
    atomic_fetch_sub(&n->search->names, n->count);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the ways that go on with the names. The caller holds the lock. A server may list a name twice. */
static int add_ways(struct search *s, struct folder_names *n, struct err *e)
{
    if (n->count > 1)
        qsort(n->list, n->count, sizeof *n->list, compare_names);
    for (size_t i = 0; i < n->count; i++) {
        if (i > 0 && strcmp(n->list[i], n->list[i - 1]) == 0)
            continue;
        if (s->next_count >= FOLDERS_MAX)
            return err_set(e, ERR_LIMIT, 0, "the stores have more than %zu folders", FOLDERS_MAX);
        if (array_reserve(&s->next, &s->next_cap, s->next_count + 1, sizeof(struct way *), e))
            return -1;
        s->next[s->next_count] = longer_way(n->way, n->list[i], e);
        if (!s->next[s->next_count])
            return -1;
        s->next_count++;
    }
    return 0;
}

/* A folder that is gone or was never there has nothing; but the root of a store must be there. */
static int read_folder(const struct search *s, const struct way *w, struct folder_names *n, struct err *e)
{
    char url[CONFIG_URL_MAX];
    struct store *store = NULL;
    if (places_url(w->places, names_of(w), w->count, url, e))
        return -1;
    int rc = store_open(url, STORE_READ, &store, e);
    if (rc == 0) {
        store->cancel = s->cancel;
        store->retrying = cli_tell_retry;
        rc = store_folders(store, take_name, n, e);
        store_close(store);
    }
    return rc != 0 && e->code == ERR_NOTFOUND && w->count > 0 ? 0 : rc;
}

/* A store that has too much stops no other one: its folder counts as one that can't be read. */
static void list_folder(struct search *s, const struct way *w)
{
    struct err e, of_names = {.code = ERR_NONE};
    struct folder_names n = {.search = s, .way = w, .err = &of_names};
    bool unread = read_folder(s, w, &n, &e) != 0 || n.failed;
    if (unread)
        report(s, w, n.failed ? &of_names : &e);
    each_begin_output(&s->each);
    s->found.strange += n.strange;
    if (unread ? add_unread(s, w, &e) : add_ways(s, &n, &e))
        fail(s, &e);
    each_end_output(&s->each);
    release_names(&n);
}

static enum each_answer follow(void *context, size_t index, bool alone)
{
    struct search *s = context;
    const struct way *w = s->ways[index];
    (void)alone;
    if (w->count == w->places->level_count)
        look_at_place(s, w);
    else
        list_folder(s, w);
    return EACH_DONE;
}

/* ---- all of them */

/* Begins with the root of each replica of a pattern. */
static int begin(struct search *s, const struct config_db *section, size_t replica, struct err *e)
{
    struct places *p = &s->places[s->places_count];
    if (places_init(p, section, replica, e)) {
        if (e->code != ERR_CONFIG)
            return -1;
        text_print_to(stderr, "seawall: [db %s]: %s\n", section->path, e->msg);
        if (s->found.failed++ == 0)
            s->found.error = *e;
        return 0;
    }
    s->places_count++;
    const struct way root = {.places = p, .replica = replica};
    if (array_reserve(&s->next, &s->next_cap, s->next_count + 1, sizeof(struct way *), e))
        return -1;
    s->next[s->next_count] = longer_way(&root, NULL, e);
    return s->next[s->next_count] ? (s->next_count++, 0) : -1;
}

static int begin_all(struct search *s, struct err *e)
{
    size_t most = 1;
    for (size_t i = 0; i < s->config->db_count; i++)
        most += s->config->dbs[i].replica_count;
    s->places = calloc(most, sizeof *s->places);
    if (!s->places)
        return err_nomem(e, most * sizeof *s->places);
    for (size_t i = 0; i < s->config->db_count; i++) {
        const struct config_db *db = &s->config->dbs[i];
        for (size_t k = 0; k < db->replica_count; k++)
            if (config_is_pattern(db) ? begin(s, db, k, e) : add_db(s, db, k, db->path, e))
                return -1;
    }
    return 0;
}

static void free_ways(struct way **ways, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        free_way(ways[i]);
    *count = 0;
}

/* Goes one level down everywhere, until no folder is left. */
static int follow_all(struct search *s, unsigned jobs, struct err *e)
{
    while (s->next_count > 0) {
        struct way **list = s->ways;
        size_t cap = s->way_cap;
        free_ways(s->ways, &s->way_count);
        s->ways = s->next;
        s->way_count = s->next_count;
        s->way_cap = s->next_cap;
        s->next = list;
        s->next_count = 0;
        s->next_cap = cap;
        s->each =
            (struct each){.count = s->way_count, .at_once = jobs, .cancel = s->cancel, .run = follow, .context = s};
        if (each_run(&s->each, "folders", "looking for replicas", e))
            return -1;
        if (s->failed) {
            *e = s->error;
            return -1;
        }
        if (s->cancel && atomic_load(s->cancel))
            return err_set(e, ERR_CANCELED, 0, "interrupted while looking for replicas; nothing was begun");
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct replicas_db *)a)->path, ((const struct replicas_db *)b)->path);
}

/* One entry for each database. */
static void merge(struct replicas *r)
{
    size_t kept = 0;
    if (r->count > 1)
        qsort(r->list, r->count, sizeof *r->list, by_path);
    for (size_t i = 0; i < r->count; i++) {
        if (kept > 0 && strcmp(r->list[kept - 1].path, r->list[i].path) == 0) {
            r->list[kept - 1].at |= r->list[i].at;
            free(r->list[i].path);
        } else {
            r->list[kept++] = r->list[i];
        }
    }
    r->count = kept;
}

/* ---- one database for each place */

static int add_claims(struct contest *c, const struct replicas_db *db, struct err *e)
{
    struct config_member m = {.path = NULL};
    char place[PATH_TEXT_MAX];
    struct err of_url;
    bool made = config_member_make(db->section, db->path, &m, &of_url) == 0;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < db->section->replica_count; k++) {
        if (!(db->at >> k & 1))
            continue;
        struct contest_claim *claim = &c->claims[c->count++];
        *claim = (struct contest_claim){.path = db->path, .section = db->section, .replica = k};
        if (!made || !cli_place_of_url(m.urls[k], place))
            continue; /* reported when it is used */
        claim->url = strdup(m.urls[k]);
        claim->place = strdup(place);
        rc = claim->url && claim->place ? 0 : err_nomem(e, strlen(place));
    }
    config_member_release(&m);
    return rc;
}

static struct replicas_db *find_db(const struct replicas *r, const char *path)
{
    const struct replicas_db key = {.path = (char *)(uintptr_t)path};
    return r->count > 0 ? bsearch(&key, r->list, r->count, sizeof *r->list, by_path) : NULL;
}

/* Takes the lost places from their databases, and out of the list those that have none left. */
static void take_lost(struct replicas *r, const struct contest *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->claims[i].lost)
            find_db(r, c->claims[i].path)->at &= ~(UINT32_C(1) << c->claims[i].replica);
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].at)
            r->list[kept++] = r->list[i];
        else
            free(r->list[i].path);
    r->count = kept;
    r->strange += c->empty;
    if (r->failed == 0 && c->failed > 0)
        r->error = c->error;
    r->failed += c->failed;
}

static int settle(struct search *s, unsigned jobs, struct err *e)
{
    struct replicas *r = &s->found;
    size_t most = 1;
    for (size_t i = 0; i < r->count; i++)
        most += r->list[i].section->replica_count;
    struct contest c = {.claims = calloc(most, sizeof *c.claims),
                        .unread = s->unread,
                        .unread_count = s->unread_count,
                        .jobs = jobs,
                        .cancel = s->cancel};
    int rc = c.claims ? 0 : err_nomem(e, most * sizeof *c.claims);
    for (size_t i = 0; rc == 0 && i < r->count; i++)
        rc = add_claims(&c, &r->list[i], e);
    if (rc == 0)
        rc = contest_settle(&c, e);
    if (rc == 0)
        take_lost(r, &c);
    for (size_t i = 0; i < c.count; i++) {
        free(c.claims[i].url);
        free(c.claims[i].place);
    }
    free(c.claims);
    return rc;
}

static void tell_sections_without_a_place(const struct search *s)
{
    for (size_t i = 0; i < s->config->db_count; i++) {
        bool any = !config_is_pattern(&s->config->dbs[i]);
        for (size_t k = 0; !any && k < s->found.count; k++)
            any = s->found.list[k].section == &s->config->dbs[i];
        if (!any)
            text_print_to(stderr, "seawall: [db %s] has no place of a database in its stores\n",
                          s->config->dbs[i].path);
    }
}

int replicas_find(const struct config *c, unsigned jobs, const atomic_bool *cancel, struct replicas *ret, struct err *e)
{
    struct search s = {.config = c, .cancel = cancel};
    _Static_assert(CONFIG_DB_REPLICAS_MAX <= 32, "a bit for each replica of a section");
    int rc = begin_all(&s, e) || follow_all(&s, jobs, e) ? -1 : 0;
    if (rc == 0) {
        merge(&s.found);
        rc = settle(&s, jobs, e);
    }
    if (rc == 0)
        tell_sections_without_a_place(&s);
    free_ways(s.ways, &s.way_count);
    free_ways(s.next, &s.next_count);
    free(s.ways);
    free(s.next);
    for (size_t i = 0; i < s.unread_count; i++)
        free(s.unread[i].place);
    free(s.unread);
    for (size_t i = 0; i < s.places_count; i++)
        places_release(&s.places[i]);
    free(s.places);
    if (rc)
        replicas_release(&s.found);
    else
        *ret = s.found;
    return rc;
}

void replicas_release(struct replicas *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->list[i].path);
    free(r->list);
    *r = (struct replicas){.list = NULL};
}
