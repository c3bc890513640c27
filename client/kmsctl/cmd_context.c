/* kmsctl context: list, show, use. */
#include <string.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/output.h"

bool ctl_context_list(struct ctl *ctl)
{
    if (!ctl_read_context(ctl)) return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < ctl->contexts.contexts_count; i++) {
        const struct kmsctl_context *c = &ctl->contexts.contexts[i];
        json_array_append_new(rows,
                              json_pack("{s:o, s:o, s:b}", "name", ctl_json_text(c->name), "endpoint",
                                        ctl_json_text(c->endpoint), "current", (int)(c == ctl->context)));
    }
    return ctl_print(ctl, rows);
}

bool ctl_context_show(struct ctl *ctl)
{
    if (ctl->arguments[0] != NULL) ctl->context_name = ctl->arguments[0];
    if (!ctl_read_context(ctl)) return false;
    if (ctl->context == NULL)
        return ctl_fail_usage(ctl, "no context is the current one: `kmsctl context use NAME`");
    return ctl_print(ctl, ctl_describe_context(ctl->context));
}

bool ctl_context_use(struct ctl *ctl)
{
    struct kms_why why = {0};
    kms_err err = kmsctl_contexts_use(ctl->config, ctl->arguments[0], &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}
