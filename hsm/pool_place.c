/* Which worker does which job. While the token is slow, those that do not need it have a worker of their
 * own. */
#include <sys/eventfd.h>

#include "hsm/pool.h"

static bool slow(const kms_hsm *hsm)
{
    return atomic_load_explicit(&hsm->slow, memory_order_relaxed);
}

enum kms_pool_queue kms_pool_queue_of(const kms_hsm *hsm, const struct kms_hsm_job *job)
{
    if (kms_job_makes_rsa(job)) return KMS_QUEUE_RSA;
    if (slow(hsm) && kms_job_spares_token(job))
        return kms_pool_small(job) ? KMS_QUEUE_SOFTWARE : KMS_QUEUE_SOFTWARE_LARGE;
    return kms_pool_small(job) ? KMS_QUEUE_SMALL : KMS_QUEUE_LARGE;
}

static struct kms_pool_worker *only_one(kms_hsm *hsm, enum kms_pool_kind kind)
{
    return &hsm->workers[hsm->worker_count + kind - 1];
}

static bool healthy(struct kms_pool_worker *w)
{
    return atomic_load_explicit(&w->state, memory_order_relaxed) == KMS_WORKER_HEALTHY;
}

void kms_pool_want(kms_hsm *hsm, enum kms_pool_kind kind)
{
    _Atomic bool *wanted = &only_one(hsm, kind)->wanted;
    if (atomic_load_explicit(wanted, memory_order_relaxed)) return;
    if (!atomic_exchange(wanted, true)) eventfd_write(hsm->wake, 1);
}

static bool of_software(enum kms_pool_queue queue)
{
    return queue == KMS_QUEUE_SOFTWARE || queue == KMS_QUEUE_SOFTWARE_LARGE;
}

/* Until it is there, those that do all do what is its. */
static enum kms_pool_kind kind_for(kms_hsm *hsm, enum kms_pool_queue queue)
{
    if (queue == KMS_QUEUE_RSA) return KMS_FOR_RSA;
    if (!of_software(queue)) return KMS_FOR_ALL;
    if (healthy(only_one(hsm, KMS_FOR_SOFTWARE))) return KMS_FOR_SOFTWARE;
    kms_pool_want(hsm, KMS_FOR_SOFTWARE);
    return KMS_FOR_ALL;
}

/* A job of a slow token takes as long whatever its size. */
static uint32_t busy(const kms_hsm *hsm, struct kms_pool_worker *w)
{
    return atomic_load_explicit(slow(hsm) ? &w->in_flight_jobs : &w->in_flight_bytes, memory_order_relaxed);
}

struct kms_pool_choice kms_pool_choose(kms_hsm *hsm, enum kms_pool_queue queue, uint64_t refused)
{
    enum kms_pool_kind kind = kind_for(hsm, queue);
    struct kms_pool_worker *first = kind == KMS_FOR_ALL ? hsm->workers : only_one(hsm, kind);
    const unsigned count = kind == KMS_FOR_ALL ? hsm->worker_count : 1;
    struct kms_pool_choice best = {0};
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < count; i++) {
        if (!healthy(&first[i])) continue;
        best.healthy++;
        uint32_t jobs = busy(hsm, &first[i]);
        if (refused >> i & 1 || jobs >= least) continue;
        best.worker = &first[i];
        best.bit = UINT64_C(1) << i;
        least = jobs;
    }
    return best;
}

/* Jobs in the token take long and are worth spreading, one by one where it is slower than waking another
 * worker; the others are done before a second worker is awake. */
size_t kms_pool_share(const kms_hsm *hsm, const struct kms_job_list *jobs, size_t healthy_count)
{
    enum { LEAST = 8 };
    if (healthy_count < 2) return SIZE_MAX;
    if (slow(hsm)) return 1;
    if (jobs->head->key.ref.level != KMS_LEVEL_HSM) return SIZE_MAX;
    size_t share = (jobs->count + healthy_count - 1) / healthy_count;
    return share > LEAST ? share : LEAST;
}

/* What a worker has is done in the order in which it got it, so that a slow token's get no more than keeps
 * them busy: the others wait in turns. */
uint32_t kms_pool_depth(const kms_hsm *hsm, const struct kms_pool_worker *w)
{
    enum { BUSY_US = 10000 };
    if (!slow(hsm) || w >= &hsm->workers[hsm->worker_count]) return KMS_POOL_SLOTS;
    uint32_t us = atomic_load_explicit(&hsm->token_us, memory_order_relaxed);
    uint32_t depth = us > 0 ? BUSY_US / us : KMS_POOL_SLOTS;
    return depth > KMS_POOL_DEPTH_LEAST ? depth : KMS_POOL_DEPTH_LEAST;
}

bool kms_pool_apart(kms_hsm *hsm)
{
    return slow(hsm) && healthy(only_one(hsm, KMS_FOR_SOFTWARE));
}

bool kms_pool_down(kms_hsm *hsm, enum kms_pool_queue queue)
{
    if (!atomic_load_explicit(&hsm->down, memory_order_relaxed)) return false;
    return !of_software(queue) || !healthy(only_one(hsm, KMS_FOR_SOFTWARE));
}

/* Who spoke last is right: what a worker without jobs said long ago is taken once. */
static void hear_workers(kms_hsm *hsm, uint64_t now)
{
    for (unsigned i = 0; i < hsm->worker_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        if (w->state != KMS_WORKER_HEALTHY) continue;
        if (atomic_load_explicit(&w->page->token_us, memory_order_relaxed) == 0) continue;
        hsm->token_us = atomic_exchange_explicit(&w->page->token_us, 0, memory_order_relaxed);
        hsm->pace.heard_us = now;
    }
}

/* A job has been in the token for so long that it cannot tell how slow the token is. */
static bool token_is_silent(kms_hsm *hsm, uint64_t now)
{
    enum { SILENT_US = 1000000 };
    bool silent = false;
    for (unsigned i = 0; i < hsm->worker_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        pthread_mutex_lock(&w->lock);
        silent |= w->in_flight > 0 && now > w->last_progress_us + SILENT_US;
        pthread_mutex_unlock(&w->lock);
    }
    return silent;
}

void kms_pool_note_token(kms_hsm *hsm, uint64_t now)
{
    struct kms_pool_pace *pace = &hsm->pace;
    hear_workers(hsm, now);
    if (hsm->slow && token_is_silent(hsm, now)) pace->heard_us = now;
    if (now - pace->heard_us > pace->forget_ms * UINT64_C(1000)) hsm->token_us = 0;
    const bool is = hsm->token_us >= (hsm->slow ? pace->fast_us : pace->slow_us);
    if (is != hsm->slow &&
        (pace->changed_us == 0 || now - pace->changed_us >= pace->settle_ms * UINT64_C(1000))) {
        hsm->slow = is;
        pace->changed_us = now;
    }
    struct kms_pool_worker *apart = only_one(hsm, KMS_FOR_SOFTWARE);
    if (!hsm->slow && apart->state == KMS_WORKER_DOWN)
        apart->wanted = false; /* one that failed is left alone */
}
