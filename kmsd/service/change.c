/* Change sets and idempotency tokens. */
#include "kmsd/service/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "keystore/record.pb-c.h"
#include "kmsd/service/approval.h"
#include "kmsd/service/method.h"

enum { TOKEN_BYTES = 64 };

void kms_change_set_free(struct kms_change_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        kms_buf_free(&set->steps[i]->body);
        free(set->steps[i]);
    }
    free(set->steps);
}

/* Room for one more; doubled when it is full. */
static bool make_room(struct kms_change_set *set)
{
    enum { FIRST = 4 };
    if (set->count > 0 && (set->count < FIRST || (set->count & (set->count - 1)) != 0)) return true;
    size_t room = set->count < FIRST ? FIRST : 2 * set->count;
    struct kms_change_step **steps = realloc(set->steps, room * sizeof *steps);
    if (steps != NULL) set->steps = steps;
    return steps != NULL;
}

static struct kms_change_step *add_step(struct kms_change_set *set, enum kms_table table, const char *id,
                                        uint64_t *revision)
{
    struct kms_change_step *step = make_room(set) ? calloc(1, sizeof *step) : NULL;
    if (step == NULL) return NULL;
    snprintf(step->id, sizeof step->id, "%s", id);
    step->table = table;
    step->revision = revision;
    set->steps[set->count++] = step;
    return step;
}

kms_err kms_change_row(struct kms_change_set *set, enum kms_table table, const char *id, uint64_t *revision,
                       kms_buf **ret_body)
{
    struct kms_change_step *step = add_step(set, table, id, revision);
    if (step == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_body = &step->body;
    return KMS_OK;
}

kms_err kms_change_remove(struct kms_change_set *set, enum kms_table table, const char *id, uint64_t revision)
{
    struct kms_change_step *step = add_step(set, table, id, NULL);
    if (step == NULL) return KMS_FAIL(NO_MEMORY);
    step->erase = true;
    step->erased_revision = revision;
    return KMS_OK;
}

kms_err kms_change_key(struct kms_change_set *set, struct kms_key *key)
{
    kms_buf *body;
    KMS_TRY(kms_change_row(set, KMS_TABLE_KEY, key->id_text, &key->revision, &body));
    return kms_key_body(key, body);
}

kms_err kms_change_version(struct kms_change_set *set, struct kms_key *key, uint32_t version)
{
    kms_buf *body;
    char id[KMS_VERSION_ROW_BYTES];
    struct kms_key_version *of = &key->versions[version - 1];
    kms_version_row_id(key, version, id);
    KMS_TRY(kms_change_row(set, KMS_TABLE_KEY_VERSION, id, &of->revision, &body));
    if (of->wrapped.len > 0) set->steps[set->count - 1]->root_id = of->root_id;
    return kms_version_body(of, body);
}

kms_err kms_change_tombstone(struct kms_change_set *set, struct kms_key *key)
{
    kms_buf *body;
    KMS_TRY(kms_change_row(set, KMS_TABLE_TOMBSTONE, key->id_text, NULL, &body));
    return kms_tombstone_body(key, body);
}

kms_err kms_change_alias(struct kms_change_set *set, struct kms_alias *alias)
{
    kms_buf *body;
    KMS_TRY(kms_change_row(set, KMS_TABLE_ALIAS, alias->name, &alias->revision, &body));
    return kms_alias_body(alias, kms_now_us(), body);
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
    if (stored->grant_id.len == KMS_ID_BYTES)
        kms_copy(made.grant_id.bytes, stored->grant_id.data, KMS_ID_BYTES);
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
    uint8_t digest[KMS_DIGEST_BYTES], id[KMS_ID_BYTES], grant_id[KMS_ID_BYTES], packed[512];
    kms_buf *body;
    char row[2 * KMS_DIGEST_BYTES + 1];
    KMS_TRY(token_row(call, token, row));
    KMS_TRY(kms_change_row(set, KMS_TABLE_TOKEN, row, NULL, &body));
    KMS_TRY(request_digest(call, digest));
    kms_copy(id, made->key_id.bytes, sizeof id);
    Kms__Store__V1__StoredToken stored;
    kms__store__v1__stored_token__init(&stored);
    char action[64];
    snprintf(action, sizeof action, "%s", kms_action_name(call->method->action));
    stored.action = action;
    stored.key_id = (ProtobufCBinaryData){.data = id, .len = sizeof id};
    stored.version = made->version;
    kms_copy(grant_id, made->grant_id.bytes, sizeof grant_id);
    if (call->method->action == KMS_ACT_CREATE_GRANT)
        stored.grant_id = (ProtobufCBinaryData){.data = grant_id, .len = sizeof grant_id};
    stored.request_sha256 = (ProtobufCBinaryData){.data = digest, .len = sizeof digest};
    stored.created_us = kms_now_us();
    if (kms__store__v1__stored_token__get_packed_size(&stored) > sizeof packed) return KMS_FAIL(INTERNAL);
    return kms_buf_append(body, packed, kms__store__v1__stored_token__pack(&stored, packed));
}

static struct kms_change change_of(const struct kms_change_step *step)
{
    uint64_t before = step->revision != NULL ? *step->revision : 0;
    return (struct kms_change){.table = step->table,
                               .id = step->id,
                               .expected_revision = step->erase ? step->erased_revision : before,
                               .erase = step->erase,
                               .body = kms_buf_view(&step->body)};
}

/* Material under root keys that are about to be destroyed is not stored: it would be lost. */
static kms_err check_roots(const struct kms_change_set *set, struct kms_call *call, uint32_t doomed)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->steps[i]->root_id != 0 && set->steps[i]->root_id == doomed)
            return kms_call_fail(call, KMS_FAIL(CONFLICT), "the root keys were rotated meanwhile");
    return KMS_OK;
}

kms_err kms_change_commit(struct kms_change_set *set, struct kms_call *call)
{
    struct kms_change *changes = calloc(set->count + 1, sizeof *changes);
    if (changes == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < set->count; i++) changes[i] = change_of(set->steps[i]);
    kms_err err = check_roots(set, call, kms_core_hold_doomed_root(call->core));
    if (!kms_failed(err))
        err = kms_keystore_apply(call->core->store, &call->request_id, changes, set->count, &call->mark,
                                 &call->why);
    kms_core_release_doomed_root(call->core);
    free(changes);
    KMS_TRY(err);
    for (size_t i = 0; i < set->count; i++)
        if (set->steps[i]->revision != NULL) ++*set->steps[i]->revision;
    call->changed_store = true;
    return KMS_OK;
}

kms_err kms_change_apply(struct kms_change_set *set, struct kms_call *call)
{
    KMS_TRY(kms_approval_pass(call, set));
    return kms_change_commit(set, call);
}

kms_err kms_change_apply_key(struct kms_change_set *set, struct kms_call *call, struct kms_key *key)
{
    KMS_TRY(kms_keyring_reserve(call->core->keys, &key->id));
    KMS_TRY(kms_change_apply(set, call));
    return kms_keyring_put(call->core->keys, key);
}
