/* The owner's side and the worker's of an import. */
#include "tests/unit/hsm/worker/import_fixture.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "base/secret.h"
#include "hsm/pkcs11/cryptoki.h"
#include "tests/harness/softhsm.h"
#include "tests/harness/suite.h"

static struct softhsm files;
struct kms_worker import_worker;
static struct kms_hsm_key wrapping; /* the service's key, and its public half */
static uint8_t wrapping_memory[KMS_HSM_WRAPPED_BYTES];
static EVP_PKEY *wrapping_public;

/* As a probe would have found; SoftHSM leaks in one of its trials. */
static void is_able(struct kms_hsm_status *status)
{
    static const char *const names[] = {"aes-256-gcm", "aes-key-wrap-pad", "unwrap-template", "ecdsa-p-256",
                                        "ecdsa-p-384", "ecdsa-p-521",      "rsa-sign",        "rsa-x-509",
                                        "mac-sha-256", "mac-sha-384",      "mac-sha-512",     "import"};
    for (size_t i = 0; i < KMS_COUNT(names); i++) {
        struct kms_hsm_capability *c = &status->capabilities[status->capability_count++];
        c->available = true;
        strcpy(c->name, names[i]);
    }
}

static kms_err fill_ivs(void *token, uint8_t *to, size_t len)
{
    return kms_token_random(token, to, len);
}

void import_opens(void)
{
    const struct kms_pin_mark none = {{0}};
    const struct kms_key_budget budget = {64, 100000};
    struct kms_pin_mark refused;
    struct kms_why why = {{0}};
    struct kms_wrapped made;
    size_t len;
    CU_ASSERT_FATAL(softhsm_make(kms_temp_dir(), "token", &files));
    KMS_ASSERT_OK_FATAL(kms_token_open(files.uri, &none, &import_worker.token, &refused, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_make(import_worker.token, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_load(import_worker.token, &import_worker.roots, &why));
    KMS_ASSERT_OK_FATAL(
        kms_keyring_new(import_worker.token, &import_worker.roots, &budget, &import_worker.keyring));
    KMS_ASSERT_OK_FATAL(kms_software_new(&import_worker.software));
    is_able(&import_worker.hello.status);
    import_worker.ivs.fill = fill_ivs;
    import_worker.scratch = kms_locked_alloc(KMS_SCRATCH_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(import_worker.scratch);
    wrapping.ref =
        (struct kms_key_ref){{{9}}, 1, KMS_SPEC_RSA_4096, KMS_USAGE_ENCRYPT_DECRYPT, KMS_LEVEL_SOFTWARE};
    KMS_ASSERT_OK_FATAL(kms_keyring_make(import_worker.keyring, &wrapping.ref, wrapping_memory, &len));
    wrapping.wrapped = kms_bytes_of(wrapping_memory, len);
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(wrapping.wrapped, &made));
    KMS_ASSERT_OK_FATAL(kms_pair_from_public(KMS_SPEC_RSA_4096, made.public_key, &wrapping_public));
}

/* ---- the owner's side ---- */

static void oaep(struct kms_bytes data, uint8_t *out)
{
    size_t len = IMPORT_MODULUS;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(wrapping_public, NULL);
    CU_ASSERT_FATAL(EVP_PKEY_encrypt_init(ctx) == 1 &&
                    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
                    EVP_PKEY_encrypt(ctx, out, &len, data.ptr, data.len) == 1 && len == IMPORT_MODULUS);
    EVP_PKEY_CTX_free(ctx);
}

/* RSA-AES-KWP, or bare OAEP. */
struct kms_bytes import_wrap(struct kms_bytes material, bool direct, uint8_t out[IMPORT_INPUT_BYTES])
{
    uint8_t aes[IMPORT_AES_BYTES];
    int len = 0;
    if (direct) {
        oaep(material, out);
        return kms_bytes_of(out, IMPORT_MODULUS);
    }
    CU_ASSERT_EQUAL_FATAL(RAND_bytes(aes, sizeof aes), 1);
    oaep(kms_bytes_of(aes, sizeof aes), out);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    CU_ASSERT_FATAL(EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, aes, NULL) == 1 &&
                    EVP_EncryptUpdate(ctx, out + IMPORT_MODULUS, &len, material.ptr, (int)material.len) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return kms_bytes_of(out, IMPORT_MODULUS + (size_t)len);
}

static EVP_PKEY *generate(const char *type, const OSSL_PARAM *params)
{
    EVP_PKEY *pair = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    CU_ASSERT_FATAL(EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1 &&
                    EVP_PKEY_generate(ctx, &pair) == 1);
    EVP_PKEY_CTX_free(ctx);
    return pair;
}

EVP_PKEY *import_generate_ec(const char *curve)
{
    char name[32];
    snprintf(name, sizeof name, "%s", curve);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
                                 OSSL_PARAM_construct_end()};
    return generate("EC", params);
}

EVP_PKEY *import_generate_rsa(const char *type, unsigned bits, unsigned exponent, unsigned primes)
{
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_BITS, &bits),
                                 OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_E, &exponent),
                                 OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_PRIMES, &primes),
                                 OSSL_PARAM_construct_end()};
    return generate(type, params);
}

/* One of each is enough for the whole program. */
EVP_PKEY *import_pair_of(unsigned spec)
{
    static EVP_PKEY *pairs[16];
    if (pairs[spec] == NULL) KMS_ASSERT_OK_FATAL(kms_pair_generate(spec, &pairs[spec]));
    return pairs[spec];
}

struct kms_bytes import_written(EVP_PKEY *pair, uint8_t der[KMS_HSM_PRIVATE_BYTES])
{
    size_t len;
    KMS_ASSERT_OK_FATAL(kms_pair_private_der(pair, der, KMS_HSM_PRIVATE_BYTES, &len));
    return kms_bytes_of(der, len);
}

/* ---- the worker's ---- */

struct kms_key_ref import_ref_of(unsigned spec, uint8_t level)
{
    struct kms_key_ref ref = {{{(uint8_t)spec}}, 1, (uint8_t)spec, 0, level};
    for (unsigned usage = 1; usage < 8; usage++)
        if (kms_spec_usage_fits(spec, usage)) ref.usage = (uint8_t)usage; /* RSA: SIGN_VERIFY */
    return ref;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    uint8_t all = 0;
    for (size_t i = 0; i < len; i++) all |= p[i];
    return all == 0;
}

static size_t objects(void)
{
    CK_FUNCTION_LIST *fn = import_worker.token->fn;
    CK_OBJECT_HANDLE found[512];
    CK_ULONG count = 0;
    CU_ASSERT_FATAL(fn->C_FindObjectsInit(import_worker.token->pinned, NULL, 0) == CKR_OK &&
                    fn->C_FindObjects(import_worker.token->pinned, found, KMS_COUNT(found), &count) ==
                        CKR_OK &&
                    fn->C_FindObjectsFinal(import_worker.token->pinned) == CKR_OK);
    return count;
}

/* Nothing of it stays behind: neither in the memory of the worker nor on the token. */
kms_err import_input(struct kms_key_ref ref, struct kms_bytes input, struct imported *t)
{
    struct kms_hsm_job job = {.op = KMS_HSM_IMPORT,
                              .key = wrapping,
                              .to.ref = ref,
                              .input = input,
                              .output = t->output,
                              .output_cap = sizeof t->output};
    const struct kms_open_key *opened;
    CU_ASSERT_TRUE_FATAL(kms_job_valid(&job));
    CU_ASSERT_EQUAL_FATAL(kms_hsm_output_bound(&job), sizeof t->output);
    KMS_ASSERT_OK_FATAL(kms_keyring_open(import_worker.keyring, &wrapping, &opened));
    const size_t before = objects();
    kms_err err = kms_ops_run(&import_worker, &job);
    CU_ASSERT_EQUAL(objects(), before);
    CU_ASSERT_TRUE(is_zero(import_worker.scratch, KMS_SCRATCH_BYTES));
    t->key = (struct kms_hsm_key){ref, {t->output + KMS_HSM_MARK_BYTES, 0}};
    if (!kms_failed(err)) t->key.wrapped.len = job.output_len - KMS_HSM_MARK_BYTES;
    return err;
}

kms_err import_material(struct kms_key_ref ref, struct kms_bytes material, bool direct, struct imported *t)
{
    static uint8_t input[IMPORT_INPUT_BYTES];
    return import_input(ref, import_wrap(material, direct, input), t);
}

struct kms_bytes import_operate(enum kms_hsm_op op, const struct imported *t, unsigned algorithm,
                                struct kms_bytes input)
{
    static uint8_t memory[1024];
    struct kms_hsm_job job = {.op = op,
                              .key = t->key,
                              .algorithm = (uint8_t)algorithm,
                              .input = input,
                              .output = memory,
                              .output_cap = sizeof memory};
    CU_ASSERT_TRUE_FATAL(kms_job_valid(&job));
    KMS_ASSERT_OK_FATAL(kms_ops_run(&import_worker, &job));
    return kms_bytes_of(memory, job.output_len);
}

/* An object of the token is as closed as that of a key that was made there. */
void import_is_closed(const struct imported *t)
{
    const struct kms_open_key *opened;
    KMS_ASSERT_OK_FATAL(kms_keyring_open(import_worker.keyring, &t->key, &opened));
    if (t->key.ref.level == KMS_LEVEL_HSM)
        KMS_ASSERT_OK(kms_token_check_unreadable(import_worker.token, opened->object));
    CU_ASSERT_EQUAL(opened->object != 0, t->key.ref.level == KMS_LEVEL_HSM);
}

void import_closes(void)
{
    EVP_PKEY_free(wrapping_public);
    kms_keyring_free(import_worker.keyring);
    kms_software_free(import_worker.software);
    kms_locked_free(import_worker.scratch, KMS_SCRATCH_BYTES);
    kms_token_free(import_worker.token);
}
