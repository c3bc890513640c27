/* The env files of a command, read and parsed. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_INPUT_H
#define KMS_CLIENT_KMS_ENV_INPUT_H

#include "client/kms-env/file.h"
#include "client/kms-env/settings.h"

typedef struct kms_env_inputs {
    struct kms_env_input inputs[KMS_ENV_FILES];
    kms_env_file files[KMS_ENV_FILES];
    kms_dotenv *documents[KMS_ENV_FILES];
    size_t count;
} kms_env_inputs;

/* With allow_missing a file that is not there is skipped. Errors: those of kms_env_file_read and
 * kms_dotenv_parse; why begins with the file. *inputs must be zero-initialised and freed in any case. */
KMS_MUST_USE kms_err kms_env_inputs_read(const struct kms_env_arguments *arguments, bool allow_missing,
                                         kms_env_inputs *inputs, struct kms_why *why);
void kms_env_inputs_free(kms_env_inputs *inputs); /* wipes; the struct itself is the caller's */
#define KMS_OWN_INPUTS __attribute__((cleanup(kms_env_inputs_free))) kms_env_inputs

/* Reads and parses one; why begins with its name. */
KMS_MUST_USE kms_err kms_env_document_read(const char *path, enum kms_dotenv_dialect dialect,
                                           kms_env_file *file, kms_dotenv **ret_document,
                                           struct kms_why *why);

#endif
