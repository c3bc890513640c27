/* Changed decisions are grouped and counted; memory is bounded. */
#include "client/kmsctl/policy_changes.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/suite.h"

static struct ctl_changes changes;
static uint64_t sequence;

static void add(const char *who, enum kms_effect before, const char *by, enum kms_effect after,
                const char *now_by)
{
    sequence++;
    const struct kms_replay replay = {.sequence = sequence, .started_us = sequence * 1000000};
    const struct kms_replayed past = {
        .request = {.principal = kms_bytes_text(who), .action = KMS_ACT_DECRYPT},
        .beside_policy = before == KMS_ALLOW && by == NULL,
        .recorded = {.effect = before, .statement = by},
    };
    const struct kms_decision now = {.effect = after, .statement = now_by};
    KMS_ASSERT_OK(ctl_changes_add(&changes, &replay, &past, &now));
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void grouped(void)
{
    sequence = 0;
    KMS_ASSERT_OK(ctl_changes_begin(&changes));
    add("b", KMS_DENY_IMPLICIT, NULL, KMS_ALLOW, "More");
    add("a", KMS_ALLOW, "Use", KMS_DENY_IMPLICIT, NULL);
    add("a", KMS_ALLOW, "Use", KMS_ALLOW, "Use");              /* the same */
    add("a", KMS_ALLOW, "Use", KMS_ALLOW, "Other");            /* the same, by another statement */
    add("a", KMS_DENY_IMPLICIT, NULL, KMS_DENY_EXPLICIT, "D"); /* still denied */
    add("a", KMS_ALLOW, "Use", KMS_DENY_IMPLICIT, NULL);
    add("a", KMS_ALLOW, "Use", KMS_DENY_EXPLICIT, "D"); /* a group of its own */
    add("a", KMS_ALLOW, NULL, KMS_DENY_IMPLICIT, NULL); /* a grant allows still */
    add("a", KMS_ALLOW, NULL, KMS_DENY_EXPLICIT, "D");  /* no grant helps */
    add("a", KMS_ALLOW, NULL, KMS_ALLOW, "Use");        /* no need of the grant any more */
    json_t *report = ctl_changes_end(&changes);
    CU_ASSERT_EQUAL(number(report, "decisions"), 10);
    CU_ASSERT_EQUAL(number(report, "changed"), 5);
    CU_ASSERT_EQUAL(number(report, "same_by_another_statement"), 3);
    const json_t *list = json_object_get(report, "changes"), *first = json_array_get(list, 0);
    CU_ASSERT_EQUAL(json_array_size(list), 4);
    CU_ASSERT_EQUAL(number(first, "count"), 2);
    CU_ASSERT_STRING_EQUAL(text(first, "principal"), "a");
    CU_ASSERT_STRING_EQUAL(text(first, "action"), "kms:Decrypt");
    CU_ASSERT_STRING_EQUAL(text(first, "before"), "allow");
    CU_ASSERT_STRING_EQUAL(text(first, "by"), "Use");
    CU_ASSERT_STRING_EQUAL(text(first, "after"), "implicit deny");
    CU_ASSERT_STRING_EQUAL(text(first, "now_by"), "");
    CU_ASSERT_STRING_EQUAL(text(first, "first"), "1970-01-01T00:00:02.000000Z");
    CU_ASSERT_STRING_EQUAL(text(first, "last"), "1970-01-01T00:00:06.000000Z");
    CU_ASSERT(number(first, "first_sequence") == 2 && number(first, "last_sequence") == 6);
    json_decref(report);
}

/* As many callers as somebody likes to make up. */
static void bounded(void)
{
    KMS_ASSERT_OK(ctl_changes_begin(&changes));
    for (int i = 0; i < CTL_CHANGE_GROUPS + 7; i++) {
        char who[32];
        snprintf(who, sizeof who, "p%d", i);
        add(who, KMS_ALLOW, "Use", KMS_DENY_IMPLICIT, NULL);
    }
    add("p0", KMS_ALLOW, "Use", KMS_DENY_IMPLICIT, NULL);
    json_t *report = ctl_changes_end(&changes);
    CU_ASSERT_EQUAL(number(report, "changed"), CTL_CHANGE_GROUPS + 8);
    CU_ASSERT_EQUAL(number(report, "changed_in_no_group"), 7);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(report, "changes")), CTL_CHANGE_GROUPS);
    json_decref(report);
}

KMS_TEST_MAIN("client/kmsctl/policy_changes", {"grouped", grouped}, {"bounded", bounded})
