/*
 * User name and password out of a secret value, which must be a JSON object as AWS's database secrets are:
 * {"engine", "host", "port", "dbname", "username", "password"}. All but the last two may be missing; what
 * is there must be what the database's declaration says, since a value never chooses where kmsd connects
 * to. Not thread-safe: one owner at a time.
 */
#ifndef KMS_ROTATORS_CREDENTIAL_H
#define KMS_ROTATORS_CREDENTIAL_H

#include "kmsd/rotators/connection.h"

/* Owned, in locked memory, NUL-terminated. Zero-initialised is nothing. */
typedef struct kms_credential {
    kms_secret *user, *password;
} kms_credential;

/* which ("current") is for why. VALUE_NOT_ROTATABLE, NO_MEMORY; ret_credential is empty then. */
KMS_MUST_USE kms_err kms_credential_read(const struct kmsd_conf_database *database, struct kms_bytes value,
                                         const char *which, kms_credential *ret_credential,
                                         struct kms_why *why);
void kms_credential_free(kms_credential *credential); /* empties it */
#define KMS_OWN_CREDENTIAL __attribute__((cleanup(kms_credential_free))) kms_credential

static inline const char *kms_credential_user(const kms_credential *credential)
{
    return (const char *)kms_secret_data(credential->user);
}
static inline const char *kms_credential_password(const kms_credential *credential)
{
    return (const char *)kms_secret_data(credential->password);
}

#endif
