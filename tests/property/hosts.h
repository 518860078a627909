/* property/hosts.h - machines with a database and a daemon: their files, their deaths, and what must be true of them. */
#ifndef PROPERTY_HOSTS_H
#define PROPERTY_HOSTS_H

#include "sim.h"

struct host {
    bool used;
    char path[256], state_path[300];
    struct sim_database db;
    struct sim_process process;
    bool alive;   /* its daemon runs */
    bool lost;    /* its state file was deleted, damaged or copied from elsewhere: it may have to be another writer */
    bool damaged; /* ... so an older slot of it may count, without the newest run */
    bool has_put; /* `writer` has put an object: the host must stay this writer */
    struct uid writer;
    bool may_take_over;   /* a run of it had --take-over: its state file names what it attached to then */
    int64_t paused_until; /* SIGSTOP, a suspended machine */
    uint8_t *synced;      /* the state file as a power cut would leave it, if nothing newer reached the disk */
    size_t synced_size;
    uint64_t
        heir[STORES]; /* the txid of that store it was restored from: it may continue there while that is the head */
};
extern struct host hosts[HOSTS_MAX];
extern bool hosts_start_once; /* daemons are started with --once */

/* Begins the world: the first host, and its empty database. */
void hosts_create(const char *folder, uint32_t page_size);

struct host *host_new(void); /* NULL: there is no room */
unsigned host_number(const struct host *h);
void host_make_database(struct host *h, uint32_t page_size);
void host_remove_database(struct host *h);
void host_copy(struct host *from); /* copies the database, as it is, and its state file to another host */

/* A run of a daemon, and the host it ran on. */
struct run_of {
    struct uid run;
    unsigned host;
};
const struct run_of *host_run_of(const struct uid *run); /* NULL: there was none */

void host_start(struct host *h, bool take_over);
void host_turns(struct host *h, unsigned n); /* lets the daemon decide and work, n times */
void host_note_writer(struct host *h);       /* a host stays the writer that it was */
void host_kill(struct host *h, bool at_a_point);

/* The state file and the journals of bases, as disks and faults leave them. */
void host_sync_state(struct host *h);
void host_state_after_power_cut(struct host *h);
void host_journals_after_power_cut(const struct host *h);
void host_remember_journals(const struct host *h);
void host_damage_state(struct host *h);

/* What must be true of a running daemon after each step. */
void host_check(const struct host *h);

#endif
