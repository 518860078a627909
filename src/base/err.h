/* base/err.h - an error with its story. Lives on the caller's stack, never allocates.
 *
 * The lowest level says what failed ("pread 24 bytes at 4152: Input/output error"), each level above puts in front which
 * thing it was doing that to, nobody repeats. A HINT, if a person can act, stands at the end of the message. */
#ifndef SEAWALL_BASE_ERR_H
#define SEAWALL_BASE_ERR_H

#define ERR_MSG_MAX 640 /* two paths and a hint; longer messages are cut with "..." */

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err_code {
    ERR_NONE = 0,
    ERR_IO,       /* a system call failed; sys is errno */
    ERR_NOMEM,    /* memory or another resource of this machine ran out */
    ERR_CORRUPT,  /* bytes that must not be believed: WAL, segment, state file */
    ERR_BUSY,     /* somebody holds what is needed; worth another try; sys is the SQLite code if there is one */
    ERR_SQLITE,   /* SQLite said no; sys is its extended result code */
    ERR_REMOTE,   /* the store said no or nothing; worth another try */
    ERR_TIMEOUT,  /* a deadline passed */
    ERR_LIMIT,    /* a documented limit was met */
    ERR_CONFIG,   /* wrong option, argument or file given by the user */
    ERR_CONFLICT, /* another writer owns the replica */
    ERR_NOTFOUND, /* no such object, no such restore point */
    ERR_EXISTS,   /* exclusive create: it is already there */
    ERR_CANCELED, /* stopped on request */
    ERR_GONE,     /* an object that a listing named is not there any more: look again */
};

struct err {
    enum err_code code;
    int sys;
    char msg[ERR_MSG_MAX];
};

/* Fills `e` and returns -1, so that a function can end with `return err_set(...)`. `e` must not be NULL. */
int err_set(struct err *e, enum err_code code, int sys, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* err_set with strerror(sys) appended: "open 'x': Permission denied". */
int err_sys(struct err *e, int sys, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "what I was doing: " in front of the message. Keeps code and sys. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends "HINT: sentence" on a line of its own, once. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

int err_nomem(struct err *e, unsigned long long bytes);

/* For clang-tidy, which looks at one file at a time: what these return is known. */
#if defined(__clang_analyzer__) && !defined(SEAWALL_BASE_ERR_C)
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
#define err_hint(...) (err_hint(__VA_ARGS__), -1)
#define err_nomem(...) (err_nomem(__VA_ARGS__), -1)
#endif

#endif
