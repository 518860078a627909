/* cli/completion.c - `seawall completion SHELL`: prints a script that completes the command line, made from the
 * tables of the commands.
 *
 * The name of a value decides how it is completed: one of a path by file names; "a|b|NAME" by its lower-case
 * words; anything else not at all. Words are completed by file names, or by their choices. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "storage/open.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- the tables */

/* One flag or option of a command. */
struct entry {
    const char *name, *value_name, *help;
    char letter;
};

/* The flags of a command, then its options. False: there are no more. */
static bool next_entry(const struct command *c, size_t index, struct entry *ret_entry)
{
    const struct flag *f = command_flag(c, index);
    size_t flags = c->flag_count + 2; /* with --version and --help */
    const struct option_spec *o = f ? NULL : command_option(c, index - flags);
    if (f)
        *ret_entry = (struct entry){f->name, f->value_name, f->help, f->letter};
    else if (o)
        *ret_entry = (struct entry){o->name, o->value_name, o->help, 0};
    return f || o;
}

/* The lower-case words of "a|b|NAME", with a blank between them; "": there are none. */
static const char *choices(const char *value_name, char out[64])
{
    size_t at = 0;
    assert(strlen(value_name) < 64);
    out[0] = 0;
    for (const char *word = value_name; *word; word += strcspn(word, "|") + (word[strcspn(word, "|")] != 0))
        if (islower((unsigned char)*word))
            at += (size_t)snprintf(out + at, 64 - at, "%s%.*s", at ? " " : "", (int)strcspn(word, "|"), word);
    return out;
}

static void print_command_names(const char *between)
{
    for (size_t i = 0; i < command_count; i++)
        printf("%s%s", i ? between : "", commands[i]->name);
}

/* The topics of `seawall help` that are not commands. */
static void print_topics(void)
{
    const struct store_kind *kind = NULL;
    for (size_t i = 0; (kind = store_kind_at(i)); i++)
        if (kind->help)
            printf(" %s", kind->name);
}

/* The words that can follow the command, or nothing where they are file names. */
static void print_word_choices(const struct command *c)
{
    char out[64];
    if (c == &help_command) {
        print_command_names(" ");
        print_topics();
    } else if (c->word_count) {
        fputs(choices(c->words[0].name, out), stdout);
    }
}

static bool has_word_choices(const struct command *c)
{
    char out[64];
    return c == &help_command || (c->word_count && *choices(c->words[0].name, out));
}

/* Text for a place between single quotes. `special`: characters that get a backslash. */
static void print_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            putchar('\\');
        if (*text == '\'' && !strchr(special, '\''))
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
}

/* ---- bash */

static void print_bash_values(const struct command *c)
{
    struct entry entry;
    char out[64];
    for (size_t i = 0; next_entry(c, i, &entry); i++) {
        if (!entry.value_name)
            continue;
        printf("    %s:--%s", c->name, entry.name);
        if (entry.letter)
            printf("|%s:-%c", c->name, entry.letter);
        if (flag_is_path(entry.value_name))
            printf(") return ;;\n");
        else
            printf(") _seawall_words '%s'; return ;;\n", choices(entry.value_name, out));
    }
}

static void print_bash_flags(const struct command *c)
{
    struct entry entry;
    printf("    %s) flags='", c->name);
    for (size_t i = 0; next_entry(c, i, &entry); i++)
        printf("%s--%s", i ? " " : "", entry.name);
    printf("'");
    if (has_word_choices(c)) {
        printf(" words='");
        print_word_choices(c);
        printf("'");
    }
    printf(" ;;\n");
}

/* File names are what bash itself completes where the function finds nothing: `complete -o default`. */
static void print_bash(void)
{
    printf("# bash completion for seawall, printed by 'seawall completion bash'\n"
           "_seawall_words() {\n"
           "    compopt +o default 2>/dev/null\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
           "}\n"
           "_seawall() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} flags='' words=''\n"
           "    COMPREPLY=()\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        _seawall_words '");
    print_command_names(" ");
    printf("'\n"
           "        return\n"
           "    fi\n"
           "    # bash splits --name=value into three words\n"
           "    if [[ $cur == = ]]; then\n"
           "        cur=''\n"
           "    elif [[ $prev == = ]]; then\n"
           "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case ${COMP_WORDS[1]}:$prev in\n");
    for (size_t i = 0; i < command_count; i++)
        print_bash_values(commands[i]);
    printf("    esac\n"
           "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < command_count; i++)
        print_bash_flags(commands[i]);
    printf("    esac\n"
           "    if [[ $cur == -* ]]; then\n"
           "        _seawall_words \"$flags\"\n"
           "    elif [[ $words ]]; then\n"
           "        _seawall_words \"$words\"\n"
           "    fi\n"
           "}\n"
           "complete -o default -F _seawall seawall\n");
}

/* ---- zsh */

static void print_zsh_value(const char *value_name)
{
    char out[64];
    if (flag_is_path(value_name))
        printf(":%s:_files", value_name);
    else
        printf(":%s:(%s)", value_name, choices(value_name, out));
}

static void print_zsh_command(const struct command *c)
{
    struct entry entry;
    printf("    %s)\n      _arguments", c->name);
    for (size_t i = 0; next_entry(c, i, &entry); i++) {
        if (entry.letter)
            printf(" \\\n        '(-%c --%s)'{-%c,--%s}'[", entry.letter, entry.name, entry.letter, entry.name);
        else
            printf(" \\\n        '--%s[", entry.name);
        print_quoted(entry.help, "\\[]:");
        printf("]");
        if (entry.value_name)
            print_zsh_value(entry.value_name);
        printf("'");
    }
    for (size_t i = 0; i < c->word_count; i++) {
        printf(" \\\n        '%s:%s:", c->words[i].max > 1 ? "*" : "", c->words[i].name);
        if (has_word_choices(c)) {
            printf("(");
            print_word_choices(c);
            printf(")'");
        } else {
            printf("_files'");
        }
    }
    printf(" ;;\n");
}

static void print_zsh(void)
{
    printf("#compdef seawall\n"
           "# zsh completion for seawall, printed by 'seawall completion zsh'\n"
           "_seawall() {\n"
           "  local -a commands\n"
           "  commands=(\n");
    for (size_t i = 0; i < command_count; i++) {
        printf("    '%s:", commands[i]->name);
        print_quoted(commands[i]->summary, "\\:");
        printf("'\n");
    }
    printf("  )\n"
           "  if ((CURRENT == 2)); then\n"
           "    _describe command commands\n"
           "    return\n"
           "  fi\n"
           "  local command=$words[2]\n"
           "  shift words\n"
           "  ((CURRENT--))\n"
           "  case $command in\n");
    for (size_t i = 0; i < command_count; i++)
        print_zsh_command(commands[i]);
    printf("  esac\n"
           "}\n"
           "_seawall \"$@\"\n");
}

/* ---- fish */

static void print_fish_entry(const struct command *c, const struct entry *entry)
{
    char out[64];
    printf("complete -c seawall -n '__fish_seen_subcommand_from %s' -l %s", c->name, entry->name);
    if (entry->letter)
        printf(" -s %c", entry->letter);
    if (entry->value_name && flag_is_path(entry->value_name))
        printf(" -r -F");
    else if (entry->value_name)
        printf(" -x -a '%s'", choices(entry->value_name, out));
    printf(" -d '");
    print_quoted(entry->help, "\\'");
    printf("'\n");
}

static void print_fish_command(const struct command *c)
{
    struct entry entry;
    printf("complete -c seawall -n __fish_use_subcommand -a %s -d '", c->name);
    print_quoted(c->summary, "\\'");
    printf("'\n");
    if (has_word_choices(c)) {
        printf("complete -c seawall -n '__fish_seen_subcommand_from %s' -a '", c->name);
        print_word_choices(c);
        printf("'\n");
    } else if (c->word_count) {
        printf("complete -c seawall -n '__fish_seen_subcommand_from %s' -F\n", c->name);
    }
    for (size_t i = 0; next_entry(c, i, &entry); i++)
        print_fish_entry(c, &entry);
}

static void print_fish(void)
{
    printf("# fish completion for seawall, printed by 'seawall completion fish'\n"
           "complete -c seawall -f\n");
    for (size_t i = 0; i < command_count; i++)
        print_fish_command(commands[i]);
}

/* ---- the command */

struct request {
    const char *shell;
};

static int cmd_completion(int argc, char **argv)
{
    struct request r = {.shell = NULL};
    int code = EXIT_DONE;
    if (!cli_parse(&completion_command, argc, argv, &r, &code))
        return code;
    if (strcmp(r.shell, "bash") == 0)
        print_bash();
    else if (strcmp(r.shell, "zsh") == 0)
        print_zsh();
    else if (strcmp(r.shell, "fish") == 0)
        print_fish();
    else
        return cli_usage(&completion_command, "unknown shell '%.60s', expected bash, zsh or fish", r.shell);
    return EXIT_DONE;
}

static const struct word words[] = {
    {.name = "bash|zsh|fish",
     .meaning = "shell: bash, zsh or fish",
     .max = 1,
     .offset = offsetof(struct request, shell),
     .needed = WORD_NEEDED},
};

const struct command completion_command = {
    .name = "completion",
    .run = cmd_completion,
    .example = "completion SHELL",
    .summary = "print the completion script for bash, zsh or fish",
    .arguments = "bash|zsh|fish",
    .description =
        "Prints a script that lets the shell complete the commands and flags of seawall. 'make install' puts the "
        "scripts where the shells find them; otherwise write 'source <(seawall completion bash)' into "
        "~/.bashrc.\n",
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
