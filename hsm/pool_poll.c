/* The polling thread: results in, deaths, timers, and every `done`. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/secret.h"
#include "hsm/pool.h"

enum { EVENTS = 32, DATAGRAMS_AT_ONCE = 64 };

int kms_hsm_poll_fd(kms_hsm *hsm)
{
    return hsm->epoll;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Deadlines of jobs need no timer of their own: a lane may submit while the polling thread sleeps, so it
 * wakes often enough to see any of them late by half at most. */
int kms_hsm_poll_timeout_ms(kms_hsm *hsm)
{
    uint64_t now = kms_monotonic_us(), at = now + hsm->options.deadline_ms * 500ULL, restart = UINT64_MAX;
    bool starting = hsm->opening || hsm->spawner_gone; /* then no other start is due */
    for (unsigned i = 0; i < hsm->place_count; i++) {
        struct kms_pool_worker *w = &hsm->workers[i];
        if (w->state == KMS_WORKER_DOWN && w->wanted) restart = earlier(restart, w->restart_at_us);
        starting |= w->state == KMS_WORKER_STARTING;
        if (w->state == KMS_WORKER_STARTING)
            at = earlier(at, w->since_us + hsm->options.start_timeout_ms * 1000ULL);
    }
    if (!starting) at = earlier(at, restart);
    if (hsm->slow) at = earlier(at, now + 1000000); /* to see that it is no more */
    return at <= now ? 1 : (int)((at - now) / 1000 + 1);
}

static void refresh_status(kms_hsm *hsm, const struct kms_hsm_job *job)
{
    struct kms_hello hello;
    if (kms_failed(kms_hello_get(kms_bytes_of(job->output, job->output_len), &hello))) return;
    pthread_mutex_lock(&hsm->lock);
    hello.status.workers_configured = hsm->worker_count;
    hello.status.workers_healthy = hsm->status.workers_healthy;
    hello.status.workers_replaced = hsm->status.workers_replaced;
    kms_copy(hello.status.trouble, hsm->status.trouble, sizeof hello.status.trouble);
    hsm->status = hello.status;
    pthread_mutex_unlock(&hsm->lock);
}

/* Under the worker's lock. NULL: no such job is in its hands. */
static struct kms_hsm_job *take_result(struct kms_pool_worker *w, const struct kms_result *result)
{
    unsigned slot = result->id & 0xffff;
    struct kms_hsm_job *job = slot < KMS_POOL_SLOTS ? w->slots[slot].job : NULL;
    if (job == NULL || job->pool.id != result->id) return NULL;
    kms_pool_release(w, slot);
    bool fits = result->output.len <= job->output_cap;
    job->err = kms_failed(result->err) || fits ? result->err : KMS_FAIL(INTERNAL);
    job->output_len = kms_failed(job->err) ? 0 : result->output.len;
    kms_copy(job->output, result->output.ptr, job->output_len);
    return job;
}

/* False: the worker sent what it must not, or could not do what all have to do. */
static bool take_results(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_bytes datagram)
{
    struct kms_reader r = kms_reader_over(datagram);
    struct kms_job_list done = {0};
    bool good = true;
    pthread_mutex_lock(&w->lock);
    while (good && !kms_reader_done(&r)) {
        struct kms_result result;
        struct kms_hsm_job *job = NULL;
        if (!kms_failed(kms_result_get(&r, &result))) job = take_result(w, &result);
        if (job != NULL) kms_list_put(&done, job);
        good = job != NULL && !(job->pool.broadcast && kms_failed(job->err));
    }
    if (done.count > 0) w->last_progress_us = kms_monotonic_us();
    pthread_mutex_unlock(&w->lock);
    for (struct kms_hsm_job *job; (job = kms_list_take(&done)) != NULL;) {
        bool told = job->op == KMS_HSM_STATUS || job->op == KMS_HSM_READ_ROOTS;
        if (told && !kms_failed(job->err)) refresh_status(hsm, job);
        job->done(job);
    }
    return good;
}

static bool take_hello(kms_hsm *hsm, struct kms_pool_worker *w, struct kms_bytes datagram)
{
    struct kms_reader r = kms_reader_over(datagram);
    struct kms_result result;
    if (kms_failed(kms_result_get(&r, &result)) || result.id != KMS_HELLO_ID || !kms_reader_done(&r))
        return false;
    kms_pool_hello(hsm, w, &result);
    return true;
}

static void read_worker(kms_hsm *hsm, struct kms_pool_worker *w)
{
    for (unsigned i = 0; i < DATAGRAMS_AT_ONCE && w->state != KMS_WORKER_DOWN; i++) {
        ssize_t got = recv(w->fd, hsm->input, KMS_HSM_FRAME_BYTES, MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0 || got > KMS_HSM_FRAME_BYTES) {
            kms_pool_worker_died(hsm, w, "ended");
            return;
        }
        struct kms_bytes datagram = {hsm->input, (size_t)got};
        bool good =
            w->state == KMS_WORKER_STARTING ? take_hello(hsm, w, datagram) : take_results(hsm, w, datagram);
        kms_wipe(hsm->input, (size_t)got);
        if (!good) kms_pool_worker_died(hsm, w, "sent a malformed frame");
    }
}

/* Nothing can be started any more; whoever reads the status shall know before the last worker dies. */
static void spawner_ended(kms_hsm *hsm)
{
    epoll_ctl(hsm->epoll, EPOLL_CTL_DEL, kms_spawner_fd(hsm->spawner), NULL);
    struct kms_why why = {{0}};
    kms_why_set(&why, "the spawner process is gone, no kms-hsm worker can be replaced: restart kmsd");
    pthread_mutex_lock(&hsm->lock);
    kms_copy(hsm->status.trouble, why.text, sizeof hsm->status.trouble);
    pthread_mutex_unlock(&hsm->lock);
}

static void take_events(kms_hsm *hsm)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(hsm->epoll, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        uint32_t index = events[i].data.u32;
        if (index < hsm->place_count) {
            read_worker(hsm, &hsm->workers[index]);
        } else if (index == KMS_EVENT_WAKE) {
            eventfd_t ignored;
            eventfd_read(hsm->wake, &ignored);
        } else if (index == KMS_EVENT_SPAWNER) {
            struct kms_worker_exit left; /* the end of the socket says it too, and sooner */
            while (kms_spawner_next(hsm->spawner, &left, &hsm->spawner_gone)) {
            }
            if (hsm->spawner_gone) spawner_ended(hsm);
        }
    }
}

static void deliver_finished(kms_hsm *hsm)
{
    struct kms_job_list done = {0};
    pthread_mutex_lock(&hsm->lock);
    kms_list_move(&done, &hsm->finished);
    pthread_mutex_unlock(&hsm->lock);
    for (struct kms_hsm_job *job; (job = kms_list_take(&done)) != NULL;) job->done(job);
}

void kms_hsm_poll(kms_hsm *hsm)
{
    take_events(hsm);
    kms_pool_watch(hsm);
    kms_pool_drain(hsm);
    deliver_finished(hsm);
}
