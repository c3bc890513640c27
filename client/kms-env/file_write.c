/* Replaces a file in one step: a new one beside it, made durable, then renamed over it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/kms-env/file.h"

/* While it is written it is locked, so that what has this name and no lock was left by a killed program. */
#define MIDDLE ".kms-tmp-"
enum {
    ATTRIBUTE_NAMES_BYTES = 4096,
    RANDOM_PART = 6,
    NAME_PART = 200 /* bytes of the name: 255 are the most for all of it */
};

struct kms_env_output {
    int fd;
    bool standard;
    char path[PATH_MAX];      /* what it will be */
    char temporary[PATH_MAX]; /* what it is; empty: nothing to remove */
    const kms_env_file *replaced;
};

static kms_err io(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err keep_owner_and_mode(int fd, const struct stat *old, const char *path, struct kms_why *why)
{
    struct stat now;
    if (fstat(fd, &now) != 0) return io(path, why);
    bool same = now.st_uid == old->st_uid && now.st_gid == old->st_gid;
    if (!same && fchown(fd, old->st_uid, old->st_gid) != 0) {
        kms_why_set(why, "%s: its owner cannot be kept: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    return fchmod(fd, old->st_mode & 07777) == 0 ? KMS_OK : io(path, why);
}

/* A group bit of the mode is the mask of a list where there is one: without its list it would mean more. */
static bool is_kept(const char *attribute)
{
    return strcmp(attribute, "system.posix_acl_access") == 0 || strncmp(attribute, "user.", 5) == 0;
}

/* errno tells why not */
static bool keep_attribute(const char *from, int to, const char *attribute)
{
    ssize_t len = getxattr(from, attribute, NULL, 0);
    uint8_t *value = len >= 0 ? malloc((size_t)len + 1) : NULL;
    if (value == NULL) return false;
    bool same = getxattr(from, attribute, value, (size_t)len) == len &&
                fsetxattr(to, attribute, value, (size_t)len, 0) == 0;
    free(value);
    return same;
}

static kms_err keep_attributes(const char *from, int to, struct kms_why *why)
{
    char names[ATTRIBUTE_NAMES_BYTES];
    ssize_t len = listxattr(from, names, sizeof names);
    if (len < 0 && errno == ENOTSUP) return KMS_OK;
    const char *end = names + (len > 0 ? len : 0);
    bool kept = len >= 0;
    for (const char *at = names; kept && at < end; at += strlen(at) + 1)
        if (is_kept(at)) kept = keep_attribute(from, to, at);
    if (kept) return KMS_OK;
    kms_why_set(why, "%s: its attributes cannot be kept: %s", from, strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err keep_all(const kms_env_output *output, const char *path, struct kms_why *why)
{
    KMS_TRY(keep_owner_and_mode(output->fd, &output->replaced->status, path, why));
    return keep_attributes(output->path, output->fd, why);
}

static kms_err open_temporary(kms_env_output *output, struct kms_why *why)
{
    const char *slash = strrchr(output->path, '/'), *name = slash != NULL ? slash + 1 : output->path;
    int folder = (int)(name - output->path);
    int len = snprintf(output->temporary, sizeof output->temporary, "%.*s.%.*s" MIDDLE "XXXXXX", folder,
                       output->path, NAME_PART, name);
    if (len < 0 || (size_t)len >= sizeof output->temporary) {
        output->temporary[0] = '\0';
        errno = ENAMETOOLONG;
        return io(output->path, why);
    }
    output->fd = mkostemp(output->temporary, O_CLOEXEC); /* mode 0600 */
    if (output->fd >= 0 && flock(output->fd, LOCK_EX) == 0) return KMS_OK;
    kms_err err = io(output->path, why);
    if (output->fd < 0) output->temporary[0] = '\0';
    return err;
}

bool kms_env_temporary_name(const char *name)
{
    const size_t len = strlen(name), end = strlen(MIDDLE) + RANDOM_PART;
    return name[0] == '.' && len > 1 + end && strncmp(name + len - end, MIDDLE, strlen(MIDDLE)) == 0;
}

bool kms_env_temporary_remove(const char *path)
{
    struct stat status;
    KMS_OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
}

kms_err kms_env_output_open(const char *path, const kms_env_file *replaced, kms_env_output **ret_output,
                            struct kms_why *why)
{
    KMS_OWN(kms_env_output) output = calloc(1, sizeof *output);
    if (output == NULL) return KMS_FAIL(NO_MEMORY);
    output->fd = -1;
    output->standard = strcmp(path, "-") == 0;
    output->replaced = replaced;
    if (output->standard) {
        output->fd = STDOUT_FILENO;
    } else {
        /* the file that a link leads to is replaced, not the link */
        if (realpath(path, output->path) == NULL) {
            if (errno != ENOENT || replaced != NULL) return io(path, why);
            if (strlen(path) >= sizeof output->path) return KMS_FAIL(INVALID_ARGUMENT);
            kms_copy(output->path, path, strlen(path) + 1);
        }
        KMS_TRY(open_temporary(output, why));
        if (replaced != NULL) KMS_TRY(keep_all(output, path, why));
    }
    *ret_output = KMS_GIVE(output);
    return KMS_OK;
}

kms_err kms_env_output_put(void *self, struct kms_bytes piece)
{
    kms_env_output *output = self;
    while (piece.len > 0) {
        ssize_t put = write(output->fd, piece.ptr, piece.len);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return KMS_FAIL(IO);
        piece = kms_bytes_of(piece.ptr + put, piece.len - (size_t)put);
    }
    return KMS_OK;
}

int kms_env_output_fd(const kms_env_output *output)
{
    return output->fd;
}

/* Someone who edited the file meanwhile keeps the edit. What is left is the moment between this and the
 * rename. */
static kms_err check_unchanged(const kms_env_output *output, struct kms_why *why)
{
    const struct stat *old = &output->replaced->status;
    struct stat now;
    if (stat(output->path, &now) != 0) return io(output->path, why);
    if (now.st_ino == old->st_ino && now.st_dev == old->st_dev && now.st_size == old->st_size &&
        now.st_mtim.tv_sec == old->st_mtim.tv_sec && now.st_mtim.tv_nsec == old->st_mtim.tv_nsec)
        return KMS_OK;
    kms_why_set(why, "%s: changed by someone else while it was read: nothing was written, run it again",
                output->path);
    return KMS_FAIL(CONFLICT);
}

static kms_err sync_directory(const char *path, struct kms_why *why)
{
    char directory[PATH_MAX];
    kms_copy(directory, path, strlen(path) + 1);
    KMS_OWN_FD fd = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? KMS_OK : io(path, why);
}

kms_err kms_env_output_commit(kms_env_output *output, struct kms_why *why)
{
    if (output->standard) return KMS_OK;
    if (fsync(output->fd) != 0) return io(output->temporary, why);
    if (output->replaced != NULL) KMS_TRY(check_unchanged(output, why));
    if (rename(output->temporary, output->path) != 0) return io(output->path, why);
    output->temporary[0] = '\0';
    return sync_directory(output->path, why);
}

void kms_env_output_free(kms_env_output *output)
{
    if (output == NULL) return;
    if (!output->standard) kms_fd_drop(&output->fd);
    if (output->temporary[0] != '\0') unlink(output->temporary);
    free(output);
}

void kms_env_output_drop(kms_env_output **output)
{
    kms_env_output_free(*output);
}
