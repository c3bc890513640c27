/* An approval as it stands: read, judged by clock and keys, told. */
#include <string.h>

#include "kmsd/service/approval.h"

kms_err kms_approval_read(struct kms_call *call, const char *id, struct kms_approval *ret_approval)
{
    KMS_OWN_BUF body = {0};
    uint64_t revision;
    kms_err err = kms_keystore_get(call->core->store, KMS_TABLE_APPROVAL, id, &revision, &body, &call->why);
    if (kms_is(err, KMS_E_NOT_FOUND)) return kms_call_fail(call, err, "there is no approval %s", id);
    KMS_TRY(err);
    const struct kms_row row = {KMS_TABLE_APPROVAL, id, revision, kms_buf_view(&body)};
    return kms_approval_from_row(&row, ret_approval, &call->why);
}

static struct kms_key *key_of(const struct kms_core *core, const Kms__Store__V1__StoredApprovalKey *key)
{
    struct kms_id id;
    kms_copy(id.bytes, key->key_id.data, sizeof id.bytes);
    return kms_keyring_find(core->keys, &id);
}

enum kms_approval_state kms_approval_now(const struct kms_core *core, const kms_stored_approval *stored)
{
    uint64_t revisions[KMS_CALL_ACCESSES];
    if (stored->n_keys > KMS_CALL_ACCESSES) return KMS_APPROVAL_OUTDATED;
    for (size_t i = 0; i < stored->n_keys; i++) {
        KMS_OWN_KEY key = key_of(core, stored->keys[i]);
        revisions[i] = key != NULL ? key->revision : 0;
    }
    return kms_approval_state_at(stored, kms_core_now_us(core), revisions);
}

uint32_t kms_approval_missing_now(const struct kms_core *core, const kms_stored_approval *stored)
{
    uint32_t most = 0;
    for (size_t i = 0; i < stored->n_keys; i++) {
        KMS_OWN_KEY key = key_of(core, stored->keys[i]);
        uint32_t missing =
            kms_approval_missing(stored, key != NULL ? key->rule : NULL, stored->keys[i]->needed);
        if (missing > most) most = missing;
    }
    return most;
}

/* "alice, bob": who has approved. */
static const char *voters(struct kms_call *call, const kms_stored_approval *stored)
{
    const char *text = "";
    for (size_t i = 0; text != NULL && i < stored->n_votes; i++)
        text = kms_arena_print(&call->arena, "%s%s%s", text, i > 0 ? ", " : "", stored->votes[i]->principal);
    return text != NULL ? text : "";
}

void kms_approval_note(struct kms_call *call, const struct kms_approval *approval, const char *event)
{
    const char *operation = kms_arena_print(&call->arena, "%s", approval->stored->method);
    call->approval =
        (struct kms_approval_note){.event = event,
                                   .operation = operation != NULL ? operation : "",
                                   .by = voters(call, approval->stored),
                                   .expires_us = approval->stored->expires_us,
                                   .missing = kms_approval_missing_now(call->core, approval->stored)};
    kms_copy(call->approval.id, approval->id, sizeof call->approval.id);
}

kms_err kms_approval_reachable(struct kms_call *call, const struct kms_rule *rule, uint32_t required,
                               const kms_policy *policy, const char *key_id_text)
{
    char arn[KMS_ARN_BYTES];
    struct kms_why last = {{0}};
    uint32_t able = 0;
    kms_key_arn(&call->core->arn, key_id_text, arn);
    for (uint32_t i = 0; rule != NULL && i < rule->count; i++) {
        struct kms_why why = {{0}};
        kms_err err = kms_policy_check_allowed(
            policy, KMS_ACT_APPROVE_REQUEST, kms_bytes_text(rule->principals[i]), kms_bytes_text(arn), &why);
        if (kms_failed(err)) last = why;
        able += !kms_failed(err);
    }
    if (rule == NULL || able >= required) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(POLICY_LOCKOUT),
                         "%u of the %u approvers that are needed could approve: %s", able, required,
                         last.text);
}
