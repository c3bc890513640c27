/*
 * Which unit gets what as which credential: a list of the operator's in a YAML file (credentials.def). What
 * does not stand there is not to be had. Thread-safe: read only after load.
 */
#ifndef KMS_CLIENT_KMS_ENV_CREDENTIAL_MAP_H
#define KMS_CLIENT_KMS_ENV_CREDENTIAL_MAP_H

#include "client/kms-env/credential_name.h"

#define KMS_CONF_DEF "client/kms-env/credentials.def"
#include "base/conf_struct.def"

/* Every unit, id and reference is valid, and none is there twice. Errors: IO, CONFIG_INVALID; why has the
 * file and the entry. The caller frees *ret_map. */
KMS_MUST_USE kms_err kms_env_credential_map_load(const char *path, struct kms_env_credentials *ret_map,
                                                 struct kms_why *why);
void kms_env_credential_map_free(struct kms_env_credentials *map); /* zeroed is fine */

/* The entry of exactly this unit, else the one with the longest beginning of it; NULL: none. Borrowed. */
const struct kms_env_credential *kms_env_credential_map_find(const struct kms_env_credentials *map,
                                                             const struct kms_env_credential_name *name);

#endif
