/* Nanoseconds that grants add to a decision: none on the key, 10,000 to as many grantees, 10,000 contexts
 * of one grantee. Measure a release build. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kmsd/keys/grants.h"

enum { GRANTS = 10000, BATCHES = 50, ROUNDS = 10000, TEXT_BYTES = 32 };

#define POLICY                                                                                               \
    "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app\"},\"Action\":\"kms:Decrypt\","      \
    "\"Resource\":\"*\"}]}"

static void need(kms_err err)
{
    if (!kms_failed(err)) return;
    fprintf(stderr, "%s\n", kms_err_reason(err));
    exit(1);
}

/* Grant number i: to grantee i, or to one grantee for the context that i names. */
static kms_grants *book(bool by_context)
{
    kms_grants *grants = NULL;
    need(kms_grants_new(&grants));
    for (int i = 0; i < GRANTS; i++) {
        char grantee[TEXT_BYTES], value[TEXT_BYTES];
        snprintf(grantee, sizeof grantee, "grantee-%d", by_context ? 0 : i);
        snprintf(value, sizeof value, "%d", i);
        struct kms_pair pair = {kms_bytes_text("tenant"), kms_bytes_text(value)};
        struct kms_grant grant = {.grantee = kms_bytes_text(grantee),
                                  .operations = kms_grant_bit(KMS_ACT_DECRYPT)};
        if (by_context) {
            grant.constraint = KMS_GRANT_CONTEXT_EQUALS;
            grant.pairs = &pair;
            grant.pair_count = 1;
        }
        KMS_OWN_GRANTED granted = NULL;
        need(kms_id_new(&grant.id));
        need(kms_granted_new(&grant, &granted));
        kms_grants_add(grants, granted);
    }
    return grants;
}

/* As kmsd/service/decide.c: grants are asked where the policy says nothing and the key has some. */
static bool decide(const kms_policy *policy, kms_grants *grants, const struct kms_access_request *request)
{
    if (kms_policy_decide(policy, request).effect == KMS_ALLOW) return true;
    if (grants == NULL) return false;
    struct kms_id id;
    const struct kms_grant_question question = {.principal = request->principal,
                                                .action = request->action,
                                                .context = request->context,
                                                .context_count = request->context_count,
                                                .now_us = request->now_us};
    return kms_grants_allow(grants, &question, &id);
}

/* The best of some batches, since whatever else the machine does only ever adds. */
static double ns_per_decision(const kms_policy *policy, kms_grants *grants, const char *principal, bool want)
{
    uint64_t best_us = UINT64_MAX;
    struct kms_pair pair = {kms_bytes_text("tenant"), kms_bytes_text("4711")};
    struct kms_access_request request = {.principal = kms_bytes_text(principal),
                                         .action = KMS_ACT_DECRYPT,
                                         .context = &pair,
                                         .context_count = 1,
                                         .now_us = 1};
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start_us = kms_monotonic_us();
        for (int i = 0; i < ROUNDS; i++)
            if (decide(policy, grants, &request) != want) {
                fprintf(stderr, "not the decision that is measured\n");
                exit(1);
            }
        uint64_t took_us = kms_monotonic_us() - start_us;
        if (took_us < best_us) best_us = took_us;
    }
    return (double)best_us * 1000 / ROUNDS;
}

static void show(const char *what, double ns, double base)
{
    printf("%-52s %6.0f ns, %5.2f times\n", what, ns, ns / base);
}

int main(void)
{
    kms_policy *policy = NULL;
    struct kms_why why;
    need(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(POLICY), &policy, &why));
    kms_grants *grantees = book(false), *contexts = book(true);
    double base = ns_per_decision(policy, NULL, "app", true);
    show("allowed by policy, no grants", base, base);
    show("allowed by policy, 10,000 grants", ns_per_decision(policy, grantees, "app", true), base);
    show("denied, no grants", ns_per_decision(policy, NULL, "stranger", false), base);
    show("denied, 10,000 grants", ns_per_decision(policy, grantees, "stranger", false), base);
    show("allowed by one of 10,000 grants", ns_per_decision(policy, grantees, "grantee-4711", true), base);
    show("allowed by one of 10,000 grants to one grantee",
         ns_per_decision(policy, contexts, "grantee-0", true), base);
    kms_grants_unref(grantees);
    kms_grants_unref(contexts);
    kms_policy_unref(policy);
    return 0;
}
