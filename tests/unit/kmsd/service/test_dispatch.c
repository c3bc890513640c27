/* The order of stations, with scripted methods: nothing happens before admission and decision. */
#include "kmsd/service/dispatch.h"

#include <stdio.h>

#include "base/clock.h"
#include "tests/unit/kmsd/service/world.h"

#define KEY1 "abcd0000-0000-4000-8000-000000000001"

/* What the scripted method does, and which of its functions ran: g p f a. */
static struct {
    kms_err gather, plan, finish, act;
    bool spends, always_starved;
    char log[32];
} script;

static kms_err step(char letter, kms_err err)
{
    size_t len = strlen(script.log);
    if (len + 1 < sizeof script.log) script.log[len] = letter;
    return err;
}

static kms_err script_gather(struct kms_call *call)
{
    struct kms_access *access;
    KMS_TRY(step('g', script.gather));
    return kms_access_named(call, call->method->action, KEY1, &access);
}

static kms_err script_plan(struct kms_call *call)
{
    KMS_TRY(step('p', script.plan));
    if (!script.spends) return KMS_OK;
    struct kms_access *access = &call->access[0];
    access->version = 1;
    call->spends = access;
    call->out_of_budget = !kms_budget_take(access->key->versions[0].budget) || script.always_starved;
    return KMS_OK;
}

static kms_err script_finish(struct kms_call *call)
{
    (void)call;
    return step('f', script.finish);
}

static kms_err script_act(struct kms_call *call)
{
    (void)call;
    return step('a', script.act);
}

#define FUNCTIONS .gather = script_gather, .plan = script_plan, .finish = script_finish, .act = script_act
static const struct kms_method
    crypto = {.rpc = "Crypto", .action = KMS_ACT_ENCRYPT, .lane = KMS_LANE_CRYPTO, FUNCTIONS},
    admin = {.rpc = "Admin", .action = KMS_ACT_DISABLE_KEY, .lane = KMS_LANE_ADMIN, FUNCTIONS},
    look = {.rpc = "Look", .action = KMS_ACT_DESCRIBE_KEY, .lane = KMS_LANE_ADMIN, FUNCTIONS};

static struct kms_key *key; /* of this test */

static void begin(struct world *world, const struct kms_authn_options *options)
{
    memset(&script, 0, sizeof script);
    world_open(world, options);
    key = world_key(world, 1, KMS_LEVEL_HSM, "Encrypt,DisableKey,DescribeKey");
}

static void end(struct world *world)
{
    kms_key_unref(key);
    world_close(world);
}

static void crypto_lane(void)
{
    struct world world;
    struct kms_call call;
    begin(&world, NULL);
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_HSM);
    CU_ASSERT_STRING_EQUAL(script.log, "gp");
    CU_ASSERT(call.stage == KMS_STAGE_HSM && call.admitted && !kms_failed(call.err));
    kms_dispatch_finish(&call);
    CU_ASSERT_STRING_EQUAL(script.log, "gpf");
    CU_ASSERT(call.stage == KMS_STAGE_FINISH && !kms_failed(call.err));
    kms_call_end(&call);
    end(&world);
}

/* Each station can end the story; none behind it is reached, and the stage says where it was. */
static void where_it_ends(void)
{
    static const struct {
        const char *principal;
        enum kms_code gather, plan, from_rpc;
        bool late;
        enum kms_code want;
        enum kms_stage stage;
        const char *log;
    } cases[] = {
        {"app", .from_rpc = KMS_E_INVALID_ARGUMENT, .want = KMS_E_INVALID_ARGUMENT, .stage = KMS_STAGE_RPC,
         .log = ""},
        {NULL, .from_rpc = KMS_E_UNAUTHENTICATED, .want = KMS_E_UNAUTHENTICATED, .stage = KMS_STAGE_RPC,
         .log = ""},
        {"app", .late = true, .want = KMS_E_DEADLINE_EXCEEDED, .stage = KMS_STAGE_AUTHN, .log = ""},
        {"app", .gather = KMS_E_INVALID_ARN, .want = KMS_E_INVALID_ARN, .stage = KMS_STAGE_GATHER,
         .log = "g"},
        {"stranger", .want = KMS_E_ACCESS_DENIED, .stage = KMS_STAGE_DECIDE, .log = "g"},
        {"stranger", .gather = KMS_E_CHECKSUM_MISMATCH, .want = KMS_E_CHECKSUM_MISMATCH,
         .stage = KMS_STAGE_GATHER, .log = "g"},
        {"app", .plan = KMS_E_KEY_DISABLED, .want = KMS_E_KEY_DISABLED, .stage = KMS_STAGE_PLAN, .log = "gp"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct world world;
        struct kms_call call;
        begin(&world, NULL);
        script.gather.code = cases[i].gather;
        script.plan.code = cases[i].plan;
        world_call_of(&world, &call, &crypto, cases[i].principal);
        call.err.code = cases[i].from_rpc;
        if (cases[i].late) call.deadline_us = 1;
        CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_FINISH);
        CU_ASSERT(kms_code_is(call.err, cases[i].want, __FILE__, __LINE__));
        CU_ASSERT_EQUAL(call.stage, cases[i].stage);
        CU_ASSERT_STRING_EQUAL(script.log, cases[i].log);
        CU_ASSERT_FALSE(call.silent);
        kms_call_end(&call);
        end(&world);
    }
}

/* States are asked about between decision and method, on both lanes; the attempt of an admin call is not
 * recorded then. */
static void the_state_forbids_it(void)
{
    static const struct kms_method rotate = {
        .rpc = "Rotate", .action = KMS_ACT_DISABLE_KEY, .lane = KMS_LANE_ADMIN, FUNCTIONS};
    struct world world;
    struct kms_call call;
    bool attempt = false;
    begin(&world, NULL);
    KMS_OWN_KEY off = world_change(&world, key, false, 0);
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, KEY_DISABLED);
    CU_ASSERT_STRING_EQUAL(script.log, "g");
    kms_call_end(&call);
    off->state = KMS_STATE_PENDING_DELETION;
    world_call(&world, &call, &rotate);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_admin(&call, &attempt), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, INVALID_KEY_STATE);
    CU_ASSERT_FALSE(attempt);
    kms_call_end(&call);
    end(&world);
}

static void a_deadline_ahead_is_none(void)
{
    struct world world;
    struct kms_call call;
    begin(&world, NULL);
    world_call(&world, &call, &crypto);
    call.deadline_us = kms_monotonic_us() + UINT64_C(3600000000);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_HSM);
    kms_call_end(&call);
    end(&world);
}

static void admin_lane(void)
{
    static const struct {
        const struct kms_method *method;
        bool attempt;
    } cases[] = {{&admin, true}, {&look, false}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct world world;
        struct kms_call call;
        bool attempt = false;
        begin(&world, NULL);
        world_call(&world, &call, cases[i].method);
        CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
        CU_ASSERT_STRING_EQUAL(script.log, ""); /* nothing on the rpc thread */
        CU_ASSERT_EQUAL(kms_dispatch_admin(&call, &attempt), KMS_NEXT_ADMIN);
        CU_ASSERT_EQUAL(attempt, cases[i].attempt);
        CU_ASSERT_STRING_EQUAL(script.log, "g");
        CU_ASSERT_EQUAL(call.stage, KMS_STAGE_DECIDE); /* the attempt's record says: decided, not done */
        script.act = KMS_FAIL(CONFLICT);
        kms_dispatch_act(&call);
        CU_ASSERT_STRING_EQUAL(script.log, "ga");
        CU_ASSERT_EQUAL(call.stage, KMS_STAGE_ACT);
        KMS_ASSERT_CODE(call.err, CONFLICT);
        kms_call_end(&call);
        end(&world);
    }
}

static void admin_refused(void)
{
    struct world world;
    struct kms_call call;
    bool attempt = false;
    begin(&world, NULL);
    world_call_of(&world, &call, &admin, "stranger");
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_admin(&call, &attempt), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, ACCESS_DENIED);
    CU_ASSERT_FALSE(attempt);
    kms_call_end(&call);
    end(&world);
}

/* An administrative call may wait for a thread; what its caller gave up meanwhile is not done. */
static void admin_too_late(void)
{
    struct world world;
    struct kms_call call;
    bool attempt = false;
    begin(&world, NULL);
    world_call(&world, &call, &admin);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    call.deadline_us = 1; /* passed in the queue */
    CU_ASSERT_EQUAL(kms_dispatch_admin(&call, &attempt), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, DEADLINE_EXCEEDED);
    CU_ASSERT_FALSE(attempt);
    CU_ASSERT_STRING_EQUAL(script.log, "");
    kms_call_end(&call);
    end(&world);
}

/* Two refusals of a principal in a second are recorded; the third is silent and has another answer. */
static void too_many_refusals(void)
{
    static const char *const who[] = {"stranger", "stranger", "stranger", "other", "app"};
    static const enum kms_code want[] = {KMS_E_ACCESS_DENIED, KMS_E_ACCESS_DENIED, KMS_E_LIMIT_EXCEEDED,
                                         KMS_E_ACCESS_DENIED, KMS_E_OK};
    struct world world;
    begin(&world, NULL);
    kms_identity *keep = NULL; /* a connection that stays: its entry, too */
    for (size_t i = 0; i < KMS_COUNT(who); i++) {
        struct kms_call call;
        world_call_of(&world, &call, &crypto, who[i]);
        if (keep == NULL) keep = kms_identity_ref(call.identity);
        kms_dispatch_begin(&call);
        CU_ASSERT(kms_code_is(call.err, want[i], __FILE__, __LINE__));
        CU_ASSERT_EQUAL(call.silent, want[i] == KMS_E_LIMIT_EXCEEDED);
        if (call.silent) CU_ASSERT_PTR_NULL(strstr(call.why.text, "kms:Encrypt"));
        kms_call_end(&call);
    }
    kms_identity_unref(keep);
    end(&world);
}

/* What fails after policy said yes is always recorded. */
static void failures_of_the_entitled_are_recorded(void)
{
    struct world world;
    begin(&world, NULL);
    script.plan = KMS_FAIL(KEY_DISABLED);
    for (int i = 0; i < 10; i++) {
        struct kms_call call;
        world_call(&world, &call, &crypto);
        CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_FINISH);
        KMS_ASSERT_CODE(call.err, KEY_DISABLED);
        CU_ASSERT_FALSE(call.silent);
        kms_call_end(&call);
    }
    end(&world);
}

static void in_flight(void)
{
    struct world world;
    struct kms_call one, two;
    begin(&world, &(struct kms_authn_options){.in_flight_per_principal = 1});
    world_call(&world, &one, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&one), KMS_NEXT_HSM);
    world_call(&world, &two, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&two), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(two.err, LIMIT_EXCEEDED);
    CU_ASSERT_FALSE(two.admitted);
    kms_call_end(&two);
    kms_call_end(&one);
    world_call(&world, &two, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&two), KMS_NEXT_HSM);
    kms_call_end(&two);
    end(&world);
}

static void the_hsm_failed(void)
{
    struct world world;
    struct kms_call call;
    begin(&world, NULL);
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_HSM);
    call.job.err = KMS_FAIL(INVALID_CIPHERTEXT);
    kms_dispatch_finish(&call);
    KMS_ASSERT_CODE(call.err, INVALID_CIPHERTEXT);
    CU_ASSERT_EQUAL(call.stage, KMS_STAGE_HSM);
    CU_ASSERT_STRING_EQUAL(script.log, "gp");
    kms_call_end(&call);
    end(&world);
}

static void reserving(void)
{
    struct world world;
    struct kms_call call;
    begin(&world, NULL);
    struct kms_budget *budget = key->versions[0].budget;
    script.spends = true;
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_reserve(&call), KMS_NEXT_HSM);
    CU_ASSERT_STRING_EQUAL(script.log, "gpp");
    CU_ASSERT_EQUAL(call.stage, KMS_STAGE_HSM);
    CU_ASSERT_EQUAL(atomic_load(&budget->left), (1LL << KMS_BUDGET_BLOCK_LOG2) - 1);
    CU_ASSERT_EQUAL(atomic_load(&budget->block_log2), KMS_BUDGET_BLOCK_LOG2 + 1);
    atomic_store(&budget->left, -5); /* what was refused was not spent */
    KMS_ASSERT_OK(kms_budget_reserve(&world.core, key, 1, NULL));
    CU_ASSERT_EQUAL(atomic_load(&budget->left), 1LL << (KMS_BUDGET_BLOCK_LOG2 + 1));
    for (int i = 0; i < 10; i++) KMS_ASSERT_OK(kms_budget_reserve(&world.core, key, 1, NULL));
    CU_ASSERT_EQUAL(atomic_load(&budget->block_log2), KMS_BUDGET_BLOCK_LOG2_MAX);
    kms_call_end(&call);
    end(&world);
}

static void nothing_to_reserve(void)
{
    struct world world;
    struct kms_call call;
    uint64_t granted;
    begin(&world, NULL);
    script.spends = true;
    KMS_ASSERT_OK_FATAL(kms_keystore_reserve(
        world.core.store, &(struct kms_reservation){&key->id, 1, KMS_KEY_BUDGET, KMS_KEY_BUDGET, NULL},
        &granted, NULL));
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_reserve(&call), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, KEY_BUDGET_EXHAUSTED);
    CU_ASSERT_STRING_EQUAL(script.log, "gp");
    kms_call_end(&call);
    end(&world);
}

/* Others spend every block before this call gets to it: it gives up, and does not encrypt beyond a block. */
static void starved(void)
{
    struct world world;
    struct kms_call call;
    begin(&world, NULL);
    script.spends = script.always_starved = true;
    world_call(&world, &call, &crypto);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_reserve(&call), KMS_NEXT_FINISH);
    KMS_ASSERT_CODE(call.err, LIMIT_EXCEEDED);
    CU_ASSERT_STRING_EQUAL(script.log, "gpppp");
    kms_call_end(&call);
    end(&world);
}

KMS_TEST_MAIN("service/dispatch", {"crypto lane", crypto_lane}, {"where it ends", where_it_ends},
              {"the state forbids it", the_state_forbids_it},
              {"a deadline ahead is none", a_deadline_ahead_is_none}, {"admin lane", admin_lane},
              {"admin refused", admin_refused}, {"admin too late", admin_too_late},
              {"too many refusals", too_many_refusals},
              {"failures of the entitled are recorded", failures_of_the_entitled_are_recorded},
              {"in flight", in_flight}, {"the HSM failed", the_hsm_failed}, {"reserving", reserving},
              {"nothing to reserve", nothing_to_reserve}, {"starved", starved})
