/* Requests that wait for approvals. */
#include "kmsd/keys/approval.h"

#include <string.h>

#include "kmsd/keys/stored.h"

void kms_approval_free(struct kms_approval *approval)
{
    if (approval->stored != NULL) kms__store__v1__stored_approval__free_unpacked(approval->stored, NULL);
    approval->stored = NULL;
}

static bool possible(const struct kms_row *row, const kms_stored_approval *stored)
{
    char id[KMS_ID_TEXT];
    if (stored->digest.len != KMS_DIGEST_BYTES || stored->n_keys < 1) return false;
    if (stored->state < KMS_APPROVAL_PENDING || stored->state >= KMS_APPROVAL_STATE_COUNT) return false;
    for (size_t i = 0; i < stored->n_keys; i++)
        if (stored->keys[i]->key_id.len != KMS_ID_BYTES) return false;
    kms_approval_id(stored->digest.data, id);
    return strcmp(id, row->id) == 0;
}

kms_err kms_approval_from_row(const struct kms_row *row, struct kms_approval *ret_approval,
                              struct kms_why *why)
{
    kms_stored_approval *stored = kms__store__v1__stored_approval__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL || !possible(row, stored)) {
        if (stored != NULL) kms__store__v1__stored_approval__free_unpacked(stored, NULL);
        kms_why_set(why, "keystore row %s: no request for approval", row->id);
        return KMS_FAIL(CORRUPT);
    }
    *ret_approval = (struct kms_approval){.revision = row->revision, .stored = stored};
    kms_copy(ret_approval->id, row->id, KMS_ID_TEXT);
    return KMS_OK;
}

kms_err kms_approval_body(const kms_stored_approval *stored, kms_buf *body)
{
    return kms_stored_pack(&stored->base, body);
}

void kms_approval_id(const uint8_t digest[KMS_DIGEST_BYTES], char id[KMS_ID_TEXT])
{
    struct kms_id made;
    kms_copy(made.bytes, digest, sizeof made.bytes);
    made.bytes[6] = (uint8_t)(0x80 | (made.bytes[6] & 0x0f)); /* version 8, RFC 9562 */
    made.bytes[8] = (uint8_t)(0x80 | (made.bytes[8] & 0x3f)); /* variant 10 */
    kms_id_text(&made, id);
}

/* The latest moment that the request knows of. */
static uint64_t last_seen(const kms_stored_approval *stored)
{
    uint64_t last = stored->created_us;
    for (size_t i = 0; i < stored->n_votes; i++)
        if (stored->votes[i]->at_us > last) last = stored->votes[i]->at_us;
    return last;
}

enum kms_approval_state kms_approval_state_at(const kms_stored_approval *stored, uint64_t now_us,
                                              const uint64_t *revisions)
{
    if (stored->state != KMS_APPROVAL_PENDING) return (enum kms_approval_state)stored->state;
    for (size_t i = 0; i < stored->n_keys; i++)
        if (revisions[i] != stored->keys[i]->revision) return KMS_APPROVAL_OUTDATED;
    uint64_t seen = last_seen(stored);
    return (now_us > seen ? now_us : seen) < stored->expires_us ? KMS_APPROVAL_PENDING : KMS_APPROVAL_EXPIRED;
}

bool kms_approval_has(const kms_stored_approval *stored, const char *principal)
{
    if (strcmp(stored->requester, principal) == 0) return true;
    for (size_t i = 0; i < stored->n_votes; i++)
        if (strcmp(stored->votes[i]->principal, principal) == 0) return true;
    return false;
}

uint32_t kms_approval_missing(const kms_stored_approval *stored, const struct kms_rule *rule, uint32_t needed)
{
    uint32_t have = 0;
    for (uint32_t i = 0; rule != NULL && i < rule->count; i++)
        have += kms_approval_has(stored, rule->principals[i]);
    return have < needed ? needed - have : 0;
}
