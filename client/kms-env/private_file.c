/* Where a secret may be written. */
#include "client/kms-env/private_file.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static kms_err refuse(struct kms_why *why, const char *path, const char *words)
{
    kms_why_set(why, "%s: %s", path, words);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err io(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err check_target(const char *path, struct kms_why *why)
{
    struct stat now;
    if (lstat(path, &now) != 0) return errno == ENOENT ? KMS_OK : io(path, why);
    if (S_ISLNK(now.st_mode)) return refuse(why, path, "a symbolic link: name what it leads to");
    return S_ISREG(now.st_mode) ? KMS_OK : refuse(why, path, "no regular file");
}

/* Whoever may write the folder may put another file in the place of this one. */
static kms_err check_folder(const char *path, struct kms_why *why)
{
    char copy[PATH_MAX];
    struct stat now;
    if (strlen(path) >= sizeof copy) return refuse(why, path, "the name is too long");
    kms_copy(copy, path, strlen(path) + 1);
    const char *folder = dirname(copy);
    if (stat(folder, &now) != 0) return io(folder, why);
    const bool sticky = (now.st_mode & S_ISVTX) != 0;
    if (now.st_uid != 0 && now.st_uid != geteuid())
        return refuse(why, folder, "the folder belongs to another user");
    if ((now.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
        return refuse(why, folder, "others may write this folder: chmod go-w");
    return KMS_OK;
}

static kms_err check_memory(const kms_env_output *output, const char *path, struct kms_why *why)
{
    struct statfs on;
    if (fstatfs(kms_env_output_fd(output), &on) != 0) return io(path, why);
    if (on.f_type == TMPFS_MAGIC || on.f_type == RAMFS_MAGIC) return KMS_OK;
    return refuse(why, path, "not in memory: write below /run or /dev/shm, or say --allow-disk");
}

static kms_err set_up(const kms_env_output *output, const char *path, const struct kms_env_private *how,
                      struct kms_why *why)
{
    const int fd = kms_env_output_fd(output);
    if (!how->allow_disk) KMS_TRY(check_memory(output, path, why));
    if (how->has_owner && fchown(fd, how->uid, how->gid) != 0) return io(path, why);
    return fchmod(fd, how->mode) == 0 ? KMS_OK : io(path, why);
}

kms_err kms_env_private_open(const char *path, const struct kms_env_private *how, kms_env_output **ret_output,
                             struct kms_why *why)
{
    KMS_OWN(kms_env_output) output = NULL;
    if (strcmp(path, "-") != 0) {
        KMS_TRY(check_target(path, why));
        KMS_TRY(check_folder(path, why));
        KMS_TRY(kms_env_output_open(path, NULL, &output, why));
        KMS_TRY(set_up(output, path, how, why));
    } else {
        KMS_TRY(kms_env_output_open(path, NULL, &output, why));
    }
    *ret_output = KMS_GIVE(output);
    return KMS_OK;
}

bool kms_env_mode_parse(const char *text, mode_t *ret_mode)
{
    const size_t digits = strspn(text, "01234567");
    if (digits < 3 || digits > 4 || text[digits] != '\0') return false;
    const unsigned long mode = strtoul(text, NULL, 8);
    *ret_mode = (mode_t)mode;
    return mode <= 0777;
}

static bool number(const char *text, unsigned long *ret_number)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0') return false;
    *ret_number = strtoul(text, NULL, 10);
    return true;
}

static bool find_user(const char *name, uid_t *ret_uid)
{
    unsigned long id;
    const struct passwd *user = getpwnam(name);
    const bool numeric = user == NULL && number(name, &id);
    if (user == NULL && !numeric) return false;
    *ret_uid = user != NULL ? user->pw_uid : (uid_t)id;
    return true;
}

static bool find_group(const char *name, gid_t *ret_gid)
{
    unsigned long id;
    const struct group *group = getgrnam(name);
    const bool numeric = group == NULL && number(name, &id);
    if (group == NULL && !numeric) return false;
    *ret_gid = group != NULL ? group->gr_gid : (gid_t)id;
    return true;
}

kms_err kms_env_owner_parse(const char *text, struct kms_env_private *how, struct kms_why *why)
{
    char user[256];
    const size_t len = strcspn(text, ":");
    const char *group = text[len] == ':' ? text + len + 1 : "";
    how->uid = (uid_t)-1; /* chown(2): stays as it is */
    how->gid = (gid_t)-1;
    how->has_owner = true;
    if (len < sizeof user) {
        kms_copy(user, text, len);
        user[len] = '\0';
        const bool found =
            (len == 0 || find_user(user, &how->uid)) && (group[0] == '\0' || find_group(group, &how->gid));
        if (found && strlen(text) > 1) return KMS_OK;
    }
    kms_why_set(why, "%s: no such user or group", text);
    return KMS_FAIL(NOT_FOUND);
}
