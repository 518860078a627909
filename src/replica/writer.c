#include "replica/writer.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_BYTES_MAX 4096
#define NOTE_PREFIX "writer/"
#define NOTE_KEY_BYTES (sizeof NOTE_PREFIX + 2 * UID_BYTES) /* with NUL */
#define NOTES_REMOVED 16                                    /* at a time */
#define HASH_DIGITS 16

static void key_of(const struct uid *writer, char out[NOTE_KEY_BYTES])
{
    memcpy(out, NOTE_PREFIX, sizeof NOTE_PREFIX);
    hex_encode(writer->bytes, UID_BYTES, out + sizeof NOTE_PREFIX - 1);
}

bool writer_note_is_key(const char *key)
{
    struct uid id;
    return strncmp(key, NOTE_PREFIX, sizeof NOTE_PREFIX - 1) == 0 && strlen(key) == NOTE_KEY_BYTES - 1 &&
           hex_decode(key + sizeof NOTE_PREFIX - 1, id.bytes, UID_BYTES);
}

/* Copies the end of a text that is too long. */
static void copy_end(char *out, size_t room, const char *text)
{
    const size_t n = strlen(text);
    if (n < room)
        memcpy(out, text, n + 1);
    else
        snprintf(out, room, "...%s", text + n - (room - 4));
}

static void hash_text(char *text, size_t room)
{
    struct digest d;
    struct err e;
    char hex[2 * DIGEST_BYTES + 1] = "";
    if (digest_of(text, strlen(text), &d, &e) == 0)
        hex_encode(d.bytes, DIGEST_BYTES, hex);
    snprintf(text, room, "%.*s", HASH_DIGITS, hex);
}

bool writer_note_has_path(const struct writer_note *note, const char *path)
{
    char text[WRITER_PATH_BYTES];
    copy_end(text, sizeof text, path);
    if (note->hashed)
        hash_text(text, sizeof text);
    return note->path[0] != 0 && strcmp(text, note->path) == 0;
}

void writer_note_make(struct writer_note *ret_note, const struct uid *writer, const char *path, bool hide)
{
    char host[256] = "?";
    char *whole = realpath(path, NULL);
    *ret_note = (struct writer_note){.writer = *writer, .hashed = hide, .since_ms = clock_wall_ms()};
    if (gethostname(host, sizeof host - 1))
        snprintf(host, sizeof host, "?");
    snprintf(ret_note->host, sizeof ret_note->host, "%.*s", (int)sizeof ret_note->host - 1, host);
    copy_end(ret_note->path, sizeof ret_note->path, whole ? whole : path);
    free(whole);
    if (hide) {
        hash_text(ret_note->host, sizeof ret_note->host);
        hash_text(ret_note->path, sizeof ret_note->path);
    }
}

void writer_note_write(struct json *j, const struct writer_note *note)
{
    char hex[2 * UID_BYTES + 1];
    hex_encode(note->writer.bytes, UID_BYTES, hex);
    json_set_text(j, "writer", hex);
    json_set_text(j, note->hashed ? "host_sha256" : "host", note->host);
    json_set_text(j, note->hashed ? "path_sha256" : "path", note->path);
    json_set_number(j, "since", note->since_ms);
}

void writer_note_read(const struct json *j, struct writer_note *ret_note)
{
    const char *writer = json_get_text(j, "writer");
    const bool hashed = json_has(j, "host_sha256");
    const char *host = json_get_text(j, hashed ? "host_sha256" : "host");
    const char *path = json_get_text(j, hashed ? "path_sha256" : "path");
    struct writer_note n = {.hashed = hashed};
    *ret_note = (struct writer_note){.since_ms = 0};
    if (!writer || !host || !path || !json_get_number(j, "since", &n.since_ms) || strlen(writer) != 2 * UID_BYTES ||
        !hex_decode(writer, n.writer.bytes, UID_BYTES))
        return;
    snprintf(n.host, sizeof n.host, "%.*s", (int)sizeof n.host - 1, host);
    copy_end(n.path, sizeof n.path, path);
    *ret_note = n;
}

/* Reads the note in one object; it counts only if it is that of the writer. */
static bool read_from(struct store *store, const char *key, const struct uid *writer, struct writer_note *ret_note)
{
    struct buf text = BUF_INIT(NOTE_BYTES_MAX);
    struct json *j = NULL;
    struct err e;
    uint64_t size = 0;
    *ret_note = (struct writer_note){.since_ms = 0};
    if (store_read_tail(store, key, NOTE_BYTES_MAX, &text, &size, &e) == 0 &&
        json_parse(text.data, text.len, &j, &e) == 0) {
        writer_note_read(j, ret_note);
        json_free(j);
    }
    buf_release(&text);
    return uid_equal(&ret_note->writer, writer);
}

bool writer_note_find(struct store *store, const struct uid *writer, struct writer_note *ret_note)
{
    char key[NOTE_KEY_BYTES];
    key_of(writer, key);
    return read_from(store, "seawall.json", writer, ret_note) || read_from(store, key, writer, ret_note);
}

struct others {
    const char *ours;
    char keys[NOTES_REMOVED][NOTE_KEY_BYTES];
    size_t count;
};

static int note_other(void *context, const struct store_entry *entry)
{
    struct others *o = context;
    if (writer_note_is_key(entry->key) && strcmp(entry->key, o->ours) != 0)
        memcpy(o->keys[o->count++], entry->key, NOTE_KEY_BYTES);
    return o->count == NOTES_REMOVED;
}

void writer_note_put(struct store *store, const struct writer_note *note)
{
    struct writer_note there;
    struct err e;
    char key[NOTE_KEY_BYTES];
    key_of(&note->writer, key);
    if (read_from(store, key, &note->writer, &there))
        return;
    struct json *j = json_object_new();
    if (j)
        writer_note_write(j, note);
    char *text = j ? json_print(j) : NULL;
    const bool put = text && store_put_new(store, key, text, strlen(text), NULL, &e) == 0;
    free(text);
    json_free(j);
    struct others others = {.ours = key};
    if (!put || store_list(store, NOTE_PREFIX, "", note_other, &others, &e))
        return;
    for (size_t i = 0; i < others.count; i++)
        if (store_remove(store, others.keys[i], &e))
            return;
}

const char *writer_note_text(const struct writer_note *note, char out[WRITER_TEXT_BYTES])
{
    char since[CLOCK_TEXT_MAX];
    clock_format(note->since_ms, since);
    snprintf(out, WRITER_TEXT_BYTES,
             note->hashed ? "host with hash %s, database with hash %s, since %s" : "host '%s', database '%s', since %s",
             note->host, note->path, since);
    return out;
}
