/* base/text.c */
#include "base/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 400  /* of %f: 309 digits before the point */
#define PRINTED_MAX 512 /* a longer line is made in allocated memory */

/* Where text goes. What does not fit is only counted. */
struct sink {
    char *out;
    size_t size, len;
};

static void put(struct sink *s, const char *bytes, size_t n)
{
    size_t room = s->len < s->size ? s->size - s->len : 0;
    if (n > 0 && room > 0)
        memcpy(s->out + s->len, bytes, n < room ? n : room);
    s->len += n;
}

static void pad(struct sink *s, size_t n)
{
    for (; n > 0; n--)
        put(s, " ", 1);
}

/* ---- characters */

size_t text_decode(const char *bytes, size_t n, uint32_t *ret_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)bytes;
    size_t len = n == 0         ? 0
                 : p[0] < 0x80  ? 1
                 : p[0] < 0xc2  ? 0
                 : p[0] < 0xe0  ? 2
                 : p[0] < 0xf0  ? 3
                 : p[0] <= 0xf4 ? 4
                                : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t point = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (p[i] & 0x3f);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret_point = point;
    return len;
}

int text_is_plain(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1f},       {0x7f, 0x9f}, /* controls, C0 and C1 */
        {0x061c, 0x061c},                 /* direction, and no width; U+200C and U+200D shape letters, and stay */
        {0x200b, 0x200b},   {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f},   {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, /* byte order mark, annotations */
        {0xe0000, 0xe0fff},                                     /* tags */
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (point >= hidden[i].first && point <= hidden[i].last)
            return false;
    return true;
}

/* `breaks`: with TEXT_HINT_STAYS the first hint stays. */
static void put_escaped(struct sink *s, const char *text, size_t n, enum text_breaks breaks)
{
    static const size_t mark = sizeof TEXT_HINT - 1;
    while (n > 0) {
        char code[16];
        uint32_t point = 0;
        size_t len = text_decode(text, n, &point);
        bool hint = breaks == TEXT_HINT_STAYS && n >= mark && memcmp(text, TEXT_HINT, mark) == 0;
        if (hint) {
            put(s, text, len = mark);
            breaks = TEXT_ESCAPED;
        } else if (len > 0 && text_is_plain(point)) {
            put(s, text, len);
        } else if (len > 1)
            put(s, code,
                (size_t)snprintf(code, sizeof code, point > 0xffff ? "\\U%08" PRIx32 : "\\u%04" PRIx32, point));
        else
            put(s, code, (size_t)snprintf(code, sizeof code, "\\x%02x", (unsigned char)*text));
        text += len ? len : 1;
        n -= len ? len : 1;
    }
}

/* ---- conversions */

/* A va_list that functions can hand on. */
struct arguments {
    va_list list;
};

/* One conversion of a format. */
struct conversion {
    char flags[8];
    char length;   /* 'H': hh, 'L': ll, else the letter; 0: none */
    char kind;     /* the letter at the end; 0: the format ends before it */
    int width;     /* 0: none */
    int precision; /* -1: none */
};

static const char *read_number(const char *at, struct arguments *args, int *ret_number)
{
    if (*at == '*') {
        *ret_number = va_arg(args->list, int);
        return at + 1;
    }
    for (*ret_number = 0; *at >= '0' && *at <= '9' && *ret_number < 100000; at++)
        *ret_number = 10 * *ret_number + (*at - '0');
    return at;
}

/* Reads what follows '%'. Returns the end of it. */
static const char *read_conversion(const char *at, struct arguments *args, struct conversion *ret_c)
{
    struct conversion c = {.precision = -1};
    size_t n = strspn(at, "-+ #0");
    memcpy(c.flags, at, n < sizeof c.flags - 2 ? n : sizeof c.flags - 2);
    at = read_number(at + n, args, &c.width);
    if (c.width < 0) {
        c.width = -c.width;
        c.flags[strlen(c.flags)] = '-';
    }
    if (*at == '.')
        at = read_number(at + 1, args, &c.precision);
    if (*at && strchr("hljzt", *at)) {
        bool twice = (at[0] == 'h' || at[0] == 'l') && at[1] == at[0];
        c.length = twice ? (*at == 'h' ? 'H' : 'L') : *at;
        at += twice ? 2 : 1;
    }
    c.kind = *at;
    *ret_c = c;
    return at + (*at != 0);
}

static intmax_t next_signed(struct arguments *args, char length)
{
    switch (length) {
    case 'l':
        return va_arg(args->list, long);
    case 'L':
        return va_arg(args->list, long long);
    case 'j':
        return va_arg(args->list, intmax_t);
    case 'z':
    case 't':
        return va_arg(args->list, ptrdiff_t);
    default: /* smaller types arrive as int */
        return va_arg(args->list, int);
    }
}

static uintmax_t next_unsigned(struct arguments *args, char length)
{
    switch (length) {
    case 'l':
        return va_arg(args->list, unsigned long);
    case 'L':
        return va_arg(args->list, unsigned long long);
    case 'j':
        return va_arg(args->list, uintmax_t);
    case 'z':
    case 't':
        return va_arg(args->list, size_t);
    case 'h':
        return (unsigned short)va_arg(args->list, unsigned);
    case 'H':
        return (unsigned char)va_arg(args->list, unsigned);
    default:
        return va_arg(args->list, unsigned);
    }
}

/* Numbers are left to snprintf. */
static void put_number(struct sink *s, const struct conversion *c, struct arguments *args)
{
    char spec[48], number[NUMBER_MAX], width[16] = "", precision[16] = "";
    bool real = strchr("eEfFgG", c->kind), pointer = c->kind == 'p';
    if (c->width > 0)
        snprintf(width, sizeof width, "%d", c->width);
    if (c->precision >= 0)
        snprintf(precision, sizeof precision, ".%d", c->precision);
    snprintf(spec, sizeof spec, "%%%s%s%s%s%c", c->flags, width, precision, real || pointer ? "" : "j", c->kind);
    int n = real                               ? snprintf(number, sizeof number, spec, va_arg(args->list, double))
            : pointer                          ? snprintf(number, sizeof number, spec, va_arg(args->list, void *))
            : c->kind == 'd' || c->kind == 'i' ? snprintf(number, sizeof number, spec, next_signed(args, c->length))
                                               : snprintf(number, sizeof number, spec, next_unsigned(args, c->length));
    put(s, number, n < 0 ? 0 : n < NUMBER_MAX ? (size_t)n : NUMBER_MAX - 1);
}

static void put_text(struct sink *s, const struct conversion *c, const char *text, size_t n, enum text_breaks breaks)
{
    struct sink measured = {.size = 0};
    put_escaped(&measured, text, n, breaks);
    size_t room = (size_t)c->width > measured.len ? (size_t)c->width - measured.len : 0;
    bool left = strchr(c->flags, '-');
    pad(s, left ? 0 : room);
    put_escaped(s, text, n, breaks);
    pad(s, left ? room : 0);
}

static void convert(struct sink *s, const struct conversion *c, struct arguments *args, enum text_breaks breaks)
{
    if (c->kind == '%') {
        put(s, "%", 1);
    } else if (c->kind == 'c') {
        char one = (char)va_arg(args->list, int);
        put_text(s, c, &one, 1, breaks);
    } else if (c->kind == 's') {
        const char *text = va_arg(args->list, const char *);
        if (!text)
            text = "(null)";
        put_text(s, c, text, c->precision < 0 ? strlen(text) : strnlen(text, (size_t)c->precision), breaks);
    } else {
        put_number(s, c, args);
    }
}

int text_front(const char *message)
{
    const char *hint = strstr(message, TEXT_HINT);
    return (int)(hint ? (size_t)(hint - message) : strlen(message));
}

const char *text_hint(const char *message)
{
    const char *hint = strstr(message, TEXT_HINT);
    return hint ? hint + sizeof TEXT_HINT - 1 : NULL;
}

size_t text_vformat(char *out, size_t size, enum text_breaks breaks, const char *fmt, va_list args)
{
    struct sink s = {.out = out, .size = size > 0 ? size - 1 : 0};
    struct arguments copy;
    if (*fmt == ' ' || strstr(fmt, TEXT_HINT))
        breaks = TEXT_ESCAPED;
    va_copy(copy.list, args);
    while (*fmt) {
        struct conversion c;
        size_t n = strcspn(fmt, "%");
        put(&s, fmt, n);
        fmt += n;
        if (*fmt == 0)
            break;
        fmt = read_conversion(fmt + 1, &copy, &c);
        if (c.kind == 0 || !strchr("diuxXocspeEfFgG%", c.kind))
            break; /* the compiler has warned */
        const bool last = *fmt == 0 || strcmp(fmt, "\n") == 0;
        convert(&s, &c, &copy, last ? breaks : TEXT_ESCAPED);
    }
    va_end(copy.list);
    if (size > 0)
        out[s.len < s.size ? s.len : s.size] = 0;
    return s.len;
}

size_t text_format(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = text_vformat(out, size, TEXT_ESCAPED, fmt, args);
    va_end(args);
    return n;
}

/* ---- printing */

void text_put(FILE *out, const char *safe)
{
    fputs(safe, out);
}

void text_vprint_to(FILE *out, const char *fmt, va_list args)
{
    char fixed[PRINTED_MAX];
    size_t n = text_vformat(fixed, sizeof fixed, TEXT_HINT_STAYS, fmt, args);
    char *whole = n < sizeof fixed ? NULL : malloc(n + 1);
    if (whole)
        text_vformat(whole, n + 1, TEXT_HINT_STAYS, fmt, args);
    fputs(whole ? whole : fixed, out);
    free(whole);
}

void text_print_to(FILE *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_vprint_to(out, fmt, args);
    va_end(args);
}

void text_print(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    text_vprint_to(stdout, fmt, args);
    va_end(args);
}
