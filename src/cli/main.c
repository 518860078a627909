/* cli/main.c - finds the subcommand. */
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"replicate", cmd_replicate}, {"snapshot", cmd_snapshot}, {"restore", cmd_restore}, {"list", cmd_list},
    {"verify", cmd_verify},       {"prune", cmd_prune},       {"status", cmd_status},   {"sync", cmd_sync},
    {"config", cmd_config},       {"version", cmd_version},   {"help", cmd_help},
};

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        cli_print_help(NULL);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    fprintf(stderr, "seawall: there is no command '%s'\n  HINT: 'seawall help' lists the commands\n", name);
    return EXIT_USAGE;
}
