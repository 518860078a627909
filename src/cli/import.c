/* cli/import.c - `seawall import`: prints a configuration file made from one of Litestream. */
#include "base/io.h"
#include "cli/cli.h"
#include "import/litestream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct request {
    const char *path;
    bool no_expand;
};

/* Reads a regular file of at most TREE_BYTES_MAX bytes. The caller frees *ret, which can have secrets. */
static int read_file(const char *path, char **ret, size_t *ret_size, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0; /* opening a FIFO must not block */
    *ret = NULL;
    *ret_size = 0;
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = err_sys(e, errno, "open '%s'", path);
    else if (!S_ISREG(st.st_mode) || st.st_size > (off_t)TREE_BYTES_MAX)
        rc = err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file of at most %u bytes", path, TREE_BYTES_MAX);
    if (rc == 0) {
        *ret_size = (size_t)st.st_size;
        *ret = malloc(*ret_size + 1);
        rc = *ret ? io_pread(fd, *ret, *ret_size, 0, e) : err_nomem(e, *ret_size);
    }
    io_close(&fd);
    if (rc && e->code == ERR_NOTFOUND)
        e->code = ERR_CONFIG;
    return rc;
}

/* Prints what was made, and on stderr what a person has to do. */
static void print_result(const char *text, const struct import_result *r)
{
    text_put(stdout, text);
    if (r->disabled)
        text_print_to(
            stderr,
            "%zu of %zu database%s: no replica that Seawall can use as it is; choose one, the comments say why\n",
            r->disabled, r->databases, cli_plural(r->databases));
}

static int import(const struct request *r, struct err *e)
{
    const struct import_options options = {.name = r->path, .expand = !r->no_expand};
    struct import_result result;
    struct tree *tree = NULL;
    char *bytes = NULL, *text = NULL;
    size_t size = 0, text_size = 0;
    FILE *out = open_memstream(&text, &text_size);
    int rc = out ? read_file(r->path, &bytes, &size, e) : err_nomem(e, 0);
    if (rc == 0 && tree_parse(bytes, size, &tree, e))
        rc = err_wrap(e, "'%s'", r->path);
    if (rc == 0)
        rc = import_litestream(tree_root(tree), &options, out, &result, e);
    if (out && fclose(out) != 0 && rc == 0)
        rc = err_nomem(e, text_size);
    if (rc == 0)
        print_result(text, &result);
    tree_free(tree);
    if (bytes)
        explicit_bzero(bytes, size);
    free(bytes);
    free(text);
    return rc;
}

static int cmd_import(int argc, char **argv)
{
    struct request r = {.no_expand = false};
    struct err e;
    int code = EXIT_DONE;
    if (!cli_parse(&import_command, argc, argv, &r, &code))
        return code;
    return import(&r, &e) ? cli_fail(&e) : EXIT_DONE;
}

static const struct flag flags[] = {
    {.name = "no-expand-env",
     FLAG_INTO(struct request, no_expand),
     .help = "take $NAME and ${NAME} in the file as they are, as Litestream does with the same flag"},
};

static const struct word words[] = {
    {.name = "FILE",
     .meaning = "configuration file of Litestream",
     .max = 1,
     .offset = offsetof(struct request, path),
     .needed = WORD_NEEDED},
};

const struct command import_command = {
    .name = "import",
    .run = cmd_import,
    .example = "import FILE",
    .summary = "make a configuration from one of Litestream",
    .arguments = "FILE",
    .description = "Reads litestream.yml, of Litestream 0.5 or 0.3, and prints a configuration file for Seawall. Each "
                   "key that has no "
                   "counterpart becomes a comment, which says what to do. Secrets are not copied.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = words,
    .word_count = sizeof words / sizeof words[0],
};
