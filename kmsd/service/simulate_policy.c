/* SimulatePolicy: what would a document, or the policy of a key, decide? Asks the same kms_policy_decide as
 * every call. */
#include <string.h>

#include "kms/v1/policy.pb-c.h"
#include "kmsd/policy/explain.h"
#include "kmsd/policy/input.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/decide.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { REQUESTS = 256, INPUTS = 64, PRINCIPAL_BYTES = 2048, VALUE_BYTES = 8192 };

kms_err kms_simulate_policy_gather(struct kms_call *call)
{
    const Kms__V1__SimulatePolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    bool of_key = request->key_id[0] != '\0';
    if (of_key)
        KMS_TRY(kms_access_named(call, KMS_ACT_SIMULATE_POLICY, request->key_id, &access));
    else
        KMS_TRY(kms_access_service(call, KMS_ACT_SIMULATE_POLICY));
    if (request->n_requests < 1 || request->n_requests > REQUESTS)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "requests: 1 to %d", REQUESTS);
    if (!of_key && request->policy[0] == '\0')
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "give key_id, policy, or both");
    return KMS_OK;
}

/* What goes wrong with one request is said with its number. */
static kms_err complain(struct kms_call *call, size_t index, const char *what)
{
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "requests[%zu]: %s", index, what);
}

/* The properties of the key, or of a usual one. */
static void add_key(const struct kms_access_request *of_key, struct kms_access_request *request)
{
    const struct kms_bytes absent = {0};
    kms_inputs_usual(request);
    request->secure_transport = true;
    if (of_key == NULL) return;
    request->key_spec = of_key->key_spec;
    request->key_usage = of_key->key_usage;
    request->key_origin = of_key->key_origin;
    request->resource_tags = of_key->resource_tags;
    request->resource_tag_count = of_key->resource_tag_count;
    bool symmetric = kms_bytes_equal(of_key->key_spec, kms_bytes_text("SYMMETRIC_DEFAULT"));
    if (!symmetric) request->encryption_algorithm = absent; /* it has several: the request says which */
}

static kms_err add_inputs(struct kms_call *call, size_t index, const Kms__V1__SimulatedRequest *asked,
                          struct kms_pool *pool, struct kms_access_request *request)
{
    if (asked->n_inputs > INPUTS) return complain(call, index, "inputs: at most 64");
    for (size_t i = 0; i < asked->n_inputs; i++) {
        const struct kms_pair input = {kms_bytes_text(asked->inputs[i]->name),
                                       kms_bytes_text(asked->inputs[i]->value)};
        struct kms_why why = {""};
        if (input.value.len > VALUE_BYTES) return complain(call, index, "inputs: a value is too long");
        kms_err err = kms_input_set(request, input, pool, &why);
        if (kms_is(err, KMS_E_INVALID_ARGUMENT)) return complain(call, index, why.text);
        KMS_TRY(err);
    }
    return KMS_OK;
}

static kms_err read_request(struct kms_call *call, size_t index, const struct kms_access_request *of_key,
                            struct kms_pool *pool, struct kms_access_request *request)
{
    const Kms__V1__SimulatePolicyRequest *all = (const void *)call->request;
    const Kms__V1__SimulatedRequest *asked = all->requests[index];
    struct kms_access context = {.action = KMS_ACT_SIMULATE_POLICY};
    size_t len = strlen(asked->principal);
    if (len < 1 || len > PRINCIPAL_BYTES) return complain(call, index, "principal: 1 to 2048 bytes");
    *request = (struct kms_access_request){.principal = kms_bytes_text(asked->principal),
                                           .now_us = call->started_us,
                                           .resource = of_key != NULL ? of_key->resource
                                                                      : kms_bytes_text(KMS_INPUT_ANY_KEY)};
    if (!kms_action_find(asked->action, &request->action))
        return complain(call, index, "action: there is no such action");
    KMS_TRY(kms_access_context(call, &context, asked->n_encryption_context, asked->encryption_context));
    request->context = context.context;
    request->context_count = context.context_count;
    add_key(of_key, request);
    return add_inputs(call, index, asked, pool, request);
}

static kms_err add_misses(struct kms_call *call, const kms_policy *policy,
                          const struct kms_access_request *request, Kms__V1__SimulatedDecision *decision)
{
    struct kms_miss misses[KMS_MISSES];
    size_t count = kms_policy_misses(policy, request, misses);
    Kms__V1__NearMiss *list = kms_call_alloc(call, count * sizeof *list);
    decision->near_misses = kms_call_alloc(call, count * sizeof *decision->near_misses);
    if (list == NULL || decision->near_misses == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        kms__v1__near_miss__init(&list[i]);
        list[i].statement = kms_arena_print(&call->arena, "%s", misses[i].statement);
        list[i].reason = kms_arena_print(&call->arena, "%s", misses[i].words);
        if (list[i].statement == NULL || list[i].reason == NULL) return KMS_FAIL(NO_MEMORY);
        decision->near_misses[decision->n_near_misses++] = &list[i];
    }
    return KMS_OK;
}

static kms_err decide(struct kms_call *call, const kms_policy *policy,
                      const struct kms_access_request *request, Kms__V1__SimulatedDecision *decision)
{
    static const Kms__V1__PolicyDecision words[] = {
        [KMS_ALLOW] = KMS__V1__POLICY_DECISION__POLICY_DECISION_ALLOW,
        [KMS_DENY_EXPLICIT] = KMS__V1__POLICY_DECISION__POLICY_DECISION_EXPLICIT_DENY,
        [KMS_DENY_IMPLICIT] = KMS__V1__POLICY_DECISION__POLICY_DECISION_IMPLICIT_DENY};
    const struct kms_decision said = kms_policy_decide(policy, request);
    kms__v1__simulated_decision__init(decision);
    decision->decision = words[said.effect];
    if (said.effect == KMS_DENY_IMPLICIT) return add_misses(call, policy, request, decision);
    decision->statement = kms_arena_print(&call->arena, "%s", said.statement);
    return decision->statement != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err answer(struct kms_call *call, const kms_policy *policy, struct kms_pool *pool)
{
    const Kms__V1__SimulatePolicyRequest *request = (const void *)call->request;
    Kms__V1__SimulatePolicyResponse *reply = kms_new_reply(call);
    Kms__V1__SimulatedDecision *list = kms_call_alloc(call, request->n_requests * sizeof *list);
    const struct kms_access *access = &call->access[0];
    struct kms_question key;
    kms_question_of(call, access, &key);
    if (reply == NULL || list == NULL) return KMS_FAIL(NO_MEMORY);
    reply->decisions = kms_call_alloc(call, request->n_requests * sizeof *reply->decisions);
    if (reply->decisions == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < request->n_requests; i++) {
        struct kms_access_request one;
        KMS_TRY(read_request(call, i, access->key != NULL ? &key.request : NULL, pool, &one));
        KMS_TRY(decide(call, policy, &one, &list[i]));
        reply->decisions[reply->n_decisions++] = &list[i];
    }
    return KMS_OK;
}

kms_err kms_simulate_policy_act(struct kms_call *call)
{
    const Kms__V1__SimulatePolicyRequest *request = (const void *)call->request;
    KMS_OWN(kms_policy) policy = NULL;
    struct kms_pool pool = {NULL};
    if (request->policy[0] != '\0')
        KMS_TRY(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(request->policy), &policy, &call->why));
    else
        policy = kms_policy_ref(call->access[0].key->policy);
    kms_err err = answer(call, policy, &pool);
    kms_pool_free(&pool);
    return err;
}
