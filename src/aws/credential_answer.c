/* aws/credential_answer.c */
#include "aws/credential_answer.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int copy_value(const char *what, const char *value, char *out, size_t out_max, struct err *e)
{
    size_t n = strlen(value);
    if (n >= out_max)
        return err_set(e, ERR_CONFIG, 0, "the %s is longer than %zu bytes", what, out_max - 1);
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)value[i]))
            return err_set(e, ERR_CONFIG, 0, "the %s has a control character", what);
    memcpy(out, value, n + 1);
    return 0;
}

/* Takes exactly `n` digits. */
static bool take_number(const char **at, int n, int low, int high, int *ret_number)
{
    int number = 0;
    for (; n > 0; n--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = 10 * number + (**at - '0');
    }
    *ret_number = number;
    return number >= low && number <= high;
}

static bool take_char(const char **at, char c)
{
    bool there = **at == c;
    *at += there;
    return there;
}

/* Takes Z, or the offset from UTC, and the end of the text. */
static bool take_zone(const char **at, int *ret_minutes)
{
    int sign = **at == '-' ? -1 : 1, hours = 0, minutes = 0;
    *ret_minutes = 0;
    if (take_char(at, 'Z'))
        return **at == 0;
    if (**at != '+' && **at != '-')
        return false;
    (*at)++;
    if (!take_number(at, 2, 0, 23, &hours))
        return false;
    take_char(at, ':');
    if (!take_number(at, 2, 0, 59, &minutes) || **at)
        return false;
    *ret_minutes = sign * (60 * hours + minutes);
    return true;
}

bool credentials_parse_time(const char *text, int64_t *ret_ms)
{
    const char *at = text;
    struct tm tm = {0};
    int year = 0, month = 0, ms = 0, minutes = 0;
    bool ok = take_number(&at, 4, 1970, 9999, &year) && take_char(&at, '-') && take_number(&at, 2, 1, 12, &month) &&
              take_char(&at, '-') && take_number(&at, 2, 1, 31, &tm.tm_mday) && take_char(&at, 'T') &&
              take_number(&at, 2, 0, 23, &tm.tm_hour) && take_char(&at, ':') &&
              take_number(&at, 2, 0, 59, &tm.tm_min) && take_char(&at, ':') && take_number(&at, 2, 0, 59, &tm.tm_sec);
    if (!ok)
        return false;
    if (take_char(&at, '.')) {
        if (*at < '0' || *at > '9')
            return false;
        for (int scale = 100; *at >= '0' && *at <= '9'; at++, scale /= 10)
            ms += scale * (*at - '0');
    }
    if (!take_zone(&at, &minutes))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    int day = tm.tm_mday;
    time_t t = timegm(&tm);
    if (tm.tm_mday != day) /* the 31st of a month of 30 days */
        return false;
    *ret_ms = ((int64_t)t - 60 * (int64_t)minutes) * 1000 + ms;
    return true;
}

static int set_expiry(struct credentials *c, const char *expiration, int64_t now_ms, struct err *e)
{
    char then[CLOCK_TEXT_MAX], now[CLOCK_TEXT_MAX];
    if (!expiration || !*expiration)
        return 0;
    if (!credentials_parse_time(expiration, &c->expires_ms))
        return err_set(e, ERR_CONFIG, 0, "the expiration is not a date like 2026-03-01T12:00:00Z");
    if (c->expires_ms > now_ms)
        return 0;
    clock_format(c->expires_ms, then);
    clock_format(now_ms, now);
    err_set(e, ERR_CONFIG, 0, "the credentials expired at %s, and it is %s", then, now);
    return err_hint(e, "check the clock of this machine");
}

int credentials_set(struct credentials *ret, const struct credential_texts *texts, int64_t now_ms, struct err *e)
{
    struct credentials c = {0};
    const char *missing = !texts->access_key || !*texts->access_key   ? "access key"
                          : !texts->secret_key || !*texts->secret_key ? "secret key"
                                                                      : NULL;
    if (missing)
        return err_set(e, ERR_CONFIG, 0, "the %s is missing", missing);
    int rc = copy_value("access key", texts->access_key, c.access_key, sizeof c.access_key, e);
    if (rc == 0)
        rc = copy_value("secret key", texts->secret_key, c.secret_key, sizeof c.secret_key, e);
    if (rc == 0 && texts->session_token)
        rc = copy_value("session token", texts->session_token, c.session_token, sizeof c.session_token, e);
    if (rc == 0)
        rc = set_expiry(&c, texts->expiration, now_ms, e);
    if (rc == 0)
        *ret = c;
    wipe(&c, sizeof c);
    return rc;
}

int credentials_from_json(const struct buf *text, const char *token_key, int64_t now_ms, struct credentials *ret,
                          struct err *e)
{
    struct json *j = NULL;
    struct err ignored; /* quotes the document, which has secrets */
    int64_t number;
    if (json_parse(text->data, text->len, &j, &ignored)) {
        wipe(&ignored, sizeof ignored);
        return err_set(e, ERR_REMOTE, 0, "the answer is not a JSON object");
    }
    int rc = credentials_set(ret,
                             &(struct credential_texts){.access_key = json_get_text(j, "AccessKeyId"),
                                                        .secret_key = json_get_text(j, "SecretAccessKey"),
                                                        .session_token = json_get_text(j, token_key),
                                                        .expiration = json_get_number(j, "Expiration", &number)
                                                                          ? "a number"
                                                                          : json_get_text(j, "Expiration")},
                             now_ms, e);
    if (rc)
        e->code = ERR_REMOTE;
    json_free(j);
    return rc;
}
