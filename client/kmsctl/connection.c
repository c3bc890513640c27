/* The context of a run and the client that it makes: command line first, then the context. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/ctl.h"
#include "client/kmsctl/input.h"

bool ctl_read_context(struct ctl *ctl)
{
    if (ctl->contexts_read) return true;
    struct kms_why why = {0};
    kms_err err = kmsctl_contexts_load(ctl->config, &ctl->contexts, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    ctl->contexts_read = true;
    bool has_current = ctl->contexts.current_context != NULL && ctl->contexts.current_context[0] != '\0';
    if (ctl->context_name == NULL && !has_current) return true;
    err = kmsctl_contexts_find(&ctl->contexts, ctl->context_name, &ctl->context, &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}

/* An option of the command line, else of the context, else NULL. */
static const char *choose(const char *given, const char *from_context)
{
    if (given != NULL) return given;
    return from_context != NULL && from_context[0] != '\0' ? from_context : NULL;
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
    static const struct kmsctl_context nothing;
    const struct kmsctl_context *context = ctl->context != NULL ? ctl->context : &nothing;
    struct kms_client_options options = {.endpoint = choose(ctl->endpoint, context->endpoint),
                                         .ca_file = choose(ctl->ca, context->ca),
                                         .cert_file = choose(ctl->cert, context->cert),
                                         .key_file = choose(ctl->key_file, context->key),
                                         .server_name = choose(ctl->server_name, context->server_name),
                                         .timeout_ms = timeout_ms};
    if (options.endpoint == NULL) {
        ctl_fail_usage(ctl, "no context is chosen and no --endpoint is given: which kmsd?");
        return NULL;
    }
    return kms_client_open(&options, &ctl->client, &ctl->error) ? ctl->client : NULL;
}

void ctl_close(struct ctl *ctl)
{
    kms_client_close(ctl->client);
    if (ctl->contexts_read) kmsctl_contexts_free(&ctl->contexts);
}
