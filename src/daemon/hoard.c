/* daemon/hoard.c */
#include "daemon/hoard.h"

#include <stddef.h>

void hoard_join(struct hoard *h, struct hoarder *u, struct backlog *backlog)
{
    *u = (struct hoarder){.of = h, .next = h->first, .backlog = backlog};
    if (h->first)
        h->first->previous = u;
    h->first = u;
}

void hoard_leave(struct hoarder *u)
{
    struct hoard *h = u->of;
    if (!h)
        return;
    h->bytes -= u->counted;
    *(u->previous ? &u->previous->next : &h->first) = u->next;
    if (u->next)
        u->next->previous = u->previous;
    *u = (struct hoarder){.of = NULL};
}

static void count(struct hoarder *u)
{
    u->of->bytes += u->backlog->bytes;
    u->of->bytes -= u->counted;
    u->counted = u->backlog->bytes;
}

static struct hoarder *largest(const struct hoard *h)
{
    struct hoarder *most = h->first;
    for (struct hoarder *u = h->first; u; u = u->next)
        if (u->counted > most->counted)
            most = u;
    return most;
}

void hoard_count(struct hoarder *u)
{
    struct hoard *h = u->of;
    if (!h)
        return;
    count(u);
    while (h->bytes > h->limit) {
        struct hoarder *most = largest(h);
        const size_t before = most->counted;
        if (!most->backlog->first)
            return;
        do {
            backlog_drop_first(most->backlog);
            count(most);
        } while (most->backlog->first && h->bytes > h->limit && most->counted > before / 2);
    }
}

bool hoard_is_full(const struct hoarder *u)
{
    return u->of && u->of->bytes >= u->of->limit;
}
