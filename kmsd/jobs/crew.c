/* Threads that take what is due. */
#include "kmsd/jobs/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"

struct worker {
    kms_crew *crew;
    pthread_t thread;
    char owner[KMS_CREW_NAME_BYTES]; /* of what is in its hand; "": nothing. Under the lock */
};

struct kms_crew {
    struct kms_crew_work work;
    uint32_t interval_ms;
    atomic_bool stopping;
    pthread_mutex_t lock;
    unsigned threads, started;
    struct worker workers[];
};

bool kms_crew_has(const kms_crew *crew, const char *owner)
{
    for (unsigned i = 0; i < crew->threads; i++)
        if (strcmp(crew->workers[i].owner, owner) == 0) return true;
    return false;
}

static bool claim(kms_crew *crew, struct worker *worker, int *ret_what)
{
    pthread_mutex_lock(&crew->lock);
    bool found = crew->work.claim(crew->work.user, crew, worker->owner, ret_what);
    pthread_mutex_unlock(&crew->lock);
    return found;
}

static void release(kms_crew *crew, struct worker *worker)
{
    pthread_mutex_lock(&crew->lock);
    worker->owner[0] = '\0';
    pthread_mutex_unlock(&crew->lock);
}

static void wait_a_while(kms_crew *crew, uint32_t most_ms)
{
    const struct timespec until = kms_in_ms(most_ms < crew->interval_ms ? most_ms : crew->interval_ms);
    while (sem_clockwait(crew->work.wake, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) continue;
}

static void *worker_main(void *self)
{
    struct worker *worker = self;
    kms_crew *crew = worker->crew;
    prctl(PR_SET_NAME, crew->work.thread);
    while (!atomic_load(&crew->stopping)) {
        int what;
        if (!claim(crew, worker, &what)) {
            wait_a_while(crew, UINT32_MAX);
            continue;
        }
        bool done = crew->work.run(crew->work.user, worker->owner, what);
        /* Still in its hand: nobody takes it up at once, and what is due for others does not wait. */
        if (!done && !atomic_load(&crew->stopping)) wait_a_while(crew, KMS_CREW_ERROR_WAIT_MS);
        release(crew, worker);
    }
    return NULL;
}

kms_err kms_crew_start(const struct kms_crew_work *work, unsigned threads, uint32_t interval_ms,
                       kms_crew **ret_crew)
{
    kms_crew *crew = calloc(1, sizeof *crew + threads * sizeof crew->workers[0]);
    if (crew == NULL) return KMS_FAIL(NO_MEMORY);
    crew->work = *work;
    crew->interval_ms = interval_ms;
    crew->threads = threads;
    pthread_mutex_init(&crew->lock, NULL);
    for (unsigned i = 0; i < threads; i++) {
        crew->workers[i].crew = crew;
        if (pthread_create(&crew->workers[i].thread, NULL, worker_main, &crew->workers[i]) != 0) {
            kms_crew_stop(crew);
            return KMS_FAIL(NO_MEMORY);
        }
        crew->started++;
    }
    *ret_crew = crew;
    return KMS_OK;
}

void kms_crew_stop(kms_crew *crew)
{
    if (crew == NULL) return;
    atomic_store(&crew->stopping, true);
    for (unsigned i = 0; i < crew->started; i++) sem_post(crew->work.wake);
    for (unsigned i = 0; i < crew->started; i++) pthread_join(crew->workers[i].thread, NULL);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
