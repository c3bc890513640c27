/* Two tables of counters, of which the most are never touched. */
#include "kmsd/service/tally.h"

#include <stdatomic.h>

#include "kmsd/metrics/metric.h"
#include "kmsd/service/method.h"

enum {
    METHODS = 0
#define KMS_CRYPTO(...) +1
#define KMS_BATCH       KMS_CRYPTO
#define KMS_ADMIN       KMS_CRYPTO
#define KMS_GUARDED     KMS_CRYPTO
#define KMS_CHANGE      KMS_CRYPTO
#define KMS_STREAM      KMS_CRYPTO
#include "kmsd/service/method.def"
#undef KMS_CRYPTO
#undef KMS_BATCH
#undef KMS_ADMIN
#undef KMS_GUARDED
#undef KMS_CHANGE
#undef KMS_STREAM
};

/* Calls are counted by the finish thread, those that are refused without a record by rpc threads, acts by
 * few: nobody waits for a cache line. Calls of number 0 are no method's of the table. */
static atomic_ullong calls[METHODS + 1][KMS_E_COUNT], acts[KMS_INTERNAL_COUNT][KMS_E_COUNT];

static void count(atomic_ullong *counter, kms_err err)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    if (kms_is(err, KMS_E_KEYSTORE_UNAVAILABLE)) kms_metric_add(KMS_METRIC_KEYSTORE_FAILURES, 1);
}

void kms_tally_call(const struct kms_call *call)
{
    count(&calls[call->method->number][call->err.code], call->err);
}

void kms_tally_act(enum kms_internal what, kms_err err)
{
    count(&acts[what][err.code], err);
}

uint64_t kms_tally_of_calls(const struct kms_method *method, kms_err outcome)
{
    return atomic_load_explicit(&calls[method->number][outcome.code], memory_order_relaxed);
}

uint64_t kms_tally_of_acts(enum kms_internal what, kms_err outcome)
{
    return atomic_load_explicit(&acts[what][outcome.code], memory_order_relaxed);
}
