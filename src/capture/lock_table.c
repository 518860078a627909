/* capture/lock_table.c */
#include "capture/lock_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_PATH "/proc/locks"
#define HOLDERS_MAX 1024 /* processes that have the database open; with more, nothing is found */
#define DB_OPEN 0x40000002
#define SHM_OPEN 128
#define FILE_MAX 64
enum { WORD_PID = 4, WORD_FILE, WORD_FIRST, WORD_LAST, LINE_WORDS };

struct entry {
    pid_t pid;
    char file[FILE_MAX]; /* device and inode, as the kernel names them; the device is not always st_dev */
    uint64_t inode, first, last;
};

struct holders {
    pid_t pids[HOLDERS_MAX];
    size_t count;
    bool overflow;
};

struct search {
    ino_t db, shm;
    struct entry own_db, own_shm; /* pid 0: not found */
    struct holders opened, indexed;
};

static bool number(const char *text, uint64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    *ret_number = text ? strtoull(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
}

/* "7: POSIX  ADVISORY  READ 2357 fe:00:5529796 128 128". Others: "-> POSIX" waits; OFDLCK and FLOCK are not SQLite's. */
static bool parse(char *line, struct entry *ret_entry)
{
    char *words[LINE_WORDS] = {NULL}, *rest = NULL;
    struct entry x = {.last = UINT64_MAX};
    uint64_t pid = 0;
    words[0] = strtok_r(line, " \n", &rest);
    for (size_t i = 1; i < LINE_WORDS && words[i - 1]; i++)
        words[i] = strtok_r(NULL, " \n", &rest);
    const char *last = words[LINE_WORDS - 1], *inode = words[WORD_FILE] ? strrchr(words[WORD_FILE], ':') : NULL;
    if (!last || strcmp(words[1], "POSIX") != 0 || !inode || !number(inode + 1, &x.inode) ||
        !number(words[WORD_PID], &pid) || pid > INT32_MAX || !number(words[WORD_FIRST], &x.first))
        return false;
    if (strcmp(last, "EOF") != 0 && !number(last, &x.last))
        return false;
    x.pid = (pid_t)pid;
    snprintf(x.file, sizeof x.file, "%s", words[WORD_FILE]);
    *ret_entry = x;
    return true;
}

static bool covers(const struct entry *x, uint64_t byte)
{
    return x->first <= byte && byte <= x->last;
}

static bool same_file(const struct entry *a, const struct entry *b)
{
    return strcmp(a->file, b->file) == 0;
}

static bool has(const struct holders *h, pid_t pid)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->pids[i] == pid)
            return true;
    return false;
}

static void add(struct holders *h, pid_t pid)
{
    if (has(h, pid))
        return;
    if (h->count == HOLDERS_MAX)
        h->overflow = true;
    else
        h->pids[h->count++] = pid;
}

static void find_own(struct search *s, const struct entry *x)
{
    if (x->pid != getpid())
        return;
    if (x->inode == s->db && covers(x, DB_OPEN))
        s->own_db = *x;
    if (x->inode == s->shm && covers(x, SHM_OPEN))
        s->own_shm = *x;
}

static void find_others(struct search *s, const struct entry *x)
{
    if (x->pid == getpid() || x->pid <= 0)
        return;
    if (same_file(x, &s->own_db) && covers(x, DB_OPEN))
        add(&s->opened, x->pid);
    if (same_file(x, &s->own_shm) && covers(x, SHM_OPEN))
        add(&s->indexed, x->pid);
}

static bool read_table(struct search *s, void (*fn)(struct search *s, const struct entry *x))
{
    char line[256];
    struct entry x;
    FILE *f = fopen(TABLE_PATH, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f))
        if (parse(line, &x))
            fn(s, &x);
    const bool whole = !ferror(f);
    return fclose(f) == 0 && whole;
}

pid_t lock_table_unseen(ino_t db, ino_t shm)
{
    struct search s = {.db = db, .shm = shm};
    pid_t least = 0;
    if (!read_table(&s, find_own) || s.own_db.pid == 0 || s.own_shm.pid == 0 || !read_table(&s, find_others) ||
        s.opened.overflow || s.indexed.overflow)
        return 0;
    for (size_t i = 0; i < s.opened.count; i++) {
        const pid_t pid = s.opened.pids[i];
        if (!has(&s.indexed, pid) && (least == 0 || pid < least))
            least = pid;
    }
    return least;
}
