/* base/sqlite_file.c */
#include "base/sqlite_file.h"

#include "base/endian.h"
#include "base/page.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Offsets in the header. */
#define PAGE_SIZE 16
#define WRITE_VERSION 18
#define READ_VERSION 19
#define CHANGE_COUNTER 24
#define PAGES 28
#define VALID_FOR 92 /* the change counter when PAGES was written */

bool sqlite_file_has_magic(const uint8_t *bytes, size_t n)
{
    static const char magic[SQLITE_FILE_MAGIC_BYTES] = "SQLite format 3"; /* with its NUL */
    return n >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

bool sqlite_file_is_beside(const char *path)
{
    static const char *const ends[] = {"-shm", "-wal", "-journal"};
    char at[PATH_TEXT_MAX];
    if (!path_resolve(path, at))
        snprintf(at, sizeof at, "%s", path);
    const size_t n = strlen(at);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t end = strlen(ends[i]);
        if (n <= end || strcmp(at + n - end, ends[i]) != 0)
            continue;
        at[n - end] = 0;
        return access(at, F_OK) == 0;
    }
    return false;
}

uint32_t sqlite_file_page_size(const uint8_t bytes[SQLITE_FILE_HEADER_BYTES])
{
    uint32_t page_size = get_be16(bytes + PAGE_SIZE);
    return page_size == 1 ? PAGE_SIZE_MAX : page_size; /* 65536 does not fit into two bytes */
}

bool sqlite_file_decode(const uint8_t bytes[SQLITE_FILE_HEADER_BYTES], struct sqlite_file *ret_file)
{
    uint32_t page_size = sqlite_file_page_size(bytes);
    if (!sqlite_file_has_magic(bytes, SQLITE_FILE_HEADER_BYTES) || !page_size_valid(page_size))
        return false;
    uint32_t change_counter = get_be32(bytes + CHANGE_COUNTER);
    bool pages_are_valid = get_be32(bytes + VALID_FOR) == change_counter;
    *ret_file = (struct sqlite_file){.page_size = page_size,
                                     .write_version = bytes[WRITE_VERSION],
                                     .read_version = bytes[READ_VERSION],
                                     .change_counter = change_counter,
                                     .pages = pages_are_valid ? get_be32(bytes + PAGES) : 0};
    return true;
}
