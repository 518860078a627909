/* web/answers.h - which paths are served, and what their answers say. */
#ifndef SEAWALL_WEB_ANSWERS_H
#define SEAWALL_WEB_ANSWERS_H

#include "web/report.h"

enum answer_path {
    ANSWER_PAGE,    /* / */
    ANSWER_METRICS, /* /metrics */
    ANSWER_HEALTH,  /* /healthz */
    ANSWER_STATUS,  /* /status.json */
    ANSWER_PATHS,   /* how many there are; as a path: another one */
};

/* The path without a query. */
enum answer_path answer_path_of(const char *path);

struct answer {
    unsigned code; /* of HTTP */
    const char *type;
    char *text; /* owned */
    size_t bytes;
};

/* Makes the answer from a report; for ANSWER_STATUS, `r->all` is there. The caller frees the text. ERR_NOMEM. */
int answer_make(enum answer_path path, const struct report *r, struct answer *ret, struct err *e) MUST_CHECK;

#endif
