/* kmsctl policy: get, put, check. */
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/policy_document.h"

bool ctl_policy_get(struct ctl *ctl)
{
    kms_client *client = ctl_client(ctl);
    struct kms_key_policy *policy;
    if (client == NULL || !kms_client_get_key_policy(client, ctl->arguments[0], NULL, &policy, &ctl->error))
        return false;
    bool ok = ctl_write_line(ctl, policy->policy);
    kms_key_policy_free(policy);
    return ok;
}

bool ctl_policy_put(struct ctl *ctl)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    kms_err err = ctl_read_text(ctl->arguments[1], CTL_POLICY_BYTES, &text, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_put_key_policy_request request = {.key_id = ctl->arguments[0],
                                                 .policy = (const char *)text.data,
                                                 .bypass_policy_lockout_safety_check = ctl->bypass};
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_put_key_policy(client, &request, NULL, &ctl->error);
}

bool ctl_policy_check_file(struct ctl *ctl)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    enum kms_policy_kind kind = KMS_POLICY_KEY;
    kms_err err = ctl_read_text(ctl->arguments[0], CTL_POLICY_BYTES, &text, &why);
    if (!kms_failed(err)) {
        kind = ctl_policy_kind(ctl, kms_buf_view(&text));
        err = ctl_policy_check(kind, kms_buf_view(&text), &why);
    }
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    return ctl_print(ctl,
                     json_pack("{s:s, s:s, s:s, s:s}", "kind", kms_policy_kind_text(kind), "grammar", "ok",
                               "separation", "ok", "not_checked", "lock-out: depends on who writes it"));
}
