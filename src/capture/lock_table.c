/* capture/lock_table.c */
#include "capture/lock_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_PATH "/proc/locks"
#define HOLDERS_MAX 1024 /* locks of open connections; with more, nothing is found */
#define DB_OPEN 0x40000002
#define SHM_OPEN 128
#define FILE_MAX 64
enum { WORD_PID = 4, WORD_FILE, WORD_FIRST, WORD_LAST, LINE_WORDS };

struct entry {
    pid_t pid;
    char file[FILE_MAX]; /* device and inode, as the kernel names them; the device is not always st_dev */
    uint64_t inode, first, last;
};

/* The locks of open connections on one file, and on files of other devices that have the same inode. */
struct holders {
    uint64_t inode, byte; /* that they lock */
    struct entry list[HOLDERS_MAX];
    size_t count;
    bool overflow;
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

static void note(struct holders *h, const struct entry *x)
{
    if (x->inode != h->inode || x->first > h->byte || x->last < h->byte)
        return;
    if (h->count == HOLDERS_MAX)
        h->overflow = true;
    else
        h->list[h->count++] = *x;
}

static bool has(const struct holders *h, pid_t pid, const char *file)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->list[i].pid == pid && strcmp(h->list[i].file, file) == 0)
            return true;
    return false;
}

/* The file that this process locks. NULL: none; or it has two of that inode, on two devices, and which one is meant is
 * not known. */
static const char *own_file(const struct holders *h)
{
    const char *own = NULL;
    for (size_t i = 0; i < h->count; i++) {
        const struct entry *x = &h->list[i];
        if (x->pid != getpid())
            continue;
        if (own && strcmp(own, x->file) != 0)
            return NULL;
        own = x->file;
    }
    return own;
}

static bool read_table(struct holders *db, struct holders *shm)
{
    char line[256];
    struct entry x;
    FILE *f = fopen(TABLE_PATH, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f))
        if (parse(line, &x)) {
            note(db, &x);
            note(shm, &x);
        }
    const bool whole = !ferror(f) && !db->overflow && !shm->overflow;
    return fclose(f) == 0 && whole;
}

static pid_t least_unseen(const struct holders *db, const struct holders *shm)
{
    const char *own_db = own_file(db), *own_shm = own_file(shm);
    pid_t least = 0;
    for (size_t i = 0; own_db && own_shm && i < db->count; i++) {
        const struct entry *x = &db->list[i];
        if (x->pid > 0 && strcmp(x->file, own_db) == 0 && !has(shm, x->pid, own_shm) && (least == 0 || x->pid < least))
            least = x->pid;
    }
    return least;
}

pid_t lock_table_unseen(int db, int shm)
{
    struct stat st_db, st_shm;
    pid_t found = 0;
    if (fstat(db, &st_db) != 0 || fstat(shm, &st_shm) != 0)
        return 0;
    struct holders *both = calloc(2, sizeof *both);
    if (!both)
        return 0;
    both[0].inode = st_db.st_ino;
    both[0].byte = DB_OPEN;
    both[1].inode = st_shm.st_ino;
    both[1].byte = SHM_OPEN;
    if (read_table(&both[0], &both[1]))
        found = least_unseen(&both[0], &both[1]);
    free(both);
    return found;
}
