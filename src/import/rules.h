/* import/rules.h - what is said about the keys of litestream.yml that have no counterpart. */
#ifndef SEAWALL_IMPORT_RULES_H
#define SEAWALL_IMPORT_RULES_H

#include <stdbool.h>

enum rule_place { RULE_TOP, RULE_DB, RULE_REPLICA };

struct rule {
    const char *key;
    enum rule_place place;
    const char *says; /* NULL: import/litestream.c writes something for it */
    bool secret;      /* its value is never written */
};

/* NULL: Litestream has no key of this name there. A key of a replica can be at the top too: it counts for all. */
const struct rule *rule_find(enum rule_place place, const char *key);

#endif
