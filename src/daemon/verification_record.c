/* daemon/verification_record.c */
#include "daemon/verification_record.h"

#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stage.h"
#include "base/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (256u << 10) /* 16 replicas, each far below 16 KiB */
#define FORMAT 1

int verification_records_init(struct verification_records *r, size_t count, struct err *e)
{
    *r = (struct verification_records){
        .list = calloc(count, sizeof *r->list), .urls = calloc(count, sizeof *r->urls), .count = count};
    if (r->list && r->urls)
        return 0;
    verification_records_release(r);
    return err_nomem(e, count * sizeof *r->list);
}

void verification_records_release(struct verification_records *r)
{
    free(r->list);
    free(r->urls);
    *r = (struct verification_records){.count = 0};
}

/* ---- reading */

static bool read_moment(const struct json *j, const char *key, int64_t *ret_ms)
{
    const char *text = json_get_text(j, key);
    return text && when_parse(text, 0, ret_ms);
}

static struct verification_record *record_of(struct verification_records *r, const char *url)
{
    for (size_t i = 0; url && i < r->count; i++)
        if (strcmp(r->urls[i], url) == 0)
            return &r->list[i];
    return NULL;
}

static void take_record(struct verification_records *all, const struct json *j)
{
    struct verification_record *r = record_of(all, json_get_text(j, "url"));
    const char *text = json_get_text(j, "problem");
    int64_t problems = 0, txid = 0;
    if (!r || !read_moment(j, "verified", &r->verified_ms))
        return;
    r->ok = json_get_flag(j, "ok");
    if (json_get_number(j, "problems", &problems) && problems > 0)
        r->problems = (uint64_t)problems;
    if (text)
        snprintf(r->text, sizeof r->text, "%s", text);
    if (json_get_number(j, "proven_txid", &txid) && txid > 0 && read_moment(j, "proven", &r->proven_ms))
        r->proven_txid = (uint64_t)txid;
    const char *content = json_get_text(j, "database_problem");
    if (content)
        snprintf(r->content, sizeof r->content, "%s", content);
}

void verification_records_load(struct verification_records *r, const char *path, const char *database)
{
    struct json *j = NULL;
    struct err e;
    int64_t format = 0;
    int fd = -1;
    const struct folder_file file = {.name = path_name(path), .like = database, .access = FOLDER_READ};
    if (folder_open_path(path, &file, &fd, &e) && e.code != ERR_NOTFOUND)
        log_warn("the replicas count as never verified: %s", e.msg);
    char *bytes = fd >= 0 ? malloc(FILE_MAX) : NULL;
    ssize_t n = bytes ? read(fd, bytes, FILE_MAX) : -1;
    if (n > 0 && json_parse(bytes, (size_t)n, &j, &e) == 0 && json_get_number(j, "format", &format) &&
        format == FORMAT) {
        const struct json *list = json_get(j, "replicas");
        for (size_t i = 0; i < json_count(list); i++)
            take_record(r, json_at(list, i));
    } else if (fd >= 0) {
        log_warn("'%s' can't be read; the replicas count as never verified", path);
    }
    json_free(j);
    free(bytes);
    io_close(&fd);
}

/* ---- writing */

static void set_moment(struct json *j, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(ms, text);
    json_set_text(j, key, text);
}

static struct json *json_of(const struct verification_record *r, const char *url)
{
    struct json *j = json_object_new();
    json_set_text(j, "url", url);
    set_moment(j, "verified", r->verified_ms);
    json_set_flag(j, "ok", r->ok);
    json_set_number(j, "problems", (int64_t)r->problems);
    if (r->text[0])
        json_set_text(j, "problem", r->text);
    if (r->proven_ms > 0) {
        set_moment(j, "proven", r->proven_ms);
        json_set_number(j, "proven_txid", (int64_t)r->proven_txid);
    }
    if (r->content[0])
        json_set_text(j, "database_problem", r->content);
    return j;
}

char *verification_records_print(const struct verification_records *r)
{
    struct json *j = json_object_new(), *list = json_list_new();
    json_set_number(j, "format", FORMAT);
    for (size_t i = 0; i < r->count; i++)
        if (r->list[i].verified_ms > 0)
            json_push(list, json_of(&r->list[i], r->urls[i]));
    json_set(j, "replicas", list);
    char *text = json_print(j);
    json_free(j);
    return text;
}

int verification_records_write(const char *path, const char *text, struct err *e)
{
    struct stage st = STAGE_NONE;
    char dir[PATH_TEXT_MAX];
    int rc = path_parent(path, dir, e) || stage_begin(&st, dir, e) || io_write(st.fd, text, strlen(text), e) ||
                     io_fsync(st.fd, path, e) || stage_name(&st, e) || stage_rename(&st, path_name(path), e) ||
                     folder_sync(&st.folder, e)
                 ? -1
                 : 0;
    stage_end(&st);
    return rc;
}
