/* A temporary file beside its target, and a rename. */
#include "client/kmsctl/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct ctl *ctl, const char *path)
{
    struct kms_why why;
    kms_why_set(&why, "%s: %s", path != NULL ? path : "standard output", strerror(errno));
    return ctl_fail(ctl, KMS_FAIL(IO), &why);
}

static bool fail_exists(struct ctl *ctl, const char *path)
{
    struct kms_why why;
    kms_why_set(&why, "%s exists; --force replaces it", path);
    return ctl_fail(ctl, KMS_FAIL(INVALID_ARGUMENT), &why);
}

/* It is there, and no file that could be replaced. */
static bool is_special(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

bool ctl_target_check(struct ctl *ctl, const char *path, bool replace, struct ctl_target *ret_target)
{
    struct stat there;
    *ret_target = (struct ctl_target){.path = path, .replace = replace, .fd = -1};
    if (path == NULL || replace || lstat(path, &there) != 0 || is_special(path)) return true;
    return fail_exists(ctl, path);
}

bool ctl_target_open(struct ctl *ctl, struct ctl_target *target)
{
    if (target->path == NULL) {
        target->fd = STDOUT_FILENO;
        return true;
    }
    if (is_special(target->path)) {
        target->fd = open(target->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return target->fd >= 0 || fail(ctl, target->path);
    }
    int len = snprintf(target->fresh, sizeof target->fresh, "%s.XXXXXX", target->path);
    errno = ENAMETOOLONG;
    if (len > 0 && (size_t)len < sizeof target->fresh) target->fd = mkstemp(target->fresh); /* mode 0600 */
    if (target->fd >= 0) return true;
    target->fresh[0] = '\0';
    return fail(ctl, target->path);
}

bool ctl_target_write(struct ctl *ctl, struct ctl_target *target, struct kms_bytes data)
{
    for (size_t done = 0; done < data.len;) {
        ssize_t n = write(target->fd, data.ptr + done, data.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(ctl, target->path);
        done += (size_t)n;
        target->written += (uint64_t)n;
    }
    return true;
}

/* Without replacing what came there meanwhile, unless that is wanted. */
static bool give_name(const struct ctl_target *target)
{
    if (target->replace) return rename(target->fresh, target->path) == 0;
    if (renameat2(AT_FDCWD, target->fresh, AT_FDCWD, target->path, RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL) return false;
    /* a file system that does not know how */
    return link(target->fresh, target->path) == 0 && unlink(target->fresh) == 0;
}

/* The name is on disk, too: whoever encrypts may delete the plaintext next. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL) return false;
    KMS_OWN_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    return fd >= 0 && (fsync(fd) == 0 || errno == EINVAL); /* not every file system has that */
}

bool ctl_target_keep(struct ctl *ctl, struct ctl_target *target)
{
    if (target->fresh[0] == '\0') return true;
    if (fsync(target->fd) != 0) return fail(ctl, target->path);
    if (!give_name(target)) return errno == EEXIST ? fail_exists(ctl, target->path) : fail(ctl, target->path);
    target->fresh[0] = '\0';
    return sync_folder(target->path) || fail(ctl, target->path);
}

void ctl_target_drop(struct ctl_target *target)
{
    if (target->fresh[0] != '\0') unlink(target->fresh);
    target->fresh[0] = '\0';
    if (target->fd > STDERR_FILENO) close(target->fd);
    target->fd = -1;
}
