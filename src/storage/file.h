/* storage/file.h - a folder as the store.
 *
 * An object is written to a file without a name (O_TMPFILE; where the file system has none, to a hidden temporary one), synced,
 * linked to its key, which fails if the key exists, and the folder is synced. So a crash at any instant leaves the object whole or
 * not there. Hidden names (".…") are nobody's objects. */
#ifndef SEAWALL_STORAGE_FILE_H
#define SEAWALL_STORAGE_FILE_H

#include "storage/store.h"

int file_store_open(const char *path, enum store_mode mode, struct store **ret_store, struct err *e) MUST_CHECK;

#endif
