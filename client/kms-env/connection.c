/* Chooses each setting: flag or environment first, then the context. */
#include "client/kms-env/connection.h"

kms_err kms_env_connection_find(const struct kms_env_settings *settings, kms_env_connection *connection,
                                struct kms_why *why)
{
    const struct kmsctl_context *context;
    KMS_TRY(kmsctl_contexts_load(NULL, &connection->contexts, why));
    KMS_TRY(kmsctl_contexts_find(&connection->contexts, settings->context, &context, why));
    connection->options = (struct kms_client_options){.endpoint = settings->endpoint,
                                                      .ca_file = settings->ca_file,
                                                      .cert_file = settings->cert_file,
                                                      .key_file = settings->key_file,
                                                      .server_name = settings->server_name};
    kmsctl_context_fill(context, &connection->options);
    if (connection->options.endpoint != NULL) return KMS_OK;
    kms_why_set(why, "which kmsd? --endpoint, KMS_ENDPOINT, or a context of kmsctl");
    return KMS_FAIL(CONFIG_INVALID);
}

void kms_env_connection_free(kms_env_connection *connection)
{
    kmsctl_contexts_free(&connection->contexts);
    *connection = (kms_env_connection){0};
}
