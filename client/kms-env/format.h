/*
 * Variables written for others to read: one writer for each format, checked against the readers here.
 * Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMS_ENV_FORMAT_H
#define KMS_CLIENT_KMS_ENV_FORMAT_H

#include "client/kms-env/dotenv.h"

enum kms_env_format {
    KMS_ENV_FORMAT_ENV,     /* docker run --env-file: NAME=value, no quotes, no line breaks */
    KMS_ENV_FORMAT_DOTENV,  /* Docker Compose env_file */
    KMS_ENV_FORMAT_SHELL,   /* export NAME='value', for sh */
    KMS_ENV_FORMAT_JSON,    /* one object of strings */
    KMS_ENV_FORMAT_YAML,    /* one mapping of strings */
    KMS_ENV_FORMAT_SYSTEMD, /* EnvironmentFile= */
};

/* "env", "dotenv" or "compose", "shell", "json", "yaml", "systemd"; false: none of these. */
bool kms_env_format_named(const char *name, enum kms_env_format *ret_format);

struct kms_env_pair {
    struct kms_bytes name, value; /* borrowed; a valid name, a value without NUL */
};

/* What the format cannot hold is refused: INVALID_ARGUMENT, why names the variable. env: line breaks, more
 * than 64 KiB in a line; all but shell: what is no UTF-8. Ask before anything is written. */
KMS_MUST_USE kms_err kms_env_format_check(enum kms_env_format format, const struct kms_env_pair *pairs,
                                          size_t count, struct kms_why *why);
/* Pieces are views of the values or short: nothing is copied. Errors: the sink's. */
KMS_MUST_USE kms_err kms_env_format_write(enum kms_env_format format, const struct kms_env_pair *pairs,
                                          size_t count, struct kms_dotenv_sink sink);

#endif
