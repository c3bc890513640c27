/* Would somebody still be able to administer a key or a secret under a document? */
#include <stdio.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/complain.h"

enum truth { NEVER, MAYBE, ALWAYS };

/* What the caller cannot choose, and what is not known of the key or secret here. The rest of the request is:
 * no alias, no bypass, no encryption context, over TLS. */
static bool beyond_control(uint8_t about)
{
    return (about & (KMS_ABOUT_KEY | KMS_ABOUT_WORLD)) != 0;
}

static enum truth applies(const struct kms_statement *statement, struct kms_evaluation *evaluation)
{
    const struct kms_access_request *request = evaluation->request;
    enum truth truth = ALWAYS;
    if ((statement->actions & kms_action_bit(request->action)) == 0) return NEVER;
    if (!kms_statement_covers(statement, request->principal, evaluation->principal_hash)) return NEVER;
    if (beyond_control(statement->resource_about))
        truth = MAYBE;
    else if (!kms_statement_resource_matches(statement, request))
        return NEVER;
    for (size_t i = 0; i < statement->condition_count; i++) {
        if (beyond_control(statement->conditions[i].about))
            truth = MAYBE;
        else if (!kms_condition_holds(&statement->conditions[i], evaluation))
            return NEVER;
    }
    return truth;
}

static kms_err refuse(const struct kms_access_request *request, const char *cause, const char *statement,
                      struct kms_why *why)
{
    kms_why_set(why, "principal \"%s\" could not call %s afterwards: %s%s%s",
                kms_show(request->principal).text, kms_action_name(request->action), cause,
                statement == NULL ? "" : " ",
                statement == NULL ? "" : kms_show(kms_bytes_text(statement)).text);
    return KMS_FAIL(POLICY_LOCKOUT);
}

kms_err kms_policy_check_allowed(const kms_policy *policy, enum kms_action action, struct kms_bytes principal,
                                 struct kms_bytes resource, struct kms_why *why)
{
    const struct kms_access_request request = {.principal = principal,
                                               .action = action,
                                               .resource = resource,
                                               .secure_transport = true,
                                               .bypass_lockout_known = true};
    struct kms_evaluation evaluation = {.request = &request, .principal_hash = kms_principal_hash(principal)};
    const char *sometimes = NULL;
    for (size_t i = 0; policy != NULL && principal.len > 0 && i < policy->statement_count; i++) {
        const struct kms_statement *statement =
            &policy->statements[i]; /* every Deny stands before every Allow */
        enum truth truth = applies(statement, &evaluation);
        if (truth == NEVER) continue;
        if (statement->deny)
            return refuse(&request,
                          truth == ALWAYS ? "it is denied by statement" : "it may be denied by statement",
                          statement->name, why);
        if (truth == ALWAYS) return KMS_OK;
        if (sometimes == NULL) sometimes = statement->name;
    }
    if (sometimes != NULL) {
        char cause[64];
        snprintf(cause, sizeof cause, "it depends on time, address or %s in statement",
                 kms_kind_row(policy->kind)->subject);
        return refuse(&request, cause, sometimes, why);
    }
    return refuse(&request, "no statement allows it", NULL, why);
}

kms_err kms_policy_check_lockout(const kms_policy *policy, struct kms_bytes principal,
                                 struct kms_bytes resource, struct kms_why *why)
{
    struct kms_why cause = {{0}};
    enum kms_policy_kind kind = policy != NULL ? policy->kind : KMS_POLICY_KEY;
    kms_err err =
        kms_policy_check_allowed(policy, kms_kind_row(kind)->written_by, principal, resource, &cause);
    if (kms_failed(err))
        kms_why_set(why, "%.300s; allow it, or set bypass_policy_lockout_safety_check", cause.text);
    return err;
}
