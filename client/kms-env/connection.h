/* From settings and the contexts of kmsctl to what libkms wants. Thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_CONNECTION_H
#define KMS_CLIENT_KMS_ENV_CONNECTION_H

#include <kms/client.h>

#include "client/kms-env/settings.h"
#include "client/lib/contexts.h"

typedef struct kms_env_connection {
    struct kms_client_options options; /* borrows from the settings and from contexts */
    struct kmsctl_contexts contexts;
} kms_env_connection;

/* What the settings leave open comes from the context that they name, else from the current one, as in
 * kmsctl. Errors: CONFIG_INVALID (no endpoint; the file of contexts is wrong), NOT_FOUND (no such context),
 * IO. *connection must be zero-initialised and freed in any case. */
KMS_MUST_USE kms_err kms_env_connection_find(const struct kms_env_settings *settings,
                                             kms_env_connection *connection, struct kms_why *why);
void kms_env_connection_free(kms_env_connection *connection); /* the struct itself is the caller's */
#define KMS_OWN_CONNECTION __attribute__((cleanup(kms_env_connection_free))) kms_env_connection

#endif
