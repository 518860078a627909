/* web/page.h - the status page: HTML without scripts and without anything that is loaded from elsewhere. */
#ifndef SEAWALL_WEB_PAGE_H
#define SEAWALL_WEB_PAGE_H

#include "web/report.h"

#include <stdio.h>

#define PAGE_SHOWN_MAX REPORT_SLEEPERS_MAX /* databases */
#define PAGE_POLICY_MAX 256

/* Prints the page. */
void page_print(const struct report *r, FILE *out);

/* Writes the Content-Security-Policy of the page: nothing but its own style sheet, by its hash. ERR_NOMEM. */
int page_policy(char out[PAGE_POLICY_MAX], struct err *e) MUST_CHECK;

#endif
