/* ListApprovals, DescribeApproval, ApproveRequest, RejectRequest: what others do about a request that waits.
 * */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/approval_reply.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static void key_id_of(const Kms__Store__V1__StoredApprovalKey *key, struct kms_id *ret_id)
{
    kms_copy(ret_id->bytes, key->key_id.data, sizeof ret_id->bytes);
}

static bool named_by(const struct kms_call *call, const Kms__Store__V1__StoredApprovalKey *key)
{
    struct kms_id id;
    key_id_of(key, &id);
    KMS_OWN_KEY found = kms_keyring_find(call->core->keys, &id);
    return found != NULL && key->needed > 0 && kms_rule_names(found->rule, call->identity->principal);
}

/* Policy is asked about the keys whose rules name the caller, else about the first that has one. */
static kms_err add_accesses(struct kms_call *call, const kms_stored_approval *stored, enum kms_action action,
                            const char *named)
{
    struct kms_access *access;
    struct kms_id id;
    for (int anyone = 0; anyone < 2; anyone++) {
        for (size_t i = 0; i < stored->n_keys; i++) {
            if (anyone ? stored->keys[i]->needed == 0 : !named_by(call, stored->keys[i])) continue;
            key_id_of(stored->keys[i], &id);
            KMS_TRY(kms_access_id(call, action, &id, &access));
            access->named = kms_bytes_text(named);
            if (anyone) return KMS_OK;
        }
        if (call->access_count > 0) return KMS_OK;
    }
    return KMS_FAIL(INTERNAL);
}

static enum kms_action action_of(const char *rpc)
{
    size_t i = 0;
    while (i + 1 < kms_method_count && strcmp(kms_methods[i].rpc, rpc) != 0) i++;
    return kms_methods[i].action;
}

/* Who asked for a change may withdraw it by the right to make it. */
static kms_err gather(struct kms_call *call, const char *named, enum kms_action action, bool may_withdraw)
{
    static const struct kms_id nothing;
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    struct kms_access *access;
    struct kms_id id;
    char text[KMS_ID_TEXT];
    if (!kms_id_parse(kms_bytes_text(named), &id))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "approval_id: a UUID");
    kms_id_text(&id, text);
    kms_err err = kms_approval_read(call, text, &approval);
    if (kms_is(err, KMS_E_NOT_FOUND)) {
        KMS_TRY(kms_access_id(call, action, &nothing, &access));
        access->named = kms_bytes_text(named);
        return KMS_OK;
    }
    KMS_TRY(err);
    bool own = strcmp(approval.stored->requester, call->identity->principal) == 0;
    return add_accesses(call, approval.stored,
                        own && may_withdraw ? action_of(approval.stored->method) : action, named);
}

/* Reads it again: between gather and now others may have written it. */
static kms_err read_again(struct kms_call *call, const char *named, struct kms_approval *ret_approval)
{
    struct kms_id id;
    char text[KMS_ID_TEXT];
    if (!kms_id_parse(kms_bytes_text(named), &id)) return KMS_FAIL(INTERNAL); /* gather has parsed it */
    kms_id_text(&id, text);
    return kms_approval_read(call, text, ret_approval);
}

/* Stores what it is from now on, and reads that back. */
static kms_err store(struct kms_call *call, struct kms_approval *approval, const kms_stored_approval *stored)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    kms_buf *body;
    char id[KMS_ID_TEXT];
    kms_copy(id, approval->id, sizeof id);
    KMS_TRY(kms_change_row(&changes, KMS_TABLE_APPROVAL, id, &approval->revision, &body));
    KMS_TRY(kms_approval_body(stored, body));
    KMS_TRY(kms_change_commit(&changes, call));
    kms_approval_free(approval);
    return kms_approval_read(call, id, approval);
}

/* May this call still say anything about it? */
static kms_err check(struct kms_call *call, const struct kms_approval *approval, bool may_withdraw)
{
    const kms_stored_approval *stored = approval->stored;
    bool may = may_withdraw && strcmp(stored->requester, call->identity->principal) == 0;
    for (size_t i = 0; !may && i < stored->n_keys; i++) may = named_by(call, stored->keys[i]);
    if (kms_approval_now(call->core, stored) != KMS_APPROVAL_PENDING) {
        const char *words = kms_approval_words(call, stored);
        return kms_call_fail(call, KMS_FAIL(APPROVAL_CLOSED), "%s", words != NULL ? words : "");
    }
    if (may) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ACCESS_DENIED), "no approval rule of its keys names %s",
                         call->identity->principal);
}

enum { TRIES = 8 }; /* others may approve at the same moment: each is written on top of the one before */

typedef kms_err step(struct kms_call *call, struct kms_approval *approval);

static kms_err once(struct kms_call *call, const char *named, step *take, Kms__V1__Approval **ret_reply)
{
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    KMS_TRY(read_again(call, named, &approval));
    KMS_TRY(take(call, &approval));
    *ret_reply = kms_approval_reply(call, &approval, false);
    return *ret_reply != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err until_written(struct kms_call *call, const char *named, step *take,
                             Kms__V1__Approval **ret_reply)
{
    kms_err err = KMS_OK;
    for (int i = 0; i < TRIES; i++) {
        err = once(call, named, take, ret_reply);
        if (!kms_is(err, KMS_E_CONFLICT)) return err;
        call->why.text[0] = '\0';
    }
    return err;
}

static kms_err approve(struct kms_call *call, struct kms_approval *approval)
{
    kms_stored_approval *stored = approval->stored;
    KMS_TRY(check(call, approval, false));
    if (kms_approval_has(stored, call->identity->principal)) {
        kms_approval_note(call, approval, "approved before");
        return KMS_OK;
    }
    Kms__Store__V1__StoredApprovalVote vote,
        **votes = kms_call_alloc(call, (stored->n_votes + 1) * sizeof(void *));
    if (votes == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(votes, stored->votes, stored->n_votes * sizeof *votes);
    kms__store__v1__stored_approval_vote__init(&vote);
    vote.principal = call->identity->principal;
    vote.at_us = kms_core_now_us(call->core);
    votes[stored->n_votes] = &vote;
    kms_stored_approval more = *stored;
    more.votes = votes;
    more.n_votes++;
    KMS_TRY(store(call, approval, &more));
    kms_approval_note(call, approval, "approved");
    return KMS_OK;
}

static kms_err reject(struct kms_call *call, struct kms_approval *approval)
{
    kms_stored_approval *stored = approval->stored;
    KMS_TRY(check(call, approval, true));
    bool own = strcmp(stored->requester, call->identity->principal) == 0;
    kms_stored_approval closed = *stored;
    closed.state = own ? KMS_APPROVAL_WITHDRAWN : KMS_APPROVAL_REJECTED;
    closed.closed_us = kms_core_now_us(call->core);
    closed.closed_by = call->identity->principal;
    KMS_TRY(store(call, approval, &closed));
    kms_approval_note(call, approval, own ? "withdrawn" : "rejected");
    return KMS_OK;
}

kms_err kms_approve_request_gather(struct kms_call *call)
{
    const Kms__V1__ApproveRequestRequest *request = (const void *)call->request;
    return gather(call, request->approval_id, KMS_ACT_APPROVE_REQUEST, false);
}

kms_err kms_approve_request_act(struct kms_call *call)
{
    const Kms__V1__ApproveRequestRequest *request = (const void *)call->request;
    Kms__V1__ApproveRequestResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    return until_written(call, request->approval_id, approve, &reply->approval);
}

kms_err kms_reject_request_gather(struct kms_call *call)
{
    const Kms__V1__RejectRequestRequest *request = (const void *)call->request;
    return gather(call, request->approval_id, KMS_ACT_REJECT_REQUEST, true);
}

kms_err kms_reject_request_act(struct kms_call *call)
{
    const Kms__V1__RejectRequestRequest *request = (const void *)call->request;
    Kms__V1__RejectRequestResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    return until_written(call, request->approval_id, reject, &reply->approval);
}

kms_err kms_describe_approval_gather(struct kms_call *call)
{
    const Kms__V1__DescribeApprovalRequest *request = (const void *)call->request;
    return gather(call, request->approval_id, KMS_ACT_DESCRIBE_APPROVAL, false);
}

kms_err kms_describe_approval_act(struct kms_call *call)
{
    const Kms__V1__DescribeApprovalRequest *request = (const void *)call->request;
    Kms__V1__DescribeApprovalResponse *reply = kms_new_reply(call);
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(read_again(call, request->approval_id, &approval));
    reply->approval = kms_approval_reply(call, &approval, true);
    return reply->approval != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
