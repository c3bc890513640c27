/* What leases.c, which has the list, and leases_tend.c, which looks after it, share. Private to the two. */
#ifndef KMS_CLIENT_KMS_ENV_LEASES_INSIDE_H
#define KMS_CLIENT_KMS_ENV_LEASES_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/kms-env/leases.h"

struct lease {
    struct lease *next;
    char *role;
    struct kms_env_user user;
    uint64_t ends_us, due_us; /* monotonic; due: when something is to be done for it */
    unsigned failed;          /* so often in a row */
    bool final;               /* it cannot last longer */
    bool over;                /* it has ended */
    bool replaced;            /* there is another for the role */
    bool unused;              /* nothing has it any more */
};

struct kms_env_leases {
    struct kms_env_lessor lessor;
    struct kms_env_tenant tenant;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows; held while the lessor is asked, not while the tenant is */
    pthread_cond_t wake;
    struct lease *first;
    uint64_t hand_on_us; /* the tenant is to take new users then; KMS_ENV_LEASES_NEVER: it is not */
    unsigned hand_on_failed;
    bool started, nudged;
    bool busy;         /* the thread is with the tenant */
    atomic_bool ended; /* set without the lock, too: whoever has it is to be quick */
};

void kms_env_lease_free(struct lease *lease); /* wipes */

/* All below: the lock is held. */

/* Makes a user; one that the role had before is replaced. The words of a failure are without the role. */
kms_err kms_env_leases_add(kms_env_leases *leases, const char *role, struct lease **ret_lease,
                           char reason[KMS_ENV_REASON_BYTES], struct kms_why *why);
void kms_env_leases_say(const kms_env_leases *leases, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Gives it back within timeout_ms. One that has ended is given back. */
kms_err kms_env_leases_give_back(kms_env_leases *leases, const struct lease *lease, uint32_t timeout_ms,
                                 struct kms_why *why);
/* When half of its time is over, or a little earlier at random, so that many runs do not ask in step. */
uint64_t kms_env_leases_half(const kms_env_leases *leases, uint64_t ttl_s);
const char *kms_env_leases_words(kms_err err, const struct kms_why *why);

enum { KMS_ENV_LEASES_END_MS = 10 * 1000, KMS_ENV_LEASES_TIME = 21 };
/* "2026-11-22T12:00:00Z" */
void kms_env_leases_time(uint64_t us, char text[KMS_ENV_LEASES_TIME]);

#endif
