/* What every worker has to hear: sent to each that works; one that is starting starts once more. And the keys
 * that no worker may open again. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/pool.h"

struct round {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    unsigned left;
};

static void count_one(struct round *round)
{
    pthread_mutex_lock(&round->lock);
    round->left--;
    pthread_cond_signal(&round->ready);
    pthread_mutex_unlock(&round->lock);
}

static void one_answered(struct kms_hsm_job *job)
{
    count_one(job->user);
}

/* False: the worker is not at work. */
static bool tell(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_hsm_job *job)
{
    for (;;) {
        pthread_mutex_lock(&hsm->call_lock);
        pthread_mutex_lock(&w->lock);
        bool healthy = w->state == KMS_WORKER_HEALTHY;
        if (w->state == KMS_WORKER_STARTING) w->stale = true;
        bool given = healthy && kms_pool_give(hsm, w, job);
        pthread_mutex_unlock(&w->lock);
        pthread_mutex_unlock(&hsm->call_lock);
        if (given || !healthy) return given;
        usleep(1000); /* its socket is full: it works that off, or is silent and will be replaced */
    }
}

kms_err kms_pool_broadcast(kms_hsm *hsm, const struct kms_hsm_job *pattern)
{
    struct round round = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, hsm->place_count};
    size_t cap = kms_hsm_output_bound(pattern);
    struct kms_hsm_job *jobs = calloc(hsm->place_count, sizeof *jobs);
    uint8_t *outputs = calloc(hsm->place_count, cap > 0 ? cap : 1);
    if (jobs == NULL || outputs == NULL) {
        free(jobs);
        free(outputs);
        return KMS_FAIL(NO_MEMORY);
    }
    for (unsigned i = 0; i < hsm->place_count; i++) {
        jobs[i] = *pattern;
        jobs[i].output = outputs + i * cap;
        jobs[i].output_cap = cap;
        jobs[i].done = one_answered;
        jobs[i].user = &round;
        jobs[i].pool.deadline_us = UINT64_MAX;
        jobs[i].pool.frame_len = (uint32_t)kms_job_frame_bytes(pattern);
        jobs[i].pool.broadcast = true;
        if (!tell(hsm, &hsm->workers[i], &jobs[i])) count_one(&round);
    }
    pthread_mutex_lock(&round.lock);
    while (round.left > 0) pthread_cond_wait(&round.ready, &round.lock);
    pthread_mutex_unlock(&round.lock);
    pthread_cond_destroy(&round.ready);
    pthread_mutex_destroy(&round.lock);
    free(jobs);
    free(outputs);
    return KMS_OK;
}

/* Longer than any call that still holds the key can take. */
static const uint64_t forgotten_us = UINT64_C(600) * 1000000;

static void put_forgotten(kms_hsm *hsm, const struct kms_id *key_id)
{
    pthread_mutex_lock(&hsm->forgotten_lock);
    struct kms_forgotten *place = &hsm->forgotten[0]; /* the one that ends first makes room */
    for (unsigned i = 0; i < KMS_POOL_FORGOTTEN; i++) {
        struct kms_forgotten *f = &hsm->forgotten[i];
        if (f->until_us != 0 && kms_id_equal(&f->key_id, key_id)) {
            place = f;
            break;
        }
        if (f->until_us < place->until_us) place = f;
    }
    if (place->until_us == 0) atomic_fetch_add(&hsm->forgotten_count, 1);
    *place = (struct kms_forgotten){*key_id, kms_monotonic_us() + forgotten_us};
    pthread_mutex_unlock(&hsm->forgotten_lock);
}

/* Under the lock. */
static void free_place(kms_hsm *hsm, struct kms_forgotten *f)
{
    f->until_us = 0;
    atomic_fetch_sub(&hsm->forgotten_count, 1);
}

bool kms_pool_forgotten(kms_hsm *hsm, const struct kms_hsm_job *job)
{
    bool found = false, gives = job->op == KMS_HSM_IMPORT; /* `to` opens nothing: it gets its material */
    if (atomic_load_explicit(&hsm->forgotten_count, memory_order_relaxed) == 0) return false;
    uint64_t now = kms_monotonic_us();
    pthread_mutex_lock(&hsm->forgotten_lock);
    for (unsigned i = 0; i < KMS_POOL_FORGOTTEN; i++) {
        struct kms_forgotten *f = &hsm->forgotten[i];
        if (f->until_us == 0) continue;
        if (f->until_us <= now)
            free_place(hsm, f);
        else
            found |= kms_id_equal(&f->key_id, &job->key.ref.key_id) ||
                     (!gives && kms_id_equal(&f->key_id, &job->to.ref.key_id));
    }
    pthread_mutex_unlock(&hsm->forgotten_lock);
    return found;
}

kms_err kms_hsm_forget(kms_hsm *hsm, const struct kms_id *key_id)
{
    const struct kms_hsm_job forget = {.op = KMS_HSM_FORGET, .input = {key_id->bytes, KMS_ID_BYTES}};
    put_forgotten(hsm, key_id); /* first: what a worker has closed is not opened again */
    return kms_pool_broadcast(hsm, &forget);
}

void kms_hsm_readmit(kms_hsm *hsm, const struct kms_id *key_id)
{
    pthread_mutex_lock(&hsm->forgotten_lock);
    for (unsigned i = 0; i < KMS_POOL_FORGOTTEN; i++) {
        struct kms_forgotten *f = &hsm->forgotten[i];
        if (f->until_us != 0 && kms_id_equal(&f->key_id, key_id)) free_place(hsm, f);
    }
    pthread_mutex_unlock(&hsm->forgotten_lock);
}
