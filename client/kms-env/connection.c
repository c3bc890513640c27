/* Chooses each setting: flag or environment first, then the context. */
#include "client/kms-env/connection.h"

static const char *choose(const char *given, const char *from_context)
{
    if (given != NULL) return given;
    return from_context != NULL && from_context[0] != '\0' ? from_context : NULL;
}

static kms_err find_context(const char *name, const struct kmsctl_contexts *contexts,
                            const struct kmsctl_context **ret_context, struct kms_why *why)
{
    bool has_current = contexts->current_context != NULL && contexts->current_context[0] != '\0';
    return name != NULL || has_current ? kmsctl_contexts_find(contexts, name, ret_context, why) : KMS_OK;
}

kms_err kms_env_connection_find(const struct kms_env_settings *settings, kms_env_connection *connection,
                                struct kms_why *why)
{
    static const struct kmsctl_context nothing;
    const struct kmsctl_context *context = &nothing;
    KMS_TRY(kmsctl_contexts_load(NULL, &connection->contexts, why));
    KMS_TRY(find_context(settings->context, &connection->contexts, &context, why));
    connection->options = (struct kms_client_options){
        .endpoint = choose(settings->endpoint, context->endpoint),
        .ca_file = choose(settings->ca_file, context->ca),
        .cert_file = choose(settings->cert_file, context->cert),
        .key_file = choose(settings->key_file, context->key),
        .server_name = choose(settings->server_name, context->server_name),
    };
    if (connection->options.endpoint != NULL) return KMS_OK;
    kms_why_set(why, "which kmsd? --endpoint, KMS_ENDPOINT, or a context of kmsctl");
    return KMS_FAIL(CONFIG_INVALID);
}

void kms_env_connection_free(kms_env_connection *connection)
{
    kmsctl_contexts_free(&connection->contexts);
    *connection = (kms_env_connection){0};
}
