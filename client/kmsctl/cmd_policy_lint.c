/* kmsctl policy lint and diff: a document in words, and what a new one changes. */
#include <stdio.h>
#include <string.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/policy_document.h"
#include "kmsd/policy/diff.h"
#include "kmsd/policy/lint.h"

bool ctl_policy_lint(struct ctl *ctl)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    json_t *report;
    ctl->answers = true;
    kms_err err = ctl_read_text(ctl->arguments[0], CTL_POLICY_BYTES, &text, &why);
    if (!kms_failed(err))
        err = kms_policy_lint(ctl_policy_kind(ctl, kms_buf_view(&text)), kms_buf_view(&text), &report, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    bool errors = json_integer_value(json_object_get(report, "errors")) > 0;
    bool warnings = json_integer_value(json_object_get(report, "warnings")) > 0;
    ctl->answer = errors ? CTL_USAGE : warnings ? CTL_FAILED : CTL_OK;
    return ctl_print(ctl, report);
}

/* A file, or the policy that a key has now. */
static bool read_old(struct ctl *ctl, kms_buf *old)
{
    struct kms_why why = {0};
    struct kms_key_policy *policy;
    if (ctl->key == NULL) {
        kms_err err = ctl_read_text(ctl->arguments[0], CTL_POLICY_BYTES, old, &why);
        return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
    }
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !kms_client_get_key_policy(client, ctl->key, NULL, &policy, &ctl->error))
        return false;
    kms_err err = kms_buf_print(old, "%s", policy->policy);
    kms_key_policy_free(policy);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : true;
}

bool ctl_policy_diff(struct ctl *ctl)
{
    KMS_OWN_BUF old = {0}, new = {0};
    struct kms_why why = {0};
    json_t *report;
    ctl->answers = true;
    if ((ctl->key == NULL) == (ctl->arguments[1] == NULL))
        return ctl_fail_usage(ctl,
                              "two documents: OLD NEW, or --key KEY NEW for the policy that the key has");
    if (ctl->key != NULL && !ctl_only_keys(ctl)) return false;
    if (!read_old(ctl, &old)) return false;
    kms_err err = ctl_read_text(ctl->arguments[ctl->key == NULL ? 1 : 0], CTL_POLICY_BYTES, &new, &why);
    if (!kms_failed(err))
        err = kms_policy_diff(ctl_policy_kind(ctl, kms_buf_view(&new)), kms_buf_view(&old),
                              kms_buf_view(&new), &report, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    bool same = json_array_size(json_object_get(report, "access")) == 0 &&
                json_array_size(json_object_get(report, "statements")) == 0;
    ctl->answer = same ? CTL_OK : CTL_FAILED;
    return ctl_print(ctl, report);
}
