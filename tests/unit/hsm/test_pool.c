/* The operations through real workers: what they give, and what they refuse by name. */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;
static struct pool_key keys[4]; /* two of each level */
static struct pool_call sealed, opened;

static void starts_and_makes_keys(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    for (uint8_t i = 0; i < 4; i++)
        KMS_ASSERT_OK_FATAL(pool_new_key(&f, i, i < 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE, &keys[i]));
}

static void sizes_round_trip(void)
{
    static uint8_t plaintext[KMS_HSM_INPUT_BYTES - 64];
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 65536, sizeof plaintext};
    for (size_t i = 0; i < sizeof plaintext; i++) plaintext[i] = (uint8_t)(i * 7);
    for (size_t k = 0; k < 4; k++) {
        size_t overhead = k < 2 ? KMS_SEAL_OVERHEAD_HSM : KMS_SEAL_OVERHEAD_SOFTWARE;
        for (size_t i = 0; i < KMS_COUNT(sizes); i++) {
            struct kms_bytes in = {plaintext, sizes[i]};
            KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[k], "context", in, &sealed));
            CU_ASSERT_EQUAL(sealed.job.output_len, sizes[i] + overhead);
            struct kms_bytes out = {sealed.out, sealed.job.output_len};
            KMS_ASSERT_OK_FATAL(pool_decrypt(&f, &keys[k].key, "context", out, &opened));
            CU_ASSERT_TRUE(kms_bytes_equal(in, kms_bytes_of(opened.out, opened.job.output_len)));
        }
    }
}

static void forgeries_are_refused(void)
{
    for (size_t k = 0; k < 4; k++) {
        struct kms_bytes in = kms_bytes_text("plaintext");
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[k], "context", in, &sealed));
        struct kms_bytes out = {sealed.out, sealed.job.output_len};
        KMS_ASSERT_CODE(pool_decrypt(&f, &keys[k].key, "other", out, &opened), INVALID_CIPHERTEXT);
        KMS_ASSERT_CODE(pool_decrypt(&f, &keys[k ^ 1].key, "context", out, &opened), INVALID_CIPHERTEXT);
        for (size_t cut = 0; cut < out.len; cut += 5)
            KMS_ASSERT_CODE(pool_decrypt(&f, &keys[k].key, "context", kms_bytes_of(out.ptr, cut), &opened),
                            INVALID_CIPHERTEXT);
        for (size_t at = 0; at < out.len; at += 3) {
            sealed.out[at] ^= 1;
            KMS_ASSERT_CODE(pool_decrypt(&f, &keys[k].key, "context", out, &opened), INVALID_CIPHERTEXT);
            CU_ASSERT_EQUAL(opened.job.output_len, 0);
            sealed.out[at] ^= 1;
        }
        KMS_ASSERT_OK(
            pool_decrypt(&f, &keys[k].key, "context", out, &opened)); /* the token is well after all that */
    }
}

/* A wrapped key serves its own key, version, spec, usage and level, and nothing else: cached or not. */
static void wrapped_keys_do_not_travel(void)
{
    struct kms_bytes in = kms_bytes_text("plaintext");
    for (size_t k = 0; k < 4; k++) {
        for (unsigned change = 0; change < 5; change++) {
            struct pool_key bad = keys[k];
            bad.key.wrapped.ptr = bad.wrapped;
            if (change == 0) bad.key.ref.key_id.bytes[0] ^= 1;
            if (change == 1) bad.key.ref.version++;
            if (change == 2) bad.key.ref.level = k < 2 ? KMS_LEVEL_SOFTWARE : KMS_LEVEL_HSM;
            if (change == 3) bad.wrapped[bad.key.wrapped.len - 1] ^= 1; /* the blob, under a cached binding */
            if (change == 4) bad.wrapped[10] ^= 1;                      /* the binding */
            KMS_ASSERT_CODE(pool_encrypt(&f, &bad, "context", in, &sealed), CORRUPT);
        }
    }
    struct pool_key swapped = keys[0];
    swapped.key.wrapped = keys[1].key.wrapped;
    KMS_ASSERT_CODE(pool_encrypt(&f, &swapped, "context", in, &sealed), CORRUPT);
    swapped.key.wrapped = keys[2].key.wrapped;
    KMS_ASSERT_CODE(pool_encrypt(&f, &swapped, "context", in, &sealed), CORRUPT);
    swapped.key.wrapped = kms_bytes_of("", 0);
    KMS_ASSERT_CODE(pool_encrypt(&f, &swapped, "context", in, &sealed), CORRUPT);
    struct pool_key fresh;
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 9, KMS_LEVEL_SOFTWARE, &fresh));
    fresh.wrapped[fresh.key.wrapped.len - 1] ^= 1; /* the blob, never seen before */
    KMS_ASSERT_CODE(pool_encrypt(&f, &fresh, "context", in, &sealed), CORRUPT);
    fresh.wrapped[fresh.key.wrapped.len - 1] ^= 1;
    fresh.wrapped[4] = 2; /* a root that is not there */
    KMS_ASSERT_CODE(pool_encrypt(&f, &fresh, "context", in, &sealed), ROOT_KEYS_MISSING);
}

static void reencrypt_crosses_levels(void)
{
    for (size_t k = 0; k < 4; k++) {
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &keys[k], "from", kms_bytes_text("plaintext"), &sealed));
        static uint8_t moved[256];
        struct kms_hsm_job job = {.op = KMS_HSM_REENCRYPT,
                                  .key = keys[k].key,
                                  .to = keys[3 - k].key,
                                  .aad = kms_bytes_text("from"),
                                  .to_aad = kms_bytes_text("to"),
                                  .input = {sealed.out, sealed.job.output_len},
                                  .output = moved,
                                  .output_cap = sizeof moved};
        KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
        KMS_ASSERT_OK(pool_decrypt(&f, &keys[3 - k].key, "to", kms_bytes_of(moved, job.output_len), &opened));
        CU_ASSERT_TRUE(
            kms_bytes_equal(kms_bytes_of(opened.out, opened.job.output_len), kms_bytes_text("plaintext")));
        job.aad = kms_bytes_text("wrong");
        KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_CIPHERTEXT);
    }
}

static void data_keys_open_to_themselves(void)
{
    for (size_t k = 0; k < 4; k++) {
        struct kms_hsm_job job = {.op = KMS_HSM_DATA_KEY,
                                  .key = keys[k].key,
                                  .aad = kms_bytes_text("context"),
                                  .count = 64,
                                  .output = sealed.out,
                                  .output_cap = sizeof sealed.out};
        KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
        struct kms_bytes hidden = {sealed.out + 64, job.output_len - 64};
        KMS_ASSERT_OK_FATAL(pool_decrypt(&f, &keys[k].key, "context", hidden, &opened));
        CU_ASSERT_TRUE(opened.job.output_len == 64 && memcmp(opened.out, sealed.out, 64) == 0);
        job.op = KMS_HSM_DATA_KEY_SEALED;
        KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
        hidden = kms_bytes_of(sealed.out, job.output_len);
        KMS_ASSERT_OK(pool_decrypt(&f, &keys[k].key, "context", hidden, &opened));
        CU_ASSERT_EQUAL(opened.job.output_len, 64);
    }
}

static void store_keys_open_only_as_store_keys(void)
{
    uint8_t store[128], key[128], again[128];
    struct kms_hsm_job make = {.op = KMS_HSM_NEW_STORE_KEY,
                               .aad = kms_bytes_text("store"),
                               .output = store,
                               .output_cap = sizeof store};
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &make));
    struct kms_hsm_job open = {.op = KMS_HSM_OPEN_STORE_KEY,
                               .aad = kms_bytes_text("store"),
                               .input = {store, make.output_len},
                               .output = key,
                               .output_cap = sizeof key};
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &open));
    CU_ASSERT_EQUAL(open.output_len, 32);
    open.output = again;
    KMS_ASSERT_OK(kms_hsm_call(f.hsm, &open));
    CU_ASSERT_EQUAL(memcmp(key, again, 32), 0);
    open.aad = kms_bytes_text("other");
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &open), CORRUPT);
    /* A SOFTWARE level backing key is sealed by the same root: it must not open here, whatever the AAD. */
    uint8_t stolen[64] = {0, 0, 0, 1}, aad[27];
    memcpy(stolen + 4, keys[2].key.wrapped.ptr + keys[2].key.wrapped.len - 60, 60);
    memcpy(aad, keys[2].key.ref.key_id.bytes, 16);
    memcpy(aad + 16, "\0\0\0\1\1\1\2\0\0\0\1", 11); /* version, spec, usage, level, root id */
    open.input = kms_bytes_of(stolen, sizeof stolen);
    open.aad = kms_bytes_of(aad, sizeof aad);
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &open), CORRUPT);
}

static void bad_arguments_are_reported(void)
{
    struct kms_hsm_job job = {
        .op = KMS_HSM_RANDOM, .count = 32, .output = sealed.out, .output_cap = sizeof sealed.out};
    KMS_ASSERT_OK(kms_hsm_call(f.hsm, &job));
    CU_ASSERT_EQUAL(job.output_len, 32);
    job.output_cap = 31;
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INTERNAL);
    job.count = 0;
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT);
    job.op = KMS_HSM_OP_COUNT;
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT);
    job = (struct kms_hsm_job){
        .op = KMS_HSM_RANDOM, .count = 32, .deadline_us = 1, .output = sealed.out, .output_cap = 32};
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), DEADLINE_EXCEEDED);
}

static void a_passing_error_is_not_seen(void)
{
    KMS_ASSERT_OK(pool_encrypt(&f, &keys[0], "shim:once", kms_bytes_text("x"), &sealed));
    KMS_ASSERT_CODE(pool_encrypt(&f, &keys[0], "shim:error", kms_bytes_text("x"), &sealed), HSM_UNAVAILABLE);
    KMS_ASSERT_OK(pool_encrypt(&f, &keys[0], "context", kms_bytes_text("x"), &sealed));
}

static void status_tells_what_the_token_can(void)
{
    static const char *const yes[] = {"aes-256-gcm",      "hmac-sha-256",    "random",
                                      "aes-key-wrap-pad", "unwrap-template", "ec-p-256"};
    struct kms_hsm_status status;
    pool_wait_healthy(&f, 2);
    kms_hsm_status(f.hsm, &status);
    CU_ASSERT_TRUE(status.workers_healthy == 2 && status.workers_configured == 2 && status.root_id == 1);
    CU_ASSERT_STRING_EQUAL(status.token_label, "kmsd");
    for (size_t i = 0; i < KMS_COUNT(yes); i++) {
        bool found = false;
        for (unsigned c = 0; c < status.capability_count; c++)
            found |= strcmp(status.capabilities[c].name, yes[i]) == 0 && status.capabilities[c].available;
        CU_ASSERT_TRUE(found);
    }
    struct kms_hsm_job job = {.op = KMS_HSM_STATUS, .output = sealed.out, .output_cap = sizeof sealed.out};
    KMS_ASSERT_OK(kms_hsm_call(f.hsm, &job));
}

/* The worker puts the domain in front: what is signed can be no other text. */
static void heads_of_the_audit_log_are_signed(void)
{
    static const char head[] = "kmsd\n7\nabc\n", domain[] = "kms-audit-head-v1\n";
    static const uint8_t long_one[KMS_HSM_AUDIT_HEAD_BYTES + 1];
    struct kms_hsm_status status;
    struct kms_hsm_job job = {.op = KMS_HSM_AUDIT_SIGN,
                              .input = kms_bytes_text(head),
                              .output = sealed.out,
                              .output_cap = sizeof sealed.out};
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
    kms_hsm_status(f.hsm, &status);
    const unsigned char *der = status.audit_key;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)status.audit_key_len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CU_ASSERT_EQUAL(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    CU_ASSERT_EQUAL(EVP_DigestVerifyUpdate(ctx, domain, sizeof domain - 1), 1);
    CU_ASSERT_EQUAL(EVP_DigestVerifyUpdate(ctx, head, sizeof head - 1), 1);
    CU_ASSERT_EQUAL(EVP_DigestVerifyFinal(ctx, job.output, job.output_len), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    job.input = kms_bytes_of(long_one, sizeof long_one);
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT);
}

/* More keys than the cache holds: each is closed and opened again. */
static void the_cache_turns_over(void)
{
    enum { KEYS = 40 };
    static struct pool_key many[KEYS];
    pool_close(&f);
    f.options.cached_keys = 16;
    f.options.workers = 1;
    KMS_ASSERT_OK_FATAL(pool_open(&f));
    for (uint8_t i = 0; i < KEYS; i++)
        KMS_ASSERT_OK_FATAL(
            pool_new_key(&f, (uint8_t)(100 + i), i % 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE, &many[i]));
    for (unsigned i = 0; i < 3 * KEYS; i++) {
        const struct pool_key *key = &many[i % 3 == 0 ? 0 : i % KEYS];
        KMS_ASSERT_OK(pool_encrypt(&f, key, "context", kms_bytes_text("x"), &sealed));
        KMS_ASSERT_OK(
            pool_decrypt(&f, &key->key, "context", kms_bytes_of(sealed.out, sealed.job.output_len), &opened));
    }
}

static void closes(void)
{
    pid_t pid;
    pool_close(&f);
    CU_ASSERT_EQUAL(pool_workers(&f, &pid, 1), 0);
}

KMS_TEST_MAIN("hsm/pool", {"starts and makes keys", starts_and_makes_keys},
              {"sizes round-trip", sizes_round_trip}, {"forgeries are refused", forgeries_are_refused},
              {"wrapped keys do not travel", wrapped_keys_do_not_travel},
              {"ReEncrypt crosses levels", reencrypt_crosses_levels},
              {"data keys open to themselves", data_keys_open_to_themselves},
              {"store keys open only as store keys", store_keys_open_only_as_store_keys},
              {"bad arguments are reported", bad_arguments_are_reported},
              {"a passing error is not seen", a_passing_error_is_not_seen},
              {"status tells what the token can", status_tells_what_the_token_can},
              {"heads of the audit log are signed", heads_of_the_audit_log_are_signed},
              {"the cache turns over", the_cache_turns_over}, {"closes", closes})
