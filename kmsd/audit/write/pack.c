/* The packer's thread. */
#include "kmsd/audit/write/pack.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/audit/segment.h"

enum { TRY_AGAIN_S = 60, NICEST = 19 };

struct kms_audit_packer {
    int dir_fd;
    const char *instance;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint32_t below;
    bool wanted; /* something may have come since the thread last looked */
    struct kms_why trouble;
};

/* Idle priority for processor and disk, of this thread only. Without it compression works as well. */
static void step_back(void)
{
    enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_CLASS_IDLE = 3, IOPRIO_CLASS_SHIFT = 13 };
    prctl(PR_SET_NAME, "audit-pack");
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICEST);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT);
}

static kms_err pack_all(kms_audit_packer *packer, uint32_t below, struct kms_why *why)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    kms_err err = kms_audit_plain_numbers(packer->dir_fd, packer->instance, below, &numbers, &count, why);
    kms_err first = err;
    for (size_t i = 0; i < count && !atomic_load(&packer->stopping); i++) {
        struct kms_why this = {""};
        err = kms_audit_pack_file(packer->dir_fd, packer->instance, numbers[i], &packer->stopping, &this);
        if (!kms_failed(err) || kms_failed(first))
            continue; /* one that cannot be does not hold up the others */
        first = err;
        *why = this;
    }
    free(numbers);
    return first;
}

/* Until there is something to do, or it is time to try again. */
static void wait_for_work(kms_audit_packer *packer, bool failed)
{
    const struct timespec until = kms_in_ms(TRY_AGAIN_S * 1000);
    int rc = 0;
    while (!packer->wanted && !atomic_load(&packer->stopping) && rc == 0)
        rc = failed ? pthread_cond_timedwait(&packer->changed, &packer->lock, &until)
                    : pthread_cond_wait(&packer->changed, &packer->lock);
}

static void *work(void *argument)
{
    kms_audit_packer *packer = argument;
    bool failed = false;
    step_back();
    pthread_mutex_lock(&packer->lock);
    for (;;) {
        wait_for_work(packer, failed);
        if (atomic_load(&packer->stopping)) break;
        packer->wanted = false;
        uint32_t below = packer->below;
        pthread_mutex_unlock(&packer->lock);
        struct kms_why why = {""};
        kms_err err = pack_all(packer, below, &why);
        failed = kms_failed(err);
        if (failed && why.text[0] == '\0') kms_why_set(&why, "compressing: %s", kms_err_text(err));
        pthread_mutex_lock(&packer->lock);
        packer->trouble = why;
    }
    pthread_mutex_unlock(&packer->lock);
    return NULL;
}

static bool start(kms_audit_packer *packer)
{
    sigset_t all, before; /* signals are for the threads that wait for them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&packer->thread, NULL, work, packer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

kms_err kms_audit_packer_new(int dir_fd, const char *instance, kms_audit_packer **ret_packer)
{
    char unfinished[KMS_AUDIT_NAME_BYTES];
    kms_audit_packer *packer = calloc(1, sizeof *packer);
    if (packer == NULL) return KMS_FAIL(NO_MEMORY);
    packer->dir_fd = dir_fd;
    packer->instance = instance;
    kms_cond_init(&packer->changed);
    pthread_mutex_init(&packer->lock, NULL);
    kms_audit_packing_name(instance, unfinished);
    unlinkat(dir_fd, unfinished, 0);
    if (!start(packer)) {
        free(packer);
        return KMS_FAIL(INTERNAL);
    }
    *ret_packer = packer;
    return KMS_OK;
}

void kms_audit_pack_below(kms_audit_packer *packer, uint32_t number)
{
    if (packer == NULL) return;
    pthread_mutex_lock(&packer->lock);
    packer->below = number;
    packer->wanted = true;
    pthread_cond_broadcast(&packer->changed);
    pthread_mutex_unlock(&packer->lock);
}

void kms_audit_pack_trouble(kms_audit_packer *packer, struct kms_why *ret_why)
{
    pthread_mutex_lock(&packer->lock);
    *ret_why = packer->trouble;
    pthread_mutex_unlock(&packer->lock);
}

void kms_audit_packer_free(kms_audit_packer *packer)
{
    if (packer == NULL) return;
    pthread_mutex_lock(&packer->lock);
    atomic_store(&packer->stopping, true);
    pthread_cond_broadcast(&packer->changed);
    pthread_mutex_unlock(&packer->lock);
    pthread_join(packer->thread, NULL);
    pthread_mutex_destroy(&packer->lock);
    pthread_cond_destroy(&packer->changed);
    free(packer);
}
