/* base/disk.c */
#include "base/disk.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

/* From <linux/magic.h> and the sources of the file systems. */
static const struct {
    uint32_t magic;
    enum disk_kind kind;
    const char *name;
} kinds[] = {
    {0x6969, DISK_NETWORK, "NFS"},        {0x517b, DISK_NETWORK, "SMB"},         {0xff534d42, DISK_NETWORK, "CIFS"},
    {0xfe534d42, DISK_NETWORK, "SMB"},    {0x00c36400, DISK_NETWORK, "Ceph"},    {0x5346414f, DISK_NETWORK, "AFS"},
    {0x0bd00bd0, DISK_NETWORK, "Lustre"}, {0x47504653, DISK_NETWORK, "GPFS"},    {0x01021997, DISK_NETWORK, "9P"},
    {0x7461636f, DISK_NETWORK, "OCFS2"},  {0x01161970, DISK_NETWORK, "GFS2"},    {0x20030528, DISK_NETWORK, "OrangeFS"},
    {0x786f4256, DISK_NETWORK, "vboxsf"}, {0x65735546, DISK_FUSE, "FUSE"},       {0x01021994, DISK_MEMORY, "tmpfs"},
    {0x858458f6, DISK_MEMORY, "ramfs"},   {0x794c7630, DISK_OVERLAY, "overlay"}, {0x61756673, DISK_OVERLAY, "aufs"},
};

bool disk_look(const char *path, struct disk *ret_disk)
{
    struct statfs fs;
    struct statvfs room;
    if (statfs(path, &fs) != 0 || statvfs(path, &room) != 0)
        return false;
    *ret_disk = (struct disk){.kind = DISK_LOCAL,
                              .name = "",
                              .free_bytes = (uint64_t)room.f_bavail * room.f_frsize,
                              .read_only = (room.f_flag & ST_RDONLY) != 0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].magic == (uint32_t)fs.f_type) {
            ret_disk->kind = kinds[i].kind;
            ret_disk->name = kinds[i].name;
        }
    return true;
}

const char *disk_temporary_folder(void)
{
    const char *chosen = getenv("TMPDIR");
    return chosen && *chosen ? chosen : "/tmp";
}
