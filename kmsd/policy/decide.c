/* The decision: Deny wins, then Allow, else implicit deny. A pure function of document and request. */
#include "kmsd/policy/compiled.h"
#include "kmsd/policy/match.h"
#include "kmsd/policy/variable.h"

/* Text that cannot be resolved is no resource's. */
static bool resolved_matches(struct kms_bytes pattern, const struct kms_access_request *request)
{
    uint8_t room[KMS_RESOLVED_BYTES];
    struct kms_bytes resolved;
    return kms_resolve(pattern, request, room, &resolved) && kms_arn_match(resolved, request->resource);
}

bool kms_statement_resource_matches(const struct kms_statement *statement,
                                    const struct kms_access_request *request)
{
    bool matches = statement->any_resource;
    for (size_t i = 0; i < statement->resource_count && !matches; i++)
        matches = statement->resource_variables ? resolved_matches(statement->resources[i], request)
                                                : kms_arn_match(statement->resources[i], request->resource);
    return matches != statement->not_resource;
}

/* Cheap and telling things first: conditions last. */
static bool applies(const struct kms_statement *statement, kms_actions action,
                    struct kms_evaluation *evaluation)
{
    const struct kms_access_request *request = evaluation->request;
    if ((statement->actions & action) == 0) return false;
    if (!statement->any_principal &&
        !kms_statement_covers(statement, request->principal, evaluation->principal_hash))
        return false;
    if (!statement->any_resource && !kms_statement_resource_matches(statement, request)) return false;
    for (size_t i = 0; i < statement->condition_count; i++)
        if (!kms_condition_holds(&statement->conditions[i], evaluation)) return false;
    return true;
}

struct kms_decision kms_policy_decide(const kms_policy *policy, const struct kms_access_request *request)
{
    const struct kms_decision none = {.effect = KMS_DENY_IMPLICIT};
    /* A request without a principal is somebody's mistake: it must not pass as one of "*". */
    if (policy == NULL || request->principal.len == 0 || request->action >= KMS_ACT_COUNT) return none;
    struct kms_evaluation evaluation = {.request = request,
                                        .principal_hash = kms_principal_hash(request->principal)};
    kms_actions action = kms_action_bit(request->action);
    for (size_t i = 0; i < policy->statement_count; i++) {
        const struct kms_statement *statement =
            &policy->statements[i]; /* every Deny stands before every Allow */
        if (applies(statement, action, &evaluation))
            return (struct kms_decision){.effect = statement->deny ? KMS_DENY_EXPLICIT : KMS_ALLOW,
                                         .statement = statement->name};
    }
    return none;
}
