/* Operations that killed two workers on one key: refused for a while, so that one bad request cannot walk
 * the fleet. */
#include "base/clock.h"
#include "hsm/pool.h"

static bool matches(const struct kms_quarantine *q, const struct kms_hsm_job *job)
{
    return q->op == job->op && kms_id_equal(&q->key_id, &job->key.ref.key_id);
}

void kms_pool_quarantine(kms_hsm *hsm, const struct kms_hsm_job *job)
{
    struct kms_quarantine entry = {.op = (uint8_t)job->op, .key_id = job->key.ref.key_id};
    entry.until_us = kms_monotonic_us() + hsm->options.quarantine_ms * 1000ULL;
    pthread_mutex_lock(&hsm->lock);
    struct kms_quarantine *place = &hsm->quarantined[0]; /* the one that ends first makes room */
    for (unsigned i = 0; i < KMS_POOL_QUARANTINED; i++) {
        struct kms_quarantine *q = &hsm->quarantined[i];
        if (q->until_us != 0 && matches(q, job)) {
            place = q;
            break;
        }
        if (q->until_us < place->until_us) place = q;
    }
    if (place->until_us == 0) atomic_fetch_add(&hsm->quarantine_count, 1);
    *place = entry;
    pthread_mutex_unlock(&hsm->lock);
}

bool kms_pool_quarantined(kms_hsm *hsm, const struct kms_hsm_job *job)
{
    bool found = false;
    if (atomic_load_explicit(&hsm->quarantine_count, memory_order_relaxed) == 0) return false;
    uint64_t now = kms_monotonic_us();
    pthread_mutex_lock(&hsm->lock);
    for (unsigned i = 0; i < KMS_POOL_QUARANTINED; i++) {
        struct kms_quarantine *q = &hsm->quarantined[i];
        if (q->until_us != 0 && q->until_us <= now) {
            q->until_us = 0;
            atomic_fetch_sub(&hsm->quarantine_count, 1);
        }
        found |= q->until_us != 0 && matches(q, job);
    }
    pthread_mutex_unlock(&hsm->lock);
    return found;
}
