/* Statements that did not apply, and why. */
#include "kmsd/policy/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/actual.h"
#include "kmsd/policy/complain.h"

/* How far a statement is from applying. */
struct distance {
    const struct kms_statement *statement;
    bool principal, action, resource; /* do not fit */
    unsigned conditions;              /* do not hold */
};

static unsigned steps(const struct distance *d)
{
    return (d->principal ? 100u : 0u) + (d->action ? 100u : 0u) + (d->resource ? 50u : 0u) + d->conditions;
}

static struct distance measure(const struct kms_statement *statement, struct kms_evaluation *evaluation)
{
    const struct kms_access_request *request = evaluation->request;
    struct distance d = {.statement = statement};
    d.action = (statement->actions & kms_action_bit(request->action)) == 0;
    d.principal = !kms_statement_covers(statement, request->principal, evaluation->principal_hash);
    d.resource = !kms_statement_resource_matches(statement, request);
    if (d.action && d.principal) return d;
    for (size_t i = 0; i < statement->condition_count; i++)
        d.conditions += !kms_condition_holds(&statement->conditions[i], evaluation);
    return d;
}

__attribute__((format(printf, 2, 3))) static void add(struct kms_miss *miss, const char *format, ...)
{
    size_t used = strlen(miss->words);
    if (used > 0 && used + 2 < sizeof miss->words) used += (size_t)snprintf(miss->words + used, 3, "; ");
    va_list args;
    va_start(args, format);
    vsnprintf(miss->words + used, sizeof miss->words - used, format, args);
    va_end(args);
}

/* What the request has for the key of a condition. */
static struct kms_shown actual_of(const struct kms_condition *condition,
                                  const struct kms_access_request *request)
{
    struct kms_actual actual;
    struct kms_shown shown = {"nothing"}, value;
    size_t cursor = 0;
    if (!kms_actual_next(condition->key, condition->name, request, &cursor, &actual)) return shown;
    if (actual.kind == KMS_ACTUAL_TEXT) {
        value = kms_show_short(actual.text);
        snprintf(shown.text, sizeof shown.text, "\"%.90s\"", value.text);
    } else if (actual.kind == KMS_ACTUAL_FLAG) {
        snprintf(shown.text, sizeof shown.text, "%s", actual.number != 0 ? "true" : "false");
    } else {
        snprintf(shown.text, sizeof shown.text, "%lld", (long long)(actual.number / KMS_MILLION));
    }
    return shown;
}

static void add_condition(const struct kms_condition *condition, const struct kms_access_request *request,
                          struct kms_miss *miss)
{
    static const char *const fronts[] = {
        [KMS_ONE_VALUE] = "", [KMS_FOR_ALL_VALUES] = "ForAllValues:", [KMS_FOR_ANY_VALUE] = "ForAnyValue:"};
    add(miss, "%s%s%s on %s%s does not hold: the request has %s", fronts[condition->quantifier],
        kms_operator_rows[condition->operator_id].name, condition->if_exists ? "IfExists" : "",
        kms_condition_key_rows[condition->key].name, kms_show_short(condition->name).text,
        actual_of(condition, request).text);
}

static void describe(const struct distance *d, struct kms_evaluation *evaluation, struct kms_miss *miss)
{
    const struct kms_statement *statement = d->statement;
    const struct kms_access_request *request = evaluation->request;
    miss->statement = statement->name;
    miss->words[0] = '\0';
    if (d->principal) add(miss, "Principal does not name %s", kms_show(request->principal).text);
    if (d->action)
        add(miss, statement->not_action ? "NotAction names %s" : "Action does not name %s",
            kms_action_name(request->action));
    if (d->resource)
        add(miss, statement->not_resource ? "NotResource names %s" : "Resource does not name %s",
            request->resource.len > 0 ? kms_show(request->resource).text : "the service");
    for (size_t i = 0; i < statement->condition_count && d->conditions > 0; i++)
        if (!kms_condition_holds(&statement->conditions[i], evaluation))
            add_condition(&statement->conditions[i], request, miss);
}

/* Keeps the nearest, those of one distance in the order of the document. */
static size_t keep(struct distance nearest[KMS_MISSES], size_t count, const struct distance *d)
{
    size_t at = count;
    while (at > 0 && steps(&nearest[at - 1]) > steps(d)) at--;
    if (at == KMS_MISSES) return count;
    if (count < KMS_MISSES) count++;
    memmove(&nearest[at + 1], &nearest[at], (count - 1 - at) * sizeof *nearest);
    nearest[at] = *d;
    return count;
}

size_t kms_policy_misses(const kms_policy *policy, const struct kms_access_request *request,
                         struct kms_miss misses[KMS_MISSES])
{
    struct distance nearest[KMS_MISSES];
    size_t count = 0;
    if (policy == NULL || request->principal.len == 0 || request->action >= KMS_ACT_COUNT) return 0;
    struct kms_evaluation evaluation = {.request = request,
                                        .principal_hash = kms_principal_hash(request->principal)};
    for (size_t i = policy->deny_count; i < policy->statement_count; i++) {
        struct distance d = measure(&policy->statements[i], &evaluation);
        if (!(d.action && d.principal) && steps(&d) > 0) count = keep(nearest, count, &d);
    }
    for (size_t i = 0; i < count; i++) describe(&nearest[i], &evaluation, &misses[i]);
    return count;
}
