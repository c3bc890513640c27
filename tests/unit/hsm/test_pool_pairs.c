/* Every key spec at every level it has, through real workers: signatures, MACs, RSA encryption, data key
 * pairs. */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/spec.h"
#include "hsm/wrapped.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/pool_fixture.h"

static struct pool_fixture f;
static struct pool_call call, opened;
static const uint8_t message[] = "a message that is signed";

static struct kms_bytes text(void)
{
    return kms_bytes_of(message, sizeof message);
}

static kms_err run(enum kms_hsm_op op, const struct pool_key *key, unsigned algorithm, struct kms_bytes input)
{
    call.job = (struct kms_hsm_job){.op = op,
                                    .key = key->key,
                                    .algorithm = (uint8_t)algorithm,
                                    .input = input,
                                    .output = call.out,
                                    .output_cap = sizeof call.out};
    return kms_hsm_call(f.hsm, &call.job);
}

static kms_err check(enum kms_hsm_op op, const struct pool_key *key, unsigned algorithm,
                     struct kms_bytes input, struct kms_bytes proof)
{
    opened.job = (struct kms_hsm_job){.op = op,
                                      .key = key->key,
                                      .algorithm = (uint8_t)algorithm,
                                      .input = input,
                                      .proof = proof,
                                      .output = opened.out,
                                      .output_cap = sizeof opened.out};
    return kms_hsm_call(f.hsm, &opened.job);
}

static void starts(void)
{
    CU_ASSERT_FATAL(pool_prepare(&f, kms_temp_dir(), "token"));
    f.options.keygen_deadline_ms = 60000; /* under a sanitizer, on a busy machine */
    KMS_ASSERT_OK_FATAL(pool_init(&f));
    KMS_ASSERT_OK_FATAL(pool_open(&f));
}

static void signs_with(const struct pool_key *key, unsigned algorithm)
{
    static uint8_t signature[KMS_HSM_SIGNATURE_BYTES];
    KMS_ASSERT_OK_FATAL(run(KMS_HSM_SIGN, key, algorithm, text()));
    struct kms_bytes made = {signature, call.job.output_len};
    kms_copy(signature, call.out, made.len);
    KMS_ASSERT_OK(check(KMS_HSM_VERIFY, key, algorithm, text(), made));
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY, key, algorithm, kms_bytes_text("another"), made),
                    INVALID_SIGNATURE);
    for (size_t at = 0; at < made.len; at += 7) {
        signature[at] ^= 4;
        KMS_ASSERT_CODE(check(KMS_HSM_VERIFY, key, algorithm, text(), made), INVALID_SIGNATURE);
        signature[at] ^= 4;
    }
    made.len--;
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY, key, algorithm, text(), made), INVALID_SIGNATURE);
    made.len = 0;
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY, key, algorithm, text(), made), INVALID_SIGNATURE);
    KMS_ASSERT_CODE(run(KMS_HSM_MAC, key, algorithm, text()), INVALID_ARGUMENT); /* another operation */
}

/* The digest of a message, signed as a digest, is a signature of the message. */
static void signs_digests_with(const struct pool_key *key, unsigned algorithm)
{
    uint8_t digest[64], signature[KMS_HSM_SIGNATURE_BYTES];
    unsigned len = 0;
    unsigned hash = kms_algorithm_of(algorithm)->hash;
    const EVP_MD *md = hash == 256 ? EVP_sha256() : hash == 384 ? EVP_sha384() : EVP_sha512();
    CU_ASSERT_EQUAL_FATAL(EVP_Digest(message, sizeof message, digest, &len, md, NULL), 1);
    struct kms_hsm_job job = {.op = KMS_HSM_SIGN,
                              .key = key->key,
                              .algorithm = (uint8_t)algorithm,
                              .digested = true,
                              .input = {digest, len},
                              .output = signature,
                              .output_cap = sizeof signature};
    if (algorithm == KMS_ALGORITHM_ED25519_SHA_512) {
        KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT); /* over the message only */
        return;
    }
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
    KMS_ASSERT_OK(check(KMS_HSM_VERIFY, key, algorithm, text(), kms_bytes_of(signature, job.output_len)));
    job.input.len--;
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT); /* not as long as the hash */
}

static void macs_with(const struct pool_key *key, unsigned algorithm)
{
    uint8_t mac[KMS_HSM_MAC_BYTES];
    KMS_ASSERT_OK_FATAL(run(KMS_HSM_MAC, key, algorithm, text()));
    struct kms_bytes made = {mac, call.job.output_len};
    CU_ASSERT_EQUAL(made.len, kms_algorithm_of(algorithm)->hash / 8U);
    kms_copy(mac, call.out, made.len);
    KMS_ASSERT_OK(check(KMS_HSM_VERIFY_MAC, key, algorithm, text(), made));
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY_MAC, key, algorithm, kms_bytes_text("x"), made), INVALID_MAC);
    mac[made.len - 1] ^= 1;
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY_MAC, key, algorithm, text(), made), INVALID_MAC);
    mac[made.len - 1] ^= 1;
    KMS_ASSERT_CODE(check(KMS_HSM_VERIFY_MAC, key, algorithm, text(), kms_bytes_of(mac, made.len - 1)),
                    INVALID_MAC);
}

static void encrypts_with(const struct pool_key *key, unsigned algorithm)
{
    static const uint8_t long_one[KMS_HSM_SIGNATURE_BYTES];
    uint8_t sealed[KMS_HSM_SIGNATURE_BYTES];
    const size_t modulus = kms_spec_of(key->key.ref.spec)->bits / 8U, longest = modulus - 66;
    const size_t sizes[] = {1, 32, longest};
    for (size_t i = 0; i < KMS_COUNT(sizes); i++) {
        struct kms_bytes plain = {long_one, sizes[i]};
        KMS_ASSERT_OK_FATAL(run(KMS_HSM_RSA_ENCRYPT, key, algorithm, plain));
        CU_ASSERT_EQUAL_FATAL(call.job.output_len, modulus);
        kms_copy(sealed, call.out, modulus);
        KMS_ASSERT_OK(run(KMS_HSM_RSA_DECRYPT, key, algorithm, kms_bytes_of(sealed, modulus)));
        CU_ASSERT_TRUE(kms_bytes_equal(plain, kms_bytes_of(call.out, call.job.output_len)));
    }
    KMS_ASSERT_CODE(run(KMS_HSM_RSA_ENCRYPT, key, algorithm, kms_bytes_of(long_one, longest + 1)),
                    INVALID_ARGUMENT);
    for (size_t at = 0; at < modulus; at += modulus / 4 - 1) {
        sealed[at] ^= 0x10;
        KMS_ASSERT_CODE(run(KMS_HSM_RSA_DECRYPT, key, algorithm, kms_bytes_of(sealed, modulus)),
                        INVALID_CIPHERTEXT);
        sealed[at] ^= 0x10;
    }
    KMS_ASSERT_CODE(run(KMS_HSM_RSA_DECRYPT, key, algorithm, kms_bytes_of(sealed, modulus - 1)),
                    INVALID_CIPHERTEXT);
    memset(sealed, 0xff, modulus); /* above the modulus */
    KMS_ASSERT_CODE(run(KMS_HSM_RSA_DECRYPT, key, algorithm, kms_bytes_of(sealed, modulus)),
                    INVALID_CIPHERTEXT);
    memset(sealed, 0, modulus);
    KMS_ASSERT_CODE(run(KMS_HSM_RSA_DECRYPT, key, algorithm, kms_bytes_of(sealed, modulus)),
                    INVALID_CIPHERTEXT);
}

static void public_key_is_bound(const struct pool_key *key, const struct pool_key *other)
{
    KMS_ASSERT_OK_FATAL(run(KMS_HSM_PUBLIC_KEY, key, 0, kms_bytes_of(NULL, 0)));
    struct kms_wrapped mine, theirs;
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(key->key.wrapped, &mine));
    CU_ASSERT_TRUE(kms_bytes_equal(mine.public_key, kms_bytes_of(call.out, call.job.output_len)));
    const unsigned char *at = mine.public_key.ptr;
    EVP_PKEY *read = d2i_PUBKEY(NULL, &at, (long)mine.public_key.len);
    CU_ASSERT_PTR_NOT_NULL(read);
    EVP_PKEY_free(read);
    if (other == NULL) return;
    /* Somebody puts the public key of another key into the keystore: opened already, and never seen. */
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(other->key.wrapped, &theirs));
    static struct pool_key forged;
    struct kms_writer w = kms_writer_over(forged.wrapped, sizeof forged.wrapped);
    mine.public_key = theirs.public_key;
    kms_wrapped_put(&w, &mine);
    forged.key = (struct kms_hsm_key){key->key.ref, {forged.wrapped, (size_t)(w.at - forged.wrapped)}};
    KMS_ASSERT_CODE(run(KMS_HSM_PUBLIC_KEY, &forged, 0, kms_bytes_of(NULL, 0)), CORRUPT);
    forged.key.ref.usage = (uint8_t)(key->key.ref.usage ^ 3);
    KMS_ASSERT_CODE(run(KMS_HSM_SIGN, &forged, KMS_ALGORITHM_RSASSA_PSS_SHA_256, text()), INVALID_ARGUMENT);
}

static void each_algorithm(const struct pool_key *key)
{
    const struct kms_key_ref *ref = &key->key.ref;
    unsigned used = 0;
    for (unsigned algorithm = 0; algorithm < 256; algorithm++) {
        if (!kms_algorithm_fits(algorithm, ref->spec, ref->usage)) {
            KMS_ASSERT_CODE(run(KMS_HSM_SIGN, key, algorithm, text()), INVALID_ARGUMENT);
            continue;
        }
        used++;
        if (ref->usage == KMS_USAGE_GENERATE_VERIFY_MAC) macs_with(key, algorithm);
        if (ref->usage == KMS_USAGE_ENCRYPT_DECRYPT) encrypts_with(key, algorithm);
        if (ref->usage != KMS_USAGE_SIGN_VERIFY) continue;
        signs_with(key, algorithm);
        signs_digests_with(key, algorithm);
    }
    CU_ASSERT_TRUE(used > 0);
}

static const struct {
    uint8_t spec, usage;
} kinds[] = {
    {KMS_SPEC_RSA_2048, KMS_USAGE_ENCRYPT_DECRYPT},     {KMS_SPEC_RSA_2048, KMS_USAGE_SIGN_VERIFY},
    {KMS_SPEC_RSA_3072, KMS_USAGE_ENCRYPT_DECRYPT},     {KMS_SPEC_RSA_3072, KMS_USAGE_SIGN_VERIFY},
    {KMS_SPEC_RSA_4096, KMS_USAGE_ENCRYPT_DECRYPT},     {KMS_SPEC_RSA_4096, KMS_USAGE_SIGN_VERIFY},
    {KMS_SPEC_EC_P256, KMS_USAGE_SIGN_VERIFY},          {KMS_SPEC_EC_P384, KMS_USAGE_SIGN_VERIFY},
    {KMS_SPEC_EC_P521, KMS_USAGE_SIGN_VERIFY},          {KMS_SPEC_ED25519, KMS_USAGE_SIGN_VERIFY},
    {KMS_SPEC_HMAC_256, KMS_USAGE_GENERATE_VERIFY_MAC}, {KMS_SPEC_HMAC_384, KMS_USAGE_GENERATE_VERIFY_MAC},
    {KMS_SPEC_HMAC_512, KMS_USAGE_GENERATE_VERIFY_MAC},
};

static struct pool_key keys[2][KMS_COUNT(kinds)]; /* HSM, SOFTWARE */

/* Under a newer root the key is the same key. */
static void moves(const struct pool_key *key)
{
    static struct pool_key moved;
    struct kms_wrapped before, after;
    struct kms_hsm_job job = {
        .op = KMS_HSM_REWRAP, .key = key->key, .output = moved.wrapped, .output_cap = sizeof moved.wrapped};
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
    moved.key = (struct kms_hsm_key){key->key.ref, {moved.wrapped, job.output_len}};
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(key->key.wrapped, &before));
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(moved.key.wrapped, &after));
    CU_ASSERT_TRUE(before.root_id == 1 && after.root_id == 2);
    CU_ASSERT_TRUE(kms_bytes_equal(before.public_key, after.public_key));
    each_algorithm(&moved);
}

static void every_spec_works(uint8_t level)
{
    const struct pool_key *before = NULL; /* a pair of the same spec */
    struct pool_key *made = keys[level == KMS_LEVEL_HSM ? 0 : 1];
    for (uint8_t i = 0; i < KMS_COUNT(kinds); i++) {
        struct kms_key_ref ref = {{{level, i}}, 1, kinds[i].spec, kinds[i].usage, level};
        kms_err err = pool_new_key_of(&f, &ref, &made[i]);
        if (ref.spec == KMS_SPEC_ED25519 && level == KMS_LEVEL_HSM) {
            KMS_ASSERT_CODE(err, UNSUPPORTED); /* SoftHSM cannot wrap it */
            continue;
        }
        KMS_ASSERT_OK_FATAL(err);
        each_algorithm(&made[i]);
        if (!kms_family_has_public(kms_spec_of(ref.spec)->family)) {
            KMS_ASSERT_CODE(run(KMS_HSM_PUBLIC_KEY, &made[i], 0, text()), INVALID_ARGUMENT);
            continue;
        }
        public_key_is_bound(&made[i], before != NULL && before->key.ref.spec == ref.spec ? before : NULL);
        before = &made[i];
    }
}

static void hsm_level(void)
{
    every_spec_works(KMS_LEVEL_HSM);
}
static void software_level(void)
{
    every_spec_works(KMS_LEVEL_SOFTWARE);
}

static void a_new_root_takes_them_over(void)
{
    KMS_ASSERT_OK_FATAL(kms_hsm_new_root(f.hsm, 2));
    for (size_t level = 0; level < 2; level++)
        for (size_t i = 0; i < KMS_COUNT(kinds); i++)
            if (keys[level][i].key.wrapped.len > 0 && kinds[i].spec != KMS_SPEC_RSA_3072)
                moves(&keys[level][i]);
}

static void usages_are_the_specs_own(void)
{
    struct pool_key key;
    for (uint8_t spec = 0; spec < 20; spec++) {
        for (uint8_t usage = 0; usage < 8; usage++) {
            struct kms_key_ref ref = {{{9}}, 1, spec, usage, KMS_LEVEL_SOFTWARE};
            if (!kms_spec_usage_fits(spec, usage))
                KMS_ASSERT_CODE(pool_new_key_of(&f, &ref, &key), INVALID_ARGUMENT);
        }
    }
}

static void pair_opens(const struct pool_key *key, uint8_t spec)
{
    struct kms_hsm_job job = {.op = KMS_HSM_DATA_KEY_PAIR,
                              .key = key->key,
                              .aad = kms_bytes_text("context"),
                              .pair = spec,
                              .output = call.out,
                              .output_cap = sizeof call.out};
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
    struct kms_reader r = kms_reader_over(kms_bytes_of(call.out, job.output_len));
    struct kms_bytes public_key = kms_get_blob(&r), private_key = kms_get_blob(&r);
    struct kms_bytes sealed = kms_get_view(&r, (size_t)(r.end - r.at));
    CU_ASSERT_FALSE_FATAL(r.short_);
    const unsigned char *at = public_key.ptr, *private_at = private_key.ptr;
    EVP_PKEY *theirs = d2i_PUBKEY(NULL, &at, (long)public_key.len);
    EVP_PKEY *mine = d2i_AutoPrivateKey(NULL, &private_at, (long)private_key.len);
    CU_ASSERT_EQUAL(EVP_PKEY_eq(mine, theirs), 1);
    CU_ASSERT_TRUE(at == public_key.ptr + public_key.len && private_at == private_key.ptr + private_key.len);
    EVP_PKEY_free(mine);
    EVP_PKEY_free(theirs);
    KMS_ASSERT_OK_FATAL(pool_decrypt(&f, &key->key, "context", sealed, &opened));
    CU_ASSERT_TRUE(kms_bytes_equal(private_key, kms_bytes_of(opened.out, opened.job.output_len)));
    job.op = KMS_HSM_DATA_KEY_PAIR_SEALED;
    KMS_ASSERT_OK_FATAL(kms_hsm_call(f.hsm, &job));
    r = kms_reader_over(kms_bytes_of(call.out, job.output_len));
    CU_ASSERT_TRUE(kms_get_blob(&r).len > 0);
    CU_ASSERT_EQUAL(kms_get_blob(&r).len, 0); /* nothing in clear */
    KMS_ASSERT_OK(pool_decrypt(&f, &key->key, "context", kms_get_view(&r, (size_t)(r.end - r.at)), &opened));
}

static void data_key_pairs_open(void)
{
    static struct pool_key sealing[2];
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 40, KMS_LEVEL_HSM, &sealing[0]));
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 41, KMS_LEVEL_SOFTWARE, &sealing[1]));
    for (uint8_t spec = KMS_SPEC_RSA_2048; spec <= KMS_SPEC_ED25519; spec++)
        pair_opens(&sealing[spec % 2], spec);
    struct kms_hsm_job job = {.op = KMS_HSM_DATA_KEY_PAIR,
                              .key = sealing[0].key,
                              .pair = KMS_SPEC_HMAC_256,
                              .output = call.out,
                              .output_cap = sizeof call.out};
    KMS_ASSERT_CODE(kms_hsm_call(f.hsm, &job), INVALID_ARGUMENT);
}

static _Atomic unsigned rsa_done;

static void count_done(struct kms_hsm_job *job)
{
    KMS_ASSERT_OK(job->err);
    rsa_done++;
}

/* With RSA keys under way all the time, no other job waits for one: each takes milliseconds. */
static void making_rsa_keys_delays_nobody(void)
{
    enum { MANY = 6 };
    static struct pool_key made[MANY], key;
    static struct kms_hsm_job jobs[MANY];
    uint64_t longest_us = 0;
    unsigned calls = 0;
    KMS_ASSERT_OK_FATAL(pool_new_key(&f, 50, KMS_LEVEL_HSM, &key));
    rsa_done = 0;
    for (uint8_t i = 0; i < MANY; i++) {
        jobs[i] = (struct kms_hsm_job){.op = KMS_HSM_NEW_KEY,
                                       .key.ref = {{{60, i}},
                                                   1,
                                                   KMS_SPEC_RSA_4096,
                                                   KMS_USAGE_SIGN_VERIFY,
                                                   i % 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE},
                                       .output = made[i].wrapped,
                                       .output_cap = sizeof made[i].wrapped,
                                       .done = count_done};
        kms_hsm_submit(f.hsm, 0, &jobs[i]);
    }
    kms_hsm_flush(f.hsm, 0);
    uint64_t first_us = kms_monotonic_us();
    while (rsa_done < MANY) {
        uint64_t from_us = kms_monotonic_us();
        KMS_ASSERT_OK_FATAL(pool_encrypt(&f, &key, "context", kms_bytes_text("x"), &opened));
        uint64_t took_us = kms_monotonic_us() - from_us;
        if (took_us > longest_us) longest_us = took_us;
        calls++;
    }
    uint64_t each_us = (kms_monotonic_us() - first_us) / MANY;
    printf("%u calls meanwhile, the longest %llu us; an RSA-4096 key %llu us ", calls,
           (unsigned long long)longest_us, (unsigned long long)each_us);
    CU_ASSERT_TRUE(calls > MANY);
    CU_ASSERT_TRUE(longest_us < each_us || longest_us < 200000);
}

/* Killed in the middle of it, the worker that makes RSA keys is replaced, and the key is made. */
static void its_death_is_not_seen(void)
{
    static struct pool_key made;
    pid_t pids[8];
    size_t killed = 0;
    struct kms_hsm_job job = {
        .op = KMS_HSM_NEW_KEY,
        .key.ref = {{{70}}, 1, KMS_SPEC_RSA_4096, KMS_USAGE_SIGN_VERIFY, KMS_LEVEL_SOFTWARE},
        .output = made.wrapped,
        .output_cap = sizeof made.wrapped,
        .done = count_done};
    rsa_done = 0;
    kms_hsm_submit(f.hsm, 0, &job);
    kms_hsm_flush(f.hsm, 0);
    usleep(100000);
    for (size_t n = pool_workers(&f, pids, 8); n-- > 0;) killed += kill(pids[n], SIGKILL) == 0;
    CU_ASSERT_TRUE(killed >= 3); /* two, the one that makes RSA keys, and one apart if the token is slow */
    for (unsigned i = 0; i < 6000 && rsa_done == 0; i++) usleep(10000);
    CU_ASSERT_EQUAL(rsa_done, 1);
    pool_wait_healthy(&f, 2);
}

static void closes(void)
{
    pid_t pid;
    pool_close(&f);
    CU_ASSERT_EQUAL(pool_workers(&f, &pid, 1), 0);
}

KMS_TEST_MAIN("hsm/pool, key pairs and MACs", {"starts", starts}, {"every spec at HSM level", hsm_level},
              {"every spec at SOFTWARE level", software_level},
              {"a new root takes them over", a_new_root_takes_them_over},
              {"usages are the spec's own", usages_are_the_specs_own},
              {"data key pairs open", data_key_pairs_open},
              {"making RSA keys delays nobody", making_rsa_keys_delays_nobody},
              {"its death is not seen", its_death_is_not_seen}, {"closes", closes})
