/* web/page.c */
#include "web/page.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/when.h"
#include "web/chart.h"
#include "web/cost.h"
#include "web/html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_S "15"
#define OPEN_MAX 3 /* so many databases are shown with all details */

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#f6f7f9;--card:#fff;--text:#1b2430;--soft:#5b6675;--line:#dfe3e8;--good:#1a7f4b;"
    "--bad:#b3261e;--warn:#8a5a00;--bar:#2f6fb3;--unknown:#eceff3}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--text:#e6eaf0;--soft:#9aa6b5;--line:#2d3642;"
    "--good:#56c98d;--bad:#ff8a80;--warn:#e2b35a;--bar:#6aa9e9;--unknown:#262e38}}"
    "*{box-sizing:border-box}"
    "body{margin:0;overflow-wrap:anywhere;background:var(--bg);color:var(--text);font:16px/1.45 "
    "system-ui,-apple-system,'Segoe UI',Roboto,"
    "'DejaVu Sans',sans-serif}"
    "main{max-width:62rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.35rem;margin:.2rem 0}h2{font-size:1.05rem;margin:0 0 .6rem}p{margin:.25rem 0}"
    ".soft{color:var(--soft);font-size:.875rem}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}"
    "section,details{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem;"
    "margin:.8rem 0}"
    "details{padding:0;margin:.5rem 0}summary{padding:.7rem .9rem;cursor:pointer;display:flex;flex-wrap:wrap;"
    "gap:.1rem .8rem;align-items:baseline}"
    "summary b{flex:1 1 14rem;font-weight:600}"
    ".in{padding:0 .9rem .9rem}.replica{border-top:1px solid var(--line);padding-top:.7rem;margin-top:.7rem}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.8rem;margin:.8rem 0}"
    ".tiles div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.7rem .9rem}"
    ".tiles strong{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums}"
    ".top,.axis{display:flex;justify-content:space-between;color:var(--soft);font-size:.8rem}"
    ".chart{display:block;width:100%;height:8rem;border-bottom:1px solid var(--line);border-top:1px dashed var(--line)}"
    ".line{display:block;width:100%;height:1rem;margin:.3rem 0 .1rem}"
    ".lag,.points{fill:var(--bar)}.late{fill:var(--bad)}.unknown{fill:var(--unknown)}.none{fill:var(--line)}"
    "@media(max-width:40rem){.tiles div:last-child:nth-child(odd){grid-column:1/-1}}"
    "a{color:inherit}";

int page_policy(char out[PAGE_POLICY_MAX], struct err *e)
{
    struct digest digest;
    char hash[4 * ((DIGEST_BYTES + 2) / 3) + 1];
    if (digest_of(style, sizeof style - 1, &digest, e))
        return -1;
    base64_encode(digest.bytes, DIGEST_BYTES, hash);
    snprintf(out, PAGE_POLICY_MAX,
             "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             hash);
    return 0;
}

/* ---- parts */

static bool moment_of(const struct json *j, const char *key, int64_t *ret_ms)
{
    const char *text = json_get_text(j, key);
    return text && when_parse(text, 0, ret_ms);
}

/* "12 s ago", with the moment itself. */
static void print_ago(FILE *out, int64_t ms, int64_t now_ms)
{
    html_span(out, now_ms - ms);
    text_put(out, " ago (");
    html_moment(out, ms);
    text_put(out, ")");
}

/* A message of the daemon; its hint on a line of its own. */
static void print_message(FILE *out, const char *lead, const char *message)
{
    const char *hint = message ? text_hint(message) : NULL;
    char front[2048];
    if (!message)
        return;
    text_format(front, sizeof front, "%.*s", text_front(message), message);
    text_print_to(out, "<p class=\"bad\">%s", lead);
    html_text(out, front);
    text_put(out, "</p>");
    if (!hint)
        return;
    text_put(out, "<p class=\"soft\">HINT: ");
    html_text(out, hint);
    text_put(out, "</p>");
}

static const char *color_of(const struct json *j)
{
    const char *condition = json_get_text(j, "condition");
    if (!json_get_flag(j, "well"))
        return "bad";
    return condition && strcmp(condition, summary_conditions[0]) == 0 ? "good" : "warn";
}

static void print_condition(FILE *out, const struct json *j)
{
    const char *condition = json_get_text(j, "condition");
    text_print_to(out, "<span class=\"%s\">", color_of(j));
    html_text(out, condition ? condition : "no daemon");
    text_put(out, "</span>");
}

static void print_dollars(FILE *out, double dollars)
{
    if (dollars > 0 && dollars < 0.01)
        text_put(out, "under $0.01");
    else
        text_print_to(out, "$%.2f", dollars);
}

/* ---- the head */

static void print_well(FILE *out, const struct report *r)
{
    const struct summary *s = &r->summary;
    if (s->not_well == 0)
        text_print_to(out, "<h1 class=\"good\">%s", s->databases == 1 ? "The database is well" : "All ");
    else
        text_put(out, "<h1 class=\"bad\">");
    if (s->not_well == 0 && s->databases != 1) {
        html_number(out, s->databases);
        text_put(out, " databases are well");
    } else if (s->not_well > 0) {
        html_number(out, s->not_well);
        text_put(out, " of ");
        html_number(out, s->databases);
        text_print_to(out, " database%s not well", s->databases == 1 ? " is" : s->not_well == 1 ? "s is" : "s are");
    }
    text_put(out, "</h1><p class=\"soft\">Seawall " SEAWALL_VERSION ", ");
    html_moment(out, r->wall_ms);
    text_put(out, "; running for ");
    html_span(out, r->wall_ms - r->started_ms);
    text_put(out, "</p>");
}

static void print_tile(FILE *out, const char *name, const char *color)
{
    text_print_to(out, "<div>%s<strong class=\"%s\">", name, color);
}

static void print_lag_tile(FILE *out, const struct summary *s)
{
    print_tile(out, "Lag now", s->lag_ms >= 60000 ? "bad" : "");
    if (s->lag_transactions == 0)
        text_put(out, "none</strong><span class=\"soft\">everything captured is durable</span></div>");
    else {
        html_span(out, s->lag_ms);
        text_put(out, "</strong><span class=\"soft\">");
        html_number(out, s->lag_transactions);
        text_print_to(out, " commit%s wait%s, ", s->lag_transactions == 1 ? "" : "s",
                      s->lag_transactions == 1 ? "s" : "");
        html_size(out, s->lag_bytes);
        text_put(out, "</span></div>");
    }
}

static void print_requests_tile(FILE *out, const struct report *r)
{
    const struct summary *s = &r->summary;
    const int64_t ms = r->wall_ms - r->started_ms;
    uint64_t count = 0;
    for (unsigned i = 0; i < REQUEST_FAILED; i++)
        count += s->requests[i];
    print_tile(out, "Requests", "");
    html_number(out, count);
    text_put(out, "</strong><span class=\"soft\">since the start; ");
    html_number(out, s->requests[REQUEST_FAILED]);
    text_put(out, " failed</span></div>");
    print_tile(out, "A month costs", "");
    if (ms >= COST_LEAST_MS)
        print_dollars(out, cost_of_requests(s->requests, ms) + cost_of_bytes(s->stored_bytes));
    else
        text_put(out, "not known");
    if (ms < COST_LEAST_MS)
        text_put(out, "</strong><span class=\"soft\">until the daemon has run for an hour</span></div>");
    else {
        text_put(out, "</strong><span class=\"soft\">at prices of AWS: requests ");
        print_dollars(out, cost_of_requests(s->requests, ms));
        text_put(out, ", ");
        html_size(out, s->stored_bytes);
        text_put(out, " stored</span></div>");
    }
}

/* The oldest of the last proofs: as old as that is what is known of all. */
static void print_proof_tile(FILE *out, const struct report *r)
{
    int64_t oldest_ms = 0, ms = 0;
    size_t without = 0, replicas = 0;
    for (size_t i = 0; i < json_count(r->databases); i++) {
        const struct json *list = json_get(json_at(r->databases, i), "replicas");
        for (size_t k = 0; k < json_count(list); k++, replicas++) {
            if (!moment_of(json_get(json_at(list, k), "proven_restore"), "time", &ms))
                without++;
            else if (oldest_ms == 0 || ms < oldest_ms)
                oldest_ms = ms;
        }
    }
    print_tile(out, "Oldest proof", "");
    if (oldest_ms > 0) {
        html_span(out, r->wall_ms - oldest_ms);
        text_put(out, " ago");
    } else
        text_put(out, "none yet");
    text_put(out, "</strong><span class=\"soft\">");
    if (replicas > 0)
        text_print_to(out, "%zu of %zu replicas that are awake were restored", replicas - without, replicas);
    else
        text_put(out, "no replica is awake");
    text_put(out, "</span></div>");
}

static void print_databases_tile(FILE *out, const struct summary *s)
{
    print_tile(out, "Databases", "");
    html_number(out, s->databases);
    text_put(out, "</strong><span class=\"soft\">");
    html_number(out, s->asleep);
    text_put(out, " asleep, ");
    html_number(out, s->replicas);
    text_print_to(out, " replica%s</span></div>", s->replicas == 1 ? "" : "s");
}

static void print_conditions(FILE *out, const struct summary *s)
{
    bool any = false;
    for (size_t i = SUMMARY_CONDITIONS; i-- > 1;) {
        if (s->in_condition[i] == 0)
            continue;
        text_put(out, any ? ", " : "<p>");
        any = true;
        html_number(out, s->in_condition[i]);
        text_print_to(out, " %s", summary_conditions[i]);
    }
    if (any)
        text_put(out, "</p>");
}

/* ---- a database */

/* `newest_ms`: when the newest commit was made, if it is durable in the replica; otherwise 0. */
static void print_points(FILE *out, const struct json *replica, int64_t newest_ms, int64_t now_ms)
{
    const struct json *points = json_get(replica, "restore_points");
    int64_t from_ms = 0, to_ms = 0, listed_ms = 0;
    if (!chart_span(points, 0, &from_ms, &to_ms) || !moment_of(points, "listed", &listed_ms)) {
        text_put(out, "<p class=\"soft\">Restore points: not listed yet. Retention lists them; until then: seawall "
                      "list.</p>");
        return;
    }
    text_put(out, "<p>You can go back to each mark, the oldest from ");
    html_moment(out, from_ms);
    text_put(out, "</p>");
    chart_points(out, points, newest_ms, now_ms);
    text_put(out, "<div class=\"axis\"><span>");
    html_span(out, now_ms - from_ms);
    text_put(out, " ago</span><span>now</span></div><p class=\"soft\">");
    html_number(out, (uint64_t)summary_number(points, "points"));
    text_put(out, " ends of objects in ");
    html_size(out, (uint64_t)summary_number(points, "bytes"));
    text_put(out, ", as listed ");
    html_span(out, now_ms - listed_ms);
    text_put(out, " ago, and what was put since then. Objects have more points inside: seawall list shows all.</p>");
}

static void print_proof(FILE *out, const struct json *replica, int64_t now_ms)
{
    const struct json *v = json_get(replica, "verification"), *proven = json_get(replica, "proven_restore");
    int64_t ms = 0;
    if (!v)
        return;
    if (!moment_of(v, "time", &ms))
        text_put(out, "<p class=\"soft\">Not verified yet.</p>");
    else if (json_get_flag(v, "ok")) {
        text_put(out, "<p>Verified ");
        print_ago(out, ms, now_ms);
        text_put(out, ": ok.</p>");
    } else
        print_message(out, "Verification found: ", json_get_text(v, "problem"));
    print_message(out, "It could not be verified since: ", json_get_text(v, "error"));
    print_message(out, "", json_get_text(v, "database_problem"));
    if (!moment_of(proven, "time", &ms))
        return;
    text_print_to(out, "<p>Last proven restore: txid %" PRId64 ", ", summary_number(proven, "txid"));
    print_ago(out, ms, now_ms);
    text_put(out, "</p>");
}

static void print_traffic(FILE *out, const struct json *replica)
{
    const struct json *q = json_get(replica, "requests");
    if (!q)
        return;
    text_put(out, "<p class=\"soft\">Since the start:");
    for (unsigned i = 0; i <= REQUEST_FAILED; i++) {
        text_print_to(out, "%s %s ", i > 0 ? "," : "", summary_requests[i]);
        html_number(out, (uint64_t)summary_number(q, summary_requests[i]));
    }
    text_put(out, "; sent ");
    html_size(out, (uint64_t)summary_number(q, summary_requests[REQUEST_SENT_BYTES]));
    text_put(out, "</p>");
}

static void print_replica(FILE *out, const struct json *db, const struct json *r, int64_t now_ms)
{
    const int64_t durable = summary_number(r, "durable_txid"), behind = summary_number(r, "lag_transactions");
    int64_t ms = 0, newest_ms = 0;
    text_put(out, "<div class=\"replica\"><p><b>");
    html_text(out, json_get_text(r, "url"));
    text_put(out, "</b> ");
    print_condition(out, r);
    text_put(out, "</p><p>");
    if (durable > 0)
        text_print_to(out, "Durable up to txid %" PRId64, durable);
    else
        text_put(out, "Nothing can be restored yet");
    if (behind > 0) {
        text_put(out, "; ");
        html_number(out, (uint64_t)behind);
        text_print_to(out, " commit%s, the oldest for ", behind == 1 ? " waits" : "s wait");
        html_span(out, summary_number(r, "lag_ms"));
        text_put(out, ", ");
        html_size(out, (uint64_t)summary_number(r, "lag_bytes"));
    }
    text_put(out, "</p>");
    if (moment_of(r, "error_since", &ms)) {
        text_put(out, "<p class=\"bad\">It fails since ");
        html_moment(out, ms);
        text_put(out, "</p>");
    }
    print_message(out, "", json_get_text(r, "error"));
    print_message(out, "Lost objects: ", json_get_text(r, "lost"));
    print_message(out, "Retention fails: ", json_get_text(r, "retention_error"));
    if (json_has(r, "fencing")) /* not of a database that sleeps */
        print_points(out, r, behind == 0 && moment_of(db, "captured_time", &newest_ms) ? newest_ms : 0, now_ms);
    print_proof(out, r, now_ms);
    print_traffic(out, r);
    text_put(out, "</div>");
}

static void print_database(FILE *out, const struct json *db, bool open, int64_t now_ms)
{
    const struct json *replicas = json_get(db, "replicas");
    const int64_t lag_ms = summary_greatest(db, "lag_ms"), behind = summary_greatest(db, "lag_transactions");
    int64_t ms = 0;
    text_print_to(out, "<details%s><summary><b>", open ? " open" : "");
    html_text(out, json_get_text(db, "database"));
    text_put(out, "</b>");
    print_condition(out, db);
    text_put(out, "<span class=\"soft\">");
    if (moment_of(db, "asleep_since", &ms)) {
        text_put(out, "asleep for ");
        html_span(out, now_ms - ms);
    } else if (behind > 0) {
        text_put(out, "lag ");
        html_span(out, lag_ms);
    } else
        text_put(out, "no lag");
    text_put(out, "</span></summary><div class=\"in\"><p class=\"soft\">");
    if (json_has(db, "captured_txid"))
        text_print_to(out, "txid %" PRId64, summary_number(db, "captured_txid"));
    if (moment_of(db, "captured_time", &ms)) {
        text_put(out, ", ");
        print_ago(out, ms, now_ms);
    }
    if (json_has(db, "wal_bytes")) {
        text_put(out, "; WAL ");
        html_size(out, (uint64_t)summary_number(db, "wal_bytes"));
    }
    text_put(out, "</p>");
    print_message(out, "", json_get_text(db, "error"));
    for (size_t i = 0; i < json_count(replicas); i++)
        print_replica(out, db, json_at(replicas, i), now_ms);
    text_put(out, "</div></details>");
}

/* ---- the page */

static void print_databases(FILE *out, const struct report *r)
{
    const size_t awake = json_count(r->databases), asleep = json_count(r->sleepers);
    const size_t shown = awake + asleep < PAGE_SHOWN_MAX ? awake + asleep : PAGE_SHOWN_MAX;
    for (size_t i = 0; i < shown; i++) {
        const struct json *db = i < awake ? json_at(r->databases, i) : json_at(r->sleepers, i - awake);
        print_database(out, db, shown <= OPEN_MAX || (i < OPEN_MAX && !json_get_flag(db, "well")), r->wall_ms);
    }
    if (r->summary.databases <= shown)
        return;
    text_put(out, "<p class=\"soft\">");
    html_number(out, r->summary.databases - shown);
    text_put(out, " more databases are not shown: these are the worst. All: <a href=\"/status.json\">/status.json</a>"
                  "</p>");
}

void page_print(const struct report *r, FILE *out)
{
    text_put(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    text_print_to(out, "%s", r->summary.not_well > 0 ? "not well: " : "");
    text_put(out, "Seawall</title><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                  "<meta name=\"color-scheme\" content=\"light dark\"><meta http-equiv=\"refresh\" content=\"" REFRESH_S
                  "\"><style>");
    text_put(out, style);
    text_put(out, "</style></head><body><main>");
    print_well(out, r);
    print_conditions(out, &r->summary);
    text_put(out, "<div class=\"tiles\">");
    print_lag_tile(out, &r->summary);
    print_databases_tile(out, &r->summary);
    print_proof_tile(out, r);
    print_requests_tile(out, r);
    text_put(out, "</div><section><h2>Lag</h2>");
    chart_lag(out, &r->samples, r->boot_ms);
    text_put(out,
             "<p class=\"soft\">The age of the oldest commit that was captured and is not durable in every replica. "
             "Gray: not known, the daemon did not run.</p></section><h2>Databases, the worst first</h2>");
    print_databases(out, r);
    text_put(out, "<p class=\"soft\"><a href=\"/metrics\">/metrics</a> <a href=\"/healthz\">/healthz</a> "
                  "<a href=\"/status.json\">/status.json</a></p></main></body></html>\n");
}
