/* Group commit: no record, no answer; one commit for all that wait; what a broken audit log does to them. */
#include "kmsd/service/finish.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/tally.h"
#include "tests/unit/kmsd/service/answers.h"

static kms_err finish_method(struct kms_call *call)
{
    (void)call;
    return KMS_OK;
}

static const struct kms_method usage = {.service = &kms__v1__crypto_service__descriptor,
                                        .rpc = "Encrypt",
                                        .action = KMS_ACT_ENCRYPT,
                                        .lane = KMS_LANE_CRYPTO,
                                        .finish = finish_method},
                               change = {.service = &kms__v1__key_service__descriptor,
                                         .rpc = "DisableKey",
                                         .action = KMS_ACT_DISABLE_KEY,
                                         .lane = KMS_LANE_ADMIN};

enum { MANY = 1100 }; /* more than one commit takes */
static struct {
    struct world world;
    struct answers answers;
    kms_finish *finish;
    struct tracked calls[MANY];
    sem_t begun, gate;
} rig;

static void begin(void)
{
    struct kms_transport transport;
    kms_log_level_set(KMS_LOG_ERROR);
    broken_audit_reset();
    slow_hsm_open();
    world_open(&rig.world, NULL);
    answers_open(&rig.answers, &transport);
    sem_init(&rig.begun, 0, 0);
    sem_init(&rig.gate, 0, 0);
    KMS_ASSERT_OK_FATAL(kms_finish_start(&rig.world.core, 1, &rig.finish));
    kms_finish_set_transport(rig.finish, &transport);
}

static void end(unsigned calls)
{
    kms_finish_stop(rig.finish);
    CU_ASSERT_EQUAL(rig.answers.unproven, 0);
    for (unsigned i = 0; i < calls; i++) {
        CU_ASSERT_EQUAL(rig.calls[i].released, 1);
        kms_call_end(&rig.calls[i].call);
    }
    world_close(&rig.world);
    slow_hsm_close();
}

/* Call 0 keeps the finish thread busy until the gate opens; what is posted meanwhile is one batch. */
static void close_gate(void)
{
    tracked_begin(&rig.world, &rig.calls[0], &usage, "app");
    rig.calls[0].begun = &rig.begun;
    rig.calls[0].gate = &rig.gate;
    kms_finish_post(rig.finish, &rig.calls[0].call);
    sem_wait(&rig.begun);
}

static void post(unsigned i, enum kms_code err)
{
    tracked_begin(&rig.world, &rig.calls[i], &usage, "app");
    rig.calls[i].call.err.code = err;
    kms_finish_post(rig.finish, &rig.calls[i].call);
}

static void many_calls_one_commit(void)
{
    begin();
    close_gate();
    for (unsigned i = 1; i < 10; i++) post(i, i % 2 ? KMS_E_OK : KMS_E_KEY_DISABLED);
    sem_post(&rig.gate);
    answers_wait(&rig.answers, 10);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.commits), 2);
    CU_ASSERT_EQUAL(rig.answers.releases, 2);
    for (unsigned i = 1; i < 10; i++) {
        const struct broken_audit_record *record = record_of(&rig.calls[i].call, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(record);
        CU_ASSERT(record->commit == 2 &&
                  record == &broken_audit.records[i]); /* in the order of their arrival */
        CU_ASSERT_EQUAL(record->outcome, rig.calls[i].call.err.code);
        CU_ASSERT_EQUAL(rig.calls[i].encoded, 1);
        CU_ASSERT_PTR_NULL(record_of(&rig.calls[i].call, 1));
    }
    end(10);
}

static void more_than_one_commit_takes(void)
{
    begin();
    close_gate();
    for (unsigned i = 1; i < MANY; i++) post(i, KMS_E_OK);
    sem_post(&rig.gate);
    answers_wait(&rig.answers, MANY);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.commits), 3);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), MANY);
    end(MANY);
}

static void a_failed_commit_fails_them_all(void)
{
    uint64_t unanswered = kms_tally_of_calls(&usage, KMS_FAIL(AUDIT_UNAVAILABLE));
    begin();
    close_gate();
    post(1, KMS_E_OK);
    post(2, KMS_E_ACCESS_DENIED);
    tracked_begin(&rig.world, &rig.calls[3], &usage, "app");
    rig.calls[3].call.silent = true;
    rig.calls[3].call.err = KMS_FAIL(LIMIT_EXCEEDED);
    kms_finish_post(rig.finish, &rig.calls[3].call);
    atomic_store(&broken_audit.commit_fails, true);
    sem_post(&rig.gate);
    answers_wait(&rig.answers, 4);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(rig.calls[i].encoded, 2); /* made anew */
        CU_ASSERT_EQUAL(rig.calls[i].last, KMS_E_AUDIT_UNAVAILABLE);
    }
    CU_ASSERT_EQUAL(kms_tally_of_calls(&usage, KMS_FAIL(AUDIT_UNAVAILABLE)), unanswered + 3); /* as told */
    CU_ASSERT_EQUAL(rig.calls[1].first, KMS_E_OK);
    CU_ASSERT_EQUAL(rig.calls[2].first, KMS_E_ACCESS_DENIED);
    CU_ASSERT(rig.calls[3].encoded == 1 && rig.calls[3].last == KMS_E_LIMIT_EXCEEDED); /* says nothing */
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), 0);
    atomic_store(&broken_audit.commit_fails, false); /* and it recovers by itself */
    post(4, KMS_E_OK);
    answers_wait(&rig.answers, 1);
    CU_ASSERT(rig.calls[4].encoded == 1 && rig.calls[4].last == KMS_E_OK);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), 1);
    end(5);
}

static void one_record_that_cannot_be_appended(void)
{
    begin();
    close_gate();
    post(1, KMS_E_OK);
    post(2, KMS_E_OK);
    atomic_store(&broken_audit.append_fails_after, 3); /* call 0 is appended behind the gate */
    sem_post(&rig.gate);
    answers_wait(&rig.answers, 3);
    CU_ASSERT_EQUAL(rig.calls[1].last, KMS_E_OK);
    CU_ASSERT(rig.calls[2].last == KMS_E_AUDIT_UNAVAILABLE && rig.calls[2].encoded == 2);
    CU_ASSERT_PTR_NULL(record_of(&rig.calls[2].call, 0));
    end(3);
}

static void silent_calls_leave_no_record(void)
{
    begin();
    close_gate();
    for (unsigned i = 1; i < 5; i++) {
        tracked_begin(&rig.world, &rig.calls[i], &usage, "app");
        rig.calls[i].call.silent = true;
        rig.calls[i].call.err = KMS_FAIL(LIMIT_EXCEEDED);
        kms_finish_post(rig.finish, &rig.calls[i].call);
    }
    sem_post(&rig.gate);
    answers_wait(&rig.answers, 5);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.appends), 1);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), 1);
    end(5);
}

static void attempts(void)
{
    static const struct {
        bool append_fails, commit_fails;
    } cases[] = {{true, false}, {false, true}, {true, true}, {false, false}};
    begin();
    for (unsigned i = 0; i < KMS_COUNT(cases); i++) {
        struct tracked *t = &rig.calls[i];
        bool ok = !cases[i].append_fails && !cases[i].commit_fails;
        tracked_begin(&rig.world, t, &change, "app");
        t->call.stage = KMS_STAGE_DECIDE;
        atomic_store(&broken_audit.append_fails, cases[i].append_fails);
        atomic_store(&broken_audit.commit_fails, cases[i].commit_fails);
        CU_ASSERT_EQUAL(kms_finish_attempt(rig.finish, &t->call).code,
                        ok ? KMS_E_OK : KMS_E_AUDIT_UNAVAILABLE);
        CU_ASSERT(t->encoded == 0 && t->released == 0 && !t->call.attempt); /* the caller's again */
        const struct broken_audit_record *record = record_of(&t->call, 0);
        CU_ASSERT_EQUAL(record != NULL, ok);
        if (record != NULL) CU_ASSERT_EQUAL(record->kind, KMS_AUDIT_ATTEMPT);
        t->call.stage = ok ? KMS_STAGE_ACT : KMS_STAGE_DECIDE;
        atomic_store(&broken_audit.append_fails, false);
        atomic_store(&broken_audit.commit_fails, false);
        kms_finish_post(rig.finish, &t->call);
        answers_wait(&rig.answers, 1);
        record = record_of(&t->call, ok ? 1 : 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(record);
        CU_ASSERT_EQUAL(record->kind,
                        ok ? KMS_AUDIT_OUTCOME : KMS_AUDIT_CALL); /* no attempt, nothing to close */
    }
    end(KMS_COUNT(cases));
}

static void results_of_the_hsm(void)
{
    static const enum kms_code results[] = {KMS_E_OK, KMS_E_INVALID_CIPHERTEXT};
    begin();
    for (unsigned i = 0; i < KMS_COUNT(results); i++) {
        tracked_begin(&rig.world, &rig.calls[i], &usage, "app");
        kms_finish_submit(rig.finish, 0, &rig.calls[i].call);
        CU_ASSERT_EQUAL(slow_hsm_waiting(), 1);
        slow_hsm_answer((kms_err){results[i]});
        answers_wait(&rig.answers, 1);
        CU_ASSERT(rig.calls[i].encoded == 1 && rig.calls[i].last == results[i]);
        CU_ASSERT_EQUAL(record_of(&rig.calls[i].call, 0)->outcome, results[i]);
    }
    end(KMS_COUNT(results));
}

static void notes(void)
{
    const struct kms_audit_event event = {.kind = KMS_AUDIT_SERVICE, .principal = "kmsd"};
    begin();
    KMS_ASSERT_OK(kms_finish_note(rig.finish, &event));
    CU_ASSERT(atomic_load(&broken_audit.durable) == 1 && broken_audit.records[0].kind == KMS_AUDIT_SERVICE);
    atomic_store(&broken_audit.commit_fails, true);
    KMS_ASSERT_CODE(kms_finish_note(rig.finish, &event), AUDIT_UNAVAILABLE);
    atomic_store(&broken_audit.commit_fails, false);
    atomic_store(&broken_audit.append_fails, true);
    KMS_ASSERT_CODE(kms_finish_note(rig.finish, &event), AUDIT_UNAVAILABLE);
    CU_ASSERT_EQUAL(atomic_load(&broken_audit.durable), 1);
    end(0);
}

/* What was refused silently is counted in a record once its second is over. */
static void summaries(void)
{
    begin();
    tracked_begin(&rig.world, &rig.calls[0], &usage, "flood");
    uint64_t now = kms_now_us();
    unsigned recorded = 0;
    for (int i = 0; i < 7; i++)
        recorded += kms_authn_refused(rig.world.core.authn, rig.calls[0].call.identity, 1, now);
    CU_ASSERT_EQUAL(recorded, 2);
    clock_advance(2000000);
    while (atomic_load(&broken_audit.durable) == 0) usleep(1000);
    CU_ASSERT_EQUAL(broken_audit.records[0].kind, KMS_AUDIT_SUPPRESSED);
    CU_ASSERT_STRING_EQUAL(broken_audit.records[0].principal, "flood");
    CU_ASSERT_EQUAL(broken_audit.records[0].count, 5);
    kms_finish_post(rig.finish, &rig.calls[0].call);
    answers_wait(&rig.answers, 1);
    end(1);
}

KMS_TEST_MAIN("service/finish", {"many calls, one commit", many_calls_one_commit},
              {"more than one commit takes", more_than_one_commit_takes},
              {"a failed commit fails them all", a_failed_commit_fails_them_all},
              {"one record that cannot be appended", one_record_that_cannot_be_appended},
              {"silent calls leave no record", silent_calls_leave_no_record}, {"attempts", attempts},
              {"results of the HSM", results_of_the_hsm}, {"notes", notes}, {"summaries", summaries})
