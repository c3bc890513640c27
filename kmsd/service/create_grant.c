/* CreateGrant: lets a principal use a key beside its policy. */
#include <stdio.h>
#include <string.h>

#include "kms/v1/grants.pb-c.h"
#include "kmsd/keys/grant_record.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/grant_check.h"
#include "kmsd/service/grant_token.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/policy_check.h"
#include "kmsd/service/seal.h"

typedef Kms__V1__GrantConstraints__EncryptionContextEqualsEntry map_entry;
_Static_assert(sizeof(map_entry) == sizeof(Kms__V1__GrantConstraints__EncryptionContextSubsetEntry),
               "one layout");

static kms_err read_operations(struct kms_call *call, const Kms__V1__CreateGrantRequest *request,
                               struct kms_grant *grant)
{
    enum kms_action action;
    for (size_t i = 0; i < request->n_operations; i++) {
        if (!kms_grant_action((uint32_t)request->operations[i], &action))
            return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "operations: %d is none",
                                 request->operations[i]);
        grant->operations |= kms_grant_bit(action);
    }
    return KMS_OK;
}

static kms_err read_constraint(struct kms_call *call, const Kms__V1__GrantConstraints *from,
                               struct kms_grant *grant)
{
    if (from == NULL) return KMS_OK;
    size_t equals = from->n_encryption_context_equals, subset = from->n_encryption_context_subset;
    if (equals > 0 && subset > 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "constraints: encryption_context_equals or encryption_context_subset, not both");
    map_entry **entries =
        equals > 0 ? from->encryption_context_equals : (map_entry **)(void *)from->encryption_context_subset;
    size_t count = equals + subset; /* one of them is 0 */
    if (count == 0) return KMS_OK;
    struct kms_pair *pairs = kms_call_alloc(call, count * sizeof *pairs);
    if (pairs == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct kms_pair){kms_bytes_text(entries[i]->key), kms_bytes_text(entries[i]->value)};
    kms_grant_sort_pairs(pairs, count);
    grant->constraint = equals > 0 ? KMS_GRANT_CONTEXT_EQUALS : KMS_GRANT_CONTEXT_SUBSET;
    grant->pairs = pairs;
    grant->pair_count = count;
    return KMS_OK;
}

static kms_err read_grant(struct kms_call *call, const Kms__V1__CreateGrantRequest *request)
{
    struct kms_grant grant = {
        .grantee = kms_bytes_text(request->grantee_principal),
        .retiring = kms_bytes_text(request->retiring_principal),
        .name = kms_bytes_text(request->name),
        .creator = kms_bytes_text(call->identity->principal),
        .created_us = call->started_us,
        .expires_us = request->expiration_time_us,
    };
    KMS_TRY(read_operations(call, request, &grant));
    KMS_TRY(read_constraint(call, request->constraints, &grant));
    KMS_TRY(kms_grant_check(&grant, &call->why));
    KMS_TRY(kms_id_new(&grant.id));
    KMS_TRY(kms_random(grant.check, sizeof grant.check));
    return kms_granted_new(&grant, &call->grant);
}

static struct kms_bytes present(struct kms_bytes text)
{
    return text.len > 0 ? text : (struct kms_bytes){0};
}

/* What conditions of the policy can ask of the grant. */
static kms_err set_inputs(struct kms_call *call, struct kms_access *access)
{
    static const char *const constraints[] = {"", "EncryptionContextEquals", "EncryptionContextSubset"};
    const struct kms_grant *grant = &call->grant->grant;
    struct kms_operation_inputs *inputs = kms_call_alloc(call, sizeof *inputs);
    struct kms_bytes *operations = kms_call_alloc(call, KMS_GRANT_OPERATIONS * sizeof *operations);
    enum kms_action action;
    if (inputs == NULL || operations == NULL) return KMS_FAIL(NO_MEMORY);
    *inputs = (struct kms_operation_inputs){
        .grantee_principal = grant->grantee,
        .retiring_principal = present(grant->retiring),
        .grant_constraint_type = present(kms_bytes_text(constraints[grant->constraint])),
        .grant_operations = operations,
    };
    for (uint32_t number = 0; number < KMS_GRANT_OPERATIONS; number++)
        if ((grant->operations & UINT32_C(1) << number) != 0 && kms_grant_action(number, &action))
            operations[inputs->grant_operation_count++] = kms_bytes_text(kms_grant_operation_name(action));
    access->inputs = inputs;
    return KMS_OK;
}

/* "app=web,tenant=7": for people; the values are in clear in every record of a use. */
static const char *pairs_text(struct kms_call *call, const struct kms_grant *grant)
{
    const char *text = "";
    for (size_t i = 0; i < grant->pair_count && text != NULL; i++) {
        const struct kms_pair *pair = &grant->pairs[i];
        text = kms_arena_print(&call->arena, "%s%s%.*s=%.*s", text, i > 0 ? "," : "", (int)pair->name.len,
                               (const char *)pair->name.ptr, (int)pair->value.len,
                               (const char *)pair->value.ptr);
    }
    return text;
}

/* The record says what the grant is, whether it comes to be or not; the rest is among the inputs. */
static kms_err say_grant(struct kms_call *call)
{
    const struct kms_grant *grant = &call->grant->grant;
    char *id = kms_call_alloc(call, KMS_ID_TEXT);
    const char *pairs = pairs_text(call, grant);
    const char *expires = kms_arena_print(&call->arena, "%llu", (unsigned long long)grant->expires_us);
    if (id == NULL || pairs == NULL || expires == NULL) return KMS_FAIL(NO_MEMORY);
    kms_id_text(&grant->id, id);
    kms_call_say(call, "grant_id", id);
    kms_call_say(call, "grant_constraint", pairs);
    if (grant->expires_us != 0) kms_call_say(call, "grant_expires_us", expires);
    return KMS_OK;
}

kms_err kms_create_grant_gather(struct kms_call *call)
{
    const Kms__V1__CreateGrantRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_CREATE_GRANT, request->key_id, &access));
    KMS_TRY(read_grant(call, request));
    KMS_TRY(set_inputs(call, access));
    return say_grant(call);
}

/* What the same request made before, by its token or by its name: NULL when nothing. */
static kms_err find_made(struct kms_call *call, const Kms__V1__CreateGrantRequest *request,
                         struct kms_granted **ret_granted)
{
    const struct kms_key *key = call->access[0].key;
    struct kms_made made;
    KMS_TRY(kms_made_before(call, request->client_request_token, &made));
    if (made.found && !kms_id_equal(&made.key_id, &key->id)) /* the alias names another key by now */
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "client_request_token was used with another key");
    if (made.found) {
        *ret_granted = kms_grants_find(key->grants, &made.grant_id);
        return *ret_granted != NULL ? KMS_OK
                                    : kms_call_fail(call, KMS_FAIL(NOT_FOUND),
                                                    "the grant that client_request_token made is gone");
    }
    if (request->name[0] != '\0')
        *ret_granted = kms_grants_find_same(key->grants, &call->grant->grant, call->started_us);
    return KMS_OK;
}

static kms_err check(struct kms_call *call, const struct kms_key *key)
{
    const struct kms_grant *grant = &call->grant->grant;
    KMS_TRY(kms_grant_check_kind(grant, kms_key_grant_kind(key), &call->why));
    KMS_TRY(kms_separation_enforced(call, kms_grant_check_separation(call, key, grant)));
    if (kms_grants_count(key->grants) < call->core->grants_per_key) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "key %s has %zu grants, the most it can have",
                         key->id_text, call->core->grants_per_key);
}

/* The row of the key goes along, so that its policy cannot change between the check and the grant, nor the
 * other way round. */
static kms_err create(struct kms_call *call, const Kms__V1__CreateGrantRequest *request)
{
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    char row[KMS_GRANT_ROW_BYTES];
    kms_buf *body;
    struct kms_granted *granted = call->grant;
    KMS_TRY(check(call, call->access[0].key));
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    KMS_TRY(kms_key_need_grants(key));
    KMS_TRY(kms_change_key(&changes, key));
    kms_grant_row_id(&key->id, &granted->grant.id, row);
    KMS_TRY(kms_change_row(&changes, KMS_TABLE_GRANT, row, &granted->revision, &body));
    KMS_TRY(kms_grant_body(&granted->grant, body));
    const struct kms_made made = {.key_id = key->id, .grant_id = granted->grant.id};
    KMS_TRY(kms_change_token(&changes, call, request->client_request_token, &made));
    KMS_TRY(kms_change_apply(&changes, call));
    kms_grants_add(key->grants, granted);
    return kms_keyring_put(call->core->keys, key);
}

kms_err kms_create_grant_act(struct kms_call *call)
{
    const Kms__V1__CreateGrantRequest *request = (const void *)call->request;
    Kms__V1__CreateGrantResponse *reply = kms_new_reply(call);
    char *token = kms_call_alloc(call, KMS_GRANT_TOKEN_BYTES), *id = kms_call_alloc(call, KMS_ID_TEXT);
    KMS_OWN_GRANTED made = NULL;
    if (reply == NULL || token == NULL || id == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(find_made(call, request, &made));
    if (made == NULL) KMS_TRY(create(call, request));
    const struct kms_grant *grant = made != NULL ? &made->grant : &call->grant->grant;
    kms_grant_token(&call->access[0].key->id, grant, token);
    kms_id_text(&grant->id, id);
    reply->grant_token = token;
    reply->grant_id = id;
    if (made != NULL) kms_call_say(call, "grant_made_before", id);
    return KMS_OK;
}
