/* A token that is slow, or does not answer at all: jobs of SOFTWARE level have a worker of their own. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hsm/pool.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

enum { JOBS = 64, SOFT = 3, TRIES = 12000, TRY_US = 5000 };

static struct pool_fixture f;
static struct pool_key in_token, soft[SOFT], mac_key;
static struct load_job {
    struct kms_hsm_job job;
    uint8_t out[66 * 1024];
} load[JOBS], held[8];
static _Atomic unsigned done_count, failed_count, held_done;
static struct pool_call call, opened;
static pid_t others[8]; /* those that do all */
static pid_t apart_pid;

/* ---- files that the shim looks for ---- */

static void path_of(const char *name, char path[300])
{
    snprintf(path, 300, "%s/%s", f.token.dir, name);
}

static void put_file(const char *name, const char *text)
{
    char path[300], fresh[300];
    path_of(name, path);
    path_of("fresh", fresh);
    FILE *file = fopen(fresh, "we");
    CU_ASSERT_FATAL(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    CU_ASSERT_EQUAL_FATAL(rename(fresh, path), 0);
}

static void remove_file(const char *name)
{
    char path[300];
    path_of(name, path);
    unlink(path);
}

static size_t held_count(void)
{
    char path[300];
    struct stat st;
    path_of("shim-held", path);
    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* ---- what is waited for ---- */

#define WAIT_FOR(condition)                                                                                  \
    do {                                                                                                     \
        for (unsigned i = 0; i < TRIES && !(condition); i++) usleep(TRY_US);                                 \
        CU_ASSERT_TRUE_FATAL(condition);                                                                     \
    } while (0)

static struct kms_pool_worker *apart(void)
{
    return &f.hsm->workers[f.hsm->worker_count + KMS_FOR_SOFTWARE - 1];
}

static bool apart_works(void)
{
    return atomic_load(&apart()->state) == KMS_WORKER_HEALTHY;
}

static kms_err soft_call(unsigned i)
{
    return pool_encrypt(&f, &soft[i], "context", kms_bytes_text("plaintext"), &call);
}

static kms_err token_call(void)
{
    return pool_encrypt(&f, &in_token, "context", kms_bytes_text("plaintext"), &call);
}

/* Limits that no machine misses: a token that is slow here takes 20 ms. Changes are seen at once, and nothing
 * is forgotten. */
static void open_pool(void)
{
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    f.hsm->pace.slow_us = f.hsm->pace.fast_us = 20000;
    f.hsm->pace.settle_ms = 0;
    f.hsm->pace.forget_ms = 3600000;
}

/* Jobs in the token until the pool thinks so. */
static void token_becomes(bool slow)
{
    if (slow)
        put_file("shim-delay-us", "20000\n");
    else
        remove_file("shim-delay-us");
    for (unsigned i = 0; i < TRIES && atomic_load(&f.hsm->slow) != slow; i++)
        KMS_ASSERT_OK_FATAL(token_call());
    CU_ASSERT_EQUAL_FATAL(atomic_load(&f.hsm->slow), slow);
}

/* The worker apart is at work, and has the keys open. */
static void goes_apart(void)
{
    token_becomes(true);
    for (unsigned i = 0; i < TRIES && !apart_works(); i++) {
        KMS_ASSERT_OK_FATAL(soft_call(0));
        usleep(TRY_US);
    }
    CU_ASSERT_TRUE_FATAL(apart_works());
    for (unsigned i = 0; i < SOFT; i++) KMS_ASSERT_OK_FATAL(soft_call(i));
    struct kms_hsm_job mac = {.op = KMS_HSM_MAC, .key = mac_key.key, .algorithm = KMS_ALGORITHM_HMAC_SHA_256};
    mac.output = call.out;
    mac.output_cap = sizeof call.out;
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &mac));
}

static void job_done(struct kms_hsm_job *job)
{
    if (kms_failed(job->err)) atomic_fetch_add(&failed_count, 1);
    atomic_fetch_add((_Atomic unsigned *)job->user, 1);
}

static void submit_of(struct load_job *l, enum kms_hsm_op op, const struct pool_key *key,
                      struct kms_bytes input, _Atomic unsigned *count)
{
    l->job = (struct kms_hsm_job){.op = op,
                                  .key = key->key,
                                  .aad = kms_bytes_text("context"),
                                  .input = input,
                                  .count = 32,
                                  .output = l->out,
                                  .output_cap = sizeof l->out,
                                  .done = job_done,
                                  .user = count};
    if (op == KMS_HSM_MAC) l->job.algorithm = KMS_ALGORITHM_HMAC_SHA_256;
    kms_hsm_submit(f.hsm, 0, &l->job);
}

static void submit(struct load_job *l, enum kms_hsm_op op, const struct pool_key *key,
                   _Atomic unsigned *count)
{
    submit_of(l, op, key, kms_bytes_text("plaintext"), count);
}

/* A job of each worker that does all is in the token, which does not answer. */
static void hold_token(void)
{
    const unsigned workers = f.hsm->worker_count;
    size_t before = held_count();
    pool_wait_healthy(&f, workers);
    held_done = failed_count = done_count = 0;
    put_file("shim-hold", "");
    for (unsigned i = 0; i < workers; i++) submit(&held[i], KMS_HSM_ENCRYPT, &in_token, &held_done);
    kms_hsm_flush(f.hsm, 0);
    WAIT_FOR(held_count() == before + workers);
}

static void let_go(void)
{
    CU_ASSERT_EQUAL(held_done, 0); /* it was held all the time */
    remove_file("shim-hold");
    WAIT_FOR(held_done == f.hsm->worker_count);
    CU_ASSERT_EQUAL(failed_count, 0);
}

/* ---- the tests ---- */

static void prepares(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    f.options.deadline_ms = 600000; /* what is held is no hang here */
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    open_pool();
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 1, KMS_LEVEL_HSM, &in_token));
    for (uint8_t i = 0; i < SOFT; i++)
        KMS_ASSERT_OK_FATAL(pool_new_key(&f, 2 + i, KMS_LEVEL_SOFTWARE, &soft[i]));
    const struct kms_key_ref mac = {
        {{9}}, 1, KMS_SPEC_HMAC_256, KMS_USAGE_GENERATE_VERIFY_MAC, KMS_LEVEL_SOFTWARE};
    KMS_ASSERT_OK_FATAL(pool_new_key_of(&f, &mac, &mac_key));
}

/* As long as nobody knows that the token is slow, nothing is started for that. */
static void all_do_all_at_first(void)
{
    pool_wait_healthy(&f, 2);
    for (unsigned i = 0; i < 100; i++) KMS_ASSERT_OK(soft_call(i % SOFT));
    CU_ASSERT_EQUAL(atomic_load(&apart()->state), KMS_WORKER_DOWN);
    CU_ASSERT_FALSE(atomic_load(&apart()->wanted));
    CU_ASSERT_EQUAL(pool_workers(&f, others, 8), 2);
}

/* Of every size and kind, while no worker that does all can do anything. */
static void software_goes_on_while_the_token_is_held(void)
{
    static const uint8_t large[64 * 1024];
    struct kms_hsm_status status;
    goes_apart();
    hold_token();
    for (unsigned round = 1; round <= 4; round++) {
        for (unsigned i = 0; i < JOBS; i++) {
            const bool mac = i % 4 == 3;
            submit_of(&load[i], mac ? KMS_HSM_MAC : KMS_HSM_ENCRYPT, mac ? &mac_key : &soft[i % SOFT],
                      i % 8 == 0 ? kms_bytes_of(large, sizeof large) : kms_bytes_text("plaintext"),
                      &done_count);
        }
        kms_hsm_flush(f.hsm, 0);
        WAIT_FOR(done_count == round * JOBS);
    }
    struct kms_bytes sealed = {load[1].out, load[1].job.output_len};
    KMS_ASSERT_OK(pool_decrypt(&f, &soft[1].key, "context", sealed, &opened));
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_TRUE(status.software_apart);
    CU_ASSERT_EQUAL(status.workers_configured, f.hsm->worker_count); /* that one is not counted */
    CU_ASSERT_EQUAL(status.workers_healthy, f.hsm->worker_count);
    let_go();
}

/* A data key is the token's random bytes, whatever the level of the key that seals it. */
static void a_data_key_is_the_tokens(void)
{
    _Atomic unsigned made = 0;
    hold_token();
    submit(&load[0], KMS_HSM_DATA_KEY, &soft[0], &made);
    submit(&load[1], KMS_HSM_ENCRYPT, &soft[0], &done_count);
    kms_hsm_flush(f.hsm, 0);
    WAIT_FOR(done_count == 1);
    CU_ASSERT_EQUAL(made, 0);
    let_go();
    WAIT_FOR(made == 1);
}

/* What all have to hear, it hears: a key that was open there has to be opened again, by the token. */
static void it_forgets_what_all_forget(void)
{
    KMS_ASSERT_OK(kms_hsm_forget(f.hsm, &soft[0].key.ref.key_id));
    KMS_ASSERT_CODE(soft_call(0), INVALID_KEY_STATE);
    kms_hsm_readmit(f.hsm, &soft[0].key.ref.key_id);
    hold_token();
    size_t before = held_count();
    KMS_ASSERT_OK(soft_call(1));
    submit(&load[0], KMS_HSM_ENCRYPT, &soft[0], &done_count);
    kms_hsm_flush(f.hsm, 0);
    WAIT_FOR(held_count() == before + 1);
    let_go();
    WAIT_FOR(done_count == 1);
    CU_ASSERT_EQUAL(failed_count, 0);
}

/* The one that is not of those that do all. */
static pid_t find_apart(void)
{
    pid_t pids[8], found = 0;
    size_t count = pool_workers(&f, pids, 8);
    CU_ASSERT_EQUAL_FATAL(count, f.hsm->worker_count + 1);
    for (size_t i = 0; i < count; i++) {
        bool other = false;
        for (unsigned k = 0; k < f.hsm->worker_count; k++) other |= pids[i] == others[k];
        if (!other) found = pids[i];
    }
    return found;
}

/* Its jobs go to the others until its successor is there. */
static void its_death_is_not_seen(void)
{
    struct kms_hsm_status status;
    done_count = failed_count = 0;
    pid_t pid = find_apart();
    for (unsigned i = 0; i < JOBS; i++) submit(&load[i], KMS_HSM_ENCRYPT, &soft[i % SOFT], &done_count);
    kill(pid, SIGSTOP);
    kms_hsm_flush(f.hsm, 0);
    kill(pid, SIGKILL);
    WAIT_FOR(done_count == JOBS);
    CU_ASSERT_EQUAL(failed_count, 0);
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_EQUAL(status.workers_healthy, f.hsm->worker_count);
    CU_ASSERT_EQUAL(status.workers_replaced, 1);
    software_goes_on_while_the_token_is_held();
    apart_pid = find_apart();
    CU_ASSERT_NOT_EQUAL(apart_pid, pid);
}

/* While none is there for them alone, they are not bounded as the jobs of the slow token are. */
static void none_waits_for_a_place_apart(void)
{
    struct kms_hsm_status status;
    goes_apart();
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, "000000\n")); /* its successor cannot log in */
    kill(find_apart(), SIGKILL);
    WAIT_FOR(!apart_works());
    hold_token();
    for (unsigned i = 0; i < JOBS; i++) submit(&load[i], KMS_HSM_ENCRYPT, &soft[i % SOFT], &done_count);
    kms_hsm_flush(f.hsm, 0);
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_EQUAL(status.jobs_waiting, 0);
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, SOFTHSM_PIN "\n"));
    let_go();
    WAIT_FOR(done_count == JOBS);
    goes_apart();
    apart_pid = find_apart();
}

/* Nobody can log in any more: what needs the token fails, and keys that are open in software are not shut. */
static void it_works_when_no_other_does(void)
{
    pid_t pids[8];
    goes_apart();
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, "000000\n"));
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;)
        if (pids[n] != apart_pid) kill(pids[n], SIGKILL);
    WAIT_FOR(atomic_load(&f.hsm->down));
    KMS_ASSERT_CODE(token_call(), HSM_UNAVAILABLE);
    for (unsigned i = 0; i < SOFT; i++) KMS_ASSERT_OK(soft_call(i));
    CU_ASSERT_TRUE(softhsm_write_pin(&f.token, SOFTHSM_PIN "\n"));
    pool_wait_healthy(&f, f.hsm->worker_count);
    KMS_ASSERT_OK(token_call());
}

/* The others do such jobs again; this one stays, as it may be needed again. */
static void all_do_all_when_it_is_fast_again(void)
{
    struct kms_hsm_status status;
    goes_apart();
    token_becomes(false);
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_FALSE(status.software_apart);
    kill(apart_pid, SIGSTOP);
    for (unsigned i = 0; i < SOFT; i++) KMS_ASSERT_OK(soft_call(i));
    kill(apart_pid, SIGCONT);
}

/* What nobody has measured for long is not slow any more, and a worker apart is not started again then. */
static void what_is_not_measured_is_forgotten(void)
{
    goes_apart();
    f.hsm->pace.forget_ms = 0;
    WAIT_FOR(!atomic_load(&f.hsm->slow));
    CU_ASSERT_TRUE(apart_works());
    kill(apart_pid, SIGKILL);
    WAIT_FOR(!atomic_load(&apart()->wanted));
    CU_ASSERT_FALSE(apart_works());
    KMS_ASSERT_OK(soft_call(0));
}

static void one_worker_is_enough(void)
{
    pool_close(&f);
    remove_file("shim-delay-us");
    f.options.workers = 1;
    open_pool();
    CU_ASSERT_EQUAL(pool_workers(&f, others, 8), 1);
    software_goes_on_while_the_token_is_held();
    its_death_is_not_seen();
}

static void closes(void)
{
    pid_t pid;
    pool_close(&f);
    CU_ASSERT_EQUAL(pool_workers(&f, &pid, 1), 0);
}

KMS_TEST_MAIN("hsm/pool, a slow token", {"prepares", prepares}, {"all do all at first", all_do_all_at_first},
              {"SOFTWARE goes on while the token is held", software_goes_on_while_the_token_is_held},
              {"a data key is the token's", a_data_key_is_the_tokens},
              {"it forgets what all forget", it_forgets_what_all_forget},
              {"its death is not seen", its_death_is_not_seen},
              {"none waits for a place apart", none_waits_for_a_place_apart},
              {"it works when no other does", it_works_when_no_other_does},
              {"all do all when it is fast again", all_do_all_when_it_is_fast_again},
              {"what is not measured is forgotten", what_is_not_measured_is_forgotten},
              {"one worker is enough", one_worker_is_enough}, {"closes", closes})
