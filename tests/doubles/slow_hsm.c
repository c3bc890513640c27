/* An HSM that answers when it is told to. */
#include "tests/doubles/slow_hsm.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LANES = 16 };

static struct {
    pthread_mutex_t lock;
    struct kms_hsm_job *jobs, **end; /* waiting */
    struct kms_hsm_job *done, **done_end;
    size_t waiting;
    unsigned flushes[LANES];
    int fd;
} hsm = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

void slow_hsm_open(void)
{
    hsm.jobs = hsm.done = NULL;
    hsm.end = &hsm.jobs;
    hsm.done_end = &hsm.done;
    hsm.waiting = 0;
    for (int i = 0; i < LANES; i++) hsm.flushes[i] = 0;
    hsm.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hsm.fd < 0) abort();
}

void slow_hsm_close(void)
{
    kms_fd_drop(&hsm.fd);
}

size_t slow_hsm_waiting(void)
{
    pthread_mutex_lock(&hsm.lock);
    size_t waiting = hsm.waiting;
    pthread_mutex_unlock(&hsm.lock);
    return waiting;
}

void slow_hsm_answer(kms_err err)
{
    uint64_t one = 1;
    pthread_mutex_lock(&hsm.lock);
    for (struct kms_hsm_job *job = hsm.jobs; job != NULL; job = job->next) job->err = err;
    *hsm.done_end = hsm.jobs;
    if (hsm.jobs != NULL) hsm.done_end = hsm.end;
    hsm.jobs = NULL;
    hsm.end = &hsm.jobs;
    hsm.waiting = 0;
    pthread_mutex_unlock(&hsm.lock);
    if (write(hsm.fd, &one, sizeof one) < 0) abort();
}

unsigned slow_hsm_flushes(unsigned lane)
{
    pthread_mutex_lock(&hsm.lock);
    unsigned flushes = hsm.flushes[lane];
    pthread_mutex_unlock(&hsm.lock);
    return flushes;
}

void kms_hsm_submit(kms_hsm *unused, unsigned lane, struct kms_hsm_job *job)
{
    (void)unused, (void)lane;
    job->next = NULL;
    pthread_mutex_lock(&hsm.lock);
    *hsm.end = job;
    hsm.end = &job->next;
    hsm.waiting++;
    pthread_mutex_unlock(&hsm.lock);
}

/* Nobody waits for it in the tests that use it. */
kms_err kms_hsm_call(kms_hsm *unused, struct kms_hsm_job *job)
{
    (void)unused;
    return job->err = KMS_FAIL(HSM_UNAVAILABLE);
}

void kms_hsm_flush(kms_hsm *unused, unsigned lane)
{
    (void)unused;
    pthread_mutex_lock(&hsm.lock);
    if (lane < LANES) hsm.flushes[lane]++;
    pthread_mutex_unlock(&hsm.lock);
}

int kms_hsm_poll_fd(kms_hsm *unused)
{
    (void)unused;
    return hsm.fd;
}

int kms_hsm_poll_timeout_ms(kms_hsm *unused)
{
    (void)unused;
    return 20;
}

void kms_hsm_status(kms_hsm *unused, struct kms_hsm_status *ret_status)
{
    (void)unused;
    *ret_status = (struct kms_hsm_status){.workers_healthy = 1, .workers_configured = 1};
}

void kms_hsm_poll(kms_hsm *unused)
{
    (void)unused;
    uint64_t count;
    while (read(hsm.fd, &count, sizeof count) > 0) continue;
    pthread_mutex_lock(&hsm.lock);
    struct kms_hsm_job *job = hsm.done;
    hsm.done = NULL;
    hsm.done_end = &hsm.done;
    pthread_mutex_unlock(&hsm.lock);
    while (job != NULL) {
        struct kms_hsm_job *next = job->next;
        job->done(job);
        job = next;
    }
}
