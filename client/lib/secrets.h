/* What the calls and the cache of secrets share. Thread-safe: no state. */
#ifndef KMS_CLIENT_SECRETS_H
#define KMS_CLIENT_SECRETS_H

#include <kms/secrets.h>

/* NULL: no memory. */
struct kms_secret_value *kms_secret_value_copy(const struct kms_secret_value *value);

#endif
