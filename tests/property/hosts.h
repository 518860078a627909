/* property/hosts.h - hosts: machines with a database and a daemon, their files and faults, and the checks of their
 * daemons. */
#ifndef PROPERTY_HOSTS_H
#define PROPERTY_HOSTS_H

#include "sim.h"

struct host {
    bool used;
    char path[256], state_path[300];
    struct sim_database db;
    struct sim_process process;
    bool alive;   /* its daemon runs */
    bool lost;    /* its state file was deleted, damaged or copied from elsewhere: it may become another writer */
    bool damaged; /* its state file was damaged: an older slot may count, which lacks the newest run */
    bool has_put; /* `writer` has put an object: the host must stay this writer */
    struct uid writer;
    bool may_take_over;   /* one of its runs had --take-over */
    int64_t paused_until; /* the daemon is stopped, as by SIGSTOP or a suspended machine, until then */
    uint8_t *synced;      /* owned; the state file as it was synced last */
    size_t synced_size;
    /* For each store the txid from which the database was restored: while that is the head, the host may continue
     * there. */
    uint64_t heir[STORES];
};
extern struct host hosts[HOSTS_MAX];
extern bool hosts_start_once; /* daemons are started with --once */
extern bool hosts_put_freely; /* where requests cost money, too */

/* Begins the world: the first host, and its empty database. */
void hosts_create(const char *folder, uint32_t page_size);

struct host *host_new(void); /* NULL: there are HOSTS_MAX already */
unsigned host_number(const struct host *h);
void host_make_database(struct host *h, uint32_t page_size);
void host_remove_database(struct host *h);
void host_copy(struct host *from); /* copies the database, as it is, and its state file to another host */

/* A run of a daemon, and the host it ran on. */
struct run_of {
    struct uid run;
    unsigned host;
};
const struct run_of *host_run_of(const struct uid *run); /* NULL: no host had this run */

void host_start(struct host *h, bool take_over);
void host_turns(struct host *h, unsigned n); /* lets the daemon decide and work, n times */
void host_note_writer(struct host *h);       /* checks that the host is the writer that it was before */
void host_kill(struct host *h, bool at_a_point);

/* The state file and the journals of bases, as disks and faults leave them. */
void host_sync_state(struct host *h);
void host_state_after_power_cut(struct host *h);
void host_journals_after_power_cut(const struct host *h);
void host_remember_journals(const struct host *h);
void host_damage_state(struct host *h);

/* Checks what must be true of a running daemon after each step. */
void host_check(const struct host *h);

#endif
