/* base/disk.h - the file system that holds a path: what it is, and how much room it has. */
#ifndef SEAWALL_BASE_DISK_H
#define SEAWALL_BASE_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_kind {
    DISK_LOCAL,   /* or one that is not known to be something else */
    DISK_NETWORK, /* several machines can have it: NFS, SMB, Ceph, ... */
    DISK_FUSE,    /* a program serves it; it can be anything */
    DISK_MEMORY,  /* a restart of the machine empties it */
    DISK_OVERLAY, /* of a container: usually it ends with the container */
};

struct disk {
    enum disk_kind kind;
    const char *name;    /* "NFS"; of DISK_LOCAL "" */
    uint64_t free_bytes; /* that this user may take */
    bool read_only;
};

/* Looks at the file system that holds `path`, which must exist. False: it can't be asked. */
bool disk_look(const char *path, struct disk *ret_disk);

/* The folder for temporary files: TMPDIR, or /tmp. */
const char *disk_temporary_folder(void);

#endif
