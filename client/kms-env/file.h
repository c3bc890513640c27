/*
 * Files of variables on disk: read whole into locked memory, written so that a reader sees the old one or the
 * new one and a crash loses neither. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_FILE_H
#define KMS_CLIENT_KMS_ENV_FILE_H

#include <sys/stat.h>

#include "base/bytes.h"

/* A file that was read; its memory is locked and wiped when freed. Zero-initialised is empty. */
typedef struct kms_env_file {
    uint8_t *memory;
    size_t cap, len;    /* bytes */
    struct stat status; /* as it was when it was read */
} kms_env_file;

/* path "-" is standard input. Errors: NOT_FOUND, IO, LIMIT_EXCEEDED (KMS_DOTENV_BYTES), NO_MEMORY; why names
 * the file. */
KMS_MUST_USE kms_err kms_env_file_read(const char *path, kms_env_file *file, struct kms_why *why);
struct kms_bytes kms_env_file_text(const kms_env_file *file);
void kms_env_file_free(kms_env_file *file); /* the struct itself is the caller's */
#define KMS_OWN_ENV_FILE __attribute__((cleanup(kms_env_file_free))) kms_env_file

/* What is being written. Until it is committed, the file of that name is untouched; freed before, it leaves
 * nothing. */
typedef struct kms_env_output kms_env_output;

/*
 * path "-" is standard output, which takes what is put at once. Otherwise a new file beside path, mode 0600.
 * With replaced, a file that was read from path (its status is what counts): its mode, owner, access control
 * list and user attributes are kept, a symbolic link is followed, and CONFLICT is the answer of the commit
 * when it changed since. Errors: IO, NO_MEMORY.
 */
KMS_MUST_USE kms_err kms_env_output_open(const char *path, const kms_env_file *replaced,
                                         kms_env_output **ret_output, struct kms_why *why);
KMS_MUST_USE kms_err kms_env_output_put(void *output,
                                        struct kms_bytes piece); /* IO; fits struct kms_dotenv_sink */
int kms_env_output_fd(const kms_env_output *output); /* borrowed: for its mode, owner and file system */
/* Makes it durable and gives it its name. Errors: IO, CONFLICT. */
KMS_MUST_USE kms_err kms_env_output_commit(kms_env_output *output, struct kms_why *why);
void kms_env_output_free(kms_env_output *output);
void kms_env_output_drop(kms_env_output **output);

/* The name (without folder) of what is being written: ".NAME.kms-tmp-XXXXXX". */
bool kms_env_temporary_name(const char *name);
/* Removes what a program that was killed left there; what a living one is writing stays. True: removed. */
bool kms_env_temporary_remove(const char *path);

#endif
