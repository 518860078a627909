/* cli/help.h - help texts, made from the tables of the commands. */
#ifndef SEAWALL_CLI_HELP_H
#define SEAWALL_CLI_HELP_H

#include "cli/flags.h"

void help_print_version(void);                    /* `seawall version`, `seawall COMMAND --version` */
void help_print_overview(void);                   /* `seawall help` */
void help_print_command(const struct command *c); /* `seawall help COMMAND`, `seawall COMMAND --help` */

#endif
