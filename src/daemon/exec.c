/* daemon/exec.c */
#include "daemon/exec.h"

#include "base/spawn.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The end of a quoted text that begins at `text`, behind the second quote. NULL: it has no end, or runs a command. */
static const char *behind_quotes(const char *text)
{
    char quote = *text++;
    for (; *text && *text != quote; text++) {
        if (quote == '"' && (*text == '`' || (*text == '$' && text[1] == '(')))
            return NULL;
        if (quote == '"' && *text == '\\' && text[1])
            text++;
    }
    return *text ? text + 1 : NULL;
}

/* The last of commands that are joined by &&. NULL: there is other syntax. */
static const char *last_joined(const char *text)
{
    const char *last = text;
    for (char before = 0; *text; before = *text++) {
        if (*text == '\'' || *text == '"') {
            const char *end = behind_quotes(text);
            if (!end)
                return NULL;
            text = end - 1;
        } else if (*text == '\\' && text[1]) {
            text++;
        } else if (text[0] == '&' && text[1] == '&') {
            last = ++text + 1;
        } else if ((*text == '&' && before != '>' && before != '<') || (*text == '<' && before == '<') ||
                   strchr(";|(){}`#!\n", *text)) {
            return NULL;
        }
    }
    return last;
}

/* The command behind assignments to variables. NULL: a value has quotes that this function does not read. */
static const char *behind_assignments(const char *text)
{
    for (;;) {
        while (is_blank(*text))
            text++;
        const char *name = text;
        while (isalnum((unsigned char)*text) || *text == '_')
            text++;
        if (*text != '=' || text == name)
            return name;
        for (; *text && !is_blank(*text); text++)
            if (strchr("'\"\\", *text))
                return NULL;
    }
}

/* Is it a program, and not a word of the shell? A path is one in any case. */
static bool is_program(const char *name, size_t len)
{
    const char *place = getenv("PATH");
    char path[4096];
    if (len == 0 || memchr(name, '/', len))
        return len > 0;
    while (place && *place) {
        size_t n = strcspn(place, ":");
        int written = snprintf(path, sizeof path, "%.*s/%.*s", (int)n, place, (int)len, name);
        if (written > 0 && (size_t)written < sizeof path && access(path, X_OK) == 0)
            return true;
        place += n + (place[n] == ':');
    }
    return false;
}

size_t exec_replaces_shell(const char *command)
{
    const char *last = strstr(command, "trap") ? NULL : last_joined(command);
    const char *program = last ? behind_assignments(last) : NULL;
    if (!program)
        return EXEC_KEEPS_SHELL;
    size_t len = strspn(program, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./@%,");
    bool whole = !program[len] || is_blank(program[len]);
    return whole && is_program(program, len) ? (size_t)(program - command) : EXEC_KEEPS_SHELL;
}

/* The line for the shell, to be freed. NULL: no memory. */
static char *line_for_shell(const char *command)
{
    size_t at = exec_replaces_shell(command), size = strlen(command) + sizeof "exec ";
    char *line = malloc(size);
    if (line && at == EXEC_KEEPS_SHELL)
        snprintf(line, size, "%s", command);
    else if (line)
        snprintf(line, size, "%.*sexec %s", (int)at, command, command + at);
    return line;
}

int exec_start(struct exec *x, struct err *e)
{
    const int fds[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    assert(x->command && x->pid == 0 && !x->ended);
    char *line = line_for_shell(x->command);
    const char *const argv[] = {"sh", "-c", line, NULL};
    int rc = line ? spawn_program("/bin/sh", argv, fds, &x->pid) : ENOMEM;
    free(line);
    if (rc == 0)
        return 0;
    x->pid = 0;
    err_sys(e, rc, "/bin/sh");
    return err_wrap(e, "can't start the command of --exec");
}

bool exec_is_running(const struct exec *x)
{
    return x->pid > 0;
}

bool exec_has_ended(struct exec *x)
{
    if (x->pid <= 0 || waitpid(x->pid, &x->status, WNOHANG) != x->pid)
        return false;
    x->pid = 0;
    x->ended = true;
    return true;
}

void exec_signal(const struct exec *x, int number)
{
    if (x->pid > 0)
        kill(x->pid, number);
}

int exec_exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
