/* doctor/report.c */
#include "doctor/report.h"

#include "base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void doctor_release(struct doctor_report *r)
{
    free(r->list);
    *r = (struct doctor_report){.count = 0};
}

void doctor_about_machine(struct doctor_report *r)
{
    r->about = r->database = NULL;
    r->of_replica = false;
}

void doctor_about_database(struct doctor_report *r, const char *path)
{
    r->about = r->database = path;
    r->of_replica = false;
}

void doctor_about_replica(struct doctor_report *r, const char *path, const char *url)
{
    r->about = url;
    r->database = path;
    r->of_replica = true;
}

static struct doctor_finding *add(struct doctor_report *r, enum doctor_weight weight, const char *check)
{
    struct err e;
    r->errors += weight == DOCTOR_ERROR;
    r->warnings += weight == DOCTOR_WARNING;
    if (array_reserve(&r->list, &r->cap, r->count + 1, sizeof *r->list, &e)) {
        r->no_memory = true;
        return NULL;
    }
    struct doctor_finding *f = &r->list[r->count++];
    *f = (struct doctor_finding){.weight = weight, .check = check, .of_replica = r->of_replica};
    snprintf(f->about, sizeof f->about, "%s", r->about ? r->about : "");
    snprintf(f->database, sizeof f->database, "%s", r->database ? r->database : "");
    return f;
}

void doctor_say(struct doctor_report *r, enum doctor_weight weight, const char *check, const char *fmt, ...)
{
    struct doctor_finding *f = add(r, weight, check);
    va_list args;
    if (!f)
        return;
    va_start(args, fmt);
    text_vformat(f->text, sizeof f->text, TEXT_HINT_STAYS, fmt, args);
    va_end(args);
}

void doctor_say_error(struct doctor_report *r, enum doctor_weight weight, const char *check, const struct err *e,
                      const char *hint)
{
    struct doctor_finding *f = add(r, weight, check);
    struct err hinted = *e;
    if (!f)
        return;
    err_hint(&hinted, "%s", hint);
    snprintf(f->text, sizeof f->text, "%s", hinted.msg);
    f->code = e->code;
}

size_t doctor_errors_of(const struct doctor_report *r, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->list[i].weight == DOCTOR_ERROR && strcmp(r->list[i].database, path) == 0;
    return n;
}
