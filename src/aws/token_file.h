/* aws/token_file.h - a file with one token in it, which somebody else renews: read anew for each use. */
#ifndef SEAWALL_AWS_TOKEN_FILE_H
#define SEAWALL_AWS_TOKEN_FILE_H

#include "base/err.h"

#define TOKEN_FILE_MAX 32768 /* bytes, with NUL; STS takes 20000 */

/* What the file holds, as it is. ERR_CONFIG: there is no such file, it is empty, too large, or holds a NUL. ERR_IO. */
int token_file_read(const char *path, char out[TOKEN_FILE_MAX], struct err *e) MUST_CHECK;

#endif
