/* restore/attributes.c */
#include "restore/attributes.h"

#include "base/log.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAMES_MAX (64 << 10) /* the kernel's limits of a list of names and of a value */
#define VALUE_MAX (64 << 10)

/* The extended attributes that could not be copied. */
struct lost {
    unsigned count;
    char first[XATTR_NAME_MAX + 1]; /* name of the first of them */
};

/* The label of SELinux belongs to the place, and capabilities belong to programs: the kernel sets them. */
static bool is_set_by_the_kernel(const char *name)
{
    return strncmp(name, "security.", 9) == 0;
}

static bool copy_one(int from, int to, const char *name, void *value)
{
    ssize_t n = fgetxattr(from, name, value, VALUE_MAX);
    return n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) == 0;
}

/* `with_acl`: copies the access control list too. Its entry for the owning group would be wrong for another group. */
static int copy_extended(int from, int to, bool with_acl, struct lost *ret_lost, struct err *e)
{
    *ret_lost = (struct lost){.count = 0};
    char *names = malloc(NAMES_MAX + VALUE_MAX);
    if (!names)
        return err_nomem(e, NAMES_MAX + VALUE_MAX);
    ssize_t n = flistxattr(from, names, NAMES_MAX); /* -1: the file system has none */
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        if (is_set_by_the_kernel(name))
            continue;
        bool fits = with_acl || strcmp(name, "system.posix_acl_access") != 0;
        if ((!fits || !copy_one(from, to, name, names + NAMES_MAX)) && ret_lost->count++ == 0)
            snprintf(ret_lost->first, sizeof ret_lost->first, "%s", name);
    }
    free(names);
    return 0;
}

int attributes_copy(int from, int to, const char *path, struct err *e)
{
    struct stat old, new;
    struct lost lost;
    if (fstat(from, &old) != 0 || fstat(to, &new) != 0)
        return err_sys(e, errno, "stat '%s'", path);
    mode_t mode = old.st_mode & 07777;
    bool owner_kept = old.st_uid == new.st_uid || fchown(to, old.st_uid, (gid_t)-1) == 0;
    bool group_kept = old.st_gid == new.st_gid || fchown(to, (uid_t)-1, old.st_gid) == 0;
    if (!owner_kept)
        mode &= ~(mode_t)(S_ISUID);
    if (!group_kept) /* the rights of the group would go to another one */
        mode &= ~(mode_t)(S_ISGID | S_IRWXG);
    if (fchmod(to, mode) != 0)
        return err_sys(e, errno, "set the mode of the new file");
    if (!owner_kept || !group_kept)
        log_warn(
            "'%s': the restored database belongs to user %u and group %u; the database before belonged to user %u and "
            "group %u. Only root can keep owner and group",
            path, (unsigned)geteuid(), (unsigned)(group_kept ? old.st_gid : new.st_gid), (unsigned)old.st_uid,
            (unsigned)old.st_gid);
    if (copy_extended(from, to, group_kept, &lost, e))
        return -1;
    if (lost.count > 0)
        log_warn("'%s': could not keep %u extended attribute%s of the database before, among them '%s'", path,
                 lost.count, lost.count == 1 ? "" : "s", lost.first);
    return 0;
}

int attributes_of_new(int fd, const struct folder *f, mode_t mode, struct err *e)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return err_sys(e, errno, "stat '%s'", f->path);
    if (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return err_sys(e, errno, "set the owner of the new file");
    return fchmod(fd, mode) == 0 ? 0 : err_sys(e, errno, "set the mode of the new file");
}
