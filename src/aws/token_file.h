/* aws/token_file.h - reads a file with one token. Another program renews it, so it is read for each use. */
#ifndef SEAWALL_AWS_TOKEN_FILE_H
#define SEAWALL_AWS_TOKEN_FILE_H

#include "base/err.h"

#define TOKEN_FILE_MAX 32768 /* bytes, with NUL; STS accepts 20000 */

/* Reads the whole file. ERR_CONFIG: it does not exist, is empty or too long, or has a NUL. ERR_IO. After an error
 * `out` is wiped. */
int token_file_read(const char *path, char out[TOKEN_FILE_MAX], struct err *e) MUST_CHECK;

#endif
