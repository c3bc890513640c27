/* Approval rules. */
#include "kmsd/keys/rule.h"

#include <stdlib.h>
#include <string.h>

static kms_err check(uint32_t required, char *const *names, size_t count, struct kms_why *why)
{
    if (count < 1 || count > KMS_RULE_PRINCIPALS) {
        kms_why_set(why, "an approval rule names 1 to %d principals", KMS_RULE_PRINCIPALS);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (required < 1 || required > count) {
        kms_why_set(why, "an approval rule that names %zu principals can require 1 to %zu of them, not %u",
                    count, count, required);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (len < 1 || len > KMS_RULE_NAME_BYTES || strcmp(names[i], "*") == 0) {
            kms_why_set(why, "an approval rule names single principals, each 1 to %d bytes",
                        KMS_RULE_NAME_BYTES);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[k], names[i]) != 0) continue;
            kms_why_set(why, "%.200s is named twice: approvals count by distinct principals", names[i]);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
    }
    return KMS_OK;
}

kms_err kms_rule_new(uint32_t required, char *const *names, size_t count, struct kms_rule **ret_rule,
                     struct kms_why *why)
{
    KMS_TRY(check(required, names, count, why));
    struct kms_rule *rule = calloc(1, sizeof *rule);
    if (rule == NULL) return KMS_FAIL(NO_MEMORY);
    atomic_init(&rule->refs, 1);
    rule->required = required;
    for (; rule->count < count; rule->count++) {
        rule->principals[rule->count] = strdup(names[rule->count]);
        if (rule->principals[rule->count] != NULL) continue;
        kms_rule_unref(rule);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_rule = rule;
    return KMS_OK;
}

struct kms_rule *kms_rule_ref(struct kms_rule *rule)
{
    if (rule != NULL) atomic_fetch_add_explicit(&rule->refs, 1, memory_order_relaxed);
    return rule;
}

void kms_rule_unref(struct kms_rule *rule)
{
    if (rule == NULL || atomic_fetch_sub(&rule->refs, 1) != 1) return;
    for (uint32_t i = 0; i < rule->count; i++) free(rule->principals[i]);
    free(rule);
}

bool kms_rule_names(const struct kms_rule *rule, const char *principal)
{
    for (uint32_t i = 0; rule != NULL && i < rule->count; i++)
        if (strcmp(rule->principals[i], principal) == 0) return true;
    return false;
}

bool kms_rule_equal(const struct kms_rule *a, const struct kms_rule *b)
{
    if (a == NULL || b == NULL) return a == b;
    if (a->required != b->required || a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) /* names are distinct: as many, and each of them there */
        if (!kms_rule_names(b, a->principals[i])) return false;
    return true;
}
