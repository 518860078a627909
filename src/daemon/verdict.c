/* daemon/verdict.c */
#include "daemon/verdict.h"

#include "base/json.h"
#include "daemon/verifier.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define EXIT_NOTHING 4 /* nothing to restore */
#define EXIT_CORRUPT 5
#define EXIT_CONTENT 10 /* the replica is exact, and SQLite finds a fault in the database itself */

/* The first line of standard error that does not tell of a try that goes on by itself. */
static void first_complaint(const struct verifier_end *end, char out[VERIFICATION_TEXT_MAX])
{
    static const char prefix[] = "seawall: ", retry[] = "trying again";
    const char *at = end->err, *stop = at ? at + end->err_len : NULL;
    out[0] = 0;
    while (at && at < stop) {
        const char *newline = memchr(at, '\n', (size_t)(stop - at));
        size_t n = (size_t)((newline ? newline : stop) - at);
        if (n > sizeof prefix && memcmp(at, prefix, sizeof prefix - 1) == 0) {
            at += sizeof prefix - 1;
            n -= sizeof prefix - 1;
        }
        if (n < sizeof retry || memcmp(at, retry, sizeof retry - 1) != 0) {
            snprintf(out, VERIFICATION_TEXT_MAX, "%.*s", (int)n, at);
            return;
        }
        at = newline ? newline + 1 : stop;
    }
}

static void note_sound(const struct json *found, struct verification_record *r)
{
    int64_t txid = 0;
    r->ok = true;
    r->problems = 0;
    r->text[0] = 0;
    if (!json_get_number(found, "restored_txid", &txid) || txid <= 0)
        return;
    const char *content = json_get_text(found, "database_problem");
    r->proven_ms = r->verified_ms;
    r->proven_txid = (uint64_t)txid;
    snprintf(r->content, sizeof r->content, "%s", content ? content : "");
}

/* found: what it said; NULL: nothing but an error. */
static void note_damage(const struct json *found, const struct verifier_end *end, struct verification_record *r)
{
    const struct json *first = json_at(json_get(found, "problems"), 0);
    const char *object = json_get_text(first, "object"), *problem = json_get_text(first, "problem");
    int64_t count = 0;
    r->ok = false;
    r->problems = json_get_number(found, "problem_count", &count) && count > 0 ? (uint64_t)count : 1;
    if (problem)
        snprintf(r->text, sizeof r->text, "%s%s%s", object ? object : "", object && *object ? ": " : "", problem);
    else
        first_complaint(end, r->text);
}

static void note_no_result(const struct verifier_end *end, int code, struct verification_record *r)
{
    r->error_code = code;
    first_complaint(end, r->error);
    if (end->over_deadline)
        snprintf(r->error, sizeof r->error, "it took more than %lld hours and was ended",
                 (long long)(VERIFIER_DEADLINE_MS / 3600000));
    else if (code < 0)
        snprintf(r->error, sizeof r->error, "its process was killed by signal %d", WTERMSIG(end->status));
    else if (!r->error[0])
        snprintf(r->error, sizeof r->error, "its process ended with status %d", code);
}

enum verdict verdict_take(const struct verifier_end *end, int64_t now_ms, struct verification_record *r,
                          uint64_t requests[REQUEST_FIGURES])
{
    struct json *found = NULL;
    struct err e;
    int code = WIFEXITED(end->status) ? WEXITSTATUS(end->status) : -1;
    bool said = end->out && end->out_len > 0 && json_parse(end->out, end->out_len, &found, &e) == 0;
    enum verdict verdict = VERDICT_NO_RESULT;
    if ((code == 0 || code == EXIT_CONTENT) && said && json_get_flag(found, "ok"))
        verdict = VERDICT_SOUND;
    else if ((code == EXIT_CORRUPT && said) || code == EXIT_NOTHING) /* without a report: too little memory (claim.h) */
        verdict = VERDICT_DAMAGED;
    if (verdict == VERDICT_NO_RESULT) {
        note_no_result(end, code, r);
    } else {
        r->verified_ms = now_ms;
        r->error[0] = 0;
        if (verdict == VERDICT_SOUND)
            note_sound(found, r);
        else
            note_damage(found, end, r);
    }
    summary_add_requests_json(json_get(found, "requests"), requests);
    json_free(found);
    return verdict;
}
