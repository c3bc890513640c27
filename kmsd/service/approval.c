/* The station: which approvals a change needs, whether it has them, and the request that waits when it has
 * not. */
#include "kmsd/service/approval.h"

#include <string.h>

#include "base/clock.h"
#include "base/wire.h"
#include "kmsd/service/method.h"
#include "kmsd/service/request_json.h"

/* A key that the request is bound to; needed 0: its rule does not matter. */
struct bound {
    const struct kms_key *key;
    uint32_t needed;
};

struct request {
    struct bound keys[KMS_CALL_ACCESSES];
    size_t count;
    uint8_t digest[KMS_DIGEST_BYTES];
    char id[KMS_ID_TEXT];
};

/* An alias that moves on to other users takes two people, whatever the rule says: one administrator alone
 * could point an application at a key of his own. */
static uint32_t needed_of(const struct kms_call *call, const struct kms_key *key)
{
    enum { TO_GIVE_ANOTHERS_USERS = 2 };
    bool left = call->alias_leaves && kms_id_equal(&call->alias_left, &key->id);
    if (left && call->alias_gains != NULL) {
        uint32_t required = key->rule != NULL ? key->rule->required : 0;
        return required > TO_GIVE_ANOTHERS_USERS ? required : TO_GIVE_ANOTHERS_USERS;
    }
    return key->rule != NULL && (call->method->guarded || left) ? key->rule->required : 0;
}

/* Every key of the call, once each. False: none of them needs an approval. */
static bool bind_keys(const struct kms_call *call, struct request *r)
{
    bool any = false;
    for (size_t i = 0; i < call->access_count; i++) {
        const struct kms_key *key = call->access[i].key;
        size_t k = 0;
        while (key != NULL && k < r->count && !kms_id_equal(&r->keys[k].key->id, &key->id)) k++;
        if (key == NULL || k < r->count) continue;
        r->keys[r->count++] = (struct bound){key, needed_of(call, key)};
        any = any || r->keys[k].needed > 0;
    }
    return any;
}

/* The request as it came, but without its idempotency token: that one says nothing of what is asked. */
static kms_err pack(struct kms_call *call, struct kms_bytes *ret_packed)
{
    const ProtobufCMessageDescriptor *type = call->request->descriptor;
    ProtobufCMessage *copy = kms_call_alloc(call, type->sizeof_message);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(copy, call->request, type->sizeof_message);
    const ProtobufCFieldDescriptor *token =
        protobuf_c_message_descriptor_get_field_by_name(type, "client_request_token");
    static char empty[] = "";
    if (token != NULL) *(char **)(void *)((char *)copy + token->offset) = empty;
    size_t len = protobuf_c_message_get_packed_size(copy);
    uint8_t *packed = kms_call_alloc(call, len + 1);
    if (packed == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_packed = kms_bytes_of(packed, protobuf_c_message_pack(copy, packed));
    return KMS_OK;
}

/* Over everything that an approver agrees to; lengths first, so that no two requests run into one text. */
static kms_err digest(struct kms_call *call, struct request *r)
{
    KMS_OWN(kms_digest) sha256 = NULL;
    uint8_t head[1024];
    struct kms_bytes request;
    struct kms_writer w = kms_writer_over(head, sizeof head);
    KMS_TRY(pack(call, &request));
    kms_put_blob(&w, kms_bytes_text("kmsd approval 1"));
    kms_put_blob(&w, kms_bytes_text(call->identity->principal));
    kms_put_blob(&w, kms_bytes_text(call->method->rpc));
    kms_put_u32(&w, (uint32_t)r->count);
    for (size_t i = 0; i < r->count; i++) {
        kms_put_raw(&w, r->keys[i].key->id.bytes, KMS_ID_BYTES);
        kms_put_u64(&w, r->keys[i].key->revision);
    }
    if (w.overflow) return KMS_FAIL(INTERNAL);
    const struct kms_bytes parts[] = {kms_bytes_of(head, (size_t)(w.at - head)), request};
    KMS_TRY(kms_digest_new(&sha256));
    KMS_TRY(kms_digest_run(sha256, parts, 2, r->digest));
    kms_approval_id(r->digest, r->id);
    return KMS_OK;
}

/* What is known of the same request; nothing is no error. */
static kms_err find(struct kms_call *call, const struct request *r, struct kms_approval *ret_found)
{
    kms_err err = kms_approval_read(call, r->id, ret_found);
    if (kms_is(err, KMS_E_NOT_FOUND)) {
        call->why.text[0] = '\0';
        return KMS_OK;
    }
    KMS_TRY(err);
    if (kms_bytes_same(ret_found->stored->digest.data, r->digest, KMS_DIGEST_BYTES)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(CONFLICT), "approval %s is for another request", r->id);
}

static kms_err must_wait(struct kms_call *call, const struct kms_approval *approval, const char *event)
{
    char until[KMS_TIME_TEXT];
    kms_approval_note(call, approval, event);
    kms_time_text(approval->stored->expires_us, until);
    return kms_call_fail(
        call, KMS_FAIL(APPROVAL_NEEDED),
        "%s%s%u more of the administrators that the approval rule names must run `kmsctl approve %s` "
        "before %s; then repeat this call unchanged",
        approval->stored->lifts, approval->stored->lifts[0] != '\0' ? "; " : "", call->approval.missing,
        approval->id, until);
}

struct counting {
    struct kms_call *call;
    const struct request *request;
    uint32_t open[KMS_CALL_ACCESSES];
};

static kms_err count_open(void *user, const struct kms_row *row)
{
    struct counting *c = user;
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    KMS_TRY(kms_approval_from_row(row, &approval, &c->call->why));
    if (kms_approval_now(c->call->core, approval.stored) != KMS_APPROVAL_PENDING) return KMS_OK;
    for (size_t i = 0; i < c->request->count; i++)
        for (size_t k = 0; k < approval.stored->n_keys; k++)
            c->open[i] += approval.stored->keys[k]->needed > 0 &&
                          memcmp(approval.stored->keys[k]->key_id.data, c->request->keys[i].key->id.bytes,
                                 KMS_ID_BYTES) == 0;
    return KMS_OK;
}

static kms_err check_room(struct kms_call *call, const struct request *r)
{
    struct counting c = {.call = call, .request = r};
    KMS_TRY(kms_keystore_scan(call->core->store, KMS_TABLE_APPROVAL, "", count_open, &c, &call->why));
    for (size_t i = 0; i < r->count; i++)
        if (r->keys[i].needed > 0 && c.open[i] >= call->core->approvals_per_key)
            return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                                 "%u requests wait for approval by the rule of key %s (approvals.per_key)",
                                 c.open[i], r->keys[i].key->id_text);
    return KMS_OK;
}

/* By the keystore, which is a moment ahead of the keyring: somebody else may just have made this very
 * change. */
static kms_err check_current(struct kms_call *call, const struct request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct kms_key *key = r->keys[i].key;
        KMS_OWN_BUF body = {0};
        uint64_t revision;
        KMS_TRY(
            kms_keystore_get(call->core->store, KMS_TABLE_KEY, key->id_text, &revision, &body, &call->why));
        if (revision != key->revision)
            return kms_call_fail(call, KMS_FAIL(CONFLICT), "key %s is at revision %llu, not %llu",
                                 key->id_text, (unsigned long long)revision,
                                 (unsigned long long)key->revision);
    }
    return KMS_OK;
}

/* Puts the request down, over what is left of an earlier one like it. */
static kms_err put_down(struct kms_call *call, struct kms_approval *approval)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    kms_buf *body;
    KMS_TRY(kms_change_row(&changes, KMS_TABLE_APPROVAL, approval->id, &approval->revision, &body));
    KMS_TRY(kms_approval_body(approval->stored, body));
    return kms_change_commit(&changes, call);
}

/* The same request at the same moment has come first: both wait for one approval. */
static kms_err wait_for_first(struct kms_call *call, const struct request *r)
{
    KMS_OWN_APPROVAL first = {.stored = NULL};
    call->why.text[0] = '\0';
    KMS_TRY(find(call, r, &first));
    bool waits = first.stored != NULL && kms_approval_now(call->core, first.stored) == KMS_APPROVAL_PENDING;
    return waits ? must_wait(call, &first, "waiting") : KMS_FAIL(CONFLICT);
}

static kms_err ask(struct kms_call *call, struct request *r, uint64_t revision)
{
    Kms__Store__V1__StoredApprovalKey keys[KMS_CALL_ACCESSES], *key_list[KMS_CALL_ACCESSES];
    kms_stored_approval stored;
    struct kms_approval approval = {.revision = revision,
                                    .stored = &stored}; /* not owned: all of it is borrowed */
    KMS_OWN_BUF json = {0};
    kms__store__v1__stored_approval__init(&stored);
    for (size_t i = 0; i < r->count; i++) {
        kms__store__v1__stored_approval_key__init(&keys[i]);
        keys[i].key_id = (ProtobufCBinaryData){
            .len = KMS_ID_BYTES, .data = (uint8_t *)(uintptr_t)r->keys[i].key->id.bytes}; /* only read */
        keys[i].revision = r->keys[i].key->revision;
        keys[i].needed = r->keys[i].needed;
        key_list[i] = &keys[i];
    }
    kms_copy(approval.id, r->id, sizeof approval.id);
    stored.keys = key_list;
    stored.n_keys = r->count;
    stored.created_us = kms_core_now_us(call->core);
    stored.expires_us = stored.created_us + call->core->approvals_lifetime_us;
    stored.requester = call->identity->principal;
    stored.method = kms_lend(call->method->rpc);
    stored.digest = (ProtobufCBinaryData){.data = r->digest, .len = sizeof r->digest};
    stored.state = KMS_APPROVAL_PENDING;
    if (call->alias_gains != NULL) stored.lifts = kms_lend(call->alias_gains);
    if (kms_approval_missing_now(call->core, &stored) == 0) return KMS_OK; /* the rule wants no one else */
    KMS_TRY(check_current(call, r));
    KMS_TRY(check_room(call, r));
    KMS_TRY(kms_request_json(call->request, &json));
    stored.request = (char *)json.data;
    kms_err err = put_down(call, &approval);
    if (kms_is(err, KMS_E_CONFLICT)) return wait_for_first(call, r);
    KMS_TRY(err);
    return must_wait(call, &approval, "requested");
}

/* All approvals are in: they are used up together with the change. */
static kms_err use(struct kms_call *call, struct kms_change_set *set, const struct kms_approval *approval)
{
    kms_buf *body;
    kms_stored_approval used = *approval->stored;
    used.state = KMS_APPROVAL_USED;
    used.closed_us = kms_core_now_us(call->core);
    used.closed_by = call->identity->principal;
    kms_approval_note(call, approval, "used");
    call->approval.revision = approval->revision;
    KMS_TRY(kms_change_row(set, KMS_TABLE_APPROVAL, call->approval.id, &call->approval.revision, &body));
    return kms_approval_body(&used, body);
}

kms_err kms_approval_pass(struct kms_call *call, struct kms_change_set *set)
{
    struct request r = {.count = 0};
    KMS_OWN_APPROVAL found = {.stored = NULL};
    if (!call->method->guarded && !call->alias_leaves) return KMS_OK;
    if (!bind_keys(call, &r)) return KMS_OK;
    KMS_TRY(digest(call, &r));
    KMS_TRY(find(call, &r, &found));
    if (found.stored == NULL || kms_approval_now(call->core, found.stored) != KMS_APPROVAL_PENDING)
        return ask(call, &r, found.revision);
    if (kms_approval_missing_now(call->core, found.stored) > 0) return must_wait(call, &found, "waiting");
    return use(call, set, &found);
}
