/* The admin threads: a bounded queue, in order, emptied at the end; refills clear their mark. */
#include "kmsd/service/admin.h"

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/service/world.h"

static struct {
    sem_t begun, go;
    pthread_mutex_t lock;
    struct kms_call *ran[64];
    unsigned count, refills;
    unsigned lanes; /* bits */
    bool hold;
} seen;

static void run(void *self, unsigned lane, struct kms_call *call)
{
    CU_ASSERT_PTR_EQUAL(self, &seen);
    sem_post(&seen.begun);
    if (seen.hold) sem_wait(&seen.go);
    pthread_mutex_lock(&seen.lock);
    seen.lanes |= 1U << lane;
    if (seen.count < KMS_COUNT(seen.ran)) seen.ran[seen.count++] = call;
    pthread_mutex_unlock(&seen.lock);
}

static kms_err refill(void *self, const struct kms_key *key, uint32_t version)
{
    (void)self;
    CU_ASSERT(version == 1 && atomic_load(&key->versions[0].budget->reserving));
    pthread_mutex_lock(&seen.lock);
    bool hold = seen.hold;
    seen.refills++;
    pthread_mutex_unlock(&seen.lock);
    sem_post(&seen.begun);
    if (hold) sem_wait(&seen.go);
    return KMS_FAIL(KEYSTORE_UNAVAILABLE); /* the mark is cleared all the same */
}

static kms_admin *start(unsigned threads, unsigned queue, bool hold)
{
    const struct kms_admin_work work = {.self = &seen, .run = run, .refill = refill};
    kms_admin *admin = NULL;
    memset(&seen, 0, sizeof seen);
    sem_init(&seen.begun, 0, 0);
    sem_init(&seen.go, 0, 0);
    pthread_mutex_init(&seen.lock, NULL);
    seen.hold = hold;
    KMS_ASSERT_OK_FATAL(kms_admin_start(threads, queue, 5, &work, &admin));
    return admin;
}

static void bounded_in_order_and_emptied(void)
{
    struct kms_call calls[5];
    kms_admin *admin = start(1, 3, true);
    CU_ASSERT(kms_admin_post(admin, &calls[0]));
    sem_wait(&seen.begun); /* the thread has the first; three may wait */
    for (int i = 1; i < 4; i++) CU_ASSERT(kms_admin_post(admin, &calls[i]));
    CU_ASSERT_FALSE(kms_admin_post(admin, &calls[4]));
    CU_ASSERT_EQUAL(seen.count, 0);
    for (int i = 0; i < 4; i++) sem_post(&seen.go);
    kms_admin_stop(admin);
    CU_ASSERT_EQUAL_FATAL(seen.count, 4);
    for (int i = 0; i < 4; i++) CU_ASSERT_PTR_EQUAL(seen.ran[i], &calls[i]);
    CU_ASSERT_EQUAL(seen.lanes, 1U << 5);
}

/* Three calls that wait for each other run side by side, each on a lane of its own. */
static void a_lane_for_each_thread(void)
{
    struct kms_call calls[3];
    kms_admin *admin = start(3, 3, true);
    for (int i = 0; i < 3; i++) CU_ASSERT(kms_admin_post(admin, &calls[i]));
    for (int i = 0; i < 3; i++) sem_wait(&seen.begun);
    for (int i = 0; i < 3; i++) sem_post(&seen.go);
    kms_admin_stop(admin);
    CU_ASSERT_EQUAL(seen.lanes, 7U << 5);
}

static void refills(void)
{
    enum { MANY = 70 }; /* more than may wait */
    struct kms_key *keys[MANY];
    kms_admin *admin = start(1, 1, true);
    for (int i = 0; i < MANY; i++) {
        KMS_ASSERT_OK_FATAL(kms_key_new(KMS_LEVEL_HSM, 1, &keys[i]));
        CU_ASSERT(kms_budget_claim_refill(keys[i]->versions[0].budget));
        kms_admin_refill(admin, keys[i], 1);
        if (i == 0) sem_wait(&seen.begun);
    }
    unsigned dropped = 0;
    for (int i = 0; i < MANY; i++) dropped += !atomic_load(&keys[i]->versions[0].budget->reserving);
    CU_ASSERT_EQUAL(dropped, MANY - 1 - 64); /* these may be claimed again at once */
    for (int i = 0; i < MANY; i++) sem_post(&seen.go);
    kms_admin_stop(admin);
    CU_ASSERT_EQUAL(seen.refills, 65);
    for (int i = 0; i < MANY; i++) {
        CU_ASSERT_FALSE(atomic_load(&keys[i]->versions[0].budget->reserving));
        kms_key_unref(keys[i]);
    }
}

static void nothing_to_do(void)
{
    kms_admin_stop(start(2, 1, false));
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_admin *admin = NULL;
        const struct kms_admin_work work = {.self = &seen, .run = run, .refill = refill};
        kms_err err = kms_admin_start(1, 1, 0, &work, &admin);
        CU_ASSERT_EQUAL(admin == NULL, kms_failed(err));
        if (admin != NULL) kms_admin_stop(admin);
    }
}

KMS_TEST_MAIN("service/admin", {"bounded, in order, and emptied", bounded_in_order_and_emptied},
              {"a lane for each thread", a_lane_for_each_thread}, {"refills", refills},
              {"nothing to do", nothing_to_do})
