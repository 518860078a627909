/* base/log.c - each line is written with one write(), so that the lines of threads do not mix. Nothing is allocated. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX_BYTES 1160
#define SUBJECT_MAX_BYTES 400
/* Each byte of message and subject can need a backslash. */
#define LINE_MAX_BYTES (2 * (MESSAGE_MAX_BYTES + SUBJECT_MAX_BYTES) + 256)

static bool quiet;
static enum log_format format;

struct level {
    const char *name, *word;
    int priority; /* of syslog */
};
static const struct level level_error = {"ERROR", "error", 3}, level_warn = {"WARN", "warn", 4},
                          level_info = {"INFO", "info", 6};

/* ---- formats */

/* JOURNAL_STREAM, "device:inode", names the file that leads to the journal. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    struct stat st;
    if (!stream || fstat(fd, &st) != 0)
        return false;
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, ours) == 0;
}

bool log_format_of(const char *word, enum log_format *ret_format)
{
    if (strcmp(word, "auto") == 0)
        *ret_format = is_journal(STDERR_FILENO) ? LOG_JOURNAL : LOG_TEXT;
    else if (strcmp(word, "text") == 0)
        *ret_format = LOG_TEXT;
    else if (strcmp(word, "logfmt") == 0)
        *ret_format = LOG_LOGFMT;
    else if (strcmp(word, "json") == 0)
        *ret_format = LOG_JSON;
    else
        return false;
    return true;
}

void log_set_format(enum log_format chosen)
{
    format = chosen;
}

enum log_format log_format(void)
{
    return format;
}

void log_set_quiet(void)
{
    quiet = true;
}

/* ---- an event in its parts */

struct event {
    const struct level *level;
    char time[CLOCK_TEXT_MAX];
    char text[MESSAGE_MAX_BYTES];
    const char *subject_name; /* "database", "replica"; NULL: the message begins with none */
    const char *subject, *message, *hint;
    int subject_bytes, message_bytes, hint_bytes;
};

/* The message of `database 'x': message`. */
static void take_subject(struct event *v)
{
    static const char *const names[] = {"database", "replica"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t n = strlen(names[i]);
        const char *end = NULL;
        if (strncmp(v->text, names[i], n) != 0 || strncmp(v->text + n, " '", 2) != 0 ||
            !(end = strstr(v->text + n + 2, "': ")) || end - v->text > SUBJECT_MAX_BYTES)
            continue;
        v->subject_name = names[i];
        v->subject = v->text + n + 2;
        v->subject_bytes = (int)(end - v->subject);
        v->message = end + 3;
    }
}

static void take_apart(struct event *v)
{
    char *hint = strstr(v->text, TEXT_HINT);
    v->message = v->text;
    take_subject(v);
    if (hint && hint < v->message) /* it is part of a name */
        hint = NULL;
    v->hint = hint ? hint + strlen(TEXT_HINT) : "";
    v->hint_bytes = (int)strlen(v->hint);
    v->message_bytes = (int)(hint ? (size_t)(hint - v->message) : strlen(v->message));
}

/* ---- lines */

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
};

static void put(struct line *l, const char *bytes, size_t n)
{
    const size_t room = sizeof l->bytes - 1 - l->len; /* one for the line break */
    n = n < room ? n : room;
    memcpy(l->bytes + l->len, bytes, n);
    l->len += n;
}

/* Between double quotes. Control characters were escaped before; so is a line break, but that of a hint. */
static void put_quoted(struct line *l, const char *bytes, int n)
{
    put(l, "\"", 1);
    for (int i = 0; i < n; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            put(l, "\\", 1);
        put(l, bytes[i] == '\n' ? " " : bytes + i, 1);
    }
    put(l, "\"", 1);
}

static void put_field(struct line *l, const char *name, const char *bytes, int n)
{
    const bool json = format == LOG_JSON;
    if (l->len > 1)
        put(l, json ? "," : " ", 1);
    if (json)
        put_quoted(l, name, (int)strlen(name));
    else
        put(l, name, strlen(name));
    put(l, json ? ":" : "=", 1);
    put_quoted(l, bytes, n);
}

static void put_fields(struct line *l, const struct event *v)
{
    if (format == LOG_JSON)
        put(l, "{", 1);
    put_field(l, "time", v->time, (int)strlen(v->time));
    put_field(l, "level", v->level->word, (int)strlen(v->level->word));
    if (v->subject_name)
        put_field(l, v->subject_name, v->subject, v->subject_bytes);
    put_field(l, "msg", v->message, v->message_bytes);
    if (v->hint_bytes > 0)
        put_field(l, "hint", v->hint, v->hint_bytes);
    if (format == LOG_JSON)
        put(l, "}", 1);
}

static void put_text(struct line *l, const struct event *v)
{
    char head[64];
    const bool journal = format == LOG_JOURNAL;
    const int n = journal ? snprintf(head, sizeof head, "<%d>", v->level->priority)
                          : snprintf(head, sizeof head, "%s %-5s ", v->time, v->level->name);
    put(l, head, (size_t)n);
    const char *hint = journal && v->hint_bytes > 0 ? strstr(v->text, TEXT_HINT) : NULL;
    put(l, v->text, hint ? (size_t)(hint - v->text) : strlen(v->text));
    if (hint) {
        put(l, " HINT: ", 7);
        put(l, v->hint, (size_t)v->hint_bytes);
    }
}

/* Removes the last character of `n` bytes if only a part of it is there. */
static void cut_whole(char *text, size_t n)
{
    size_t last = n;
    uint32_t point;
    while (last > 0 && ((unsigned char)text[--last] & 0xc0) == 0x80)
        ; /* to the first byte of the last character */
    if (text_decode(text + last, n - last, &point) == 0)
        text[last] = 0;
}

static void write_line(const struct level *level, const char *fmt, va_list args)
{
    struct event v = {.level = level};
    struct line l = {.len = 0};
    clock_format(clock_wall_ms(), v.time);
    if (text_vformat(v.text, sizeof v.text, TEXT_HINT_STAYS, fmt, args) >= sizeof v.text)
        cut_whole(v.text, sizeof v.text - 1);
    take_apart(&v);
    if (format == LOG_LOGFMT || format == LOG_JSON)
        put_fields(&l, &v);
    else
        put_text(&l, &v);
    l.bytes[l.len++] = '\n';
    ssize_t written = write(STDERR_FILENO, l.bytes, l.len);
    (void)written; /* an error of stderr can't be reported */
}

#define DEFINE_LOG(name, level, wanted)                                                                                \
    void name(const char *fmt, ...)                                                                                    \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        if (!(wanted))                                                                                                 \
            return;                                                                                                    \
        va_start(args, fmt);                                                                                           \
        write_line(&(level), fmt, args);                                                                               \
        va_end(args);                                                                                                  \
    }
DEFINE_LOG(log_error, level_error, true)
DEFINE_LOG(log_warn, level_warn, true)
DEFINE_LOG(log_info, level_info, !quiet)
DEFINE_LOG(log_progress, level_info, true)
