/* Builds the usual key policy from two lists of principals, and checks others with the daemon's own
 * engine. */
#include "client/kmsctl/policy_document.h"

#include <jansson.h>
#include <string.h>

#include "base/text.h"
#include "client/kmsctl/input.h"
#include "kmsd/policy/policy.h"

/* Everything an administrator needs of a key and nothing that uses it: all actions of class admin and read
 * that a key policy can grant (kmsd/policy/action.def; a test compares). */
const char *const ctl_admin_actions[] = {
    "kms:EnableKey",
    "kms:DisableKey",
    "kms:RotateKeyOnDemand",
    "kms:CreateAlias",
    "kms:UpdateAlias",
    "kms:DeleteAlias",
    "kms:PutKeyPolicy",
    "kms:PutApprovalRule",
    "kms:ApproveRequest",
    "kms:RejectRequest",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
    "kms:CreateGrant",
    "kms:RevokeGrant",
    "kms:RetireGrant",
    "kms:GetParametersForImport",
    "kms:ImportKeyMaterial",
    "kms:DeleteImportedKeyMaterial",
    "kms:EnableKeyRotation",
    "kms:DisableKeyRotation",
    "kms:RetireKeyVersion",
    "kms:UpdateKeyDescription",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:SimulatePolicy",
    "kms:GetPublicKey",
    "kms:GetKeyCertificate",
    "kms:GetKeyRotationStatus",
    "kms:ListKeyRotations",
    "kms:GetKeyUsage",
    "kms:ListGrants",
    "kms:GetApprovalRule",
    "kms:ListApprovals",
    "kms:DescribeApproval",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    NULL,
};
/* Of every usage: what the key is not made for, it refuses. */
const char *const ctl_usage_actions[] = {
    "kms:Encrypt",           "kms:Decrypt",     "kms:ReEncrypt*",
    "kms:GenerateDataKey*",  "kms:Sign",        "kms:Verify",
    "kms:GenerateMac",       "kms:VerifyMac",   "kms:GetPublicKey",
    "kms:GetKeyCertificate", "kms:DescribeKey", NULL,
};

static json_t *list_of(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, json_string(items[i]));
    return list;
}

static size_t count_of(const char *const *actions)
{
    size_t count = 0;
    while (actions[count] != NULL) count++;
    return count;
}

static json_t *statement(const char *sid, const struct ctl_texts *principals, const char *const *actions)
{
    return json_pack("{s:s, s:s, s:{s:o}, s:o, s:s}", "Sid", sid, "Effect", "Allow", "Principal", "AWS",
                     list_of(principals->items, principals->count), "Action",
                     list_of(actions, count_of(actions)), "Resource", "*");
}

static kms_err check_principals(const struct ctl_texts *list, const struct ctl_texts *before,
                                struct kms_why *why)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i][0] == '\0' || !kms_utf8_valid(kms_bytes_text(list->items[i]))) {
            kms_why_set(why, "a principal is empty or not UTF-8");
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        for (size_t other = 0; other < i; other++) {
            if (strcmp(list->items[other], list->items[i]) != 0) continue;
            kms_why_set(why, "%.200s is named twice", list->items[i]);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        for (size_t other = 0; before != NULL && other < before->count; other++) {
            if (strcmp(before->items[other], list->items[i]) != 0) continue;
            kms_why_set(why, "%.200s is --admin and --user: the one who administers a key may not use it",
                        list->items[i]);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
    }
    return KMS_OK;
}

static kms_err append_json(const json_t *document, kms_buf *out)
{
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err =
        strlen(text) <= CTL_POLICY_BYTES ? kms_buf_append(out, text, strlen(text)) : KMS_FAIL(LIMIT_EXCEEDED);
    free(text);
    return err;
}

kms_err ctl_policy_build(const struct ctl_texts *admins, const struct ctl_texts *users, kms_buf *out,
                         struct kms_why *why)
{
    KMS_TRY(check_principals(admins, NULL, why));
    KMS_TRY(check_principals(users, admins, why));
    if (admins->count == 0 && users->count == 0) return KMS_OK;
    json_t *statements = json_array();
    if (admins->count > 0)
        json_array_append_new(statements, statement("KeyAdministration", admins, ctl_admin_actions));
    if (users->count > 0) json_array_append_new(statements, statement("KeyUsage", users, ctl_usage_actions));
    json_t *document = json_pack("{s:s, s:o}", "Version", "2012-10-17", "Statement", statements);
    kms_err err = append_json(document, out);
    json_decref(document);
    return err;
}

bool ctl_policy_given(struct ctl *ctl, kms_buf *policy)
{
    struct kms_why why = {0};
    kms_err err;
    if (ctl->policy != NULL && ctl->admins.count + ctl->users.count > 0)
        return ctl_fail_usage(ctl, "--policy says all: leave --admin and --user out");
    if (ctl->policy != NULL)
        err = ctl_read_text(ctl->policy, CTL_POLICY_BYTES, policy, &why);
    else
        err = ctl_policy_build(&ctl->admins, &ctl->users, policy, &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}

bool ctl_only_keys(struct ctl *ctl)
{
    if (ctl->kind == NULL || strcmp(ctl->kind, "key") == 0) return true;
    return ctl_fail_usage(ctl, "--key has a key policy, which goes with --kind key alone");
}

enum kms_policy_kind ctl_policy_kind(const struct ctl *ctl, struct kms_bytes document)
{
    enum kms_policy_kind kind;
    if (ctl->kind != NULL && kms_policy_kind_find(ctl->kind, &kind)) return kind;
    return kms_policy_kind_told(document);
}

kms_err ctl_policy_check(enum kms_policy_kind kind, struct kms_bytes text, struct kms_why *why)
{
    KMS_OWN(kms_policy) policy = NULL;
    KMS_TRY(kms_policy_parse(kind, text, &policy, why));
    if (kind == KMS_POLICY_SERVICE) return KMS_OK;
    return kms_policy_check_separation(policy, why);
}
