/* Results of libkms as JSON values, one shape for each; names are those of the protocol. New references,
 * NULL: no memory. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_DESCRIBE_H
#define KMS_CLIENT_KMSCTL_DESCRIBE_H

#include <jansson.h>
#include <kms/types.h>

#include "client/lib/contexts.h"

json_t *ctl_describe_key(const struct kms_key_metadata *key);
json_t *ctl_describe_status(const struct kms_status *status);
json_t *ctl_describe_alias(const struct kms_alias_entry *alias);
json_t *ctl_describe_data_key(const struct kms_data_key_result *key);
json_t *ctl_describe_context(const struct kmsctl_context *context);

#endif
