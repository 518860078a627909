/* base/err.h - an error with its message. The caller has it on its stack. No function here allocates memory.
 *
 * The lowest level says what failed ("pread 24 bytes at 4152: Input/output error"). Each level above puts the name of
 * the thing in front, and repeats nothing. If a person can act, the message ends with a HINT.
 *
 * The message has no bytes that control a terminal: arguments are escaped (text.h). Its only line break is the one of
 * TEXT_HINT. */
#ifndef SEAWALL_BASE_ERR_H
#define SEAWALL_BASE_ERR_H

#include "base/text.h"

#define ERR_MSG_MAX 1536 /* five paths of 230 bytes and a hint; longer messages are cut with "..." */

#define MUST_CHECK __attribute__((warn_unused_result))

enum err_code {
    ERR_NONE = 0,
    ERR_IO,       /* a system call failed; sys: errno */
    ERR_NOMEM,    /* memory or another resource of this machine ran out */
    ERR_CORRUPT,  /* damaged bytes: of a WAL, a segment, a state file */
    ERR_BUSY,     /* in use by another process or connection: try again; sys: the SQLite code, if there is one */
    ERR_SQLITE,   /* SQLite failed; sys: its extended result code */
    ERR_REMOTE,   /* the store refused or did not answer: try again */
    ERR_TIMEOUT,  /* a deadline passed */
    ERR_LIMIT,    /* a documented limit was reached */
    ERR_CONFIG,   /* an option, argument or file of the user is wrong */
    ERR_CONFLICT, /* another writer owns the replica; sys: CONFLICT_NEWCOMER if the database here has just begun */
    ERR_NOTFOUND, /* the object or the restore point does not exist */
    ERR_EXISTS,   /* exclusive create: the object or file exists already */
    ERR_CANCELED, /* stopped on request */
    ERR_CONTENT,  /* the bytes are intact, but SQLite finds a fault in the database that they make */
    ERR_GONE,     /* an object of a listing does not exist any more: list again */
    ERR_CLAIM,    /* an object of a replica claims more memory than the budget has left (claim.h) */
};

#define CONFLICT_NEWCOMER 1

struct err {
    enum err_code code;
    int sys;
    char msg[ERR_MSG_MAX];
};

/* Fills `e` and returns -1, so that a function can end with `return err_set(...)`. `e` must not be NULL. */
int err_set(struct err *e, enum err_code code, int sys, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* err_set with strerror(sys) appended: "open 'x': Permission denied". The code is ERR_NOMEM for ENOMEM, ERR_EXISTS for
 * EEXIST, ERR_NOTFOUND for ENOENT, and ERR_IO for any other errno. */
int err_sys(struct err *e, int sys, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts a text and ": " in front of the message. Keeps code and sys. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends "HINT: " and the text on a line of its own, unless the message has a hint already. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Sets ERR_NOMEM, with the size that could not be allocated. Returns -1. */
int err_nomem(struct err *e, unsigned long long bytes);

/* Tells clang-tidy, which analyzes one file at a time, that these functions return -1. */
#if defined(__clang_analyzer__) && !defined(SEAWALL_BASE_ERR_C)
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
#define err_hint(...) (err_hint(__VA_ARGS__), -1)
#define err_nomem(...) (err_nomem(__VA_ARGS__), -1)
#endif

#endif
