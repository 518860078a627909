/* cli/main.c - finds the command and runs it. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help_print_overview();
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = help_command.name;
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = version_command.name;
    const struct command *c = command_find(name);
    if (c)
        return c->run(argc - 2, argv + 2);
    text_print_to(stderr, "seawall: unknown command '%s'\n  HINT: 'seawall help' lists the commands\n", name);
    return EXIT_USAGE;
}
