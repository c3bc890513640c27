/* A file for secrets in plain: in memory, not on disk, and for its reader alone. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_PRIVATE_FILE_H
#define KMS_CLIENT_KMS_ENV_PRIVATE_FILE_H

#include "client/kms-env/file.h"

struct kms_env_private {
    mode_t mode;
    bool has_owner;
    uid_t uid;
    gid_t gid;
    bool allow_disk; /* else a file system in memory is required: tmpfs or ramfs */
};

/*
 * As kms_env_output_open; where how forbids it, before a byte is written: path is a symbolic link or no
 * regular file, its folder belongs to another user or can be written by others (unless it is sticky, as
 * /dev/shm), or the file system is on disk. "-" is standard output, whatever how says. Errors:
 * INVALID_ARGUMENT (those; why says which), IO.
 */
KMS_MUST_USE kms_err kms_env_private_open(const char *path, const struct kms_env_private *how,
                                          kms_env_output **ret_output, struct kms_why *why);

/* "0400": up to 0777. */
bool kms_env_mode_parse(const char *text, mode_t *ret_mode);
/* "user:group", "user", ":group", names or numbers. NOT_FOUND: why says what. */
KMS_MUST_USE kms_err kms_env_owner_parse(const char *text, struct kms_env_private *how, struct kms_why *why);

#endif
