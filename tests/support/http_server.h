/* support/http_server.h - an HTTP server in a thread, on a free port of 127.0.0.1. A function of the test answers one
 * request at a time. Each connection carries one request. */
#ifndef TESTS_HTTP_SERVER_H
#define TESTS_HTTP_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_LONG_HEADER_MAX 400000

struct server_request {
    char method[16], path[512];
    char headers[24576]; /* lines as they came, with CR and LF */
    char body[65536];
};

struct server_reply {
    int status; /* 0: close the connection without an answer */
    char body[65536];
    size_t size;        /* of the body; 0: the body is a text */
    size_t long_header; /* length of one more header line, in bytes; 0: there is none */
};

typedef void server_fn(const struct server_request *q, struct server_reply *r);

struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the fields below */
    server_fn *answer;
    unsigned requests;          /* so far */
    struct server_request last; /* of them */
};

/* The value of a header; "": the request does not have it. */
static inline const char *server_header(const struct server_request *q, const char *name, char *out, size_t max)
{
    size_t n = strlen(name);
    out[0] = 0;
    for (const char *line = q->headers; *line; line += strcspn(line, "\n") + 1) {
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            const char *value = line + n + 1 + strspn(line + n + 1, " ");
            snprintf(out, max, "%.*s", (int)strcspn(value, "\r\n"), value);
            break;
        }
        if (!line[strcspn(line, "\n")])
            break;
    }
    return out;
}

static inline bool server_read(int fd, struct server_request *q)
{
    static char bytes[sizeof q->headers + sizeof q->body];
    size_t n = 0;
    char *end = NULL, length[32];
    *q = (struct server_request){0};
    while (!end) {
        ssize_t got = read(fd, bytes + n, sizeof bytes - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        bytes[n] = 0;
        end = strstr(bytes, "\r\n\r\n");
    }
    size_t head = (size_t)(end - bytes) + 4;
    char *first = strstr(bytes, "\r\n") + 2;
    if (sscanf(bytes, "%15s %511s", q->method, q->path) != 2)
        return false;
    snprintf(q->headers, sizeof q->headers, "%.*s", (int)(bytes + head - 2 - first), first);
    size_t body = strtoul(server_header(q, "Content-Length", length, sizeof length), NULL, 10);
    while (n < head + body && n < sizeof bytes - 1) {
        ssize_t got = read(fd, bytes + n, sizeof bytes - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        bytes[n] = 0;
    }
    snprintf(q->body, sizeof q->body, "%s", bytes + head);
    return true;
}

static inline void server_write(int fd, const struct server_reply *r)
{
    static char bytes[sizeof r->body + 256 + SERVER_LONG_HEADER_MAX];
    size_t size = r->size ? r->size : strlen(r->body);
    size_t n = (size_t)snprintf(bytes, 256, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\nConnection: close\r\n",
                                r->status, size);
    if (r->long_header) {
        memset(bytes + n, 'x', r->long_header);
        memcpy(bytes + n, "X-Long:", 7);
        n += r->long_header;
        memcpy(bytes + n, "\r\n", 2);
        n += 2;
    }
    memcpy(bytes + n, "\r\n", 2);
    n += 2;
    memcpy(bytes + n, r->body, size);
    for (size_t at = 0; at < n + size;) {
        ssize_t put = send(fd, bytes + at, n + size - at, MSG_NOSIGNAL);
        if (put <= 0)
            return;
        at += (size_t)put;
    }
}

static inline void *server_run(void *context)
{
    struct server *s = context;
    struct server_request *q = malloc(sizeof *q);
    struct server_reply *r = malloc(sizeof *r);
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        if (server_read(fd, q)) {
            pthread_mutex_lock(&s->lock);
            server_fn *answer = s->answer;
            s->requests++;
            s->last = *q;
            pthread_mutex_unlock(&s->lock);
            r->status = 0;
            r->body[0] = 0;
            r->size = 0;
            r->long_header = 0;
            if (answer)
                answer(q, r);
            if (r->status)
                server_write(fd, r);
        }
        close(fd);
    }
    free(q);
    free(r);
    return NULL;
}

static inline int server_start(struct server *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    *s = (struct server){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    pthread_mutex_init(&s->lock, NULL);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&address, n) != 0 || listen(s->fd, 16) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&address, &n) != 0)
        return -1;
    s->port = ntohs(address.sin_port);
    return pthread_create(&s->thread, NULL, server_run, s);
}

static inline void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
}

/* Lets `answer` answer from now on, and counts requests from 0. */
static inline void server_answer(struct server *s, server_fn *answer)
{
    pthread_mutex_lock(&s->lock);
    s->answer = answer;
    s->requests = 0;
    s->last = (struct server_request){0};
    pthread_mutex_unlock(&s->lock);
}

static inline unsigned server_requests(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

#endif
