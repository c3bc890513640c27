/* From a stored approval to its message. */
#include "kmsd/service/approval_reply.h"

#include <string.h>

#include "base/clock.h"

static char *text_of(struct kms_call *call, const char *text)
{
    return kms_arena_print(&call->arena, "%s", text);
}

static struct kms_key *key_of(struct kms_call *call, const Kms__Store__V1__StoredApprovalKey *key,
                              char id[KMS_ID_TEXT])
{
    struct kms_id parsed;
    kms_copy(parsed.bytes, key->key_id.data, sizeof parsed.bytes);
    kms_id_text(&parsed, id);
    return kms_keyring_find(call->core->keys, &parsed);
}

static char *what_changed(struct kms_call *call, const kms_stored_approval *stored)
{
    for (size_t i = 0; i < stored->n_keys; i++) {
        char id[KMS_ID_TEXT];
        KMS_OWN_KEY key = key_of(call, stored->keys[i], id);
        if (key == NULL) return kms_arena_print(&call->arena, "key %s is gone", id);
        if (key->revision == stored->keys[i]->revision) continue;
        return kms_arena_print(
            &call->arena, "key %s has changed: the approval is for revision %llu, it is at %llu", id,
            (unsigned long long)stored->keys[i]->revision, (unsigned long long)key->revision);
    }
    return text_of(call, "a key had changed");
}

char *kms_approval_words(struct kms_call *call, const kms_stored_approval *stored)
{
    char time[KMS_TIME_TEXT];
    uint32_t missing;
    switch (kms_approval_now(call->core, stored)) {
    case KMS_APPROVAL_PENDING:
        missing = kms_approval_missing_now(call->core, stored);
        if (missing > 0) return kms_arena_print(&call->arena, "%u more must approve", missing);
        return kms_arena_print(&call->arena, "approved: %s may repeat the call", stored->requester);
    case KMS_APPROVAL_USED:
        return text_of(call, "the change was made");
    case KMS_APPROVAL_REJECTED:
        return kms_arena_print(&call->arena, "rejected by %s", stored->closed_by);
    case KMS_APPROVAL_WITHDRAWN:
        return kms_arena_print(&call->arena, "withdrawn by %s", stored->closed_by);
    case KMS_APPROVAL_EXPIRED:
        kms_time_text(stored->expires_us, time);
        return kms_arena_print(&call->arena, "expired at %s", time);
    default:
        return what_changed(call, stored);
    }
}

static char **names_of(struct kms_call *call, const struct kms_rule *rule, size_t *ret_count)
{
    char **names = kms_call_alloc(call, rule->count * sizeof *names);
    for (uint32_t i = 0; names != NULL && i < rule->count; i++) {
        names[i] = text_of(call, rule->principals[i]);
        if (names[i] == NULL) return NULL;
    }
    *ret_count = names != NULL ? rule->count : 0;
    return names;
}

Kms__V1__ApprovalRule *kms_approval_rule_reply(struct kms_call *call, const struct kms_rule *rule)
{
    Kms__V1__ApprovalRule *reply = rule != NULL ? kms_call_alloc(call, sizeof *reply) : NULL;
    if (reply == NULL) return NULL;
    kms__v1__approval_rule__init(reply);
    reply->required = rule->required;
    reply->principals = names_of(call, rule, &reply->n_principals);
    return reply->principals != NULL ? reply : NULL;
}

static bool add_keys(struct kms_call *call, const kms_stored_approval *stored, Kms__V1__Approval *reply)
{
    Kms__V1__ApprovalKey *keys = kms_call_alloc(call, stored->n_keys * sizeof *keys);
    reply->keys = kms_call_alloc(call, stored->n_keys * sizeof *reply->keys);
    if (keys == NULL || reply->keys == NULL) return false;
    reply->n_keys = stored->n_keys;
    for (size_t i = 0; i < stored->n_keys; i++) {
        char id[KMS_ID_TEXT];
        KMS_OWN_KEY key = key_of(call, stored->keys[i], id);
        const struct kms_rule *rule = key != NULL && stored->keys[i]->needed > 0 ? key->rule : NULL;
        kms__v1__approval_key__init(&keys[i]);
        reply->keys[i] = &keys[i];
        keys[i].key_id = text_of(call, id);
        keys[i].revision = stored->keys[i]->revision;
        keys[i].required = stored->keys[i]->needed;
        keys[i].missing = kms_approval_missing(stored, rule, stored->keys[i]->needed);
        if (keys[i].key_id == NULL) return false;
        if (rule != NULL && (keys[i].principals = names_of(call, rule, &keys[i].n_principals)) == NULL)
            return false;
    }
    return true;
}

static bool add_votes(struct kms_call *call, const kms_stored_approval *stored, Kms__V1__Approval *reply)
{
    if (stored->n_votes == 0) return true;
    Kms__V1__ApprovalVote *votes = kms_call_alloc(call, stored->n_votes * sizeof *votes);
    reply->votes = kms_call_alloc(call, stored->n_votes * sizeof *reply->votes);
    if (votes == NULL || reply->votes == NULL) return false;
    reply->n_votes = stored->n_votes;
    for (size_t i = 0; i < stored->n_votes; i++) {
        kms__v1__approval_vote__init(&votes[i]);
        votes[i].principal = text_of(call, stored->votes[i]->principal);
        votes[i].approval_time_us = stored->votes[i]->at_us;
        reply->votes[i] = &votes[i];
        if (votes[i].principal == NULL) return false;
    }
    return true;
}

Kms__V1__Approval *kms_approval_reply(struct kms_call *call, const struct kms_approval *approval, bool whole)
{
    const kms_stored_approval *stored = approval->stored;
    Kms__V1__Approval *reply = kms_call_alloc(call, sizeof *reply);
    if (reply == NULL) return NULL;
    kms__v1__approval__init(reply);
    /* the numbers of both enums are the same */
    reply->state = (Kms__V1__ApprovalState)kms_approval_now(call->core, stored);
    reply->approval_id = text_of(call, approval->id);
    reply->state_reason = kms_approval_words(call, stored);
    reply->requester = text_of(call, stored->requester);
    reply->operation = text_of(call, stored->method);
    reply->request = text_of(call, whole ? stored->request : "");
    reply->lifts = text_of(call, stored->lifts);
    reply->closed_by = text_of(call, stored->closed_by);
    reply->creation_time_us = stored->created_us;
    reply->expiration_time_us = stored->expires_us;
    if (reply->approval_id == NULL || reply->state_reason == NULL || reply->requester == NULL) return NULL;
    if (reply->operation == NULL || reply->request == NULL || reply->lifts == NULL ||
        reply->closed_by == NULL)
        return NULL;
    return add_keys(call, stored, reply) && add_votes(call, stored, reply) ? reply : NULL;
}
_Static_assert((int)KMS__V1__APPROVAL_STATE__APPROVAL_STATE_OUTDATED == (int)KMS_APPROVAL_OUTDATED,
               "one numbering");
