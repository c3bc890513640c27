/* Calls through the whole pipeline, with scripted methods, an HSM that waits and an audit log that breaks. */
#include "kmsd/service/pipeline.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/batch.h"
#include "tests/unit/kmsd/service/answers.h"

#define KEY1 "abcd0000-0000-4000-8000-000000000001"

enum { CALLS = 8 };
static struct {
    struct world world;
    struct answers answers;
    kms_pipeline *pipeline;
    struct kms_key *key;
    struct tracked calls[CALLS];
    sem_t acting, go;
    atomic_uint acts, early; /* acts in all; without a durable attempt */
    atomic_bool hold, break_audit;
} rig;

static kms_err gather(struct kms_call *call)
{
    struct kms_access *access;
    return kms_access_named(call, call->method->action, KEY1, &access);
}

static kms_err plan(struct kms_call *call)
{
    struct kms_access *access = &call->access[0];
    access->version = 1;
    call->spends = access;
    call->out_of_budget = !kms_budget_take(access->key->versions[0].budget);
    return KMS_OK;
}

static kms_err finish(struct kms_call *call)
{
    (void)call;
    return KMS_OK;
}

static kms_err act(struct kms_call *call)
{
    atomic_fetch_add(&rig.acts, 1);
    const struct broken_audit_record *attempt = record_of(call, 0);
    if (attempt == NULL || attempt->kind != KMS_AUDIT_ATTEMPT) atomic_fetch_add(&rig.early, 1);
    if (atomic_load(&rig.break_audit)) atomic_store(&broken_audit.commit_fails, true);
    sem_post(&rig.acting);
    if (atomic_load(&rig.hold)) sem_wait(&rig.go);
    return KMS_OK;
}

static const struct kms_method usage = {.service = &kms__v1__crypto_service__descriptor,
                                        .rpc = "Encrypt",
                                        .action = KMS_ACT_ENCRYPT,
                                        .lane = KMS_LANE_CRYPTO,
                                        .gather = gather,
                                        .plan = plan,
                                        .finish = finish},
                               change = {.service = &kms__v1__key_service__descriptor,
                                         .rpc = "DisableKey",
                                         .action = KMS_ACT_DISABLE_KEY,
                                         .lane = KMS_LANE_ADMIN,
                                         .gather = gather,
                                         .act = act};

/* A batch of so many of them, whose items are calls of `usage`. */
enum { MANY = 100 };
static kms_err gather_many(struct kms_call *call)
{
    static Kms__V1__EncryptRequest one;
    kms__v1__encrypt_request__init(&one);
    struct kms_batch *batch = kms_call_alloc(call, sizeof *batch);
    struct kms_call *items = kms_call_alloc(call, MANY * sizeof *items);
    if (batch == NULL || items == NULL) return KMS_FAIL(NO_MEMORY);
    *batch = (struct kms_batch){.items = items, .count = MANY};
    for (size_t i = 0; i < MANY; i++) {
        items[i] = (struct kms_call){.method = call->method->item,
                                     .core = call->core,
                                     .request = &one.base,
                                     .identity = call->identity,
                                     .part_of = call};
        kms_arena_init_part(&items[i].arena, &call->arena);
    }
    call->batch = batch;
    return KMS_OK;
}

static const struct kms_method many = {.service = &kms__v1__batch_service__descriptor,
                                       .rpc = "EncryptBatch",
                                       .action = KMS_ACT_ENCRYPT,
                                       .lane = KMS_LANE_CRYPTO,
                                       .gather = gather_many,
                                       .finish = finish,
                                       .item = &usage};

static void begin(void)
{
    struct kms_transport transport;
    const struct kms_pipeline_options options = {.rpc_threads = 2, .admin_threads = 1, .admin_queue = 1};
    kms_log_level_set(KMS_LOG_ERROR);
    memset(&rig, 0, sizeof rig);
    broken_audit_reset();
    slow_hsm_open();
    world_open(&rig.world, NULL);
    rig.key = world_key(&rig.world, 1, KMS_LEVEL_HSM, "Encrypt,DisableKey");
    atomic_store(&rig.key->versions[0].budget->left, 1 << 20);
    sem_init(&rig.acting, 0, 0);
    sem_init(&rig.go, 0, 0);
    answers_open(&rig.answers, &transport);
    KMS_ASSERT_OK_FATAL(kms_pipeline_start(&options, &rig.world.core, &rig.pipeline));
    kms_pipeline_set_transport(rig.pipeline, &transport);
}

static void end(unsigned calls)
{
    kms_pipeline_stop(rig.pipeline);
    CU_ASSERT_EQUAL(rig.answers.unproven, 0);
    CU_ASSERT_EQUAL(atomic_load(&rig.early), 0);
    for (unsigned i = 0; i < calls; i++) {
        CU_ASSERT_EQUAL(rig.calls[i].released, 1);
        kms_call_end(&rig.calls[i].call);
    }
    kms_key_unref(rig.key);
    world_close(&rig.world);
    slow_hsm_close();
}

static struct tracked *start(unsigned i, const struct kms_method *method, const char *principal)
{
    static Kms__V1__EncryptBatchRequest few; /* a batch counts as the calls of its request: one */
    tracked_begin(&rig.world, &rig.calls[i], method, principal);
    kms__v1__encrypt_batch_request__init(&few);
    if (method->item != NULL) rig.calls[i].call.request = &few.base;
    kms_pipeline_begin(rig.pipeline, 0, &rig.calls[i].call);
    return &rig.calls[i];
}

static void wait_for_jobs(size_t count)
{
    for (int i = 0; i < 5000 && slow_hsm_waiting() != count; i++) usleep(1000);
    CU_ASSERT_EQUAL_FATAL(slow_hsm_waiting(), count);
}

/* The HSM has a window of the batch at a time; the last result answers, once, whatever the items came to. */
static void a_batch_is_fed_by_and_by(void)
{
    enum { FINISH_LANE = 3 };
    begin();
    struct tracked *t = start(0, &many, "app");
    for (size_t left = MANY, round = 0; left > 0; round++) {
        size_t now = left < KMS_BATCH_WINDOW ? left : KMS_BATCH_WINDOW;
        wait_for_jobs(now);
        CU_ASSERT_EQUAL(t->released, 0);
        slow_hsm_answer(round == 1 ? KMS_FAIL(HSM_UNAVAILABLE) : KMS_OK);
        left -= now;
    }
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->encoded == 1 && t->last == KMS_E_OK);
    CU_ASSERT(slow_hsm_flushes(FINISH_LANE) >= MANY / KMS_BATCH_WINDOW);
    const struct kms_batch *batch = t->call.batch;
    for (size_t i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(kms_failed(batch->items[i].err),
                        i / KMS_BATCH_WINDOW == 1 /* those of the second answer */);
    CU_ASSERT_PTR_NOT_NULL(record_of(&t->call, 0));
    CU_ASSERT_PTR_NULL(record_of(&t->call, 1));
    CU_ASSERT_EQUAL(atomic_load(&rig.key->versions[0].budget->left), (1 << 20) - MANY);
    end(1);
}

/* What the HSM does not have when the deadline passes, it does not get. */
static void a_late_batch_is_given_up(void)
{
    begin();
    Kms__V1__EncryptBatchRequest few;
    kms__v1__encrypt_batch_request__init(&few);
    tracked_begin(&rig.world, &rig.calls[0], &many, "app");
    rig.calls[0].call.request = &few.base;
    rig.calls[0].call.deadline_us = kms_monotonic_us() + 10000000;
    kms_pipeline_begin(rig.pipeline, 0, &rig.calls[0].call);
    wait_for_jobs(KMS_BATCH_WINDOW);
    clock_advance(20000000);
    slow_hsm_answer(KMS_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(slow_hsm_waiting(), 0);
    const struct kms_batch *batch = rig.calls[0].call.batch;
    for (size_t i = 0; i < MANY; i++)
        CU_ASSERT(kms_is(batch->items[i].err, i < KMS_BATCH_WINDOW ? KMS_E_OK : KMS_E_DEADLINE_EXCEEDED));
    end(1);
}

/* A small call that comes behind a batch waits for one window of it at most. */
static void small_calls_get_between(void)
{
    begin();
    start(0, &many, "app");
    struct tracked *small = start(1, &usage, "app");
    wait_for_jobs(KMS_BATCH_WINDOW + 1);
    slow_hsm_answer(KMS_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT(small->released == 1 && rig.calls[0].released == 0);
    while (sem_trywait(&rig.answers.released) != 0) {
        slow_hsm_answer(KMS_OK);
        usleep(1000);
    }
    end(2);
}

static void crypto_lane(void)
{
    begin();
    struct tracked *t = start(0, &usage, "app");
    CU_ASSERT_EQUAL(slow_hsm_waiting(), 1);
    CU_ASSERT_EQUAL(t->released, 0);
    kms_pipeline_flush(rig.pipeline, 0);
    CU_ASSERT_EQUAL(slow_hsm_flushes(0), 1);
    slow_hsm_answer(KMS_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->encoded == 1 && t->last == KMS_E_OK);
    CU_ASSERT_EQUAL(record_of(&t->call, 0)->kind, KMS_AUDIT_CALL);
    struct tracked *other = start(1, &usage, "stranger");
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(other->last, KMS_E_ACCESS_DENIED);
    CU_ASSERT_EQUAL(slow_hsm_waiting(), 0);
    CU_ASSERT_FALSE(kms_id_equal(&t->call.request_id, &other->call.request_id));
    end(2);
}

static void attempt_act_outcome(void)
{
    begin();
    struct tracked *t = start(0, &change, "app");
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->encoded == 1 && t->last == KMS_E_OK && atomic_load(&rig.acts) == 1);
    CU_ASSERT_EQUAL(record_of(&t->call, 0)->kind, KMS_AUDIT_ATTEMPT);
    CU_ASSERT_EQUAL(record_of(&t->call, 1)->kind, KMS_AUDIT_OUTCOME);
    CU_ASSERT_PTR_NULL(record_of(&t->call, 2));
    t = start(1, &change, "stranger");
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->last == KMS_E_ACCESS_DENIED && atomic_load(&rig.acts) == 1);
    CU_ASSERT_EQUAL(record_of(&t->call, 0)->kind, KMS_AUDIT_CALL);
    CU_ASSERT_PTR_NULL(record_of(&t->call, 1));
    end(2);
}

static void no_attempt_no_act(void)
{
    begin();
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(i == 0 ? &broken_audit.append_fails : &broken_audit.commit_fails, true);
        struct tracked *t = start(i, &change, "app");
        answers_wait(&rig.answers, 1);
        CU_ASSERT_EQUAL(t->last, KMS_E_AUDIT_UNAVAILABLE);
        CU_ASSERT_EQUAL(atomic_load(&rig.acts), 0);
        atomic_store(&broken_audit.append_fails, false);
        atomic_store(&broken_audit.commit_fails, false);
    }
    struct tracked *t = start(2, &change, "app"); /* works again */
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->last == KMS_E_OK && atomic_load(&rig.acts) == 1);
    end(3);
}

/* It is done, but nobody may be told: the open attempt in the log says that something may have happened. */
static void no_outcome_no_answer(void)
{
    begin();
    atomic_store(&rig.break_audit, true);
    struct tracked *t = start(0, &change, "app");
    answers_wait(&rig.answers, 1);
    CU_ASSERT(t->first == KMS_E_OK && t->last == KMS_E_AUDIT_UNAVAILABLE && atomic_load(&rig.acts) == 1);
    CU_ASSERT_EQUAL(record_of(&t->call, 0)->kind, KMS_AUDIT_ATTEMPT);
    CU_ASSERT_PTR_NULL(record_of(&t->call, 1));
    end(1);
}

static void a_full_queue(void)
{
    begin();
    atomic_store(&rig.hold, true);
    struct tracked *running = start(0, &change, "app");
    sem_wait(&rig.acting); /* the one thread is at it; one may wait */
    struct tracked *waiting = start(1, &change, "app"), *refused = start(2, &change, "app");
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(refused->last, KMS_E_LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(refused->call.why.text, "limits.admin_queue"));
    CU_ASSERT_PTR_NOT_NULL(record_of(&refused->call, 0));
    sem_post(&rig.go);
    sem_post(&rig.go);
    answers_wait(&rig.answers, 2);
    CU_ASSERT(running->last == KMS_E_OK && waiting->last == KMS_E_OK);
    end(3);
}

static void silent_refusals(void)
{
    begin();
    for (unsigned i = 0; i < 4; i++) {
        start(i, &usage, "stranger");
        answers_wait(&rig.answers, 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(rig.calls[i].last, i < 2 ? KMS_E_ACCESS_DENIED : KMS_E_LIMIT_EXCEEDED);
        CU_ASSERT_EQUAL(record_of(&rig.calls[i].call, 0) != NULL, i < 2);
    }
    end(4);
}

/* Nobody waits for the log, or for the finish thread, to hear that there are too many. */
static void silent_refusals_wait_for_nobody(void)
{
    sem_t begun, gate;
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    begin();
    for (unsigned i = 0; i < 2; i++) {
        start(i, &usage, "stranger");
        answers_wait(&rig.answers, 1);
    }
    start(2, &usage, "app");
    rig.calls[2].begun = &begun;
    rig.calls[2].gate = &gate;
    slow_hsm_answer(KMS_OK);
    sem_wait(&begun); /* the finish thread stands at the gate */
    const struct tracked *refused = start(3, &usage, "stranger");
    CU_ASSERT(refused->released == 1 && refused->encoded == 1);
    CU_ASSERT(refused->last == KMS_E_LIMIT_EXCEEDED && refused->call.silent);
    CU_ASSERT_EQUAL(rig.calls[2].released, 0);
    answers_wait(&rig.answers, 1);
    sem_post(&gate);
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(rig.calls[2].last, KMS_E_OK);
    end(4);
}

static void without_budget(void)
{
    begin();
    struct kms_budget *budget = rig.key->versions[0].budget;
    atomic_store(&budget->left, 0);
    struct tracked *t = start(0, &usage, "app");
    while (slow_hsm_waiting() == 0)
        usleep(1000); /* reserved by the admin thread, submitted on its own lane */
    while (slow_hsm_flushes(2) == 0) usleep(1000);
    CU_ASSERT(atomic_load(&budget->left) >= (1LL << KMS_BUDGET_BLOCK_LOG2) - 1);
    slow_hsm_answer(KMS_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(t->last, KMS_E_OK);

    atomic_store(&budget->left, 100); /* low: this call does not wait, a refill comes by itself */
    t = start(1, &usage, "app");
    CU_ASSERT_EQUAL(slow_hsm_waiting(), 1);
    while (atomic_load(&budget->left) < 1000 || atomic_load(&budget->reserving)) usleep(1000);
    slow_hsm_answer(KMS_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(t->last, KMS_E_OK);

    uint64_t granted;
    KMS_ASSERT_OK(kms_keystore_reserve(
        rig.world.core.store,
        &(struct kms_reservation){&rig.key->id, 1, KMS_KEY_BUDGET, KMS_KEY_BUDGET, NULL}, &granted, NULL));
    atomic_store(&budget->left, 0);
    t = start(2, &usage, "app");
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(t->last, KMS_E_KEY_BUDGET_EXHAUSTED);
    end(3);
}

static void not_decoded(void)
{
    begin();
    struct tracked *t = &rig.calls[0];
    tracked_begin(&rig.world, t, &usage, NULL);
    t->call.err = KMS_FAIL(UNAUTHENTICATED);
    kms_pipeline_begin(rig.pipeline, 1, &t->call);
    answers_wait(&rig.answers, 1);
    CU_ASSERT_EQUAL(t->last, KMS_E_UNAUTHENTICATED);
    CU_ASSERT_EQUAL(record_of(&t->call, 0)->outcome, KMS_E_UNAUTHENTICATED);
    KMS_ASSERT_OK(kms_pipeline_record(rig.pipeline, &(struct kms_audit_event){.kind = KMS_AUDIT_SERVICE}));
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), 2);
    end(1);
    kms_pipeline_stop(NULL);
}

KMS_TEST_MAIN("service/pipeline", {"crypto lane", crypto_lane},
              {"a batch is fed by and by", a_batch_is_fed_by_and_by},
              {"a late batch is given up", a_late_batch_is_given_up},
              {"small calls get between", small_calls_get_between},
              {"attempt, act, outcome", attempt_act_outcome}, {"no attempt, no act", no_attempt_no_act},
              {"no outcome, no answer", no_outcome_no_answer}, {"a full queue", a_full_queue},
              {"silent refusals", silent_refusals},
              {"silent refusals wait for nobody", silent_refusals_wait_for_nobody},
              {"without budget", without_budget}, {"not decoded", not_decoded})
