/* base/ini.c
 *
 * inih alone would misread these files. It splits a line of more than 199 bytes into two, and cuts a section name after
 * 49 bytes, both without an error. It takes " ;" for a comment, but not " #". Debian's build has global variables that
 * change some of this; other builds do not have them. So inih never sees a value. Its reader gives it an outline of the
 * file, in which each section name and each value is replaced by its offset in the text:
 *
 *   [profile ci]                            [9]
 *   aws_session_token = IQoJb3JpZ2lu...     aws_session_token = 34
 *
 * Its handler looks the texts up by their offsets. So inih copies no secret into its buffers. */
#include "base/ini.h"

#include "base/hash.h"
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct outline {
    char *text;
    size_t size, next;     /* bytes; offset of the next line */
    unsigned line;         /* number of the current line, from 1 */
    char key[INI_KEY_MAX]; /* the last key that was not indented, in this section; "": none yet */
    bool inner, bare;      /* the current line is indented and belongs to `key`; it has no '=' */
    ini_fn *fn;
    void *context;
    struct err *e;
    bool failed; /* `e` is set */
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char *skip_blanks(char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

/* Ends the text at `end`, without the blanks before it. */
static void cut(char *begin, char *end)
{
    while (end > begin && is_blank(end[-1]))
        end--;
    *end = 0;
}

static void cut_comment(char *value)
{
    for (char *at = value; *at; at++)
        if (is_blank(*at) && (at[1] == ';' || at[1] == '#')) {
            *at = 0;
            return;
        }
}

static char *outline_fail(struct outline *o, const char *what)
{
    err_set(o->e, ERR_CONFIG, 0, "line %u: %s", o->line, what);
    o->failed = true;
    return NULL;
}

/* Finds the ']' that ends the name of a section: the first one with nothing but a comment after it. A name can have
 * other ones, as in [db /srv/[ab]*.db]. If there is none such, text follows the section, and the first ']' ends the
 * name. NULL: there is no ']'. */
static char *section_end(char *name)
{
    char *first = strchr(name, ']');
    for (char *end = first; end; end = strchr(end + 1, ']')) {
        const char *rest = skip_blanks(end + 1);
        if (!*rest || *rest == ';' || *rest == '#')
            return end;
    }
    return first;
}

/* Reports a section. inih would report it only with its first key. */
static char *outline_section(struct outline *o, char *first, char *out, size_t room)
{
    char *name = skip_blanks(first + 1), *end = section_end(name);
    o->key[0] = 0;
    if (!end)
        return outline_fail(o, "missing ']' after '['");
    cut(name, end);
    if (!*name)
        return outline_fail(o, "the section has no name");
    if (o->fn(o->context, name, "", "", o->e)) {
        err_wrap(o->e, "line %u", o->line);
        o->failed = true;
        return NULL;
    }
    return snprintf(out, room, "[%zu]\n", (size_t)(name - o->text)) < (int)room
               ? out
               : outline_fail(o, "the section is too long");
}

static char *outline_pair(struct outline *o, char *first, char *out, size_t room)
{
    char *equals = strpbrk(first, "=:"), *name = first, *value = equals ? equals + 1 : first;
    static char bare[] = "-";
    o->bare = !equals;
    if (!equals && !o->inner)
        return outline_fail(o, "neither [section] nor key = value");
    if (equals)
        cut(first, equals);
    else
        name = bare;
    if (!*name || strlen(name) >= INI_KEY_MAX)
        return outline_fail(o, *name ? "the key is too long" : "missing key before '='");
    cut_comment(value);
    value = skip_blanks(value);
    cut(value, value + strlen(value));
    return snprintf(out, room, "%s = %zu\n", name, (size_t)(value - o->text)) < (int)room
               ? out
               : outline_fail(o, "the key is too long");
}

/* The reader for inih: writes one line of the file, as an outline. NULL: the file ends. */
static char *outline_next(char *out, int room, void *context)
{
    struct outline *o = context;
    if (o->failed || o->next >= o->size)
        return NULL;
    char *line = o->text + o->next, *end = memchr(line, '\n', o->size - o->next);
    if (!end)
        end = o->text + o->size;
    o->next = (size_t)(end - o->text) + 1;
    o->line++;
    if (memchr(line, 0, (size_t)(end - line)))
        return outline_fail(o, "NUL byte in the text");
    *end = 0;
    if (o->line == 1 && strncmp(line, BYTE_ORDER_MARK, 3) == 0)
        line += 3;
    char *first = skip_blanks(line);
    while (o->line == 1 && strncmp(first, BYTE_ORDER_MARK, 3) == 0) /* inih would drop it, perhaps the whole key */
        first = skip_blanks(first + 3);
    o->inner = first > line && o->key[0];
    if (!*first || *first == ';' || *first == '#')
        return snprintf(out, (size_t)room, "\n") < room ? out : NULL;
    return *first == '[' && !o->inner ? outline_section(o, first, out, (size_t)room)
                                      : outline_pair(o, first, out, (size_t)room);
}

static const char *text_at(const struct outline *o, const char *place)
{
    size_t at = strtoul(place, NULL, 10);
    return at <= o->size ? o->text + at : "";
}

/* The handler for inih, which expects 0 for a failure. */
static int outline_handle(void *context, const char *section, const char *name, const char *value)
{
    struct outline *o = context;
    char key[2 * INI_KEY_MAX];
    if (o->failed)
        return 0;
    if (o->inner)
        snprintf(key, sizeof key, "%s.%s", o->key, o->bare ? "" : name);
    else
        snprintf(key, sizeof key, "%s", name);
    if (!o->inner)
        snprintf(o->key, sizeof o->key, "%s", name);
    if (o->fn(o->context, *section ? text_at(o, section) : "", key, text_at(o, value), o->e)) {
        err_wrap(o->e, "line %u", o->line);
        o->failed = true;
    }
    return !o->failed;
}

int ini_read_text(char *text, size_t size, ini_fn *fn, void *context, struct err *e)
{
    assert(text && fn);
    struct outline o = {.text = text, .size = size, .fn = fn, .context = context, .e = e};
    if (size > INI_FILE_MAX)
        return err_set(e, ERR_CONFIG, 0, "the file has more than %u bytes", INI_FILE_MAX);
    text[size] = 0;
    int line = ini_parse_stream(outline_next, &o, outline_handle, &o);
    if (o.failed)
        return -1;
    if (line > 0)
        return err_set(e, ERR_CONFIG, 0, "line %d: neither [section] nor key = value", line);
    return line < 0 ? err_nomem(e, 0) : 0;
}

/* Reads the whole file, with room for a NUL. The caller wipes and frees `cap` bytes. */
static int read_whole(int fd, char **ret_text, size_t *ret_size, size_t *ret_cap, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "stat");
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) /* users give /dev/null for an empty file */
        return err_set(e, ERR_CONFIG, 0, "not a regular file");
    if (st.st_size > (off_t)INI_FILE_MAX)
        return err_set(e, ERR_CONFIG, 0, "the file has more than %u bytes", INI_FILE_MAX);
    size_t cap = (size_t)st.st_size + 2, size = 0; /* one byte to see the end of the file, one for the NUL */
    char *text = malloc(cap);
    if (!text)
        return err_nomem(e, cap);
    while (size < cap - 1) {
        ssize_t n = read(fd, text + size, cap - 1 - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_sys(e, errno, "read");
            break;
        }
        if (n == 0) {
            *ret_text = text;
            *ret_size = size;
            *ret_cap = cap;
            return 0;
        }
        size += (size_t)n;
    }
    if (size == cap - 1)
        err_set(e, ERR_IO, 0, "the file grew while it was read");
    wipe(text, cap);
    free(text);
    return -1;
}

int ini_read(const char *path, ini_fn *fn, void *context, struct err *e)
{
    assert(path && fn);
    char *text = NULL;
    size_t size = 0, cap = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a FIFO must not block */
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    int rc = read_whole(fd, &text, &size, &cap, e);
    if (rc == 0)
        rc = ini_read_text(text, size, fn, context, e);
    if (text)
        wipe(text, cap);
    free(text);
    io_close(&fd);
    return rc == 0 ? 0 : err_wrap(e, "'%s'", path);
}
