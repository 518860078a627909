/* web/answers.c */
#include "web/answers.h"

#include "base/text.h"
#include "web/metrics.h"
#include "web/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEALTH_NAMED_MAX 10 /* databases that /healthz names */

static const char *const paths[ANSWER_PATHS] = {"/", "/metrics", "/healthz", "/status.json"};
static const char *const types[ANSWER_PATHS] = {"text/html; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8",
                                                "text/plain; charset=utf-8", "application/json; charset=utf-8"};

enum answer_path answer_path_of(const char *path)
{
    unsigned i = 0;
    while (i < ANSWER_PATHS && strcmp(paths[i], path) != 0)
        i++;
    return (enum answer_path)i;
}

static void print_health(const struct report *r, FILE *out)
{
    const struct summary *s = &r->summary;
    if (s->not_well == 0) {
        text_print_to(out, "ok: %" PRIu64 " of %" PRIu64 " databases are well\n", s->databases, s->databases);
        return;
    }
    text_print_to(out, "not well: %" PRIu64 " of %" PRIu64 " databases\n", s->not_well, s->databases);
    for (size_t i = 0; i < json_count(r->databases) && i < HEALTH_NAMED_MAX; i++) {
        const struct json *db = json_at(r->databases, i);
        const char *path = json_get_text(db, "database"), *condition = json_get_text(db, "condition");
        if (!json_get_flag(db, "well")) {
            text_print_to(out, "%s: ", condition ? condition : "?");
            text_print_to(out, "%s\n", path ? path : "?");
        }
    }
}

static void print(enum answer_path path, const struct report *r, FILE *out)
{
    if (path == ANSWER_PAGE)
        page_print(r, out);
    else if (path == ANSWER_HEALTH)
        print_health(r, out);
    else if (path == ANSWER_STATUS)
        text_put(out, r->all);
    else {
        metrics_print_totals(&r->summary, r->left_out, out);
        metrics_print(r->databases, out);
    }
}

int answer_make(enum answer_path path, const struct report *r, struct answer *ret, struct err *e)
{
    *ret = (struct answer){.code = path == ANSWER_HEALTH && r->summary.not_well > 0 ? 503 : 200, .type = types[path]};
    FILE *out = open_memstream(&ret->text, &ret->bytes);
    if (!out)
        return err_sys(e, errno, "make an answer");
    print(path, r, out);
    const bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed && ret->text)
        return 0;
    free(ret->text);
    ret->text = NULL;
    return err_nomem(e, ret->bytes);
}
