/* cli/flags.h - the table of a command: its flags, words and options. The parser, the help text, shell completion and
 * the check of the man page all read this table.
 *
 * A command line is a list of flags and words in any order:
 *   (1) "--name" and "-x" are flags. One dash or two make no difference.
 *   (2) A value follows its flag as the next argument or after an equals sign: "--txid 7", "--txid=7".
 *   (3) "-" alone and arguments without a dash are words.
 *   (4) "--" ends the flags: every argument after it is a word.
 *   (5) A repeated flag counts once; the last value is used.
 *   (6) --help and --version end parsing: later errors are not reported.
 *   (7) What has the place of a path must be one: see path_check_given. */
#ifndef SEAWALL_CLI_FLAGS_H
#define SEAWALL_CLI_FLAGS_H

#include "config/options.h"

#define GIVEN_OPTIONS_MAX 64 /* on one command line; an option can be repeated */

enum flag_kind {
    FLAG_BOOL,    /* takes no value; a bool becomes true */
    FLAG_SET,     /* takes no value; sets `bits` of an unsigned */
    FLAG_CLEAR,   /* takes no value; clears `bits` of an unsigned */
    FLAG_TEXT,    /* a const char * points to the value, inside argv */
    FLAG_NUMBER,  /* a uint64_t from 1 to `max` */
    FLAG_MS,      /* a time in a uint64_t: 0 to `max` milliseconds */
    FLAG_READ,    /* `read` stores the value */
    FLAG_HELP,    /* asks for the help text; every command has it */
    FLAG_VERSION, /* asks for the version; every command has it */
};

/* Reads a value into the request of the command. False: the value is invalid. */
typedef bool flag_read_fn(const char *value, void *request);

struct flag {
    const char *name; /* without dashes */
    char letter;      /* of the short form; 0: none */
    enum flag_kind kind;
    size_t offset;          /* of the variable in the command's request */
    unsigned bits;          /* FLAG_SET, FLAG_CLEAR */
    uint64_t max;           /* FLAG_NUMBER, FLAG_MS */
    flag_read_fn *read;     /* FLAG_READ */
    const char *value_name; /* placeholder: "FILE"; "a|b": one of these words; NULL: the flag takes no value */
    const char *expects;    /* a valid value in words, for the error message; NULL: every value is valid */
    const char *help;
};

/* Whether this is the placeholder of a path on this machine: FILE, PATH, DIR, FOLDER, DB. */
bool flag_is_path(const char *value_name);

/* Sets `.offset` of a flag, and `.kind` by the type of the variable, so that the two can't disagree. */
#define FLAG_INTO(type, field) .offset = offsetof(type, field), .kind = FLAG_KIND(((type *)0)->field)
#define FLAG_KIND(variable)                                                                                            \
    _Generic((variable), bool: FLAG_BOOL, const char *: FLAG_TEXT, uint64_t: FLAG_NUMBER, unsigned: FLAG_SET)

/* -c FILE, which most commands have. The parser knows this flag by its name: see struct word. */
#define FLAG_CONFIG(type, field, text)                                                                                 \
    {.name = "config", .letter = 'c', FLAG_INTO(type, field), .value_name = "FILE", .help = (text)}

/* --control FOLDER, for the commands that make the control socket or use it. */
#define FLAG_CONTROL(type, field)                                                                                      \
    {.name = "control",                                                                                                \
     FLAG_INTO(type, field),                                                                                           \
     .value_name = "FOLDER",                                                                                           \
     .help = "folder of the control socket; default: /run/seawall, or one that only this user can enter"}

/* One word argument, or a list of them. A list comes last. */
struct word {
    const char *name;    /* placeholder: "DB"; "a|b": one of these words */
    const char *meaning; /* for messages: "database" */
    unsigned max;        /* 1: a const char *; more: const char *[max] with a count */
    size_t offset;       /* in the command's request */
    size_t count_offset; /* of the size_t that counts a list */
    enum {
        WORD_OPTIONAL,
        WORD_NEEDED,
        WORD_OR_CONFIG, /* needed without -c FILE */
    } needed;
};

/* Words that several commands take. */
#define WORD_DATABASE(type, field, when)                                                                               \
    {.name = "DB", .meaning = "database", .max = 1, .offset = offsetof(type, field), .needed = (when)}
#define WORD_REPLICA(type, field, when)                                                                                \
    {.name = "URL", .meaning = "replica URL", .max = 1, .offset = offsetof(type, field), .needed = (when)}
#define WORD_REPLICAS(type, field, count, most)                                                                        \
    {.name = "URL",                                                                                                    \
     .meaning = "replica URL",                                                                                         \
     .max = (most),                                                                                                    \
     .offset = offsetof(type, field),                                                                                  \
     .count_offset = offsetof(type, count),                                                                            \
     .needed = WORD_OR_CONFIG}

/* Options of config/options.h that were given on the command line, in that order. */
struct given_options {
    struct {
        const struct option_spec *spec;
        const char *value;
    } given[GIVEN_OPTIONS_MAX];
    size_t count;
};

enum options_taken { OPTIONS_NONE, OPTIONS_RETENTION, OPTIONS_ALL };

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* the arguments after the name; returns an exit code */
    const char *example;               /* shortest use, for the list of commands */
    const char *summary;               /* one line, for the list of commands */
    const char *synopsis;              /* NULL: made from the table */
    const char *arguments;             /* the words as the synopsis shows them */
    const char *description;           /* paragraphs end with a newline; may be NULL */
    const struct flag *flags;          /* without --version and --help; in the order of the help text */
    size_t flag_count;
    const struct word *words;
    size_t word_count;
    bool works_without_output; /* its output is not its work: it succeeds even if standard output can't be written */
    enum options_taken options;
    size_t options_offset; /* of a struct given_options in the request */
};

/* The flag at `index`, --version and --help last. NULL: there are no more. */
const struct flag *command_flag(const struct command *c, size_t index);

/* The option of config/options.h at `index` among those that the command takes. NULL: there are no more. */
const struct option_spec *command_option(const struct command *c, size_t index);

enum flags_outcome {
    FLAGS_WRONG,   /* the error, always ERR_CONFIG, says what is wrong */
    FLAGS_PARSED,  /* run the command */
    FLAGS_HELP,    /* --help was given; the request may be incomplete */
    FLAGS_VERSION, /* --version was given; the same */
};

/* Parses the arguments of a command into `request`, which must hold the defaults; it may be NULL for a command
 * without flags, words and options. Texts in the request point into `argv`. */
enum flags_outcome flags_parse(const struct command *c, int argc, char **argv, void *request, struct err *e) MUST_CHECK;

/* Sets the given options in `to`. ERR_CONFIG: an invalid value. */
int given_options_apply(const struct given_options *o, struct options *to, struct err *e) MUST_CHECK;

#endif
