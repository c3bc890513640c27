/* Reads env files one after the other. */
#include "client/kms-env/input.h"

#include <string.h>

kms_err kms_env_document_read(const char *path, enum kms_dotenv_dialect dialect, kms_env_file *file,
                              kms_dotenv **ret_document, struct kms_why *why)
{
    struct kms_why cause = {0};
    KMS_TRY(kms_env_file_read(path, file, why));
    kms_err err = kms_dotenv_parse(kms_env_file_text(file), dialect, ret_document, &cause);
    if (kms_failed(err)) {
        const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
        kms_why_set(why, "%s: %s", name, cause.text[0] != '\0' ? cause.text : kms_err_text(err));
    }
    return err;
}

static kms_err read_one(const char *path, enum kms_dotenv_dialect dialect, bool allow_missing,
                        kms_env_inputs *inputs, struct kms_why *why)
{
    const size_t at = inputs->count;
    kms_err err = kms_env_document_read(path, dialect, &inputs->files[at], &inputs->documents[at], why);
    if (kms_is(err, KMS_E_NOT_FOUND) && allow_missing) return KMS_OK;
    inputs->count++; /* half-read, it has memory to give back */
    KMS_TRY(err);
    inputs->inputs[at] = (struct kms_env_input){.path = path, .document = inputs->documents[at]};
    return KMS_OK;
}

kms_err kms_env_inputs_read(const struct kms_env_arguments *arguments, bool allow_missing,
                            kms_env_inputs *inputs, struct kms_why *why)
{
    for (size_t i = 0; i < arguments->env_file_count; i++)
        KMS_TRY(read_one(arguments->env_files[i], arguments->dialect, allow_missing, inputs, why));
    return KMS_OK;
}

void kms_env_inputs_free(kms_env_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        kms_dotenv_free(inputs->documents[i]);
        kms_env_file_free(&inputs->files[i]);
    }
    *inputs = (kms_env_inputs){0};
}
