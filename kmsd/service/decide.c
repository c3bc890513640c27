/* From accesses to decisions. */
#include "kmsd/service/decide.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "hsm/spec.h"
#include "kmsd/service/access.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/core.h"

#define TEXT(s) kms_bytes_text(s)

/* Not by pointer: a change between the two look-ups makes two generations of one key. */
static bool same_key(const struct kms_key *a, const struct kms_key *b)
{
    return a != NULL && b != NULL && kms_id_equal(&a->id, &b->id);
}

static bool on_same_key(const struct kms_call *call)
{
    return call->reencrypt && same_key(call->access[0].key, call->access[1].key);
}

/* CreateKey asks about a key that it has named, but that is not there yet. */
static const char *key_id_of(const struct kms_call *call, const struct kms_access *access)
{
    if (access->service || access->of_secret || access->of_role) return NULL;
    if (access->key != NULL) return access->key->id_text;
    return access->policy != NULL ? call->new_key_id : NULL;
}

/* Absent where nothing is encrypted or decrypted. */
static struct kms_bytes encryption_algorithm(const struct kms_access *access)
{
    const struct kms_bytes absent = {0};
    if (kms_action_class_of(access->action) != KMS_CLASS_USAGE) return absent;
    switch (access->action) {
    case KMS_ACT_SIGN:
    case KMS_ACT_VERIFY:
    case KMS_ACT_GENERATE_MAC:
    case KMS_ACT_VERIFY_MAC:
    case KMS_ACT_DERIVE_SHARED_SECRET:
        return absent;
    default:
        return TEXT(access->encryption_algorithm != NULL ? access->encryption_algorithm
                                                         : "SYMMETRIC_DEFAULT");
    }
}

/* What the key itself adds; a key that is about to be has no tags. */
static void add_key(const struct kms_call *call, const struct kms_access *access,
                    struct kms_question *question)
{
    struct kms_access_request *request = &question->request;
    const struct kms_key *key = access->key;
    bool external = key != NULL ? key->origin == KMS_ORIGIN_EXTERNAL : call->new_external;
    request->key_origin = TEXT(external ? "EXTERNAL" : "AWS_KMS");
    request->encryption_algorithm = encryption_algorithm(access);
    for (size_t i = 0; key != NULL && i < key->tag_count && i < KMS_TAGS_MAX; i++)
        question->tags[request->resource_tag_count++] =
            (struct kms_pair){TEXT(key->tags[i].key), TEXT(key->tags[i].value)};
    request->resource_tags = question->tags;
}

/* What the secret itself adds. */
static void add_secret(const struct kms_access *access, struct kms_question *question)
{
    const kms_stored_secret *stored = access->secret->stored;
    question->request.resource = TEXT(access->secret->arn);
    for (size_t i = 0; i < stored->n_tags && i < KMS_TAGS_MAX; i++)
        question->tags[question->request.resource_tag_count++] =
            (struct kms_pair){TEXT(stored->tags[i]->key), TEXT(stored->tags[i]->value)};
    question->request.resource_tags = question->tags;
}

/* TCP is TLS but for one kind of listener; a Unix socket is not. */
static bool over_tls(const struct kms_call *call)
{
    return call->source_ip[0] != '\0' && !call->identity->in_clear;
}

void kms_question_of(const struct kms_call *call, const struct kms_access *access,
                     struct kms_question *ret_question)
{
    struct kms_question *q = ret_question;
    q->key_id = key_id_of(call, access);
    q->arn[0] = '\0';
    if (q->key_id != NULL) kms_key_arn(&call->core->arn, q->key_id, q->arn);
    const struct kms_key *key = access->key;
    const bool new =
        call->new_secret == NULL || access->via_secrets; /* of CreateSecret only its key has them */
    const unsigned spec = key != NULL ? key->spec
                          : new       ? call->new_spec
                                      : 0,
                   use = key != NULL ? key->usage
                         : new       ? call->new_usage
                                     : 0;
    q->request = (struct kms_access_request){
        .principal = TEXT(call->identity->principal),
        .action = access->action,
        .resource = TEXT(q->arn),
        .context = access->context,
        .context_count = access->context_count,
        .request_alias = access->alias,
        .via_service = access->via_secrets ? TEXT(call->core->via_secrets) : (struct kms_bytes){0},
        .key_spec = spec != 0 ? TEXT(kms_spec_of(spec)->name) : (struct kms_bytes){0},
        .key_usage = use != 0 ? TEXT(kms_usage_name(use)) : (struct kms_bytes){0},
        .source_ip = kms_present(call->source_ip),
        .now_us = call->started_us,
        .secure_transport = over_tls(call),
        .reencrypt_on_same_key_known = call->reencrypt || access->of_reencrypt,
        .reencrypt_on_same_key = access->of_reencrypt ? access->on_same_key : on_same_key(call),
        .bypass_lockout_known = call->may_bypass_lockout,
        .bypass_lockout = call->bypass_lockout,
        .inputs = access->inputs,
    };
    if (q->key_id != NULL) add_key(call, access, q);
    if (access->secret != NULL) add_secret(access, q);
    if (access->role != NULL) q->request.resource = TEXT(access->role->arn);
}

/* What policy says nothing of, a grant may permit. A key that has none costs nothing. */
static void ask_grants(const struct kms_call *call, struct kms_access *access,
                       const struct kms_access_request *request)
{
    struct kms_id id;
    const struct kms_grant *of = call->grant != NULL ? &call->grant->grant : NULL;
    const struct kms_grant_question question = {
        .principal = request->principal,
        .action = request->action,
        .context = request->context,
        .context_count = request->context_count,
        .now_us = request->now_us,
        .wanted = access->action == KMS_ACT_CREATE_GRANT ? of : NULL,
        .retired = access->action == KMS_ACT_RETIRE_GRANT && of != NULL ? &of->id : NULL,
    };
    if (!kms_grants_allow(access->key->grants, &question, &id)) return;
    access->decision.effect = KMS_ALLOW;
    kms_id_text(&id, access->by_grant);
}

static void answer(const struct kms_call *call, struct kms_access *access, const kms_policy *service_policy)
{
    struct kms_question question;
    const kms_policy *policy = access->service          ? service_policy
                               : access->policy != NULL ? access->policy
                               : access->secret != NULL ? access->secret->policy
                               : access->role != NULL   ? access->role->policy
                               : access->key != NULL    ? access->key->policy
                                                        : NULL;
    kms_question_of(call, access, &question);
    access->decision = kms_policy_decide(policy, &question.request);
    if (access->decision.effect != KMS_DENY_IMPLICIT) return;
    if (access->own) access->decision.effect = KMS_ALLOW;
    if (access->key != NULL && access->key->grants != NULL) ask_grants(call, access, &question.request);
}

static bool same_word(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The one input of operations that methods have which come in batches. */
static struct kms_bytes label_of(const struct kms_access *access)
{
    return access->inputs != NULL ? access->inputs->oaep_label : (struct kms_bytes){0};
}

/* Whatever the decision can depend on and is not the batch's own. A key that does not exist is asked about by
 * its name, for the record. */
static bool same_question(const struct kms_access *a, const struct kms_access *b)
{
    return a->digest == b->digest && a->action == b->action && a->on_same_key == b->on_same_key &&
           (same_key(a->key, b->key) ||
            (a->key == NULL && b->key == NULL && kms_bytes_equal(a->named, b->named))) &&
           kms_bytes_equal(a->alias, b->alias) && kms_bytes_equal(a->canonical, b->canonical) &&
           same_word(a->encryption_algorithm, b->encryption_algorithm) &&
           kms_bytes_equal(label_of(a), label_of(b));
}

static uint32_t digest_of(const struct kms_access *access)
{
    uint32_t digest = kms_crc32c(kms_crc32c(0, access->canonical), label_of(access));
    if (access->key == NULL) return kms_crc32c(digest, access->named);
    return kms_crc32c(digest, kms_bytes_of(access->key->id.bytes, sizeof access->key->id.bytes));
}

/* What an item asks and an item before it has asked is answered alike. */
static kms_err answer_once(const struct kms_call *item, struct kms_access *access)
{
    struct kms_call *call = item->part_of;
    access->of_reencrypt = item->reencrypt;
    access->on_same_key = on_same_key(item);
    access->digest = digest_of(access);
    for (size_t i = 0; i < call->batch->asked_count; i++) {
        if (!same_question(&call->batch->asked[i], access)) continue;
        access->asked = (uint32_t)i;
        access->decision = call->batch->asked[i].decision;
        return KMS_OK;
    }
    struct kms_access *asked = kms_batch_ask(call);
    if (asked == NULL) return KMS_FAIL(NO_MEMORY);
    access->asked = (uint32_t)(asked - call->batch->asked);
    answer(item, access, item->service_policy);
    *asked = *access;
    asked->version = 0; /* its items may use several */
    if (asked->key != NULL) kms_key_ref(asked->key);
    if (asked->policy != NULL) kms_policy_ref(asked->policy);
    return KMS_OK;
}

static bool may_list(struct kms_call *call, enum kms_action action)
{
    KMS_OWN(kms_policy) service_policy = kms_core_service_policy(call->core);
    struct kms_access list = {.action = action, .service = true};
    answer(call, &list, service_policy);
    return list.decision.effect == KMS_ALLOW;
}

static kms_err refuse(struct kms_call *call, const struct kms_access *access)
{
    const char *action = kms_action_name(access->action);
    if (access->service)
        return kms_call_fail(call, KMS_FAIL(ACCESS_DENIED), "%s is not granted to %s by the service policy",
                             action, call->identity->principal);
    int len = (int)(access->named.len < 128 ? access->named.len : 128);
    const char *named = len > 0               ? (const char *)access->named.ptr
                        : access->via_secrets ? "the key of this secret"
                                              : "the key of this ciphertext";
    if (len == 0) len = (int)strlen(named);
    const char *what = access->of_secret ? "secret" : access->of_role ? "database role or lease" : "key";
    enum kms_action list = access->of_secret ? KMS_ACT_LIST_SECRETS
                           : access->of_role ? KMS_ACT_LIST_LEASES
                                             : KMS_ACT_LIST_KEYS;
    bool absent =
        access->key == NULL && access->policy == NULL && access->secret == NULL && access->role == NULL;
    if (absent && may_list(call, list))
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "there is no %s %.*s", what, len, named);
    return kms_call_fail(call, KMS_FAIL(ACCESS_DENIED), "%s lacks %s on %.*s (or there is no such %s)",
                         call->identity->principal, action, len, named, what);
}

/* Most calls ask about keys alone and need not touch the service policy, which all threads share. */
static bool asks_service(const struct kms_call *call)
{
    for (size_t i = 0; i < call->access_count; i++)
        if (call->access[i].service) return true;
    return false;
}

kms_err kms_decide(struct kms_call *call)
{
    /* The call keeps it: its record names the statement that decided, even when a reload comes between. */
    if (asks_service(call)) call->service_policy = kms_core_service_policy(call->core);
    const struct kms_access *refused = NULL;
    for (size_t i = 0; i < call->access_count; i++) {
        if (call->part_of != NULL)
            KMS_TRY(answer_once(call, &call->access[i]));
        else
            answer(call, &call->access[i], call->service_policy);
        if (refused == NULL && call->access[i].decision.effect != KMS_ALLOW) refused = &call->access[i];
    }
    if (call->access_count == 0) return KMS_FAIL(INTERNAL); /* a gather that asks nothing is a bug: deny */
    if (refused != NULL) return refuse(call, refused);
    return KMS_OK;
}
