/*
 * kms_crew: a few threads that do what is due, since a database or a program may keep one of them waiting.
 * What is due belongs to somebody, a secret or a database role, and of each one thing is done at a time.
 * Thread-safe.
 */
#ifndef KMS_JOBS_CREW_H
#define KMS_JOBS_CREW_H

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct kms_crew kms_crew;

enum { KMS_CREW_NAME_BYTES = 513 /* of an owner, with the NUL */, KMS_CREW_ERROR_WAIT_MS = 1000 };

struct kms_crew_work {
    const char *thread; /* what its threads are called: at most 15 characters */
    sem_t *wake;        /* posted when something is due: now, not at the next look */
    /* Whose turn it is, and what to do: false when nothing is due, but for owners that kms_crew_has. The
     * crew is locked meanwhile. */
    bool (*claim)(void *user, const kms_crew *crew, char owner[KMS_CREW_NAME_BYTES], int *ret_what);
    /* Does it. False: it failed, and nothing else keeps it from being due again; so the owner stays in this
     * hand for KMS_CREW_ERROR_WAIT_MS, or for the interval, or until the crew is woken. */
    bool (*run)(void *user, const char *owner, int what);
    void *user;
};

/* Looks every interval_ms, and when wake is posted. NO_MEMORY. */
KMS_MUST_USE kms_err kms_crew_start(const struct kms_crew_work *work, unsigned threads, uint32_t interval_ms,
                                    kms_crew **ret_crew);
/* A thread has something of this owner in its hand. For claim, which holds the lock. */
bool kms_crew_has(const kms_crew *crew, const char *owner);
/* Waits for what is under way; NULL is a no-op. */
void kms_crew_stop(kms_crew *crew);

#endif
