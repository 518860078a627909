/* cli/main.c - finds the command and runs it. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A write beyond the limit of file sizes (ulimit -f) fails with EFBIG, as one to a full disk does with ENOSPC, and does
 * not end the process.
 *
 * Undoes what a parent may have left to this process: children that can't be waited for, blocked signals, and closed
 * standard files, whose numbers the next file would get. An ignored SIGHUP stays ignored, as nohup wants it. */
static void settle_inheritance(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd)
            _exit(EXIT_FAILED);
}

/* Whether the reader has closed the pipe, as in `seawall help | head`. */
static bool reader_is_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP));
}

/* Makes a command fail whose output is its work if the output is lost. The other commands have done their work. A
 * reader that has read enough is not an error. */
static int check_output(const struct command *c, int code)
{
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || reader_is_gone())
        return code;
    text_print_to(stderr, "seawall: standard output can't be written%s%s\n", errno ? ": " : "",
                  errno ? strerror(errno) : "");
    return code == EXIT_DONE && (!c->works_without_output || cli_is_output_work()) ? EXIT_FAILED : code;
}

int main(int argc, char **argv)
{
    settle_inheritance();
    if (argc < 2) {
        help_print_overview();
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = help_command.name;
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "-v") == 0)
        name = version_command.name;
    const struct command *c = command_find(name);
    enum log_format format;
    if (log_format_of("auto", &format))
        log_set_format(format);
    if (c)
        return check_output(c, c->run(argc - 2, argv + 2));
    text_print_to(stderr, "seawall: unknown command '%s'\n  HINT: 'seawall help' lists the commands\n", name);
    return EXIT_USAGE;
}
