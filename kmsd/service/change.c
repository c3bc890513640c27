/* Change sets and idempotency tokens. */
#include "kmsd/service/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "keystore/record.pb-c.h"
#include "kmsd/service/method.h"

enum { TOKEN_BYTES = 64 };

void kms_change_set_free(struct kms_change_set *set)
{
    for (size_t i = 0; i < set->count; i++) kms_buf_free(&set->bodies[i]);
}

/* The next step; its body is the caller's to fill, and taken over with `seal_step`. */
static struct kms_change *next_step(struct kms_change_set *set, enum kms_table table, uint64_t revision,
                                    kms_buf **ret_body)
{
    if (set->count == KMS_CHANGE_STEPS) return NULL;
    size_t i = set->count++;
    set->steps[i] = (struct kms_change){.table = table, .id = set->ids[i], .expected_revision = revision};
    set->bodies[i] = (kms_buf){0};
    *ret_body = &set->bodies[i];
    return &set->steps[i];
}

kms_err kms_change_key(struct kms_change_set *set, const struct kms_key *key)
{
    kms_buf *body;
    struct kms_change *step = next_step(set, KMS_TABLE_KEY, key->revision, &body);
    if (step == NULL) return KMS_FAIL(INTERNAL);
    snprintf(set->ids[set->count - 1], KMS_ROW_ID_BYTES, "%s", key->id_text);
    KMS_TRY(kms_key_body(key, body));
    step->body = kms_buf_view(body);
    return KMS_OK;
}

kms_err kms_change_version(struct kms_change_set *set, const struct kms_key *key, uint32_t version)
{
    kms_buf *body;
    struct kms_change *step = next_step(set, KMS_TABLE_KEY_VERSION, 0, &body);
    if (step == NULL) return KMS_FAIL(INTERNAL);
    kms_version_row_id(key, version, set->ids[set->count - 1]);
    KMS_TRY(kms_version_body(&key->versions[version - 1], body));
    step->body = kms_buf_view(body);
    return KMS_OK;
}

kms_err kms_change_alias(struct kms_change_set *set, const struct kms_alias *alias)
{
    kms_buf *body;
    struct kms_change *step = next_step(set, KMS_TABLE_ALIAS, alias->revision, &body);
    if (step == NULL) return KMS_FAIL(INTERNAL);
    snprintf(set->ids[set->count - 1], KMS_ROW_ID_BYTES, "%s", alias->name);
    KMS_TRY(kms_alias_body(alias, kms_now_us(), body));
    step->body = kms_buf_view(body);
    return KMS_OK;
}

/* Row id of a token: it belongs to one principal and one method. */
static kms_err token_row(struct kms_call *call, const char *token, char row[2 * KMS_DIGEST_BYTES + 1])
{
    if (strlen(token) > TOKEN_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "client_request_token: at most %d bytes",
                             TOKEN_BYTES);
    KMS_OWN(kms_digest) digest = NULL;
    KMS_TRY(kms_digest_new(&digest));
    uint8_t out[KMS_DIGEST_BYTES];
    const char *principal = call->identity->principal, *rpc = call->method->rpc;
    const struct kms_bytes parts[] = {kms_bytes_of(principal, strlen(principal) + 1),
                                      kms_bytes_of(rpc, strlen(rpc) + 1), kms_bytes_text(token)};
    KMS_TRY(kms_digest_run(digest, parts, 3, out));
    kms_hex(out, sizeof out, row);
    return KMS_OK;
}

static kms_err request_digest(struct kms_call *call, uint8_t out[KMS_DIGEST_BYTES])
{
    size_t len = protobuf_c_message_get_packed_size(call->request);
    uint8_t *packed = kms_call_alloc(call, len);
    KMS_OWN(kms_digest) digest = NULL;
    if (packed == NULL) return KMS_FAIL(NO_MEMORY);
    protobuf_c_message_pack(call->request, packed);
    KMS_TRY(kms_digest_new(&digest));
    const struct kms_bytes part = kms_bytes_of(packed, len);
    return kms_digest_run(digest, &part, 1, out);
}

static kms_err read_token(struct kms_call *call, struct kms_bytes body, struct kms_made *ret_made)
{
    uint8_t digest[KMS_DIGEST_BYTES];
    KMS_TRY(request_digest(call, digest));
    Kms__Store__V1__StoredToken *stored = kms__store__v1__stored_token__unpack(NULL, body.len, body.ptr);
    if (stored == NULL || stored->key_id.len != KMS_ID_BYTES || stored->request_sha256.len != sizeof digest) {
        if (stored != NULL) kms__store__v1__stored_token__free_unpacked(stored, NULL);
        return KMS_FAIL(CORRUPT);
    }
    bool same = memcmp(stored->request_sha256.data, digest, sizeof digest) == 0;
    struct kms_made made = {.found = true, .version = stored->version};
    kms_copy(made.key_id.bytes, stored->key_id.data, KMS_ID_BYTES);
    kms__store__v1__stored_token__free_unpacked(stored, NULL);
    if (!same)
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "client_request_token was used with another request");
    *ret_made = made;
    return KMS_OK;
}

kms_err kms_made_before(struct kms_call *call, const char *token, struct kms_made *ret_made)
{
    *ret_made = (struct kms_made){0};
    if (token[0] == '\0') return KMS_OK;
    char row[2 * KMS_DIGEST_BYTES + 1];
    KMS_TRY(token_row(call, token, row));
    KMS_OWN_BUF body = {0};
    uint64_t revision;
    kms_err err = kms_keystore_get(call->core->store, KMS_TABLE_TOKEN, row, &revision, &body, &call->why);
    if (kms_is(err, KMS_E_NOT_FOUND)) {
        call->why.text[0] = '\0';
        return KMS_OK;
    }
    KMS_TRY(err);
    return read_token(call, kms_buf_view(&body), ret_made);
}

kms_err kms_change_token(struct kms_change_set *set, struct kms_call *call, const char *token,
                         const struct kms_made *made)
{
    if (token[0] == '\0') return KMS_OK;
    uint8_t digest[KMS_DIGEST_BYTES], id[KMS_ID_BYTES], packed[512];
    kms_buf *body;
    struct kms_change *step = next_step(set, KMS_TABLE_TOKEN, 0, &body);
    if (step == NULL) return KMS_FAIL(INTERNAL);
    KMS_TRY(token_row(call, token, set->ids[set->count - 1]));
    KMS_TRY(request_digest(call, digest));
    kms_copy(id, made->key_id.bytes, sizeof id);
    Kms__Store__V1__StoredToken stored;
    kms__store__v1__stored_token__init(&stored);
    char action[64];
    snprintf(action, sizeof action, "%s", kms_action_name(call->method->action));
    stored.action = action;
    stored.key_id = (ProtobufCBinaryData){.data = id, .len = sizeof id};
    stored.version = made->version;
    stored.request_sha256 = (ProtobufCBinaryData){.data = digest, .len = sizeof digest};
    stored.created_us = kms_now_us();
    if (kms__store__v1__stored_token__get_packed_size(&stored) > sizeof packed) return KMS_FAIL(INTERNAL);
    KMS_TRY(kms_buf_append(body, packed, kms__store__v1__stored_token__pack(&stored, packed)));
    step->body = kms_buf_view(body);
    return KMS_OK;
}

kms_err kms_change_apply(struct kms_change_set *set, struct kms_call *call)
{
    KMS_TRY(kms_keystore_apply(call->core->store, &call->request_id, set->steps, set->count, &call->mark,
                               &call->why));
    call->changed_store = true;
    return KMS_OK;
}

kms_err kms_change_apply_key(struct kms_change_set *set, struct kms_call *call, struct kms_key *key)
{
    KMS_TRY(kms_change_apply(set, call));
    key->revision++;
    return kms_keyring_put(call->core->keys, key);
}
