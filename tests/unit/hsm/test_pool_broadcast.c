/* What all workers hear: a forgotten key is closed everywhere and stays so, whatever they are doing. */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;
static struct pool_key keys[3]; /* the last is of the SOFTWARE level */
static struct pool_call sealed[3], opened;

static void starts(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    pool_wait_healthy(&f, 2);
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t level = i < 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE;
        KMS_ASSERT_OK_FATAL(pool_new_key(&f, (uint8_t)(1 + i), level, &keys[i]));
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[i], "context", kms_bytes_text("plaintext"), &sealed[i]));
    }
}

static kms_err open_again(size_t i)
{
    return pool_decrypt(&f, &keys[i].key, "context", kms_bytes_of(sealed[i].out, sealed[i].job.output_len),
                        &opened);
}

static void forgotten_keys_are_refused_until_readmitted(void)
{
    for (size_t i = 0; i < 3; i += 2) { /* of each level */
        const struct kms_id *id = &keys[i].key.ref.key_id;
        KMS_ASSERT_OK(open_again(i));
        KMS_ASSERT_OK(kms_hsm_forget(f.hsm, id));
        KMS_ASSERT_CODE(open_again(i), INVALID_KEY_STATE);
        KMS_ASSERT_OK(open_again(1)); /* another key */
        static uint8_t out[256];
        struct kms_hsm_job move = {.op = KMS_HSM_REENCRYPT,
                                   .key = keys[1].key,
                                   .to = keys[i].key,
                                   .aad = kms_bytes_text("context"),
                                   .input = {sealed[1].out, sealed[1].job.output_len},
                                   .output = out,
                                   .output_cap = sizeof out};
        KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &move), INVALID_KEY_STATE);
        KMS_ASSERT_OK(kms_hsm_forget(f.hsm, id)); /* again is fine */
        kms_hsm_readmit(f.hsm, id);
        KMS_ASSERT_OK(open_again(i));
    }
    struct kms_hsm_status status;
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_EQUAL(status.workers_replaced, 0);
}

/* More keys than are remembered: those that are remembered are refused, and all can be readmitted. */
static void many_keys_are_forgotten(void)
{
    enum { KEYS = 300 };
    for (unsigned i = 0; i < KEYS; i++) {
        struct kms_id id = {{0x80, (uint8_t)(i >> 8), (uint8_t)i}};
        KMS_ASSERT_OK_FATAL(kms_hsm_forget(f.hsm, &id));
    }
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, &keys[0].key.ref.key_id));
    KMS_ASSERT_CODE(open_again(0), INVALID_KEY_STATE);
    KMS_ASSERT_OK(open_again(1));
    for (unsigned i = 0; i < KEYS; i++)
        kms_hsm_readmit(f.hsm, &(struct kms_id){{0x80, (uint8_t)(i >> 8), (uint8_t)i}});
    kms_hsm_readmit(f.hsm, &keys[0].key.ref.key_id);
    KMS_ASSERT_OK(open_again(0));
}

/* Jobs under way are answered or refused, and none of another key is harmed. */
enum { JOBS = 256 };
static struct kms_hsm_job load[JOBS];
static uint8_t outputs[JOBS][128];
static _Atomic unsigned done_count, refused_count, failed_count;

static void job_done(struct kms_hsm_job *job)
{
    if (kms_is(job->err, KMS_E_INVALID_KEY_STATE) && job->key.ref.key_id.bytes[0] == 1)
        atomic_fetch_add(&refused_count, 1);
    else if (kms_failed(job->err))
        atomic_fetch_add(&failed_count, 1);
    atomic_fetch_add(&done_count, 1);
}

static void submit_load(void)
{
    done_count = refused_count = failed_count = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        load[i] = (struct kms_hsm_job){.op = KMS_HSM_ENCRYPT,
                                       .key = keys[i & 1].key,
                                       .aad = kms_bytes_text(i % 16 == 0 ? "shim:slow" : "context"),
                                       .input = kms_bytes_text("plaintext"),
                                       .output = outputs[i],
                                       .output_cap = sizeof outputs[i],
                                       .done = job_done};
        kms_hsm_submit(f.hsm, 0, &load[i]);
    }
}

static void wait_for_load(void)
{
    for (unsigned i = 0; i < 2000 && done_count < JOBS; i++) usleep(10000);
    CU_ASSERT_EQUAL_FATAL(done_count, JOBS);
    CU_ASSERT_EQUAL(failed_count, 0);
}

static void jobs_under_way(void)
{
    const struct kms_id *id = &keys[0].key.ref.key_id;
    submit_load();
    kms_hsm_flush(f.hsm, 0);
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, id));
    KMS_ASSERT_CODE(open_again(0), INVALID_KEY_STATE);
    wait_for_load();
    kms_hsm_readmit(f.hsm, id);
    submit_load(); /* on the lane already when the key goes, sent after it */
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, id));
    kms_hsm_flush(f.hsm, 0);
    wait_for_load();
    CU_ASSERT_EQUAL(refused_count, JOBS / 2);
    kms_hsm_readmit(f.hsm, id);
    KMS_ASSERT_OK(open_again(0));
}

static bool lives(pid_t pid)
{
    pid_t pids[8];
    bool found = false;
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) found |= pids[n] == pid;
    return found;
}

static void wait_for_end_of(pid_t pid)
{
    for (unsigned i = 0; i < 1000 && lives(pid); i++) usleep(10000);
    CU_ASSERT_FALSE_FATAL(lives(pid));
}

static void silent_workers_are_replaced(void)
{
    pid_t pids[8];
    CU_ASSERT_EQUAL_FATAL(pool_workers(&f, pids, 8), 2);
    kill(pids[0], SIGSTOP);
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, &keys[0].key.ref.key_id));
    wait_for_end_of(pids[0]);
    kms_hsm_readmit(f.hsm, &keys[0].key.ref.key_id);
    pool_wait_healthy(&f, 2);
    KMS_ASSERT_OK(open_again(0));
}

/* A worker that has not said hello may know what was true before: it starts once more. */
static void starting_workers_start_again(void)
{
    pid_t pids[8], left;
    CU_ASSERT_FATAL(pool_workers(&f, pids, 8) == 2);
    left = pids[1];
    kill(pids[0], SIGKILL);
    wait_for_end_of(pids[0]);
    while (pool_workers(&f, pids, 8) < 2) usleep(200);
    pid_t starting = pids[0] == left ? pids[1] : pids[0];
    kill(starting, SIGSTOP); /* before its hello */
    struct kms_hsm_status status;
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_EQUAL_FATAL(status.workers_healthy, 1);
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, &keys[0].key.ref.key_id));
    kill(starting, SIGCONT);
    wait_for_end_of(starting);
    pool_wait_healthy(&f, 2);
    kms_hsm_readmit(f.hsm, &keys[0].key.ref.key_id);
    KMS_ASSERT_OK(open_again(0));
}

static void closes(void)
{
    pool_close(&f);
}

KMS_TEST_MAIN("hsm/pool broadcast", {"starts", starts},
              {"forgotten keys are refused until readmitted", forgotten_keys_are_refused_until_readmitted},
              {"many keys are forgotten", many_keys_are_forgotten}, {"jobs under way", jobs_under_way},
              {"silent workers are replaced", silent_workers_are_replaced},
              {"starting workers start again", starting_workers_start_again}, {"closes", closes})
