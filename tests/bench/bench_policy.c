/* Nanoseconds a policy decision takes, for documents of 1, 10 and 100 statements, as JSON lines for
 * tests/bench/run --policy. Measure a release build. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kmsd/policy/policy.h"

#define APP     "arn:aws:iam::123456789012:role/application-%d"
#define KEY_ARN "arn:aws:kms:local:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"

/* Statement i lets application i decrypt and generate data keys under conditions; or, `crowded`, everybody,
 * under a condition that fails in all but the last. */
static kms_policy *document(int statements, bool crowded)
{
    KMS_OWN_BUF json = {0};
    kms_policy *policy = NULL;
    struct kms_why why = {""};
    kms_err err = kms_buf_print(&json, "{\"Version\":\"2012-10-17\",\"Statement\":[");
    for (int i = 0; i < statements && !kms_failed(err); i++) {
        err = kms_buf_print(&json, "%s{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"", i == 0 ? "" : ",");
        if (!kms_failed(err)) err = crowded ? kms_buf_print(&json, "*") : kms_buf_print(&json, APP, i);
        if (!kms_failed(err))
            err = kms_buf_print(
                &json,
                "\"},\"Action\":[\"kms:Decrypt\",\"kms:GenerateDataKey*\"],\"Resource\":\"*\",\"Condition\":"
                "{\"StringEquals\":{\"kms:EncryptionContext:app\":\"app-%d\"},"
                "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}}",
                i);
    }
    if (!kms_failed(err)) err = kms_buf_print(&json, "]}");
    if (!kms_failed(err)) err = kms_policy_parse(KMS_POLICY_KEY, kms_buf_view(&json), &policy, &why);
    if (!kms_failed(err)) return policy;
    fprintf(stderr, "%s: %s\n", kms_err_reason(err), why.text);
    exit(1);
}

/* The best of some batches, since whatever else the machine does only ever adds. */
static double ns_per_decision(const kms_policy *policy, const struct kms_access_request *request,
                              enum kms_effect want)
{
    enum { BATCHES = 1000, ROUNDS = 500 }; /* at most half a millisecond: often without interruption */
    uint64_t best_us = UINT64_MAX;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start_us = kms_monotonic_us();
        for (int i = 0; i < ROUNDS; i++)
            if (kms_policy_decide(policy, request).effect != want) {
                fprintf(stderr, "not the decision that is measured\n");
                exit(1);
            }
        uint64_t took_us = kms_monotonic_us() - start_us;
        if (took_us < best_us) best_us = took_us;
    }
    return (double)best_us * 1000 / ROUNDS;
}

static void measure(int statements, bool crowded)
{
    kms_policy *policy = document(statements, crowded);
    char principal[80], app[16];
    snprintf(principal, sizeof principal, APP, statements - 1);
    snprintf(app, sizeof app, "app-%d", statements - 1);
    struct kms_pair context[2] = {{kms_bytes_text("app"), kms_bytes_text(app)},
                                  {kms_bytes_text("tenant"), kms_bytes_text("42")}};
    struct kms_access_request request = {.principal = kms_bytes_text(principal),
                                         .action = KMS_ACT_DECRYPT,
                                         .resource = kms_bytes_text(KEY_ARN),
                                         .context = context,
                                         .context_count = 2,
                                         .source_ip = kms_bytes_text("10.1.2.3"),
                                         .secure_transport = true};
    double allowed = ns_per_decision(policy, &request, KMS_ALLOW);
    request.principal = kms_bytes_text("spiffe://corp/stranger");
    context[0].value = kms_bytes_text("none");
    double denied = ns_per_decision(policy, &request, KMS_DENY_IMPLICIT);
    printf("{\"statements\": %d, \"shape\": \"%s\", \"allowed_ns\": %.1f, \"denied_ns\": %.1f}\n", statements,
           crowded ? "every statement for all" : "one principal each", allowed, denied);
    kms_policy_unref(policy);
}

int main(void)
{
    for (int crowded = 0; crowded < 2; crowded++)
        for (int statements = 1; statements <= 100; statements *= 10) measure(statements, crowded != 0);
    return 0;
}
