/* import/litestream.c */
#include "import/litestream.h"

#include "base/array.h"
#include "base/units.h"
#include "config/options.h"
#include "import/rules.h"
#include "import/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 64
#define REPLICAS_MAX 16 /* of a database, in Seawall */
#define DEPTHS 3        /* sections for a folder that is searched with all below it */
#define DAY_MS UINT64_C(86400000)

struct import {
    const struct import_options *options;
    const struct tree_node *root;
    FILE *out;
    unsigned replicas; /* [replica] sections so far */
    uint64_t set_top;  /* options that [seawall] has: bits of option_table */
    char **places;     /* owned: URLs and endpoints of the replicas so far */
    size_t place_count, place_cap;
    struct import_result *result;
    struct err *e;
};

/* A [db] section, and the [replica] sections of its replicas. */
struct section {
    struct import *import;
    FILE *out;      /* the text of the section */
    FILE *replicas; /* the text of its [replica] sections */
    uint64_t set;   /* options that it has */
    unsigned usable;
    const char *suffix; /* of the URL: "", "/{name}" or "/{path}" */
};

/* A replica, as Litestream would use it. */
struct replica {
    const struct tree_node *node;
    char type[32], url[IMPORT_TEXT_MAX], path[IMPORT_TEXT_MAX], bucket[IMPORT_TEXT_MAX], endpoint[IMPORT_TEXT_MAX],
        region[IMPORT_TEXT_MAX];
    int path_style;     /* 1, 0; -1: not said */
    bool endpoint_user; /* the endpoint had a user or password, which was left out */
    unsigned line;
};

static int wrong(struct import *i, unsigned line, const char *what)
{
    err_set(i->e, ERR_CONFIG, 0, "%s", what);
    (void)err_wrap(i->e, "'%s': line %u", i->options->name, line);
    return err_hint(
        i->e,
        "give the litestream.yml that 'litestream replicate' reads; correct the line if Litestream refuses it too");
}

/* ---- values */

/* The text of a value. NULL: `n` is NULL. A list or map is an error. */
static int text_of(struct import *i, const struct tree_node *n, char out[IMPORT_TEXT_MAX])
{
    out[0] = 0;
    if (!n)
        return 0;
    if (n->kind != TREE_TEXT)
        return wrong(i, n->line, "a text is expected here");
    return import_expand(n->text, i->options->expand, out, i->e)
               ? err_wrap(i->e, "'%s': line %u", i->options->name, n->line)
               : 0;
}

/* A time in ms. *ret_given: false: `n` is NULL, or not a time. */
static int duration_of(struct import *i, const struct tree_node *n, uint64_t *ret_ms, bool *ret_given)
{
    char text[IMPORT_TEXT_MAX];
    *ret_given = false;
    if (text_of(i, n, text))
        return -1;
    *ret_given = n && import_duration(text, ret_ms);
    return n && !*ret_given ? wrong(i, n->line, "a time such as 10s or 24h is expected here") : 0;
}

/* The value of a key of a replica, or of the same key at the top, which counts for all replicas. */
static const struct tree_node *setting(const struct import *i, const struct tree_node *replica, const char *key)
{
    const struct tree_node *n = tree_get(replica, key);
    return n || strcmp(key, "url") == 0 || strcmp(key, "path") == 0 || strcmp(key, "type") == 0
               ? n
               : tree_get(i->root, key);
}

/* ---- comments */

/* What is written of a value: "" for secrets, lists, maps and what can't be one line. */
static void value_text(const struct tree_node *n, bool secret, char out[256])
{
    char variable[128];
    out[0] = 0;
    if (n->kind != TREE_TEXT)
        return;
    if (secret && import_variable(n->text, variable))
        text_format(out, 256, " (from the variable %s)", variable);
    else if (!secret && strlen(n->text) < 200)
        text_format(out, 256, " = %s", n->text);
}

static void comment(FILE *out, const struct tree_node *key, const struct tree_node *n, bool secret, const char *says)
{
    char value[256];
    value_text(n, secret, value);
    text_print_to(out, "# line %u: %s%s: %s\n", key->line, key->text, value, says);
}

/* Comments on the keys of a map that have no counterpart. */
static void comment_all(FILE *out, const struct tree_node *map, enum rule_place place)
{
    for (size_t k = 0; map && map->kind == TREE_MAP && k + 1 < map->count; k += 2) {
        const struct tree_node *key = map->items[k];
        const struct rule *r = rule_find(place, key->text);
        if (!r && strcmp(key->text, "<<") != 0)
            comment(out, key, map->items[k + 1], true, "unknown key, passed over");
        else if (r && r->says)
            comment(out, key, map->items[k + 1], r->secret, r->says);
    }
}

/* ---- options */

/* Writes an option, unless the section has it already or Seawall refuses the value. */
static void put_option(FILE *out, uint64_t *set, const char *name, const char *value, const struct tree_node *n,
                       const char *key)
{
    struct options o = options_default();
    struct err e;
    size_t index = 0;
    while (index < option_count && strcmp(option_table[index].name, name) != 0)
        index++;
    if (*set >> index & 1) {
        text_print_to(out, "# line %u: %s: only one value of '%s' is possible here, and it has one already\n", n->line,
                      key, name);
        return;
    }
    if (options_set(&o, name, value, &e)) {
        text_print_to(out, "# line %u: %s: would be '%s = %s', which is out of range\n", n->line, key, name, value);
        return;
    }
    *set |= UINT64_C(1) << index;
    text_print_to(out, "# line %u: %s\n%s = %s\n", n->line, key, name, value);
}

static void put_time(FILE *out, uint64_t *set, const char *name, uint64_t ms, const struct tree_node *n,
                     const char *key)
{
    char value[32];
    units_format(ms, UNITS_MS, value);
    put_option(out, set, name, value, n, key);
}

/* How long one can go back. Litestream keeps fine steps for minutes, and coarser ones for this long. */
static int put_retention(struct import *i, FILE *out, uint64_t *set, const struct tree_node *n)
{
    uint64_t ms = 0;
    bool given = false;
    if (n && n->kind == TREE_MAP) { /* retention: enabled */
        char text[IMPORT_TEXT_MAX];
        const struct tree_node *enabled = tree_get(n, "enabled");
        if (text_of(i, enabled, text))
            return -1;
        if (enabled && import_flag(text) == 0)
            put_option(out, set, "prune-interval", "never", enabled, "retention.enabled = false: nothing is deleted");
        return 0;
    }
    if (duration_of(i, n, &ms, &given))
        return -1;
    if (!given)
        return 0;
    if (ms < DAY_MS)
        put_time(out, set, "keep-all", ms, n,
                 "retention, with bases of 7 days and 4 weeks besides ('keep-daily', 'keep-weekly')");
    put_time(out, set, "keep-levels", ms, n,
             "retention, with every transaction of the last day ('keep-all') and bases of 7 days and 4 weeks besides");
    return 0;
}

static int put_snapshots(struct import *i, FILE *out, uint64_t *set, const struct tree_node *snapshot)
{
    uint64_t ms = 0;
    bool given = false;
    const struct tree_node *interval = tree_get(snapshot, "interval");
    if (snapshot && snapshot->kind != TREE_MAP)
        return wrong(i, snapshot->line, "a map with interval and retention is expected here");
    if (duration_of(i, interval, &ms, &given))
        return -1;
    if (given)
        put_time(out, set, "base-interval", ms, interval, "snapshot.interval");
    return put_retention(i, out, set, tree_get(snapshot, "retention"));
}

/* How often Litestream copies: once in this time at most. */
static int put_sync_interval(struct import *i, FILE *out, uint64_t *set, const struct tree_node *n)
{
    char value[32];
    uint64_t ms = 0;
    bool given = false;
    if (duration_of(i, n, &ms, &given))
        return -1;
    if (!given)
        return 0;
    if (ms <= 1000) {
        text_print_to(out,
                      "# line %u: sync-interval: not needed: Seawall sends each commit at once, to S3 once a second in "
                      "the long run ('put-rate')\n",
                      n->line);
        return 0;
    }
    snprintf(value, sizeof value, "%" PRIu64 "/h", UINT64_C(3600000) / ms);
    put_option(out, set, "put-rate", value, n, "sync-interval, as PUTs to S3 in the long run");
    put_option(out, set, "put-burst", "1", n, "sync-interval: no PUTs are saved up");
    return 0;
}

/* ---- places */

/* Whether a value can be written in the file: a blank before '#' or ';' would begin a comment, blanks at the ends go. */
static bool writable(const char *text)
{
    const size_t n = strlen(text);
    return n > 0 && text[0] != ' ' && text[n - 1] != ' ' && !strstr(text, " #") && !strstr(text, " ;");
}

/* Puts the text of a path into a URL. */
static void encode(char *out, size_t size, const char *text, bool encoded)
{
    size_t n = strlen(out);
    for (; *text && n + 4 < size; text++) {
        if (*text == '{')
            n += (size_t)snprintf(out + n, size - n, "{{");
        else if (encoded && strchr("%?#", *text))
            n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned char)*text);
        else
            n += (size_t)snprintf(out + n, size - n, "%c", *text);
    }
}

/* Without slashes at either end. */
static void trim(char *path)
{
    size_t n = strlen(path), lead = strspn(path, "/");
    memmove(path, path + lead, n - lead + 1);
    for (n -= lead; n > 0 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
}

/* Splits "bucket.endpoint" as Litestream does for the hosts that it knows. */
static void split_host(struct replica *r)
{
    static const struct {
        const char *tail;
        bool has_region; /* a part of the name before the tail */
        bool keeps_s3;   /* "s3." is before the region */
        bool path_style;
    } hosts[] = {{".amazonaws.com", true, true, false},
                 {".digitaloceanspaces.com", true, false, false},
                 {".backblazeb2.com", true, true, true},
                 {".scw.cloud", true, true, false},
                 {".filebase.com", false, true, true}};
    char *dot = strchr(r->bucket, '.'), *colon = strchr(r->bucket, ':');
    if (colon && dot && !strstr(r->bucket, ".com")) { /* bucket.host:port */
        snprintf(r->endpoint, sizeof r->endpoint, "http://%s", dot + 1);
        *dot = 0;
        r->path_style = r->path_style < 0 ? 1 : r->path_style;
        return;
    }
    for (size_t i = 0; dot && i < sizeof hosts / sizeof hosts[0]; i++) {
        const size_t n = strlen(r->bucket), tail = strlen(hosts[i].tail);
        if (n <= tail || strcmp(r->bucket + n - tail, hosts[i].tail) != 0)
            continue;
        char *begin = hosts[i].keeps_s3 ? strstr(r->bucket, ".s3.") : dot;
        if (!begin)
            return;
        const char *region = begin + (hosts[i].keeps_s3 ? 4 : 1), *end = r->bucket + n - tail;
        if (hosts[i].has_region && region < end && !r->region[0])
            snprintf(r->region, sizeof r->region, "%.*s", (int)(end - region), region);
        if (!r->endpoint[0] && i > 0)
            snprintf(r->endpoint, sizeof r->endpoint, "https://%s", begin + 1);
        if (hosts[i].path_style && r->path_style < 0)
            r->path_style = 1;
        *begin = 0;
        return;
    }
}

/* Takes one setting from the query of a URL. */
static void take_query(struct replica *r, const char *key, size_t key_len, const char *value, size_t n)
{
    static const char *const path_style[] = {"forcePathStyle", "force-path-style"};
    if (key_len == 8 && strncmp(key, "endpoint", 8) == 0 && !r->endpoint[0])
        snprintf(r->endpoint, sizeof r->endpoint, "%.*s", (int)n, value);
    if (key_len == 6 && strncmp(key, "region", 6) == 0 && !r->region[0])
        snprintf(r->region, sizeof r->region, "%.*s", (int)n, value);
    for (size_t i = 0; i < 2; i++)
        if (strlen(path_style[i]) == key_len && strncmp(key, path_style[i], key_len) == 0 && r->path_style < 0)
            r->path_style = n == 4 && strncmp(value, "true", 4) == 0;
}

/* Takes type, bucket, path, endpoint and region from a URL. A user in it, and all other keys, are left out. */
static void split_url(struct replica *r)
{
    const char *rest = strstr(r->url, "://");
    snprintf(r->type, sizeof r->type, "%.*s", (int)(rest - r->url), r->url);
    rest += 3;
    if (strcmp(r->type, "file") == 0) {
        snprintf(r->path, sizeof r->path, "%.*s", (int)strcspn(rest, "?"), rest);
        return;
    }
    const size_t host = strcspn(rest, "/?");
    const char *at = memrchr(rest, '@', host), *name = at ? at + 1 : rest; /* a password can have an '@' */
    const char *path = rest + host, *query = strchr(rest, '?');
    snprintf(r->bucket, sizeof r->bucket, "%.*s", (int)(rest + host - name), name);
    if (*path == '/')
        snprintf(r->path, sizeof r->path, "%.*s", (int)strcspn(path, "?"), path);
    while (query) {
        const char *key = query + 1, *value = key + strcspn(key, "=&");
        const size_t n = *value == '=' ? strcspn(value + 1, "&") : 0;
        take_query(r, key, (size_t)(value - key), value + 1, n);
        query = strchr(key, '&');
    }
    split_host(r);
}

/* Leaves user and password out: all before the last '@', because a password can have any character. */
static void strip_user(struct replica *r)
{
    char *scheme = strstr(r->endpoint, "://"), *at = strrchr(r->endpoint, '@');
    char *host = scheme && scheme < at ? scheme + 3 : r->endpoint;
    if (!at)
        return;
    memmove(host, at + 1, strlen(at + 1) + 1);
    r->endpoint_user = true;
}

static int read_replica(struct import *i, const struct tree_node *node, struct replica *r)
{
    char type[IMPORT_TEXT_MAX], style[IMPORT_TEXT_MAX];
    *r = (struct replica){.node = node, .path_style = -1, .line = node->line};
    const char *key = node->kind == TREE_MAP ? NULL : "";
    if (key)
        return wrong(i, node->line, "a map is expected here");
    if (text_of(i, setting(i, node, "type"), type) || text_of(i, setting(i, node, "url"), r->url) ||
        text_of(i, setting(i, node, "path"), r->path) || text_of(i, setting(i, node, "bucket"), r->bucket) ||
        text_of(i, setting(i, node, "endpoint"), r->endpoint) || text_of(i, setting(i, node, "region"), r->region) ||
        text_of(i, setting(i, node, "force-path-style"), style))
        return -1;
    snprintf(r->type, sizeof r->type, "%.31s", type);
    r->path_style = style[0] ? import_flag(style) : -1;
    if (strncmp(r->url, "s3://arn:", 9) != 0 && strstr(r->url, "://"))
        split_url(r);
    else if (r->url[0] && r->url[0] != '$')
        snprintf(r->type, sizeof r->type, "%s", strncmp(r->url, "s3://arn:", 9) == 0 ? "access point" : "unknown");
    if (!r->type[0])
        snprintf(r->type, sizeof r->type, "%s", "file");
    strip_user(r);
    if (r->endpoint[0] && !strstr(r->endpoint, "://")) {
        char with[IMPORT_TEXT_MAX];
        const bool local = strncmp(r->endpoint, "localhost", 9) == 0 || strncmp(r->endpoint, "127.", 4) == 0;
        snprintf(with, sizeof with, "%s://%.4000s", local ? "http" : "https", r->endpoint);
        memcpy(r->endpoint, with, sizeof with);
    }
    return 0;
}

/* ---- replicas */

static void comment_out(FILE *out, const char *says, const struct replica *r)
{
    text_print_to(out, "# line %u: a replica of the type '%s': %s\n", r->line, r->type, says);
}

static const char *why_not(const struct replica *r)
{
    if (strcmp(r->type, "gs") == 0 || strcmp(r->type, "gcs") == 0)
        return "Seawall reaches Google Cloud Storage by its S3 interface: make HMAC keys, and write a [replica] "
               "section "
               "with 'url = s3://BUCKET/PREFIX', 'endpoint = https://storage.googleapis.com' and 'region = auto'";
    if (strcmp(r->type, "oss") == 0)
        return "Seawall reaches Alibaba OSS by its S3 interface: write a [replica] section with 'url = "
               "s3://BUCKET/PREFIX' and 'endpoint = https://s3.oss-REGION.aliyuncs.com' (not tested)";
    if (strcmp(r->type, "access point") == 0)
        return "Seawall has no access points: give the bucket itself";
    if (strcmp(r->type, "sftp") == 0 || strcmp(r->type, "webdav") == 0 || strcmp(r->type, "webdavs") == 0)
        return "Seawall writes to S3 and folders: mount it, with sshfs or davfs2, and give the folder";
    return "Seawall writes to S3 and folders: choose one of them";
}

static int put_key(struct import *i, FILE *out, const struct replica *r, const char *theirs, const char *ours)
{
    char value[IMPORT_TEXT_MAX];
    const struct tree_node *n = setting(i, r->node, theirs);
    if (text_of(i, n, value))
        return -1;
    if (n && writable(value))
        text_print_to(out, "%s = %s\n", ours, value);
    return 0;
}

/* A flag that Seawall has as yes or no, with yes as the default of both. */
static int put_flag(struct import *i, FILE *out, const struct replica *r, const char *theirs, const char *ours)
{
    char value[IMPORT_TEXT_MAX];
    if (text_of(i, setting(i, r->node, theirs), value))
        return -1;
    if (value[0] && import_flag(value) == 0)
        text_print_to(out, "%s = no\n", ours);
    return 0;
}

static bool is_encrypted(const struct import *i, const struct replica *r)
{
    const struct tree_node *age = setting(i, r->node, "age");
    return age && (age->kind == TREE_TEXT ? age->text[0] != 0 : age->count > 0);
}

/* Notes the place of a replica. *ret_known: another replica has it already. A place of a pattern has the path of each
 * database in it. */
static int note_place(struct section *s, const struct replica *r, const char *url, bool *ret_known)
{
    struct import *i = s->import;
    char *place = NULL;
    *ret_known = false;
    if (s->suffix[0])
        return 0;
    if (asprintf(&place, "%s %s", url, r->endpoint) < 0)
        return err_nomem(i->e, strlen(url));
    for (size_t k = 0; k < i->place_count && !*ret_known; k++)
        *ret_known = strcmp(i->places[k], place) == 0;
    if (*ret_known || array_reserve(&i->places, &i->place_cap, i->place_count + 1, sizeof *i->places, i->e)) {
        free(place);
        return *ret_known ? 0 : -1;
    }
    i->places[i->place_count++] = place;
    return 0;
}

/* *ret_held: the replica can't be used before a person has decided something. Then a comment says what. */
static int hold_back(struct section *s, const struct replica *r, const char *url, bool *ret_held)
{
    bool known = false;
    const bool encrypted = is_encrypted(s->import, r);
    if (!encrypted && note_place(s, r, url, &known))
        return -1;
    *ret_held = encrypted || known;
    if (encrypted)
        text_print_to(s->out,
                      "# line %u: Litestream encrypts this replica with age. Seawall does not encrypt before it sends: "
                      "choose 'sse' or 'sse-c-key-file' of S3, or a file system that encrypts, and a place for it\n"
                      "#replica = %s\n",
                      r->line, url);
    else if (known)
        text_print_to(s->out,
                      "# line %u: another replica of this file has this place already, and would be mixed with this "
                      "one: choose a place of its own for it\n#replica = %s\n",
                      r->line, url);
    return 0;
}

static int put_s3(struct section *s, struct replica *r)
{
    struct import *i = s->import;
    char url[2 * IMPORT_TEXT_MAX] = "s3://";
    trim(r->path);
    encode(url, sizeof url, r->bucket, true);
    encode(url, sizeof url, "/", false);
    encode(url, sizeof url, r->path, true);
    snprintf(url + strlen(url), sizeof url - strlen(url), "%s%s", r->path[0] ? "-seawall" : "seawall", s->suffix);
    if (!r->bucket[0] || !writable(url) || strlen(url) > IMPORT_TEXT_MAX) {
        comment_out(s->out, "it has no bucket, or a name that can't be written in this file", r);
        return 0;
    }
    bool held = false;
    if (hold_back(s, r, url, &held) || held)
        return held ? 0 : -1;
    text_print_to(s->out, "replica = litestream-%u\n", ++i->replicas);
    FILE *out = s->replicas;
    text_print_to(out,
                  "\n# line %u; a place of its own, so that Litestream's replica stays as it is\n[replica "
                  "litestream-%u]\nurl = %s\n",
                  r->line, i->replicas, url);
    if (writable(r->endpoint))
        text_print_to(out, "endpoint = %s\n", r->endpoint);
    if (writable(r->region))
        text_print_to(out, "region = %s\n", r->region);
    if (r->path_style >= 0)
        text_print_to(out, "addressing = %s\n", r->path_style ? "path" : "vhost");
    if (put_key(i, out, r, "storage-class", "storage-class") || put_flag(i, out, r, "sign-payload", "sign-payload") ||
        put_flag(i, out, r, "require-content-md5", "content-md5"))
        return -1;
    if (setting(i, r->node, "sse-kms-key-id")) {
        text_print_to(out, "sse = aws:kms\n");
        if (put_key(i, out, r, "sse-kms-key-id", "sse-kms-key-id"))
            return -1;
    }
    s->usable++;
    return 0;
}

static int put_folder(struct section *s, struct replica *r)
{
    char url[2 * IMPORT_TEXT_MAX] = "", whole[3 * IMPORT_TEXT_MAX];
    size_t n = strlen(r->path);
    bool held = false;
    while (n > 1 && r->path[n - 1] == '/')
        r->path[--n] = 0;
    encode(url, sizeof url, r->path, false);
    if (!writable(url) || strlen(url) > 3000 || r->path[0] != '/') {
        comment_out(s->out, "its path is missing, not absolute, or can't be written in this file", r);
        return 0;
    }
    snprintf(whole, sizeof whole, "file://%s-seawall%s", url, s->suffix);
    if (hold_back(s, r, whole, &held) || held)
        return held ? 0 : -1;
    text_print_to(s->out, "# line %u; a place of its own, so that Litestream's replica stays as it is\nreplica = %s\n",
                  r->line, whole);
    s->usable++;
    return 0;
}

static int put_replica(struct section *s, const struct tree_node *node)
{
    struct import *i = s->import;
    struct replica r;
    if (read_replica(i, node, &r))
        return -1;
    comment_all(s->out, node, RULE_REPLICA);
    if (r.endpoint_user)
        text_print_to(s->out,
                      "# line %u: endpoint: its user and password are not copied. Seawall finds keys where other AWS "
                      "programs do: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile\n",
                      r.line);
    const bool s3 = strcmp(r.type, "s3") == 0, folder = strcmp(r.type, "file") == 0;
    if (s3 ? put_s3(s, &r) : folder ? put_folder(s, &r) : 0)
        return -1;
    if (!s3 && !folder)
        comment_out(s->out, why_not(&r), &r);
    const struct tree_node *interval = tree_get(node, "snapshot-interval");
    uint64_t ms = 0;
    bool given = false;
    if (duration_of(i, interval, &ms, &given))
        return -1;
    if (given)
        put_time(s->out, &s->set, "base-interval", ms, interval, "snapshot-interval");
    return put_retention(i, s->out, &s->set, tree_get(node, "retention")) ||
                   put_sync_interval(i, s->out, &s->set, tree_get(node, "sync-interval"))
               ? -1
               : 0;
}

static int put_replicas(struct section *s, const struct tree_node *db)
{
    const struct tree_node *one = tree_get(db, "replica"), *many = tree_get(db, "replicas");
    if (one && put_replica(s, one))
        return -1;
    if (many && many->kind != TREE_LIST)
        return wrong(s->import, many->line, "a list of replicas is expected here");
    for (size_t k = 0; many && k < many->count; k++) {
        if (s->usable == REPLICAS_MAX) {
            text_print_to(s->out, "# line %u: Seawall takes up to %d replicas for one database\n", many->items[k]->line,
                          REPLICAS_MAX);
            return 0;
        }
        if (put_replica(s, many->items[k]))
            return -1;
    }
    return 0;
}

/* ---- databases */

/* Copies a section, as comments if it can't be used as it is. */
static void copy(FILE *out, const char *text, bool disabled)
{
    while (*text) {
        const size_t n = strcspn(text, "\n");
        text_print_to(out, "%s%.*s\n", disabled && n > 0 && text[0] != '#' ? "#" : "", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static int put_section_body(struct section *s, const struct tree_node *db)
{
    struct import *i = s->import;
    char count[IMPORT_TEXT_MAX];
    const struct tree_node *pages = tree_get(db, "min-checkpoint-page-count");
    comment_all(s->out, db, RULE_DB);
    if (put_replicas(s, db) || put_snapshots(i, s->out, &s->set, tree_get(db, "snapshot")) || text_of(i, pages, count))
        return -1;
    if (pages && writable(count))
        put_option(s->out, &s->set, "wal-target", count, pages, "min-checkpoint-page-count");
    return 0;
}

/* Writes [db PATH]. `suffix`: of the URLs of its replicas. */
static int put_section(struct import *i, const struct tree_node *db, const char *path, const char *suffix)
{
    char *text = NULL, *replicas = NULL;
    size_t text_len = 0, replicas_len = 0;
    struct section s = {.import = i, .suffix = suffix};
    s.out = open_memstream(&text, &text_len);
    s.replicas = open_memstream(&replicas, &replicas_len);
    int rc = s.out && s.replicas ? 0 : err_nomem(i->e, 0);
    if (rc == 0) {
        text_print_to(s.out, "[db %s]\n", path);
        rc = put_section_body(&s, db);
    }
    if (s.out)
        fclose(s.out);
    if (s.replicas)
        fclose(s.replicas);
    const bool disabled = s.usable == 0 || !writable(path);
    if (rc == 0) {
        text_print_to(i->out, "\n");
        if (disabled)
            text_print_to(i->out, "# Choose a replica for this database, and remove the '#' before [db ...]:\n");
        copy(i->out, text, disabled);
        copy(i->out, replicas, disabled);
        i->result->databases++;
        i->result->disabled += disabled;
    }
    free(text);
    free(replicas);
    return rc;
}

/* Makes the characters of a pattern ordinary. */
static void quote(char *out, size_t size, const char *path)
{
    size_t n = 0;
    for (; *path && n + 4 < size; path++)
        n += (size_t)snprintf(out + n, size - n, strchr("*?[", *path) ? "[%c]" : "%c", *path);
    out[n] = 0;
}

/* Go writes [^a] where Seawall has [!a]. */
static void convert_pattern(char *pattern)
{
    for (char *at = strstr(pattern, "[^"); at; at = strstr(at, "[^"))
        at[1] = '!';
}

/* A folder in which all databases are replicated. */
static int put_folder_sections(struct import *i, const struct tree_node *db)
{
    char dir[IMPORT_TEXT_MAX], pattern[IMPORT_TEXT_MAX], recursive[IMPORT_TEXT_MAX], path[3 * IMPORT_TEXT_MAX];
    if (text_of(i, tree_get(db, "dir"), dir) || text_of(i, tree_get(db, "pattern"), pattern) ||
        text_of(i, tree_get(db, "recursive"), recursive))
        return -1;
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
        dir[n - 1] = 0;
    convert_pattern(pattern);
    const bool deep = import_flag(recursive) == 1;
    if (deep)
        text_print_to(i->out,
                      "\n# line %u: recursive: a wildcard of Seawall matches one level of folders. Here are sections "
                      "for %d; add or remove some\n",
                      db->line, DEPTHS);
    for (int depth = 0; depth < (deep ? DEPTHS : 1); depth++) {
        quote(path, sizeof path, dir);
        for (int k = 0; k < depth; k++)
            strncat(path, "/*", sizeof path - strlen(path) - 1);
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", pattern[0] ? pattern : "*");
        if (put_section(i, db, path, deep ? "/{path}" : "/{name}"))
            return -1;
    }
    return 0;
}

static int put_database(struct import *i, const struct tree_node *db)
{
    static const char *const schemes[] = {"sqlite3://", "sqlite://", "file://"};
    char path[IMPORT_TEXT_MAX] = "", full[3 * IMPORT_TEXT_MAX];
    if (db->kind != TREE_MAP)
        return wrong(i, db->line, "a map is expected here");
    if (tree_get(db, "dir"))
        return put_folder_sections(i, db);
    if (!tree_get(db, "path"))
        return wrong(i, db->line, "the database has neither 'path' nor 'dir'");
    if (text_of(i, tree_get(db, "path"), path))
        return -1;
    const char *at = path, *home = getenv("HOME");
    for (size_t k = 0; k < sizeof schemes / sizeof schemes[0]; k++)
        if (strncmp(path, schemes[k], strlen(schemes[k])) == 0)
            at = path + strlen(schemes[k]);
    char quoted[2 * IMPORT_TEXT_MAX];
    quote(quoted, sizeof quoted, at[0] == '~' && at[1] == '/' && home ? at + 2 : at);
    snprintf(full, sizeof full, "%s%s%s", at[0] == '~' && at[1] == '/' && home ? home : "",
             at[0] == '~' && home ? "/" : "", quoted);
    return put_section(i, db, full, "");
}

/* ---- the file */

static int put_top(struct import *i)
{
    uint64_t ms = 0;
    bool given = false;
    text_print_to(i->out, "# Made by `seawall import` from %s. Check it with: seawall config -c FILE\n",
                  i->options->name);
    text_print_to(
        i->out, "# Litestream and Seawall should not replicate one database at the same time for long.\n\n[seawall]\n");
    comment_all(i->out, i->root, RULE_TOP);
    const struct tree_node *timeout = tree_get(i->root, "shutdown-sync-timeout");
    if (put_snapshots(i, i->out, &i->set_top, tree_get(i->root, "snapshot")) ||
        put_retention(i, i->out, &i->set_top, tree_get(i->root, "retention")) ||
        put_sync_interval(i, i->out, &i->set_top, tree_get(i->root, "sync-interval")) ||
        duration_of(i, timeout, &ms, &given))
        return -1;
    if (given)
        put_time(i->out, &i->set_top, "stop-timeout", ms, timeout, "shutdown-sync-timeout");
    return 0;
}

int import_litestream(const struct tree_node *root, const struct import_options *options, FILE *out,
                      struct import_result *ret, struct err *e)
{
    struct import i = {.options = options, .root = root, .out = out, .result = ret, .e = e};
    const struct tree_node *dbs = tree_get(root, "dbs");
    *ret = (struct import_result){0};
    if (!root || root->kind != TREE_MAP)
        return wrong(&i, 1, "this is not a configuration of Litestream");
    if (!dbs || dbs->kind != TREE_LIST || dbs->count == 0)
        return wrong(&i, dbs ? dbs->line : root->line, "there are no databases: 'dbs' is missing or empty");
    int rc = put_top(&i);
    for (size_t k = 0; k < dbs->count && rc == 0; k++)
        rc = put_database(&i, dbs->items[k]);
    for (size_t k = 0; k < i.place_count; k++)
        free(i.places[k]);
    free(i.places);
    return rc;
}
