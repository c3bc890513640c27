/* AWS's documented answers, case by case (tests/vectors/aws_policy.json). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "kmsd/policy/input.h"
#include "tests/unit/kmsd/policy/fixture.h"

static json_t *table; /* the whole file */

static struct kms_bytes text(json_t *json)
{
    return kms_bytes_of(json_string_value(json), json_string_length(json));
}

/* A field of the request, or what requests usually have. */
static json_t *field(json_t *request, const char *name)
{
    json_t *own = json_object_get(request, name);
    return own != NULL ? own : json_object_get(json_object_get(table, "usual"), name);
}

static bool set_inputs(struct kms_access_request *request, json_t *inputs, struct kms_pool *pool)
{
    const char *name;
    json_t *values;
    struct kms_why why = {""};
    json_object_foreach(inputs, name, values)
    {
        size_t count = json_is_array(values) ? json_array_size(values) : 1;
        for (size_t i = 0; i < count; i++) {
            json_t *value = json_is_array(values) ? json_array_get(values, i) : values;
            struct kms_pair pair = {kms_bytes_text(name), text(value)};
            if (!kms_failed(kms_input_set(request, pair, pool, &why))) continue;
            fprintf(stderr, "\n%s\n", why.text);
            return false;
        }
    }
    return true;
}

static size_t set_context(json_t *context, struct kms_pair pairs[KMS_CONTEXT_PAIRS])
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(context, name, value) pairs[count++] =
        (struct kms_pair){kms_bytes_text(name), text(value)};
    return count;
}

static struct kms_decision decide(const kms_policy *policy, json_t *json, struct kms_pool *pool)
{
    struct kms_pair pairs[KMS_CONTEXT_PAIRS];
    struct kms_access_request request = {
        .principal = text(field(json, "principal")),
        .action = action_called(json_string_value(field(json, "action"))),
        .resource = text(field(json, "resource")),
        .context = pairs,
        .context_count = set_context(json_object_get(json, "context"), pairs),
    };
    CU_ASSERT_FATAL(request.action < KMS_ACT_COUNT);
    CU_ASSERT_FATAL(set_inputs(&request, json_object_get(json_object_get(table, "usual"), "inputs"), pool));
    CU_ASSERT_FATAL(set_inputs(&request, json_object_get(json, "inputs"), pool));
    return kms_policy_decide(policy, &request);
}

static bool as_expected(const kms_policy *policy, json_t *json)
{
    static const char *const effects[] = {
        [KMS_DENY_IMPLICIT] = "ImplicitDeny", [KMS_DENY_EXPLICIT] = "ExplicitDeny", [KMS_ALLOW] = "Allow"};
    struct kms_pool pool = {NULL};
    struct kms_decision decision = decide(policy, json_object_get(json, "request"), &pool);
    const char *statement = json_string_value(json_object_get(json, "statement"));
    bool same = strcmp(effects[decision.effect], json_string_value(json_object_get(json, "expect"))) == 0 &&
                (statement == NULL) == (decision.statement == NULL) &&
                (statement == NULL || strcmp(statement, decision.statement) == 0);
    if (!same)
        fprintf(stderr, "%s by %s", effects[decision.effect],
                decision.statement != NULL ? decision.statement : "no statement");
    kms_pool_free(&pool);
    return same;
}

static kms_err parse_json(json_t *document, kms_policy **ret_policy, struct kms_why *why)
{
    char *words = json_dumps(document, JSON_COMPACT);
    kms_err err = kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(words), ret_policy, why);
    free(words);
    return err;
}

static void decisions(void)
{
    json_t *group, *one;
    size_t i, k, count = 0;
    json_array_foreach(json_object_get(table, "decisions"), i, group)
    {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        const char *name = json_string_value(json_object_get(group, "name"));
        KMS_ASSERT_OK(parse_json(json_object_get(group, "document"), &policy, &why));
        if (policy == NULL) fprintf(stderr, "\n%s: %s\n", name, why.text);
        json_array_foreach(json_object_get(group, "cases"), k, one)
        {
            bool good = policy != NULL && as_expected(policy, one);
            CU_ASSERT(good);
            if (!good) fprintf(stderr, "\n%s: %s\n", name, json_string_value(json_object_get(one, "name")));
            count++;
        }
        kms_policy_drop(&policy);
    }
    CU_ASSERT(count >= 250);
}

static void refusals(void)
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(table, "refusals"), i, one)
    {
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        KMS_ASSERT_CODE(parse_json(json_object_get(one, "document"), &policy, &why), MALFORMED_POLICY);
        CU_ASSERT(says(&why, json_string_value(json_object_get(one, "says"))));
        kms_policy_drop(&policy);
    }
    CU_ASSERT(i >= 25);
}

static void whole_table(void)
{
    json_error_t error;
    table = json_load_file(KMS_SOURCE_DIR "/tests/vectors/aws_policy.json", JSON_REJECT_DUPLICATES, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(table);
    decisions();
    refusals();
    json_decref(table);
}

KMS_TEST_MAIN("policy aws", {"decides as AWS documents it", whole_table})
