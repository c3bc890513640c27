/* A new generation of root keys with real workers: all wrap by it, old keys move, the old one goes. */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;
static struct pool_key keys[2], moved[2]; /* of each level */
static struct pool_call sealed[2], opened;
static uint8_t store_key[128], moved_store_key[128], plain_store_key[128];
static size_t store_key_len, moved_store_key_len;

static kms_err store_key_op(enum kms_hsm_op op, struct kms_bytes input, uint8_t out[128], size_t *ret_len)
{
    struct kms_hsm_job job = {
        .op = op, .aad = kms_bytes_text("store"), .input = input, .output = out, .output_cap = 128};
    kms_err err = kms_hsm_call(f.hsm, &job);
    *ret_len = job.output_len;
    return err;
}

static void starts(void)
{
    size_t len;
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    pool_wait_healthy(&f, 2);
    for (uint8_t i = 0; i < 2; i++) {
        KMS_ASSERT_OK_FATAL(
            pool_new_key(&f, (uint8_t)(1 + i), i == 0 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE, &keys[i]));
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[i], "context", kms_bytes_text("plaintext"), &sealed[i]));
    }
    KMS_ASSERT_OK_FATAL(store_key_op(KMS_HSM_NEW_STORE_KEY, kms_bytes_of("", 0), store_key, &store_key_len));
    KMS_ASSERT_OK_FATAL(
        store_key_op(KMS_HSM_OPEN_STORE_KEY, kms_bytes_of(store_key, store_key_len), plain_store_key, &len));
    CU_ASSERT_EQUAL(kms_hsm_root_of_store_key(kms_bytes_of(store_key, store_key_len)), 1);
}

static void every_worker_opens(const struct pool_key set[2], enum kms_code expected)
{
    for (unsigned i = 0; i < 64; i++) { /* so many that each worker gets some */
        const size_t k = i & 1;
        struct kms_bytes in = {sealed[k].out, sealed[k].job.output_len};
        CU_ASSERT_EQUAL(pool_decrypt(&f, &set[k].key, "context", in, &opened).code, expected);
    }
}

static void expect_roots(unsigned count, uint32_t first, uint32_t newest)
{
    struct kms_hsm_status status;
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_EQUAL(status.root_id, newest);
    CU_ASSERT_EQUAL_FATAL(status.root_count, count);
    CU_ASSERT_TRUE(status.roots[0] == first && status.roots[count - 1] == newest);
    CU_ASSERT_EQUAL(status.workers_healthy, 2);
}

static void a_new_generation_wraps_at_once_in_all_workers(void)
{
    expect_roots(1, 1, 1);
    KMS_ASSERT_CODE(kms_hsm_new_root(f.hsm, 3), INVALID_ARGUMENT);
    KMS_ASSERT_OK_FATAL(kms_hsm_new_root(f.hsm, 2));
    KMS_ASSERT_OK_FATAL(kms_hsm_new_root(f.hsm, 2)); /* repeated: the same one */
    expect_roots(2, 1, 2);
    for (uint8_t i = 0; i < 32; i++) {
        struct pool_key fresh;
        KMS_ASSERT_OK_FATAL(
            pool_new_key(&f, (uint8_t)(50 + i), i & 1 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE, &fresh));
        CU_ASSERT_EQUAL(kms_hsm_root_of(fresh.key.wrapped), 2);
    }
    every_worker_opens(keys, KMS_E_OK);
}

static kms_err rewrap(const struct kms_hsm_key *key, struct pool_key *to)
{
    struct kms_hsm_job job = {
        .op = KMS_HSM_REWRAP, .key = *key, .output = to->wrapped, .output_cap = sizeof to->wrapped};
    KMS_TRY(kms_hsm_call(f.hsm, &job));
    to->key = (struct kms_hsm_key){key->ref, {to->wrapped, job.output_len}};
    return KMS_OK;
}

static void keys_move_inside(void)
{
    for (size_t i = 0; i < 2; i++) {
        KMS_ASSERT_OK_FATAL(rewrap(&keys[i].key, &moved[i]));
        CU_ASSERT_EQUAL(kms_hsm_root_of(moved[i].key.wrapped), 2);
        struct pool_key again;
        KMS_ASSERT_OK_FATAL(rewrap(&moved[i].key, &again)); /* of the newest: fine */
        CU_ASSERT_EQUAL(kms_hsm_root_of(again.key.wrapped), 2);
    }
    every_worker_opens(moved, KMS_E_OK);
    every_worker_opens(keys, KMS_E_OK);
}

/* Re-wrapping is not a way round the binding. */
static void what_is_not_bound_does_not_move(void)
{
    for (size_t i = 0; i < 2; i++) {
        struct pool_key to, bad = keys[i];
        bad.key.wrapped.ptr = bad.wrapped;
        bad.key.ref.version++;
        KMS_ASSERT_CODE(rewrap(&bad.key, &to), CORRUPT);
        bad.key.ref = keys[i].key.ref;
        bad.key.ref.level ^= 3;
        KMS_ASSERT_CODE(rewrap(&bad.key, &to), CORRUPT);
        bad.key.ref = keys[i].key.ref;
        bad.wrapped[bad.key.wrapped.len - 1] ^= 1;
        KMS_ASSERT_CODE(rewrap(&bad.key, &to), CORRUPT);
        bad.key.wrapped = keys[1 - i].key.wrapped;
        KMS_ASSERT_CODE(rewrap(&bad.key, &to), CORRUPT);
    }
}

static void the_store_key_moves(void)
{
    uint8_t plain[128];
    size_t len;
    KMS_ASSERT_OK_FATAL(store_key_op(KMS_HSM_REWRAP_STORE_KEY, kms_bytes_of(store_key, store_key_len),
                                     moved_store_key, &moved_store_key_len));
    struct kms_bytes in = {moved_store_key, moved_store_key_len};
    CU_ASSERT_EQUAL(kms_hsm_root_of_store_key(in), 2);
    KMS_ASSERT_OK_FATAL(store_key_op(KMS_HSM_OPEN_STORE_KEY, in, plain, &len));
    CU_ASSERT_TRUE(len == 32 && memcmp(plain, plain_store_key, 32) == 0);
    moved_store_key[moved_store_key_len - 1] ^= 1;
    KMS_ASSERT_CODE(store_key_op(KMS_HSM_REWRAP_STORE_KEY, in, plain, &len), CORRUPT);
    moved_store_key[moved_store_key_len - 1] ^= 1;
}

static void the_old_generation_goes(void)
{
    size_t len;
    KMS_ASSERT_CODE(kms_hsm_destroy_root(f.hsm, 2), INVALID_ARGUMENT);
    every_worker_opens(keys, KMS_E_OK); /* open in each worker, until the root goes */
    KMS_ASSERT_OK_FATAL(kms_hsm_destroy_root(f.hsm, 1));
    KMS_ASSERT_OK_FATAL(kms_hsm_destroy_root(f.hsm, 1));
    expect_roots(1, 2, 2);
    every_worker_opens(keys, KMS_E_ROOT_KEYS_MISSING);
    every_worker_opens(moved, KMS_E_OK);
    KMS_ASSERT_CODE(
        store_key_op(KMS_HSM_OPEN_STORE_KEY, kms_bytes_of(store_key, store_key_len), plain_store_key, &len),
        ROOT_KEYS_MISSING);
    pool_close(&f);
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    pool_wait_healthy(&f, 2);
    expect_roots(1, 2, 2);
    every_worker_opens(moved, KMS_E_OK);
}

/* Jobs run on while a worker that does not know the new generation meets a key under it. */
static _Atomic bool stop_load;
static _Atomic unsigned load_count, load_failures;

static void *run_load(void *arg)
{
    static struct pool_call call;
    (void)arg;
    while (!stop_load) {
        struct kms_bytes in = {sealed[0].out, sealed[0].job.output_len};
        if (kms_failed(pool_decrypt(&f, &moved[0].key, "context", in, &call))) load_failures++;
        load_count++;
    }
    return NULL;
}

static void rotations_do_not_disturb(void)
{
    pthread_t thread;
    stop_load = false;
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, run_load, NULL) == 0);
    for (uint32_t n = 3; n <= 6; n++) {
        struct pool_key to;
        KMS_ASSERT_OK(kms_hsm_new_root(f.hsm, n));
        KMS_ASSERT_OK(rewrap(&moved[1].key, &to));
        CU_ASSERT_EQUAL(kms_hsm_root_of(to.key.wrapped), n);
    }
    stop_load = true;
    pthread_join(thread, NULL);
    CU_ASSERT_TRUE(load_count > 0);
    CU_ASSERT_EQUAL(load_failures, 0);
    expect_roots(5, 2, 6);
}

/* The worker that makes or destroys a generation dies: another one does it, once. */
static void deaths_do_not_make_two(void)
{
    for (unsigned round = 0; round < 4; round++) {
        pid_t pids[8];
        struct kms_hsm_status status;
        pool_wait_healthy(&f, 2);
        kms_hsm_status(f.hsm, &status);
        for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) kill(pids[n], SIGKILL);
        KMS_ASSERT_OK(kms_hsm_new_root(f.hsm, status.root_id + 1));
        pool_wait_healthy(&f, 2);
        expect_roots(status.root_count + 1, 2, status.root_id + 1);
    }
    every_worker_opens(moved, KMS_E_OK);
}

static void closes(void)
{
    pool_close(&f);
}

KMS_TEST_MAIN("hsm/pool roots", {"starts", starts},
              {"a new generation wraps at once in all workers",
               a_new_generation_wraps_at_once_in_all_workers},
              {"keys move inside", keys_move_inside},
              {"what is not bound does not move", what_is_not_bound_does_not_move},
              {"the store key moves", the_store_key_moves},
              {"the old generation goes", the_old_generation_goes},
              {"rotations do not disturb", rotations_do_not_disturb},
              {"deaths do not make two", deaths_do_not_make_two}, {"closes", closes})
