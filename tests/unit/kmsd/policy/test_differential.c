/*
 * The engine against the reference evaluator over random documents, and what the checks of a document promise
 * against the same evaluator: a document that passes never lets happen what the check rules out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"
#include "tests/unit/kmsd/policy/reference.h"

enum { DOCUMENTS = 4000, REQUESTS = 30, REQUESTS_EACH = 5 };

/* Random documents with REQUESTS_EACH random requests each: a million where that takes some ten seconds. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
enum { PAIRS = 50000 };
#else
enum { PAIRS = 1000000 };
#endif

/* KMS_POLICY_PAIRS=N in the environment asks for N. */
static unsigned pairs_wanted(void)
{
    const char *text = getenv("KMS_POLICY_PAIRS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : PAIRS;
}

static void show(json_t *document, const struct kms_access_request *request)
{
    char *text = json_dumps(document, JSON_INDENT(1));
    fprintf(stderr, "\n%s\n%.*s %s, %zu pairs\n", text, (int)request->principal.len,
            (const char *)request->principal.ptr, kms_action_name(request->action), request->context_count);
    for (size_t i = 0; i < request->context_count; i++)
        fprintf(stderr, "%.*s=%.*s\n", (int)request->context[i].name.len,
                (const char *)request->context[i].name.ptr, (int)request->context[i].value.len,
                (const char *)request->context[i].value.ptr);
    fprintf(stderr, "spec=%.*s alias=%.*s on %.*s\n", (int)request->key_spec.len,
            (const char *)request->key_spec.ptr, (int)request->request_alias.len,
            (const char *)request->request_alias.ptr, (int)request->resource.len,
            (const char *)request->resource.ptr);
    free(text);
}

/* Two documents in three are of keys. */
static void seed_with_kind(unsigned seed)
{
    static const enum kms_policy_kind kinds[] = {KMS_POLICY_KEY, KMS_POLICY_SECRET,        KMS_POLICY_KEY,
                                                 KMS_POLICY_KEY, KMS_POLICY_DATABASE_ROLE, KMS_POLICY_KEY};
    generate_seed(seed);
    generate_kind(kinds[seed % KMS_COUNT(kinds)]);
}

static enum kms_policy_kind kind_of(const json_t *document)
{
    enum kms_policy_kind kind = KMS_POLICY_KIND_COUNT;
    if (!kms_policy_kind_find(json_string_value(json_object_get(document, "Id")), &kind)) abort();
    return kind;
}

static kms_policy *compiled(json_t *document)
{
    char *text = json_dumps(document, 0);
    kms_policy *policy = NULL;
    struct kms_why why = {""};
    if (kms_failed(kms_policy_parse(kind_of(document), kms_bytes_text(text), &policy, &why))) {
        fprintf(stderr, "\n%s\n%s\n", why.text, text);
        exit(2);
    }
    free(text);
    return policy;
}

static bool same_decision(json_t *document, const kms_policy *policy, size_t effects[3])
{
    struct generated one;
    generate_request(&one);
    enum kms_effect want = reference_decide(document, &one.request);
    struct kms_decision got = kms_policy_decide(policy, &one.request);
    effects[want]++;
    if (got.effect == want && (got.statement == NULL) == (want == KMS_DENY_IMPLICIT)) return true;
    fprintf(stderr, "\ngot %d, want %d", got.effect, want);
    show(document, &one.request);
    return false;
}

static void same_decisions(void)
{
    size_t effects[3] = {0};
    const unsigned documents = pairs_wanted() / REQUESTS_EACH;
    bool same = true;
    for (unsigned seed = 0; seed < documents && same; seed++) {
        seed_with_kind(seed);
        json_t *document = generate_document(false);
        kms_policy *policy = compiled(document);
        for (int i = 0; i < REQUESTS_EACH && same; i++) same = same_decision(document, policy, effects);
        if (!same) fprintf(stderr, "seed %u\n", seed);
        kms_policy_drop(&policy);
        json_decref(document);
    }
    CU_ASSERT(same);
    printf("%u documents and requests: %zu allowed, %zu denied, %zu neither ... ", documents * REQUESTS_EACH,
           effects[KMS_ALLOW], effects[KMS_DENY_EXPLICIT], effects[KMS_DENY_IMPLICIT]);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(effects[i] > documents / 4); /* each answer is put to the test */
}

/* Was somebody given an action of the class in any of some random requests? Use through a service is the
 * service's. */
static bool ever_allowed(json_t *document, const char *principal, enum kms_action_class class)
{
    for (int i = 0; i < 150; i++) {
        struct generated one;
        generate_request(&one);
        one.request.principal = kms_bytes_text(principal);
        if (kms_action_class_of(one.request.action) != class) continue;
        if (class == KMS_CLASS_USAGE && one.request.via_service.ptr != NULL) continue;
        if (reference_decide(document, &one.request) == KMS_ALLOW) return true;
    }
    return false;
}

static void separated_documents(void)
{
    static const char *const everybody[] = {"p",
                                            "q",
                                            "arn:aws:iam::1:role/app",
                                            "arn:aws:iam::1:role/admin",
                                            "arn:aws:iam::2:user/x/a",
                                            "arn:aws:iam::1:root",
                                            "arn:aws:iam::1:user/other",
                                            "stranger"};
    size_t separated = 0, refused = 0;
    for (unsigned seed = 0; seed < DOCUMENTS; seed++) {
        seed_with_kind(seed);
        json_t *document = generate_document(true);
        kms_policy *policy = compiled(document);
        bool passes = !kms_failed(kms_policy_check_separation(policy, NULL));
        separated += passes;
        refused += !passes;
        for (size_t i = 0; passes && i < KMS_COUNT(everybody); i++) {
            bool both = ever_allowed(document, everybody[i], KMS_CLASS_ADMIN) &&
                        ever_allowed(document, everybody[i], KMS_CLASS_USAGE);
            CU_ASSERT_FALSE(both);
            if (both) fprintf(stderr, "\nseed %u: %s has both\n", seed, everybody[i]);
        }
        kms_policy_drop(&policy);
        json_decref(document);
    }
    CU_ASSERT_TRUE(separated > 500 && refused > 500);
}

/* One statement of a copy gone or new. */
static json_t *altered(json_t *document)
{
    json_t *copy = json_deep_copy(document), *list = json_object_get(copy, "Statement");
    if (generate_below(2) == 0 && json_array_size(list) > 1)
        json_array_remove(list, generate_below((unsigned)json_array_size(list)));
    else if (generate_below(3) > 0)
        json_array_append_new(list, generate_statement(true));
    return copy;
}

static bool stays_within(json_t *inner, json_t *outer)
{
    for (int i = 0; i < 300; i++) {
        struct generated one;
        generate_request(&one);
        if (kms_action_class_of(one.request.action) != KMS_CLASS_USAGE) continue;
        if (reference_decide(inner, &one.request) != KMS_ALLOW) continue;
        struct kms_access_request other = one.request; /* the same request for another key */
        generate_surroundings(&other);
        other.source_ip = one.request.source_ip;
        other.now_us = one.request.now_us;
        other.resource = kms_bytes_text("arn:aws:kms:local:1:key/c");
        if (reference_decide(outer, &other) != KMS_ALLOW) return false;
    }
    return true;
}

static void users_within_users(void)
{
    size_t within = 0, beyond = 0;
    for (unsigned seed = 0; seed < DOCUMENTS; seed++) {
        generate_seed(seed);
        json_t *inner = generate_document(true), *outer = altered(inner);
        kms_policy *inner_policy = compiled(inner), *outer_policy = compiled(outer);
        bool passes = !kms_failed(kms_policy_check_users_within(inner_policy, outer_policy, NULL));
        bool kept = !passes || stays_within(inner, outer);
        CU_ASSERT_TRUE(kept);
        if (!kept) fprintf(stderr, "\nseed %u: a user would be new\n", seed);
        within += passes;
        beyond += !passes;
        kms_policy_drop(&inner_policy);
        kms_policy_drop(&outer_policy);
        json_decref(inner);
        json_decref(outer);
    }
    CU_ASSERT_TRUE(within > 500 && beyond > 500);
}

static void writers_keep_writing(void)
{
    static const enum kms_action puts[] = {[KMS_POLICY_KEY] = KMS_ACT_PUT_KEY_POLICY,
                                           [KMS_POLICY_SECRET] = KMS_ACT_PUT_RESOURCE_POLICY,
                                           [KMS_POLICY_DATABASE_ROLE] = KMS_ACT_PUT_DATABASE_ROLE};
    size_t kept = 0, lost = 0;
    for (unsigned seed = 0; seed < DOCUMENTS; seed++) {
        seed_with_kind(seed);
        json_t *document = generate_document(true);
        kms_policy *policy = compiled(document);
        struct kms_access_request request = {.principal = kms_bytes_text(generate_principal()),
                                             .action = puts[kind_of(document)],
                                             .resource = kms_bytes_text(generate_resource()),
                                             .secure_transport = true,
                                             .bypass_lockout_known = true};
        bool passes =
            !kms_failed(kms_policy_check_lockout(policy, request.principal, request.resource, NULL));
        for (int i = 0; i < REQUESTS && passes; i++) {
            generate_surroundings(&request);
            CU_ASSERT_EQUAL(reference_decide(document, &request), KMS_ALLOW);
        }
        kept += passes;
        lost += !passes;
        kms_policy_drop(&policy);
        json_decref(document);
    }
    CU_ASSERT_TRUE(kept > 200 && lost > 500);
}

KMS_TEST_MAIN("policy differential", {"decides as the reference does", same_decisions},
              {"nobody has both in a separated document", separated_documents},
              {"no user is new within users", users_within_users},
              {"who passes the lock-out check can write", writers_keep_writing})
