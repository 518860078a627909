/* cli/commands.c */
#include "cli/commands.h"

#include "cli/cli.h"

#include <string.h>

const struct command *const commands[] = {
    &replicate_command, &snapshot_command,   &restore_command, &follow_command, &list_command,   &shell_command,
    &diff_command,      &import_command,     &verify_command,  &prune_command,  &doctor_command, &status_command,
    &sync_command,      &detach_command,     &attach_command,  &add_command,    &remove_command, &reload_command,
    &config_command,    &completion_command, &version_command, &help_command,
};
const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}
