/* A thread pool with a bounded queue. */
#include "kmsd/service/admin.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum {
    REFILLS = 64
}; /* budgets that may be refilled at once; more wait for the next call that finds them low */

struct refill {
    struct kms_key *key;
    uint32_t version;
};

struct worker {
    kms_admin *admin;
    pthread_t thread;
    unsigned lane;
};

struct kms_admin {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct kms_call *first, **last;
    unsigned waiting, queue;
    struct refill refills[REFILLS];
    unsigned refill_count;
    bool stopping;
    struct kms_admin_work work;
    unsigned threads;
    struct worker workers[];
};

static void run_refill(kms_admin *admin, struct refill refill)
{
    kms_ignore(admin->work.refill(admin->work.self, refill.key,
                                  refill.version)); /* the next call sees what is left */
    atomic_store(&refill.key->versions[refill.version - 1].budget->reserving, false);
    kms_key_unref(refill.key);
}

/* Takes one piece of work and runs it without the lock; false: nothing to do. Called and left with the lock
 * held. */
static bool run_one(kms_admin *admin, unsigned lane)
{
    if (admin->refill_count > 0) {
        struct refill refill = admin->refills[--admin->refill_count];
        pthread_mutex_unlock(&admin->lock);
        run_refill(admin, refill);
        pthread_mutex_lock(&admin->lock);
        return true;
    }
    struct kms_call *call = admin->first;
    if (call == NULL) return false;
    admin->first = call->next;
    if (admin->first == NULL) admin->last = &admin->first;
    admin->waiting--;
    pthread_mutex_unlock(&admin->lock);
    admin->work.run(admin->work.self, lane, call);
    pthread_mutex_lock(&admin->lock);
    return true;
}

static void *worker_main(void *self)
{
    struct worker *worker = self;
    kms_admin *admin = worker->admin;
    prctl(PR_SET_NAME, "admin");
    pthread_mutex_lock(&admin->lock);
    for (;;) {
        if (run_one(admin, worker->lane)) continue;
        if (admin->stopping) break;
        pthread_cond_wait(&admin->wake, &admin->lock);
    }
    pthread_mutex_unlock(&admin->lock);
    return NULL;
}

kms_err kms_admin_start(unsigned threads, unsigned queue, unsigned first_lane,
                        const struct kms_admin_work *work, kms_admin **ret_admin)
{
    kms_admin *admin = calloc(1, sizeof *admin + threads * sizeof admin->workers[0]);
    if (admin == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&admin->lock, NULL);
    pthread_cond_init(&admin->wake, NULL);
    admin->last = &admin->first;
    admin->queue = queue;
    admin->work = *work;
    for (unsigned i = 0; i < threads; i++) {
        admin->workers[i] = (struct worker){.admin = admin, .lane = first_lane + i};
        if (pthread_create(&admin->workers[i].thread, NULL, worker_main, &admin->workers[i]) != 0) {
            kms_admin_stop(admin);
            return KMS_FAIL(NO_MEMORY);
        }
        admin->threads++;
    }
    *ret_admin = admin;
    return KMS_OK;
}

/* With the lock held. */
static void append(kms_admin *admin, struct kms_call *call)
{
    call->next = NULL;
    *admin->last = call;
    admin->last = &call->next;
    admin->waiting++;
    pthread_cond_signal(&admin->wake);
}

bool kms_admin_post(kms_admin *admin, struct kms_call *call)
{
    pthread_mutex_lock(&admin->lock);
    bool room = admin->waiting < admin->queue;
    if (room) append(admin, call);
    pthread_mutex_unlock(&admin->lock);
    return room;
}

void kms_admin_post_again(kms_admin *admin, struct kms_call *call)
{
    pthread_mutex_lock(&admin->lock);
    append(admin, call);
    pthread_mutex_unlock(&admin->lock);
}

void kms_admin_refill(kms_admin *admin, struct kms_key *key, uint32_t version)
{
    pthread_mutex_lock(&admin->lock);
    bool room = admin->refill_count < REFILLS;
    if (room) {
        admin->refills[admin->refill_count++] = (struct refill){kms_key_ref(key), version};
        pthread_cond_signal(&admin->wake);
    }
    pthread_mutex_unlock(&admin->lock);
    if (!room) atomic_store(&key->versions[version - 1].budget->reserving, false);
}

void kms_admin_stop(kms_admin *admin)
{
    pthread_mutex_lock(&admin->lock);
    admin->stopping = true;
    pthread_cond_broadcast(&admin->wake);
    pthread_mutex_unlock(&admin->lock);
    for (unsigned i = 0; i < admin->threads; i++) pthread_join(admin->workers[i].thread, NULL);
    pthread_cond_destroy(&admin->wake);
    pthread_mutex_destroy(&admin->lock);
    free(admin);
}
