/*
 * Every call, whatever it does, takes this way: admit -> gather -> decide -> plan -> [HSM] -> finish, or
 * admit -> gather -> decide -> [attempt on record] -> act. Then its outcome goes to the audit log and only
 * after that to the caller (pipeline.c). No method decides or records; none can forget to.
 */
#include "kmsd/service/dispatch.h"

#include "base/clock.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/decide.h"
#include "kmsd/service/grant_token.h"
#include "kmsd/service/stream.h"

/* The stage stands in the record, the time in the metrics. */
static void reach(struct kms_call *call, enum kms_stage stage)
{
    static const enum kms_station stations[] = {
        [KMS_STAGE_RPC] = KMS_STATION_RPC,       [KMS_STAGE_AUTHN] = KMS_STATION_AUTHN,
        [KMS_STAGE_GATHER] = KMS_STATION_GATHER, [KMS_STAGE_DECIDE] = KMS_STATION_DECIDE,
        [KMS_STAGE_PLAN] = KMS_STATION_PLAN,     [KMS_STAGE_HSM] = KMS_STATION_HSM,
        [KMS_STAGE_ACT] = KMS_STATION_ACT,       [KMS_STAGE_FINISH] = KMS_STATION_FINISH,
    };
    call->stage = stage;
    kms_journey_reach(&call->journey, stations[stage]);
}

/* One of too many of its principal leaves a count, not a record. */
static void count_refused(struct kms_call *call)
{
    if (kms_authn_refused(call->core->authn, call->identity, kms_batch_calls(call), call->started_us)) return;
    call->silent = true;
    call->err = kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "too many refused calls of this principal");
}

/* A failed call that never got to work. */
static enum kms_next refuse(struct kms_call *call, kms_err err)
{
    call->err = err;
    if (kms_is(err, KMS_E_SHUTTING_DOWN)) return KMS_NEXT_FINISH; /* not the caller's fault */
    count_refused(call);
    return KMS_NEXT_FINISH;
}

static kms_err check_deadline(const struct kms_call *call)
{
    bool passed = call->deadline_us != 0 && call->deadline_us <= kms_monotonic_us();
    return passed ? KMS_FAIL(DEADLINE_EXCEEDED) : KMS_OK;
}

static kms_err admit(struct kms_call *call)
{
    if (kms_failed(call->err)) return call->err; /* no identity, or not decoded */
    reach(call, KMS_STAGE_AUTHN);
    unsigned calls = kms_batch_calls(call);
    call->passes = true;
    KMS_TRY(kms_authn_enter(call->core->authn, call->identity, calls, call->started_us, &call->why));
    call->passes = false;
    call->admitted = calls;
    return check_deadline(call);
}

static kms_err gather_and_decide(struct kms_call *call)
{
    reach(call, KMS_STAGE_GATHER);
    KMS_TRY(call->method->gather(call));
    KMS_TRY(kms_grant_tokens_check(call));
    if (call->batch == NULL) {
        reach(call, KMS_STAGE_DECIDE);
        return kms_decide(call);
    }
    for (size_t i = 0; i < call->batch->count; i++) {
        struct kms_call *item = &call->batch->items[i];
        item->err = gather_and_decide(item);
    }
    reach(call, KMS_STAGE_DECIDE);
    return kms_batch_check_memory(call);
}

/* Two administrators: who says which revision he has seen does not overwrite what he has not. */
static kms_err check_revision(struct kms_call *call)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(call->request->descriptor, "expected_revision");
    const struct kms_key *key = call->access[0].key;
    if (field == NULL || key == NULL) return KMS_OK;
    const uint64_t *expected = (const void *)((const char *)call->request + field->offset);
    if (*expected == 0 || *expected == key->revision) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(CONFLICT), "key %s is at revision %llu, not %llu", key->id_text,
                         (unsigned long long)key->revision, (unsigned long long)*expected);
}

static kms_err check_states(struct kms_call *call)
{
    for (size_t i = 0; i < call->access_count; i++) {
        const struct kms_access *access = &call->access[i];
        if (access->secret != NULL)
            KMS_TRY(kms_secret_entry_check(access->secret, access->action, &call->why));
        if (access->key == NULL) continue;
        bool ask = call->method->lane == KMS_LANE_ADMIN; /* on the crypto lane the worker finds out */
        enum kms_key_state state = ask ? kms_core_key_state(call->core, access->key, call->started_us)
                                       : kms_key_state_at(access->key, call->started_us);
        KMS_TRY(kms_key_state_check(access->key, state, access->action, &call->why));
    }
    return KMS_OK;
}

static enum kms_next plan_one(struct kms_call *call)
{
    reach(call, KMS_STAGE_PLAN);
    call->spends = NULL;
    call->out_of_budget = false;
    call->err = check_states(call);
    if (!kms_failed(call->err)) call->err = call->method->plan(call);
    if (kms_failed(call->err)) return KMS_NEXT_FINISH;
    if (call->out_of_budget) return KMS_NEXT_ADMIN;
    reach(call, KMS_STAGE_HSM);
    return KMS_NEXT_HSM;
}

/* The batch has nothing (more) for the HSM: its answer. */
static enum kms_next finish_batch(struct kms_call *call)
{
    reach(call, KMS_STAGE_FINISH);
    call->err = call->method->finish(call);
    return KMS_NEXT_FINISH;
}

/* Where a batch goes once its items are planned, starved: but for some that wait for budget. */
static enum kms_next after_plan(struct kms_call *call, bool starved)
{
    call->err = kms_batch_check_memory(call);
    if (kms_failed(call->err)) return KMS_NEXT_FINISH;
    if (starved) return KMS_NEXT_ADMIN;
    if (kms_batch_all_failed(call)) return finish_batch(call);
    reach(call, KMS_STAGE_HSM);
    return KMS_NEXT_HSM;
}

static enum kms_next plan_batch(struct kms_call *call)
{
    bool starved = false;
    reach(call, KMS_STAGE_PLAN);
    for (size_t i = 0; i < call->batch->count; i++) {
        struct kms_call *item = &call->batch->items[i];
        if (!kms_failed(item->err)) starved |= plan_one(item) == KMS_NEXT_ADMIN;
    }
    return after_plan(call, starved);
}

/* A batch of which nothing gets to work is a refused call of so many. */
static enum kms_next plan(struct kms_call *call)
{
    if (call->batch == NULL) return plan_one(call);
    if (!kms_batch_all_failed(call)) return plan_batch(call);
    finish_batch(call);
    call->stage = KMS_STAGE_DECIDE;
    if (!kms_failed(call->err)) count_refused(call);
    return KMS_NEXT_FINISH;
}

enum kms_next kms_dispatch_begin(struct kms_call *call)
{
    kms_err err = admit(call);
    if (kms_failed(err)) return refuse(call, err);
    if (call->method->lane == KMS_LANE_ADMIN) return KMS_NEXT_ADMIN;
    err = gather_and_decide(call);
    if (kms_failed(err)) return refuse(call, err);
    return plan(call);
}

enum kms_next kms_dispatch_admin(struct kms_call *call, bool *ret_attempt)
{
    kms_err err = check_deadline(call); /* the queue may have been long: do nothing that nobody waits for */
    if (!kms_failed(err)) err = gather_and_decide(call);
    if (kms_failed(err)) return refuse(call, err);
    err = check_states(call);
    if (!kms_failed(err)) err = check_revision(call);
    if (kms_failed(err)) {
        call->err = err;
        return KMS_NEXT_FINISH;
    }
    bool streams = call->method->stream != NULL;
    if (streams) err = kms_stream_enter(call);
    if (kms_failed(err)) return refuse(call, err);
    *ret_attempt =
        streams || call->method->changes || kms_action_class_of(call->method->action) == KMS_CLASS_ADMIN;
    return KMS_NEXT_ADMIN;
}

void kms_dispatch_act(struct kms_call *call)
{
    reach(call, KMS_STAGE_ACT);
    call->err = call->method->act(call);
}

/* Small budgets go in small blocks, so that what a crash loses stays a small part of them. */
static unsigned block_log2_of(const struct kms_core *core, struct kms_budget *budget)
{
    unsigned block_log2 = atomic_load(&budget->block_log2);
    while (block_log2 > 0 && UINT64_C(1) << block_log2 > core->key_budget / KMS_BUDGET_LOW) block_log2--;
    return block_log2;
}

kms_err kms_budget_reserve(const struct kms_core *core, const struct kms_key *key, uint32_t version,
                           struct kms_why *why)
{
    struct kms_budget *budget = key->versions[version - 1].budget;
    unsigned block_log2 = block_log2_of(core, budget);
    uint64_t granted, rest;
    KMS_TRY(kms_keystore_reserve(
        core->store,
        &(struct kms_reservation){&key->id, version, UINT64_C(1) << block_log2, core->key_budget, &rest},
        &granted, why));
    if (rest < core->key_budget / KMS_BUDGET_LOW) atomic_store(&budget->low, true);
    atomic_store(&budget->block_log2, block_log2 + (block_log2 < KMS_BUDGET_BLOCK_LOG2_MAX));
    long long left = atomic_load(&budget->left);
    /* What went below zero was refused, not spent: start from zero. */
    while (!atomic_compare_exchange_weak(&budget->left, &left, (left > 0 ? left : 0) + (long long)granted))
        continue;
    return KMS_OK;
}

static enum kms_next reserve_one(struct kms_call *call)
{
    enum { TRIES = 3 }; /* others may spend a fresh block before this call gets to it */
    for (int i = 0; i < TRIES; i++) {
        call->err = kms_budget_reserve(call->core, call->spends->key, call->spends->version, &call->why);
        if (kms_failed(call->err)) return KMS_NEXT_FINISH;
        enum kms_next next = plan_one(call);
        if (next != KMS_NEXT_ADMIN) return next;
    }
    call->err = KMS_FAIL(LIMIT_EXCEEDED);
    return KMS_NEXT_FINISH;
}

enum kms_next kms_dispatch_reserve(struct kms_call *call)
{
    if (call->batch == NULL) return reserve_one(call);
    for (size_t i = 0; i < call->batch->count; i++) {
        struct kms_call *item = &call->batch->items[i];
        if (kms_failed(item->err) || !item->out_of_budget) continue;
        item->err = check_deadline(call);
        if (kms_failed(item->err) || plan_one(item) != KMS_NEXT_ADMIN)
            continue; /* an item before it reserved */
        reserve_one(item);
    }
    return after_plan(call, false);
}

static void finish_one(struct kms_call *call)
{
    call->err = call->job.err;
    if (kms_is(call->err, KMS_E_ROOT_KEYS_MISSING)) /* what DescribeKey calls Unavailable */
        call->err = kms_call_fail(call, KMS_FAIL(KEY_UNAVAILABLE), "kmsctl root status tells what is there");
    if (kms_failed(call->err)) return;
    reach(call, KMS_STAGE_FINISH);
    call->err = call->method->finish(call);
}

void kms_dispatch_finish(struct kms_call *call)
{
    if (call->batch == NULL)
        finish_one(call);
    else
        finish_batch(call);
}
