/* The context of a run and the client that it makes: command line first, then the context. */
#include "client/kmsctl/ctl.h"
#include "client/kmsctl/input.h"

bool ctl_read_context(struct ctl *ctl)
{
    if (ctl->contexts_read) return true;
    struct kms_why why = {0};
    kms_err err = kmsctl_contexts_load(ctl->config, &ctl->contexts, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    ctl->contexts_read = true;
    err = kmsctl_contexts_find(&ctl->contexts, ctl->context_name, &ctl->context, &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}

kms_client *ctl_client(struct ctl *ctl)
{
    if (ctl->client != NULL) return ctl->client;
    uint32_t timeout_ms = 0;
    if (ctl->timeout != NULL && !ctl_duration(ctl->timeout, &timeout_ms)) {
        ctl_fail_usage(ctl, "--timeout %s is no duration: 500ms, 10s, 2m", ctl->timeout);
        return NULL;
    }
    if (!ctl_read_context(ctl)) return NULL;
    struct kms_client_options options = {.endpoint = ctl->endpoint,
                                         .ca_file = ctl->ca,
                                         .cert_file = ctl->cert,
                                         .key_file = ctl->key_file,
                                         .server_name = ctl->server_name,
                                         .timeout_ms = timeout_ms,
                                         .correlation_id = ctl->correlation_id};
    kmsctl_context_fill(ctl->context, &options);
    if (options.endpoint == NULL) {
        ctl_fail_usage(ctl, "no context is chosen and no --endpoint is given: which kmsd?");
        return NULL;
    }
    return kms_client_open(&options, &ctl->client, &ctl->error) ? ctl->client : NULL;
}

struct kms_call_options ctl_call_options(const struct ctl *ctl)
{
    return (struct kms_call_options){.grant_tokens = ctl->grant_tokens.items,
                                     .grant_token_count = ctl->grant_tokens.count};
}

void ctl_close(struct ctl *ctl)
{
    kms_client_close(ctl->client);
    if (ctl->contexts_read) kmsctl_contexts_free(&ctl->contexts);
}
