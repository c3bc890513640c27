/* Workers that die, hang or are killed: the answer is slower, not wrong; only the job to blame fails. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/pool.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;
static struct pool_key keys[2];

enum { JOBS = 64 };
static struct load_job {
    struct kms_hsm_job job;
    uint8_t out[256];
    _Atomic bool ready;
} load[JOBS];
static _Atomic unsigned done_count, failed_count;
static _Atomic int last_code;

static void job_done(struct kms_hsm_job *job)
{
    struct load_job *l = job->user;
    if (kms_failed(job->err)) {
        atomic_fetch_add(&failed_count, 1);
        atomic_store(&last_code, (int)job->err.code);
    }
    atomic_fetch_add(&done_count, 1);
    atomic_store(&l->ready, true);
}

static void submit(struct load_job *l, const struct pool_key *key, const char *aad)
{
    atomic_store(&l->ready, false);
    l->job = (struct kms_hsm_job){.op = KMS_HSM_ENCRYPT,
                                  .key = key->key,
                                  .aad = kms_bytes_text(aad),
                                  .input = kms_bytes_text("plaintext"),
                                  .output = l->out,
                                  .output_cap = sizeof l->out,
                                  .done = job_done,
                                  .user = l};
    kms_hsm_submit(f.hsm, 0, &l->job);
}

static void wait_for(struct load_job *l)
{
    for (unsigned i = 0; i < 6000 && !atomic_load(&l->ready); i++) usleep(10000);
    CU_ASSERT_TRUE_FATAL(atomic_load(&l->ready)); /* a lost job */
}

static void starts(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    f.options.quarantine_ms = 1500;
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 1, KMS_LEVEL_HSM, &keys[0]));
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 2, KMS_LEVEL_SOFTWARE, &keys[1]));
}

static void killed_under_load(void)
{
    enum { ROUNDS = 150, KILL_EACH = 25 };
    unsigned killed = 0;
    pool_wait_healthy(&f, 2);
    done_count = failed_count = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < JOBS; i++) submit(&load[i], &keys[i & 1], "context");
        kms_hsm_flush(f.hsm, 0);
        pid_t pids[8];
        if (round % KILL_EACH == KILL_EACH - 1) {
            size_t count = pool_workers(&f, pids, 8);
            if (count > 0) killed += kill(pids[round % count], SIGKILL) == 0;
        }
        for (unsigned i = 0; i < JOBS; i++) wait_for(&load[i]);
    }
    CU_ASSERT_EQUAL(killed, ROUNDS / KILL_EACH);
    CU_ASSERT_EQUAL(done_count, ROUNDS * JOBS);
    CU_ASSERT_EQUAL(failed_count, 0);
}

/* All workers at once: jobs wait for the replacements. */
static void all_killed_at_once(void)
{
    pid_t pids[8];
    pool_wait_healthy(&f, 2);
    done_count = failed_count = 0;
    for (unsigned i = 0; i < JOBS; i++) submit(&load[i], &keys[i & 1], i < 8 ? "shim:slow" : "context");
    kms_hsm_flush(f.hsm, 0);
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) kill(pids[n], SIGKILL);
    for (unsigned i = 0; i < JOBS; i++) wait_for(&load[i]);
    CU_ASSERT_EQUAL(failed_count, 0);
}

/* `aad` harms every worker that takes it: it fails alone, is quarantined, and is tried again after that. */
static void one_bad_job(const char *aad)
{
    pool_wait_healthy(&f, 2);
    done_count = failed_count = 0;
    for (unsigned i = 0; i < JOBS; i++)
        submit(&load[i], i == 20 ? &keys[0] : &keys[1], i == 20 ? aad : "context");
    kms_hsm_flush(f.hsm, 0);
    for (unsigned i = 0; i < JOBS; i++) wait_for(&load[i]);
    CU_ASSERT_EQUAL(failed_count, 1);
    KMS_ASSERT_CODE(load[20].job.err, HSM_UNAVAILABLE);
    submit(&load[0], &keys[0], "context"); /* this operation on this key is quarantined */
    submit(&load[1], &keys[1], "context");
    kms_hsm_flush(f.hsm, 0);
    wait_for(&load[0]);
    wait_for(&load[1]);
    KMS_ASSERT_CODE(load[0].job.err, HSM_UNAVAILABLE);
    KMS_ASSERT_OK(load[1].job.err);
    usleep(1600000);
    pool_wait_healthy(&f, 2);
    submit(&load[0], &keys[0], "context");
    kms_hsm_flush(f.hsm, 0);
    wait_for(&load[0]);
    KMS_ASSERT_OK(load[0].job.err);
}

static void a_crashing_job_fails_alone(void)
{
    one_bad_job("shim:crash");
}
static void a_hanging_job_fails_alone(void)
{
    one_bad_job("shim:hang");
}

/* Once a token was seen to be slow, two jobs go to two workers: the second is not in the queue of the first,
 * which hangs. */
static void a_slow_token_is_shared(void)
{
    char path[4096];
    struct pool_call call;
    snprintf(path, sizeof path, "%s/shim-delay-us", f.token.dir);
    FILE *delay = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(delay);
    CU_ASSERT(fputs("20000\n", delay) >= 0 && fclose(delay) == 0);
    pool_wait_healthy(&f, 2);
    for (unsigned i = 0; i < 1000 && !atomic_load(&f.hsm->slow); i++)
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[0], "context", kms_bytes_text("x"), &call));
    submit(&load[0], &keys[0], "shim:hang");
    submit(&load[1], &keys[0], "context");
    kms_hsm_flush(f.hsm, 0);
    wait_for(&load[0]);
    wait_for(&load[1]);
    KMS_ASSERT_CODE(load[0].job.err, HSM_UNAVAILABLE);
    KMS_ASSERT_OK(load[1].job.err);
    CU_ASSERT_EQUAL(load[1].job.pool.moves, 0); /* its worker did not die under it */
    unlink(path);
    pool_wait_healthy(&f, 2);
}

static void stopped_workers_are_replaced(void)
{
    pid_t pids[8];
    pool_wait_healthy(&f, 2);
    done_count = failed_count = 0;
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) kill(pids[n], SIGSTOP);
    for (unsigned i = 0; i < JOBS; i++) submit(&load[i], &keys[1], "context");
    kms_hsm_flush(f.hsm, 0);
    for (unsigned i = 0; i < JOBS; i++) wait_for(&load[i]);
    CU_ASSERT_EQUAL(failed_count, 0);
}

static void large_and_small_share_the_socket(void)
{
    static uint8_t big[65536], out[8][66 * 1024];
    pool_wait_healthy(&f, 2);
    done_count = failed_count = 0;
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < JOBS; i++) {
            atomic_store(&load[i].ready, false);
            load[i].job = (struct kms_hsm_job){.op = KMS_HSM_ENCRYPT, .key = keys[1].key, .done = job_done};
            load[i].job.user = &load[i];
            load[i].job.deadline_us = kms_monotonic_us() + 60000000; /* not what is tested */
            load[i].job.input = i < 8 ? kms_bytes_of(big, sizeof big) : kms_bytes_text("x");
            load[i].job.output = i < 8 ? out[i] : load[i].out;
            load[i].job.output_cap = i < 8 ? sizeof out[i] : sizeof load[i].out;
            kms_hsm_submit(f.hsm, 0, &load[i].job);
        }
        kms_hsm_flush(f.hsm, 0);
        for (unsigned i = 0; i < JOBS; i++) wait_for(&load[i]);
    }
    CU_ASSERT_EQUAL(failed_count, 0);
}

static void recovers_after_everything_failed(void)
{
    pid_t pids[8];
    pool_wait_healthy(&f, 2);
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, "000000\n")); /* replacements cannot log in */
    size_t logins = softhsm_logins(&f.token);
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) kill(pids[n], SIGKILL);
    struct pool_call call;
    unsigned tries = 0;
    do {
        usleep(20000);
    } while (
        !kms_is(pool_encrypt(&f, &keys[1], "context", kms_bytes_text("x"), &call), KMS_E_HSM_UNAVAILABLE) &&
        ++tries < 500);
    KMS_ASSERT_CODE(call.job.err, HSM_UNAVAILABLE);
    usleep(700000); /* several restarts */
    CU_ASSERT_EQUAL(softhsm_logins(&f.token), logins + 1);
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, SOFTHSM_PIN "\n"));
    pool_wait_healthy(&f, 1);
    KMS_ASSERT_OK(pool_encrypt(&f, &keys[1], "context", kms_bytes_text("x"), &call));
}

/* A daemon that is killed leaves no worker behind with the token open. */
static void workers_end_with_the_daemon(void)
{
    pid_t pids[8];
    int ready[2];
    char word = 0;
    pool_close(&f);
    CU_ASSERT_EQUAL(pool_workers(&f, pids, 8), 0);
    CU_ASSERT_FATAL(pipe(ready) == 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        bool opened = !kms_failed(pool_open(&f));
        if (opened && write(ready[1], "y", 1) == 1) pause();
        _exit(1);
    }
    close(ready[1]);
    CU_ASSERT_FATAL(daemon > 0 && read(ready[0], &word, 1) == 1);
    close(ready[0]);
    CU_ASSERT_TRUE(pool_workers(&f, pids, 8) >= 1);
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    for (unsigned i = 0; i < 1000 && pool_workers(&f, pids, 8) > 0; i++) usleep(10000);
    CU_ASSERT_EQUAL(pool_workers(&f, pids, 8), 0);
}

KMS_TEST_MAIN("hsm/pool faults", {"starts", starts}, {"killed under load: no failed job", killed_under_load},
              {"all killed at once: no failed job", all_killed_at_once},
              {"a crashing job fails alone", a_crashing_job_fails_alone},
              {"a hanging job fails alone", a_hanging_job_fails_alone},
              {"stopped workers are replaced", stopped_workers_are_replaced},
              {"a slow token is shared", a_slow_token_is_shared},
              {"large and small share the socket", large_and_small_share_the_socket},
              {"recovers after everything failed", recovers_after_everything_failed},
              {"workers end with the daemon", workers_end_with_the_daemon})
