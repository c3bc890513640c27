/* Opening and closing the pool, the blocking call, and the status. */
#include "hsm/pool.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"

enum { DEADLINE_MS = 2000, KEYGEN_DEADLINE_MS = 15000, QUARANTINE_MS = 60000, START_TIMEOUT_MS = 10000 };
enum { CACHED_KEYS = 1024 };
/* Slow is three times what waking a process costs; between the two limits all stays as it is. */
enum { SLOW_TOKEN_US = 300, FAST_TOKEN_US = 200, TOKEN_SETTLES_MS = 5000, TOKEN_FORGOTTEN_MS = 15000 };

static unsigned workers_wanted(unsigned configured)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = configured != 0 ? configured : cores > 0 ? (unsigned)cores : 1;
    return count < KMS_POOL_WORKERS_MAX ? count : KMS_POOL_WORKERS_MAX;
}

static void fill(uint32_t *value, uint32_t standard)
{
    if (*value == 0) *value = standard;
}

static bool copy_options(kms_hsm *hsm, const struct kms_hsm_options *options)
{
    hsm->options = *options;
    fill(&hsm->options.deadline_ms, DEADLINE_MS);
    fill(&hsm->options.keygen_deadline_ms, KEYGEN_DEADLINE_MS);
    fill(&hsm->options.quarantine_ms, QUARANTINE_MS);
    fill(&hsm->options.start_timeout_ms, START_TIMEOUT_MS);
    fill(&hsm->options.cached_keys, CACHED_KEYS);
    hsm->pace = (struct kms_pool_pace){.slow_us = SLOW_TOKEN_US,
                                       .fast_us = FAST_TOKEN_US,
                                       .settle_ms = TOKEN_SETTLES_MS,
                                       .forget_ms = TOKEN_FORGOTTEN_MS};
    hsm->worker_count = hsm->init ? 1 : workers_wanted(options->workers);
    hsm->place_count = hsm->worker_count + KMS_POOL_KINDS - 1;
    hsm->lane_count = options->lanes;
    hsm->worker_path = strdup(options->worker_path);
    hsm->uri = strdup(options->uri);
    hsm->state_dir = strdup(options->state_dir);
    hsm->worker_user = strdup(options->worker_user != NULL ? options->worker_user : "");
    return hsm->worker_path != NULL && hsm->uri != NULL && hsm->state_dir != NULL && hsm->worker_user != NULL;
}

static bool make_workers(kms_hsm *hsm)
{
    hsm->workers = calloc(hsm->place_count, sizeof *hsm->workers);
    for (unsigned i = 0; hsm->workers != NULL && i < hsm->place_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        pthread_mutex_init(&w->lock, NULL);
        w->fd = -1;
        w->backoff_ms = KMS_POOL_BACKOFF_FIRST_MS;
        w->wanted = i < hsm->worker_count;
        for (unsigned s = 0; s < KMS_POOL_SLOTS; s++) w->slots[s].next_free = (uint16_t)(s + 1);
    }
    return hsm->workers != NULL;
}

static bool make_lanes(kms_hsm *hsm)
{
    bool ok = true;
    hsm->lanes = calloc(hsm->lane_count + 2, sizeof *hsm->lanes);
    for (unsigned i = 0; hsm->lanes != NULL && i < hsm->lane_count + 2; i++) {
        hsm->lanes[i].frame = kms_locked_alloc(KMS_HSM_FRAME_BYTES);
        ok &= hsm->lanes[i].frame != NULL;
    }
    hsm->input = kms_locked_alloc(KMS_HSM_FRAME_BYTES);
    return ok && hsm->lanes != NULL && hsm->input != NULL;
}

static bool make_events(kms_hsm *hsm)
{
    struct epoll_event wake = {.events = EPOLLIN, .data.u32 = KMS_EVENT_WAKE};
    struct epoll_event spawner = {.events = EPOLLIN, .data.u32 = KMS_EVENT_SPAWNER};
    hsm->epoll = epoll_create1(EPOLL_CLOEXEC);
    hsm->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return hsm->epoll >= 0 && hsm->wake >= 0 && epoll_ctl(hsm->epoll, EPOLL_CTL_ADD, hsm->wake, &wake) == 0 &&
           epoll_ctl(hsm->epoll, EPOLL_CTL_ADD, kms_spawner_fd(hsm->spawner), &spawner) == 0;
}

static kms_err make_pool(kms_spawner *spawner, const struct kms_hsm_options *options, bool init,
                         kms_hsm **ret_hsm)
{
    KMS_OWN(kms_hsm) hsm = calloc(1, sizeof *hsm);
    if (hsm == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&hsm->lock, NULL);
    pthread_mutex_init(&hsm->call_lock, NULL);
    pthread_mutex_init(&hsm->forgotten_lock, NULL);
    hsm->epoll = hsm->wake = -1;
    hsm->spawner = spawner;
    hsm->init = init;
    hsm->opening = true;
    if (!copy_options(hsm, options) || !make_workers(hsm) || !make_lanes(hsm) || !make_events(hsm))
        return KMS_FAIL(NO_MEMORY);
    hsm->status.workers_configured = hsm->worker_count;
    hsm->last_poll_us = kms_monotonic_us();
    *ret_hsm = KMS_GIVE(hsm);
    return KMS_OK;
}

void kms_hsm_close(kms_hsm *hsm)
{
    if (hsm == NULL) return;
    for (unsigned i = 0; hsm->workers != NULL && i < hsm->place_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        if (w->fd >= 0) kms_spawner_kill(hsm->spawner, w->spawn_id);
        kms_pool_close_worker(w);
        pthread_mutex_destroy(&w->lock);
    }
    for (unsigned i = 0; hsm->lanes != NULL && i < hsm->lane_count + 2; i++)
        kms_locked_free(hsm->lanes[i].frame, KMS_HSM_FRAME_BYTES);
    kms_locked_free(hsm->input, KMS_HSM_FRAME_BYTES);
    kms_fd_drop(&hsm->epoll);
    kms_fd_drop(&hsm->wake);
    pthread_mutex_destroy(&hsm->lock);
    pthread_mutex_destroy(&hsm->call_lock);
    pthread_mutex_destroy(&hsm->forgotten_lock);
    free(hsm->workers);
    free(hsm->lanes);
    free(hsm->worker_path);
    free(hsm->uri);
    free(hsm->state_dir);
    free(hsm->worker_user);
    free(hsm);
}

void kms_hsm_drop(kms_hsm **hsm)
{
    kms_hsm_close(*hsm);
}

/* The URI will stand in the worker's arguments, for everyone to read: the rest of it is checked there. */
static kms_err check_options(const struct kms_hsm_options *options, struct kms_why *why)
{
    if (options->worker_path == NULL || options->uri == NULL || options->state_dir == NULL) {
        kms_why_set(why, "hsm: the worker program, the uri and the state directory must be given");
        return KMS_FAIL(CONFIG_INVALID);
    }
    if (strcasestr(options->uri, "pin-value") != NULL) {
        kms_why_set(why, "hsm.uri: a PIN does not belong into the configuration: use pin-source=file:/PATH");
        return KMS_FAIL(CONFIG_INVALID);
    }
    if (access(options->worker_path, X_OK) != 0) {
        kms_why_set(why, "the worker program %s is not there or cannot be executed", options->worker_path);
        return KMS_FAIL(HSM_UNAVAILABLE);
    }
    return KMS_OK;
}

/* Starts the first worker and waits for its word. */
static kms_err prove_first(kms_hsm *hsm, struct kms_why *why)
{
    kms_pool_start_worker(hsm, &hsm->workers[0]);
    while (!hsm->proved && hsm->workers[0].state == KMS_WORKER_STARTING) {
        struct pollfd fd = {hsm->epoll, POLLIN, 0};
        poll(&fd, 1, kms_hsm_poll_timeout_ms(hsm));
        kms_hsm_poll(hsm);
    }
    if (hsm->proved) return KMS_OK;
    kms_why_set(why, "%s", hsm->start_why.text);
    return kms_failed(hsm->start_err) ? hsm->start_err : KMS_FAIL(HSM_UNAVAILABLE);
}

kms_err kms_hsm_open(kms_spawner *spawner, const struct kms_hsm_options *options, kms_hsm **ret_hsm,
                     struct kms_why *why)
{
    KMS_OWN(kms_hsm) hsm = NULL;
    KMS_TRY(check_options(options, why));
    KMS_TRY(make_pool(spawner, options, false, &hsm));
    KMS_TRY(prove_first(hsm, why));
    hsm->opening = false;
    *ret_hsm = KMS_GIVE(hsm);
    return KMS_OK;
}

kms_err kms_hsm_init_token(kms_spawner *spawner, const struct kms_hsm_options *options, struct kms_why *why)
{
    KMS_OWN(kms_hsm) hsm = NULL;
    KMS_TRY(check_options(options, why));
    KMS_TRY(make_pool(spawner, options, true, &hsm));
    return prove_first(hsm, why);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool finished;
};

static void wake_waiter(struct kms_hsm_job *job)
{
    struct waiter *waiter = job->user;
    pthread_mutex_lock(&waiter->lock);
    waiter->finished = true;
    pthread_cond_signal(&waiter->ready);
    pthread_mutex_unlock(&waiter->lock);
}

kms_err kms_hsm_call(kms_hsm *hsm, struct kms_hsm_job *job)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER};
    void (*done)(struct kms_hsm_job *) = job->done;
    void *user = job->user;
    job->done = wake_waiter;
    job->user = &waiter;
    pthread_mutex_lock(&hsm->call_lock);
    kms_hsm_submit(hsm, hsm->lane_count + KMS_LANE_CALL, job);
    kms_hsm_flush(hsm, hsm->lane_count + KMS_LANE_CALL);
    pthread_mutex_unlock(&hsm->call_lock);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.finished) pthread_cond_wait(&waiter.ready, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.ready);
    pthread_mutex_destroy(&waiter.lock);
    job->done = done;
    job->user = user;
    return job->err;
}

void kms_hsm_status(kms_hsm *hsm, struct kms_hsm_status *ret_status)
{
    pthread_mutex_lock(&hsm->lock);
    *ret_status = hsm->status;
    pthread_mutex_unlock(&hsm->lock);
    for (unsigned i = 0; i < KMS_POOL_QUEUES; i++)
        ret_status->jobs_waiting += atomic_load(&hsm->waiting_count[i]);
    ret_status->software_apart = kms_pool_apart(hsm);
}
