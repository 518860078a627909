/* s3/rules.c */
#include "s3/rules.h"

#include "aws/xml.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (256u << 10) /* a lifecycle configuration has at most 1000 rules */
#define LIFECYCLE_RULE "LifecycleConfiguration/Rule"

static int is_no_answer(const char *root, struct err *e)
{
    return err_set(e, ERR_REMOTE, 0, "the answer is no %s", root);
}

/* ---- versions */

struct versioning {
    bool asked; /* the root element is the right one */
    bool enabled;
};

static int versioning_text(void *context, const char *path, const char *text, struct err *e)
{
    struct versioning *v = context;
    (void)e;
    if (strcmp(path, "VersioningConfiguration/Status") == 0)
        v->enabled = strcmp(text, "Enabled") == 0;
    return 0;
}

static int versioning_end(void *context, const char *path, struct err *e)
{
    struct versioning *v = context;
    (void)e;
    v->asked |= strcmp(path, "VersioningConfiguration") == 0;
    return 0;
}

int s3_rules_read_versioning(const void *xml, size_t n, struct store_rules *rules, struct err *e)
{
    struct versioning v = {.asked = false};
    const struct xml_visitor visitor = {.text = versioning_text, .end = versioning_end, .context = &v};
    if (xml_read(xml, n, &visitor, e))
        return -1;
    if (!v.asked)
        return is_no_answer("VersioningConfiguration", e);
    rules->keeps_versions = v.enabled ? STORE_YES : STORE_NO;
    return 0;
}

/* ---- object lock */

struct locking {
    bool asked, enabled, by_default;
};

static int locking_text(void *context, const char *path, const char *text, struct err *e)
{
    struct locking *l = context;
    (void)e;
    if (strcmp(path, "ObjectLockConfiguration/ObjectLockEnabled") == 0)
        l->enabled = strcmp(text, "Enabled") == 0;
    if (strcmp(path, "ObjectLockConfiguration/Rule/DefaultRetention/Mode") == 0)
        l->by_default = text[0] != 0;
    return 0;
}

static int locking_end(void *context, const char *path, struct err *e)
{
    struct locking *l = context;
    (void)e;
    l->asked |= strcmp(path, "ObjectLockConfiguration") == 0;
    return 0;
}

int s3_rules_read_lock(const void *xml, size_t n, struct store_rules *rules, struct err *e)
{
    struct locking l = {.asked = false};
    const struct xml_visitor visitor = {.text = locking_text, .end = locking_end, .context = &l};
    if (xml_read(xml, n, &visitor, e))
        return -1;
    if (!l.asked)
        return is_no_answer("ObjectLockConfiguration", e);
    rules->locks = l.enabled ? STORE_YES : STORE_NO;
    rules->locks_all = l.enabled && l.by_default ? STORE_YES : STORE_NO;
    return 0;
}

/* ---- lifecycle */

struct lifecycle {
    const char *prefix; /* of the replica */
    struct store_rules *rules;
    bool asked;

    /* of the present rule */
    char id[80];
    bool enabled, of_others, removes, archives, removes_old;
};

/* Whether a rule for keys with this prefix touches the replica. */
static bool touches(const char *rule_prefix, const char *prefix)
{
    const size_t a = strlen(rule_prefix), b = strlen(prefix);
    return strncmp(rule_prefix, prefix, a < b ? a : b) == 0;
}

/* Whether an object of this class has to be restored before it can be read. */
static bool is_archive(const char *storage_class)
{
    return strcmp(storage_class, "GLACIER") == 0 || strcmp(storage_class, "DEEP_ARCHIVE") == 0;
}

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

/* `at`: the path below the rule. Objects of a replica have no tags, so a rule for tags is one for others. */
static int lifecycle_text(void *context, const char *path, const char *text, struct err *e)
{
    struct lifecycle *l = context;
    const size_t n = strlen(LIFECYCLE_RULE "/");
    (void)e;
    if (strncmp(path, LIFECYCLE_RULE "/", n) != 0)
        return 0;
    const char *at = path + n;
    if (strcmp(at, "ID") == 0)
        snprintf(l->id, sizeof l->id, "%s", text);
    else if (strcmp(at, "Status") == 0)
        l->enabled = strcmp(text, "Enabled") == 0;
    else if (strcmp(at, "Prefix") == 0 || strcmp(at, "Filter/Prefix") == 0 || strcmp(at, "Filter/And/Prefix") == 0)
        l->of_others |= !touches(text, l->prefix);
    else if (ends_with(at, "Tag/Key"))
        l->of_others = true;
    else if (strcmp(at, "Expiration/Days") == 0 || strcmp(at, "Expiration/Date") == 0)
        l->removes = true;
    else if (strcmp(at, "Transition/StorageClass") == 0)
        l->archives |= is_archive(text);
    else if (strcmp(at, "NoncurrentVersionExpiration/NoncurrentDays") == 0)
        l->removes_old = true;
    return 0;
}

static void end_rule(struct lifecycle *l)
{
    struct store_rules *r = l->rules;
    if (l->enabled && !l->of_others) {
        if ((l->removes || l->archives) && !r->rule[0])
            snprintf(r->rule, sizeof r->rule, "%s", l->id[0] ? l->id : "(without an ID)");
        r->removes = l->removes ? STORE_YES : r->removes;
        r->archives = l->archives ? STORE_YES : r->archives;
        r->removes_old = l->removes_old ? STORE_YES : r->removes_old;
    }
    *l = (struct lifecycle){.prefix = l->prefix, .rules = r, .asked = l->asked};
}

static int lifecycle_end(void *context, const char *path, struct err *e)
{
    struct lifecycle *l = context;
    (void)e;
    if (strcmp(path, LIFECYCLE_RULE) == 0)
        end_rule(l);
    l->asked |= strcmp(path, "LifecycleConfiguration") == 0;
    return 0;
}

int s3_rules_read_lifecycle(const void *xml, size_t n, const char *prefix, struct store_rules *rules, struct err *e)
{
    struct store_rules found = *rules;
    struct lifecycle l = {.prefix = prefix, .rules = &found};
    const struct xml_visitor visitor = {.text = lifecycle_text, .end = lifecycle_end, .context = &l};
    found.removes = found.archives = found.removes_old = STORE_NO;
    if (xml_read(xml, n, &visitor, e))
        return -1;
    if (!l.asked)
        return is_no_answer("LifecycleConfiguration", e);
    *rules = found;
    return 0;
}

/* ---- asking */

struct asking {
    struct s3_client *client;
    const atomic_bool *cancel;
};

/* Sends GET ?`query` to the bucket. *ret_there: whether the bucket has this configuration. */
static int ask(const struct asking *a, const char *query, struct s3_outcome *o, bool *ret_there, struct err *e)
{
    struct s3_op op = {.kind = S3_GET, .method = "GET", .query = query, .body_max = ANSWER_MAX, .cancel = a->cancel};
    int rc = s3_perform(a->client, &op, o, e);
    *ret_there = rc == 0 && o->verdict == S3_DONE;
    if (rc == 0 && o->verdict != S3_DONE && o->verdict != S3_MISSING)
        rc = err_set(e, ERR_REMOTE, o->response.status, "HTTP %d", o->response.status);
    return rc;
}

/* Notes why something is unknown. Returns -1 for an error that ends the questions. */
static int stays_unknown(struct store_rules *rules, const char *query, const struct err *e)
{
    if (e->code == ERR_CANCELED || e->code == ERR_NOMEM)
        return -1;
    if (!rules->why[0])
        snprintf(rules->why, sizeof rules->why, "GET ?%.*s: %.*s", (int)strcspn(query, "="), query,
                 (int)strcspn(e->msg, "\n"), e->msg);
    return 0;
}

static int ask_versioning(const struct asking *a, struct store_rules *rules, struct err *e)
{
    struct s3_outcome o;
    bool there = false;
    rules->keeps_versions = STORE_UNKNOWN;
    int rc = ask(a, "versioning=", &o, &there, e);
    if (rc == 0 && there)
        rc = s3_rules_read_versioning(o.response.body.data, o.response.body.len, rules, e);
    else if (rc == 0)
        rules->keeps_versions = STORE_NO;
    s3_outcome_release(&o);
    return rc ? stays_unknown(rules, "versioning=", e) : 0;
}

static int ask_lock(const struct asking *a, struct store_rules *rules, struct err *e)
{
    struct s3_outcome o;
    bool there = false;
    rules->locks = rules->locks_all = STORE_UNKNOWN;
    int rc = ask(a, "object-lock=", &o, &there, e);
    if (rc == 0 && there)
        rc = s3_rules_read_lock(o.response.body.data, o.response.body.len, rules, e);
    else if (rc == 0)
        rules->locks = rules->locks_all = STORE_NO;
    s3_outcome_release(&o);
    return rc ? stays_unknown(rules, "object-lock=", e) : 0;
}

static int ask_lifecycle(const struct asking *a, struct store_rules *rules, struct err *e)
{
    const char *prefix = s3_client_config(a->client)->prefix;
    struct s3_outcome o;
    bool there = false;
    rules->removes = rules->archives = rules->removes_old = STORE_UNKNOWN;
    int rc = ask(a, "lifecycle=", &o, &there, e);
    if (rc == 0 && there)
        rc = s3_rules_read_lifecycle(o.response.body.data, o.response.body.len, prefix, rules, e);
    else if (rc == 0)
        rules->removes = rules->archives = rules->removes_old = STORE_NO;
    s3_outcome_release(&o);
    return rc ? stays_unknown(rules, "lifecycle=", e) : 0;
}

int s3_rules(struct s3_client *c, const atomic_bool *cancel, struct store_rules *ret_rules, struct err *e)
{
    const struct asking a = {.client = c, .cancel = cancel};
    *ret_rules = (struct store_rules){.keeps_versions = STORE_UNKNOWN};
    return ask_versioning(&a, ret_rules, e) || ask_lock(&a, ret_rules, e) || ask_lifecycle(&a, ret_rules, e) ? -1 : 0;
}
