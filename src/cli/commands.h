/* cli/commands.h - the list of commands. */
#ifndef SEAWALL_CLI_COMMANDS_H
#define SEAWALL_CLI_COMMANDS_H

#include "cli/flags.h"

extern const struct command *const commands[]; /* in the order of the overview */
extern const size_t command_count;

/* NULL: there is no command with this name. */
const struct command *command_find(const char *name);

#endif
