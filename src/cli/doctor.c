/* cli/doctor.c - `seawall doctor`: finds what keeps the replication from working, before it does. The room doctor has
 * what is looked at; here are the databases, their daemons, and the output. */
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "config/find.h"
#include "doctor/machine.h"
#include "doctor/place.h"
#include "storage/open.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define URLS_MAX CONFIG_DB_REPLICAS_MAX
#define ANSWER_MS 10000
#define TRIED_OF_PATTERN 2 /* databases of a pattern with whose places everything is tried: a hundred requests each */

struct request {
    const char *config_path, *db_path, *control;
    const char *urls[URLS_MAX];
    size_t url_count;
    bool json;
};

/* A database to look at. Everything is borrowed. */
struct patient {
    const char *path;
    const char *const *urls;
    size_t url_count;
    const struct options *options;
    bool only_look; /* at its places */
};

struct round {
    struct request request;
    struct config *config; /* NULL: without a file */
    struct config_members members;
    struct config_member one;
    struct options options; /* without a file */
    struct patient *patients;
    size_t count;
    bool silent; /* a daemon did not answer: the others are not asked */
    struct doctor_report report;
    size_t printed;            /* findings */
    char about[PATH_TEXT_MAX]; /* heading that was printed last */
    bool began;
};

/* ---- which databases */

static int take_one(struct round *n, struct err *e)
{
    struct request *r = &n->request;
    struct patient *p = n->patients;
    *p = (struct patient){.path = r->db_path, .options = &n->options};
    n->count = 1;
    if (n->config && r->url_count == 0) {
        if (config_find_db(n->config, r->db_path, &n->one, e))
            return -1;
        p->path = n->one.path;
        p->options = &n->one.section->options;
        p->urls = (const char *const *)n->one.urls;
        p->url_count = n->one.url_count;
        return 0;
    }
    for (size_t i = 0; n->config && i < r->url_count; i++)
        if (config_find_url(n->config, r->urls[i], &r->urls[i], e))
            return -1;
    p->urls = r->urls;
    p->url_count = r->url_count;
    return 0;
}

static void take_all(struct round *n)
{
    size_t of_section[CONFIG_DBS_MAX] = {0};
    for (size_t i = 0; i < n->members.count; i++) {
        const struct config_member *m = &n->members.list[i];
        size_t *tried = &of_section[m->section - n->config->dbs];
        n->patients[n->count++] = (struct patient){.path = m->path,
                                                   .urls = (const char *const *)m->urls,
                                                   .url_count = m->url_count,
                                                   .options = &m->section->options,
                                                   .only_look = (*tried)++ >= TRIED_OF_PATTERN};
    }
}

static int find_patients(struct round *n, struct err *e)
{
    const struct request *r = &n->request;
    n->options = options_default();
    if (cli_read_config(r->config_path, &n->config, e))
        return -1;
    const bool all = n->config && !r->db_path;
    if (all && cli_find_members(n->config, r->config_path, NULL, &n->members, e))
        return -1;
    const size_t most = all ? n->members.count : 1;
    n->patients = calloc(most + 1, sizeof *n->patients);
    if (!n->patients)
        return err_nomem(e, most * sizeof *n->patients);
    if (!all)
        return take_one(n, e);
    take_all(n);
    return 0;
}

static void release(struct round *n)
{
    doctor_release(&n->report);
    free(n->patients);
    config_members_release(&n->members);
    config_member_release(&n->one);
    config_free(n->config);
}

/* ---- as text */

static void print_heading(struct round *n, const struct doctor_finding *f)
{
    if (n->began && strcmp(n->about, f->about) == 0)
        return;
    if (!f->about[0])
        text_print("machine\n");
    else
        text_print("%s '%s'\n", f->of_replica ? "replica" : "database", f->about);
    snprintf(n->about, sizeof n->about, "%s", f->about);
    n->began = true;
}

/* Prints what was found since the last call: a look at a store takes seconds. */
static void print_new(struct round *n)
{
    static const char *const words[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "WARNING", [DOCTOR_ERROR] = "ERROR"};
    for (; !n->request.json && n->printed < n->report.count; n->printed++) {
        const struct doctor_finding *f = &n->report.list[n->printed];
        const char *hint = strstr(f->text, TEXT_HINT);
        print_heading(n, f);
        text_print("  %-8s %s: %.*s\n", words[f->weight], f->check,
                   (int)(hint ? (size_t)(hint - f->text) : strlen(f->text)), f->text);
        if (hint)
            text_print("           HINT: %s\n", hint + strlen(TEXT_HINT));
    }
    fflush(stdout);
}

static void print_end(const struct round *n)
{
    const struct doctor_report *r = &n->report;
    if (r->errors + r->warnings == 0)
        text_print("nothing is wrong\n");
    else
        text_print("%zu error%s, %zu warning%s\n", r->errors, cli_plural(r->errors), r->warnings,
                   cli_plural(r->warnings));
}

/* ---- as JSON */

static void set_text(struct json *j, const char *key, const char *text)
{
    if (text && *text)
        json_set_text(j, key, text);
    else
        json_set_null(j, key);
}

static struct json *json_of(const struct doctor_finding *f)
{
    static const char *const words[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARNING] = "warning", [DOCTOR_ERROR] = "error"};
    const char *hint = strstr(f->text, TEXT_HINT);
    char message[ERR_MSG_MAX];
    struct json *j = json_object_new();
    snprintf(message, sizeof message, "%.*s", (int)(hint ? (size_t)(hint - f->text) : strlen(f->text)), f->text);
    json_set_text(j, "level", words[f->weight]);
    json_set_text(j, "check", f->check);
    set_text(j, "database", f->database);
    set_text(j, "replica", f->of_replica ? f->about : "");
    json_set_text(j, "message", message);
    set_text(j, "hint", hint ? hint + strlen(TEXT_HINT) : "");
    return j;
}

static int print_json(const struct round *n, struct err *e)
{
    const struct doctor_report *r = &n->report;
    struct json *j = json_object_new(), *list = json_list_new();
    json_set_flag(j, "ok", r->errors == 0);
    json_set_number(j, "errors", (int64_t)r->errors);
    json_set_number(j, "warnings", (int64_t)r->warnings);
    for (size_t i = 0; i < r->count; i++)
        json_push(list, json_of(&r->list[i]));
    json_set(j, "findings", list);
    return cli_print_json(j, e);
}

/* ---- what a running daemon says */

/* Whether both URLs are of one place. */
static bool is_same_place(const char *url, const char *other)
{
    char place[PATH_TEXT_MAX], others[PATH_TEXT_MAX];
    cli_place_of(url, place);
    cli_place_of(other, others);
    return strcmp(place, others) == 0;
}

/* What the status of a daemon says of the replica at a URL. NULL: nothing. */
static const struct json *replica_of(const struct json *status, const char *url)
{
    const struct json *replicas = json_get(status, "replicas");
    for (size_t i = 0; i < json_count(replicas); i++) {
        const char *shown = json_get_text(json_at(replicas, i), "url");
        if (shown && is_same_place(url, shown))
            return json_at(replicas, i);
    }
    return NULL;
}

static bool is_attached(const struct json *replica)
{
    const char *state = replica ? json_get_text(replica, "state") : NULL;
    return state && (strcmp(state, "attached") == 0 || strcmp(state, "resync") == 0);
}

static void note_error(struct doctor_report *r, const char *text, enum err_code code)
{
    struct err e = {.code = code};
    snprintf(e.msg, sizeof e.msg, "the daemon says: %s", text);
    doctor_say_error(r, DOCTOR_ERROR, "daemon", &e, "look into its log, and at 'seawall status'");
}

/* What the daemon says of a replica; NULL: nothing. What fails for a moment heals by itself: "well" is true then. */
static void note_replica(struct doctor_report *r, const char *path, const char *url, const struct json *replica)
{
    const char *condition = replica ? json_get_text(replica, "condition") : NULL;
    const char *error = replica ? json_get_text(replica, "error") : NULL;
    if (!condition)
        return;
    doctor_about_replica(r, path, url);
    if (json_get_flag(replica, "well"))
        doctor_say(r, DOCTOR_OK, "daemon", "%s", condition);
    else
        note_error(r, error ? error : condition, strcmp(condition, "conflict") == 0 ? ERR_CONFLICT : ERR_REMOTE);
}

/* The replicas of the daemon that this command was not told to look at. */
static void note_other_replicas(struct doctor_report *r, const struct patient *p, const struct json *status)
{
    const struct json *replicas = json_get(status, "replicas");
    for (size_t i = 0; i < json_count(replicas); i++) {
        const char *url = json_get_text(json_at(replicas, i), "url");
        bool named = !url;
        for (size_t k = 0; k < p->url_count && !named; k++) {
            char shown[STORE_URL_MAX];
            struct err e;
            named = store_check(p->urls[k], shown, &e) == 0 && is_same_place(shown, url);
        }
        if (!named)
            note_replica(r, p->path, url, json_at(replicas, i));
    }
}

static void note_status(struct doctor_report *r, const struct json *status)
{
    const char *condition = json_get_text(status, "condition"), *error = json_get_text(status, "error");
    const char *version = json_get_text(status, "version");
    int64_t pid = 0;
    json_get_number(status, "pid", &pid);
    if (error)
        note_error(r, error, ERR_BUSY);
    else
        doctor_say(r, DOCTOR_OK, "daemon", "process %" PRId64 ", version %s: %s", pid, version ? version : "?",
                   condition ? condition : "?");
}

/* Asks the daemon of a database. The caller frees the status. NULL: there is none. */
static struct json *ask(struct round *n, const char *path)
{
    struct client_target target = {.db = path,
                                   .config = n->config ? n->request.config_path : NULL,
                                   .control = cli_control(n->request.control, n->config)};
    struct doctor_report *r = &n->report;
    struct json *status = NULL;
    struct err e;
    if (n->silent || path_format(target.path, &e, "%s", n->config ? path : ""))
        return NULL;
    if (client_ask(&target, "status", ANSWER_MS, &status, &e) == 0) {
        note_status(r, status);
        return status;
    }
    n->silent = e.code == ERR_TIMEOUT;
    if (e.code == ERR_BUSY && !strstr(e.msg, "may not ask"))
        doctor_say(r, DOCTOR_OK, "daemon", "no daemon runs on it");
    else if (e.code != ERR_CANCELED)
        doctor_say_error(r, e.code == ERR_TIMEOUT ? DOCTOR_ERROR : DOCTOR_WARNING, "daemon", &e,
                         "look into its log, and at 'seawall status'");
    return NULL;
}

/* ---- the round */

static int count_folder(void *context, const char *path, struct err *e)
{
    (void)path;
    (void)e;
    ++*(size_t *)context;
    return 0;
}

static void look_at_machine(struct round *n)
{
    struct doctor_needs needs = {.databases = n->count};
    struct err e;
    for (size_t i = 0; i < n->count; i++) {
        struct stat st;
        needs.replicas += n->patients[i].url_count;
        if (n->patients[i].path && stat(n->patients[i].path, &st) == 0 && (uint64_t)st.st_size > needs.largest_bytes)
            needs.largest_bytes = (uint64_t)st.st_size;
    }
    if (n->config && config_each_folder(n->config, count_folder, &needs.folders, &e))
        doctor_say_error(&n->report, DOCTOR_WARNING, "configuration", &e, "check that this user may read the folders");
    doctor_look_at_machine(&n->report, &needs);
}

/* Databases that a daemon of this configuration would not find. */
static void look_at_members(struct round *n)
{
    const struct config_members *m = &n->members;
    const bool all = n->config && !n->request.db_path;
    for (size_t i = 0; all && i < n->config->db_count; i++)
        if (config_is_pattern(&n->config->dbs[i]) && m->matched[i] == 0)
            doctor_say(&n->report, DOCTOR_WARNING, "configuration",
                       "[db %s] matches no database" TEXT_HINT "look at the path: ls -d %s", n->config->dbs[i].path,
                       n->config->dbs[i].path);
    for (size_t i = 0; all && i < m->named_count; i++)
        if (config_is_missed(m->named[i].reason))
            doctor_say(&n->report, DOCTOR_WARNING, "configuration",
                       "'%s' %s" TEXT_HINT "allow it to the user of the daemon, or exclude it in the configuration",
                       m->named[i].path, config_reason_text(m->named[i].reason));
}

static void look_at_patient(struct round *n, const struct patient *p)
{
    struct doctor_database d = {.path = p->path, .options = p->options};
    doctor_about_database(&n->report, p->path);
    struct json *status = ask(n, p->path);
    doctor_look_at_database(&n->report, &d);
    print_new(n);
    for (size_t i = 0; i < p->url_count && !atomic_load(n->report.cancel); i++) {
        char shown[STORE_URL_MAX];
        struct err e;
        const bool valid = store_check(p->urls[i], shown, &e) == 0;
        const struct json *theirs = valid ? replica_of(status, shown) : NULL;
        const struct doctor_place place = {.url = p->urls[i],
                                           .db = &d,
                                           .attached = is_attached(theirs),
                                           .only_look = p->only_look,
                                           .retrying = cli_tell_retry};
        note_replica(&n->report, p->path, shown, theirs);
        doctor_look_at_place(&n->report, &place);
        print_new(n);
    }
    note_other_replicas(&n->report, p, status);
    print_new(n);
    json_free(status);
    doctor_database_release(&d);
}

static int run(struct round *n, struct err *e)
{
    if (find_patients(n, e))
        return -1;
    look_at_machine(n);
    look_at_members(n);
    print_new(n);
    for (size_t i = 0; i < n->count && !atomic_load(n->report.cancel); i++)
        look_at_patient(n, &n->patients[i]);
    if (atomic_load(n->report.cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    if (n->report.no_memory)
        return err_nomem(e, sizeof(struct doctor_finding));
    if (n->request.json)
        return print_json(n, e);
    print_end(n);
    return 0;
}

/* Whether every error is that another writer owns a replica. */
static bool only_conflicts(const struct doctor_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].weight == DOCTOR_ERROR && r->list[i].code != ERR_CONFLICT)
            return false;
    return true;
}

static int code_of(const struct round *n)
{
    const struct doctor_report *r = &n->report;
    size_t ill = 0;
    if (r->errors == 0)
        return EXIT_DONE;
    for (size_t i = 0; i < n->count; i++)
        ill += doctor_errors_of(r, n->patients[i].path) > 0;
    if (doctor_errors_of(r, "") == 0 && n->count > 1 && ill < n->count)
        return EXIT_SOME_FAILED;
    return only_conflicts(r) ? EXIT_CONFLICT : EXIT_FAILED;
}

static int cmd_doctor(int argc, char **argv)
{
    struct round *n = calloc(1, sizeof *n);
    struct err e;
    int code = EXIT_DONE;
    if (!n) {
        err_nomem(&e, sizeof *n);
        return cli_fail(&e);
    }
    if (cli_parse(&doctor_command, argc, argv, &n->request, &code)) {
        n->report.cancel = cli_catch_interrupts();
        code = run(n, &e) ? cli_fail(&e) : code_of(n);
        release(n);
    }
    free(n);
    return code;
}

static const struct flag flags[] = {
    FLAG_CONFIG(struct request, config_path,
                "configuration file; without DB all its databases and their replicas are looked at"),
    FLAG_CONTROL(struct request, control),
    {.name = "json",
     FLAG_INTO(struct request, json),
     .help = "one JSON object: ok, errors, warnings, findings with level, check, database, replica, message, hint"},
};

static const struct word words[] = {
    WORD_DATABASE(struct request, db_path, WORD_OR_CONFIG),
    {.name = "URL",
     .meaning = "replica URL",
     .max = URLS_MAX,
     .offset = offsetof(struct request, urls),
     .count_offset = offsetof(struct request, url_count)},
};

const struct command doctor_command = {
    .name = "doctor",
    .run = cmd_doctor,
    .example = "doctor DB URL...",
    .summary = "find what keeps the replication from working",
    .arguments = "[DB [URL...]]",
    .description =
        "Looks at the machine, the databases and the places of their replicas, and says for each finding what to do. "
        "It works before the first start of a daemon and beside a running one, which it asks. It writes nothing into a "
        "database, and removes what it puts into a replica to try it. Exits with 0 if nothing stops the replication "
        "(warnings alone do not), with 1 if something does, with 3 if that is so for some of several databases, with 6 "
        "if a replica has the history of another writer.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
