/* RetireGrant and RevokeGrant, and grants that go by themselves: their time has come, or their key goes. */
#include "kmsd/service/end_grant.h"
#include "kms/v1/grants.pb-c.h"
#include "kmsd/keys/grant_record.h"
#include "kmsd/service/access.h"
#include "kmsd/service/grant_token.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static kms_err say_id(struct kms_call *call, const struct kms_id *id)
{
    char *text = kms_call_alloc(call, KMS_ID_TEXT);
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_id_text(id, text);
    kms_call_say(call, "grant_id", text);
    return KMS_OK;
}

/* By key and id. A grant that does not exist is left to act, after the decision. */
static kms_err gather_named(struct kms_call *call, enum kms_action action, const char *key_id,
                            const char *grant_id)
{
    struct kms_access *access;
    struct kms_id id;
    KMS_TRY(kms_access_named(call, action, key_id, &access));
    if (!kms_id_parse(kms_bytes_text(grant_id), &id))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "grant_id: not a UUID");
    if (access->key != NULL) call->grant = kms_grants_find(access->key->grants, &id);
    return say_id(call, &id);
}

static kms_err gather_token(struct kms_call *call, const char *token)
{
    struct kms_access *access;
    struct kms_id key_id;
    KMS_TRY(kms_grant_token_key(token, &key_id));
    KMS_TRY(kms_access_id(call, KMS_ACT_RETIRE_GRANT, &key_id, &access));
    KMS_TRY(kms_grant_token_find(token, access->key, &call->grant));
    return say_id(call, &call->grant->grant.id);
}

kms_err kms_retire_grant_gather(struct kms_call *call)
{
    const Kms__V1__RetireGrantRequest *request = (const void *)call->request;
    bool named = request->key_id[0] != '\0' || request->grant_id[0] != '\0';
    if (named == (request->grant_token[0] != '\0'))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "grant_token, or key_id and grant_id");
    if (!named) return gather_token(call, request->grant_token);
    return gather_named(call, KMS_ACT_RETIRE_GRANT, request->key_id, request->grant_id);
}

kms_err kms_revoke_grant_gather(struct kms_call *call)
{
    const Kms__V1__RevokeGrantRequest *request = (const void *)call->request;
    return gather_named(call, KMS_ACT_REVOKE_GRANT, request->key_id, request->grant_id);
}

static kms_err remove_row(struct kms_change_set *set, const struct kms_key *key,
                          const struct kms_granted *granted)
{
    char row[KMS_GRANT_ROW_BYTES];
    kms_grant_row_id(&key->id, &granted->grant.id, row);
    return kms_change_remove(set, KMS_TABLE_GRANT, row, granted->revision);
}

static kms_err gone(struct kms_call *call)
{
    return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "key %s has no such grant", call->access[0].key->id_text);
}

static kms_err end_grant(struct kms_call *call)
{
    const struct kms_key *key = call->access[0].key;
    struct kms_granted *granted = call->grant;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    if (granted == NULL) return gone(call);
    KMS_TRY(remove_row(&changes, key, granted));
    kms_err err = kms_change_apply(&changes, call);
    if (kms_is(err, KMS_E_NOT_FOUND) || kms_is(err, KMS_E_CONFLICT)) return gone(call); /* meanwhile */
    KMS_TRY(err);
    kms_grants_remove(key->grants, &granted->grant.id);
    return KMS_OK;
}

kms_err kms_retire_grant_act(struct kms_call *call)
{
    return end_grant(call);
}

kms_err kms_revoke_grant_act(struct kms_call *call)
{
    return end_grant(call);
}

static kms_err expire(struct kms_call *call, struct kms_granted *const *expired, size_t count)
{
    const struct kms_key *key = call->access[0].key;
    KMS_OWN_CHANGES changes = {.count = 0};
    for (size_t i = 0; i < count; i++) KMS_TRY(remove_row(&changes, key, expired[i]));
    KMS_TRY(kms_change_apply(&changes, call));
    for (size_t i = 0; i < count; i++) kms_grants_remove(key->grants, &expired[i]->grant.id);
    return KMS_OK;
}

kms_err kms_expire_grants(struct kms_call *call)
{
    enum { AT_ONCE = 256 };
    struct kms_granted *expired[AT_ONCE];
    size_t count = kms_grants_expired(call->access[0].key->grants, call->started_us, expired, AT_ONCE);
    kms_err err = count > 0 ? expire(call, expired, count) : KMS_OK;
    for (size_t i = 0; i < count; i++) kms_granted_unref(expired[i]);
    return err;
}

struct removing {
    struct kms_change_set *set;
    const struct kms_key *key;
};

static kms_err remove_one(void *user, const struct kms_granted *granted)
{
    const struct removing *removing = user;
    return remove_row(removing->set, removing->key, granted);
}

kms_err kms_change_remove_grants(struct kms_change_set *set, const struct kms_key *key)
{
    return kms_grants_each(key->grants, remove_one, &(struct removing){set, key});
}
