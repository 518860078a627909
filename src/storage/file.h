/* storage/file.h - a folder as the store.
 *
 * An object is written to a file without a name (O_TMPFILE), or to a hidden temporary file if the file system
 * lacks that. The file is synced and linked to its key, which fails if the key exists. Then the folder is synced.
 * A crash at any moment leaves the whole object or none.
 *
 * The root may be a symbolic link. Links below it are not followed: folders are opened part by part. Files whose names
 * begin with '.' are not objects. A listing reports entries that can't be objects without a key: links, files that are
 * not regular, names longer than any key, and a folder that can't be read and is not one of a replica (lost+found). */
#ifndef SEAWALL_STORAGE_FILE_H
#define SEAWALL_STORAGE_FILE_H

#include "base/store.h"

extern const struct store_kind file_store_kind; /* file:///dir, or a path */

#endif
