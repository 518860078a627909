/* follow/note.h - the state file of a copy, <copy>-seawall-follow: which replica it follows, and how far it is.
 *
 *   offset 0, 4096   2 slots of 4 KiB, written in turn, each with a serial number and a checksum
 *   offset 8192      the slot as it was when the file was synced last
 *
 * The newest whole slot counts.
 *
 * Before the last frame of a publication is written, the note has what the copy is now, and what it will be. Each of the two
 * has the position in the log at which it is true. So whatever a kill -9 leaves, the log says which one it is. An flock on
 * the file keeps a second follower away.
 *
 * The file is synced when the copy is made and after each checkpoint. A power cut can take back what came later, of the file, of
 * the log, and of the times of files. So the note proves nothing after the machine has started again: then the pages of the copy
 * say which state it is (check.h). */
#ifndef SEAWALL_FOLLOW_NOTE_H
#define SEAWALL_FOLLOW_NOTE_H

#include "follow/mirror.h"
#include "format/segment.h"

#define NOTE_SUFFIX "-seawall-follow"
#define NOTE_ERROR_BYTES 512
#define NOTE_URL_BYTES 1024
#define PAGE1_KEPT 6

/* Bytes of page 1 in which the copy differs from the replica, as the replica has them: the two version numbers (the copy is
 * always in WAL mode), and the schema cookie (page1.h). */
struct page1_kept {
    uint8_t bytes[PAGE1_KEPT];
};

/* A state of the replica, and of the copy. */
struct note_point {
    uint64_t txid; /* 0: there is none */
    int64_t time_ms;
    uint64_t checksum; /* of the database of the replica */
    uint32_t pages, page_size;
    struct wal_pos pos; /* the log has the state up to here; frame 0: the database file alone has it */
    struct digest head; /* of the object of level 0 that ends at txid; zeros: not known */
    struct page1_kept page1;
    uint32_t cookie_shift; /* the schema cookie of the copy, less that of the replica */
};

enum note_phase { NOTE_MAKING = 1, NOTE_FOLLOWING, NOTE_PROMOTING };

struct note {
    enum note_phase phase;
    struct uid database; /* id of the replica; zeros until the first copy is made, or is about to be */
    mode_t mode;         /* of the database when it is promoted */
    /* In NOTE_MAKING `next` is the state of the first copy, which may be there already. */
    struct note_point now, next;
    struct mirror_stamp stamp; /* of the database file after the last checkpoint */
    bool checkpointing;        /* a checkpoint changes the database file, so the stamp does not count */
    bool copied;               /* the database file alone has `now`: a log without frames is not a loss */
    uint64_t boot;             /* clock_boot_id when the stamp was taken; 0: not known */

    /* for `--status`; times by this machine's clock, ms since 1970; 0: never */
    int64_t current_ms; /* when txid was last known to be the newest of the replica */
    int64_t looked_ms;  /* when the replica last answered */
    int64_t failing_ms; /* since when it fails; 0: it does not */
    uint64_t newest;    /* the newest txid of the replica that was seen */
    uint64_t steps, jumps, requests;
    char error[NOTE_ERROR_BYTES]; /* "": none */
    char url[NOTE_URL_BYTES];     /* of the replica, without secrets */
};

struct note_file {
    int fd; /* -1: not open; holds the flock */
    uint64_t serial;
    char path[PATH_TEXT_MAX];
};
#define NOTE_FILE_NONE ((struct note_file){.fd = -1})

enum note_found {
    NOTE_NONE, /* there was no file; an empty one was made */
    NOTE_WHOLE,
    NOTE_BROKEN, /* the file has no whole slot */
};

/* Opens and locks the note of the copy at `path`, and makes it if there is none. ERR_BUSY: another follower has it.
 * ERR_CONFIG: something else has that name. ERR_IO. */
int note_open(struct note_file *f, const char *path, struct note *ret_note, enum note_found *ret_found,
              struct err *e) MUST_CHECK;

/* Reads the note without the lock. *ret_running: a follower has it. ERR_NOTFOUND: there is none. ERR_CORRUPT. ERR_IO. */
int note_peek(const char *path, struct note *ret_note, bool *ret_running, struct err *e) MUST_CHECK;

/* Writes the note. A kill -9 leaves this one or the one before. ERR_IO. */
int note_save(struct note_file *f, const struct note *n, struct err *e) MUST_CHECK;

/* Makes the note, and its name, durable. Precondition: it was saved. ERR_IO. */
int note_sync(const struct note_file *f, struct err *e) MUST_CHECK;

void note_close(struct note_file *f);

/* Removes the file and closes it. ERR_IO. */
int note_remove(struct note_file *f, struct err *e) MUST_CHECK;

#endif
