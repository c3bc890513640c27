/*
 * Names that a file of variables must not set unnoticed: they decide which program runs or make it load code,
 * so whoever can edit the file would own the process. Thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_GUARD_H
#define KMS_CLIENT_KMS_ENV_GUARD_H

#include "base/bytes.h"

/* PATH, HOME, everything that begins with LD_ or DYLD_, BASH_ENV, ENV, ... (guard.c has the list). */
bool kms_env_name_guarded(struct kms_bytes name);

/* Settings of kms-env itself, which lead to credentials: KMS_ENDPOINT, KMS_CA, ... The child does not get
 * them. */
bool kms_env_name_is_setting(struct kms_bytes name);

/* The name says secret: it contains PASSWORD, SECRET, TOKEN, KEY or DSN in any case, and does not end in
 * _FILE (then the value is the path of one). */
bool kms_env_name_looks_secret(struct kms_bytes name);
/* The value says secret: a URL with a password in it, or a private key in PEM. */
bool kms_env_value_looks_secret(struct kms_bytes value);

#endif
