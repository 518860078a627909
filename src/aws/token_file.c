/* aws/token_file.c */
#include "aws/token_file.h"

#include "base/hash.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int read_into(int fd, char out[TOKEN_FILE_MAX], struct err *e)
{
    size_t size = 0;
    ssize_t n;
    while (size < TOKEN_FILE_MAX && (n = read(fd, out + size, TOKEN_FILE_MAX - size)) != 0) {
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "read");
        if (n > 0)
            size += (size_t)n;
    }
    if (size == 0 || size == TOKEN_FILE_MAX || memchr(out, 0, size))
        return err_set(e, ERR_CONFIG, 0,
                       size == 0 ? "the file is empty" : "the file is longer than %d bytes, or has a NUL",
                       TOKEN_FILE_MAX - 1);
    out[size] = 0;
    return 0;
}

int token_file_read(const char *path, char out[TOKEN_FILE_MAX], struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block if it is a FIFO */
    if (fd < 0) {
        err_sys(e, errno, "open token file '%s'", path);
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_CONFIG;
        return -1;
    }
    int rc = read_into(fd, out, e);
    io_close(&fd);
    if (rc == 0)
        return 0;
    wipe(out, TOKEN_FILE_MAX);
    return err_wrap(e, "token file '%s'", path);
}
