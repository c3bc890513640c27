/* Published vectors (tests/vectors/published) through the operations of a worker on a token, at both levels:
 * keys that are known outside are put under the roots as their own would be. */
#include <dirent.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"
#include "hsm/pkcs11/cryptoki.h"
#include "hsm/worker/worker.h"
#include "tests/harness/softhsm.h"
#include "tests/harness/suite.h"

static struct softhsm files;
static struct kms_worker worker;

static void opens(void)
{
    const struct kms_pin_mark none = {{0}};
    const struct kms_key_budget budget = {64, 100000};
    struct kms_pin_mark refused;
    struct kms_why why = {{0}};
    CU_ASSERT_FATAL(softhsm_make(kms_temp_dir(), "token", &files));
    KMS_ASSERT_OK_FATAL(kms_token_open(files.uri, &none, &worker.token, &refused, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_make(worker.token, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_load(worker.token, &worker.roots, &why));
    KMS_ASSERT_OK_FATAL(kms_keyring_new(worker.token, &worker.roots, &budget, &worker.keyring));
    worker.scratch = kms_locked_alloc(KMS_SCRATCH_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(worker.scratch);
}

static size_t bytes_of(const json_t *object, const char *name, uint8_t *to)
{
    const char *hex = json_string_value(json_object_get(object, name));
    size_t len = hex != NULL ? strlen(hex) / 2 : 0;
    CU_ASSERT_FATAL(hex != NULL && len <= KMS_HSM_PROOF_BYTES && kms_unhex(hex, 2 * len, to, len));
    return len;
}

static unsigned number_of(const char *name, const char *(*name_of)(unsigned))
{
    for (unsigned i = 1; i < 32; i++)
        if (name_of(i) != NULL && strcmp(name_of(i), name) == 0) return i;
    CU_FAIL_FATAL("no such name");
    return 0;
}

static const char *spec_name(unsigned i)
{
    return kms_spec_of(i) != NULL ? kms_spec_of(i)->name : NULL;
}

static const char *algorithm_name(unsigned i)
{
    return kms_algorithm_of(i) != NULL ? kms_algorithm_of(i)->name : NULL;
}

/* ---- a key of the token with material from outside ---- */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static kms_object put_object(CK_ATTRIBUTE *attributes, CK_ULONG count)
{
    CK_OBJECT_HANDLE object = 0;
    CU_ASSERT_EQUAL_FATAL(worker.token->fn->C_CreateObject(worker.token->pinned, attributes, count, &object),
                          CKR_OK);
    return object;
}

static kms_object put_secret(struct kms_bytes secret)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &no, sizeof no},       {CKA_EXTRACTABLE, &yes, sizeof yes},
        {CKA_SIGN, &yes, sizeof yes},      {CKA_VALUE, kms_unconst(secret.ptr), secret.len}};
    return put_object(attributes, KMS_COUNT(attributes));
}

static kms_object put_rsa(struct kms_bytes pkcs8)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        const char *param;
    } parts[] = {{CKA_MODULUS, OSSL_PKEY_PARAM_RSA_N},
                 {CKA_PUBLIC_EXPONENT, OSSL_PKEY_PARAM_RSA_E},
                 {CKA_PRIVATE_EXPONENT, OSSL_PKEY_PARAM_RSA_D},
                 {CKA_PRIME_1, OSSL_PKEY_PARAM_RSA_FACTOR1},
                 {CKA_PRIME_2, OSSL_PKEY_PARAM_RSA_FACTOR2},
                 {CKA_EXPONENT_1, OSSL_PKEY_PARAM_RSA_EXPONENT1},
                 {CKA_EXPONENT_2, OSSL_PKEY_PARAM_RSA_EXPONENT2},
                 {CKA_COEFFICIENT, OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    uint8_t numbers[KMS_COUNT(parts)][512];
    CK_ATTRIBUTE attributes[4 + KMS_COUNT(parts)] = {{CKA_CLASS, &class, sizeof class},
                                                     {CKA_KEY_TYPE, &type, sizeof type},
                                                     {CKA_TOKEN, &no, sizeof no},
                                                     {CKA_EXTRACTABLE, &yes, sizeof yes}};
    const unsigned char *at = pkcs8.ptr;
    EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &at, (long)pkcs8.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair);
    for (size_t i = 0; i < KMS_COUNT(parts); i++) {
        BIGNUM *number = NULL;
        CU_ASSERT_EQUAL_FATAL(EVP_PKEY_get_bn_param(pair, parts[i].param, &number), 1);
        int len = BN_bn2bin(number, numbers[i]);
        attributes[4 + i] = (CK_ATTRIBUTE){parts[i].type, numbers[i], (CK_ULONG)len};
        BN_free(number);
    }
    EVP_PKEY_free(pair);
    return put_object(attributes, KMS_COUNT(attributes));
}

/* ---- a wrapped key as a worker would have made it ---- */

struct made {
    struct kms_hsm_key key;
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
};

static void bind(struct made *m, struct kms_wrapped *wrapped)
{
    static uint8_t message[KMS_BINDING_MESSAGE_BYTES];
    const struct kms_root *root = kms_roots_get(&worker.roots, 1);
    struct kms_writer w = kms_writer_over(message, sizeof message);
    wrapped->root_id = 1;
    kms_binding_message(&w, &m->key.ref, wrapped);
    KMS_ASSERT_OK_FATAL(kms_token_hmac(worker.token, root->bind, 256,
                                       kms_bytes_of(message, (size_t)(w.at - message)), wrapped->binding));
    w = kms_writer_over(m->wrapped, sizeof m->wrapped);
    kms_wrapped_put(&w, wrapped);
    CU_ASSERT_FALSE_FATAL(w.overflow);
    m->key.wrapped = kms_bytes_of(m->wrapped, (size_t)(w.at - m->wrapped));
}

/* The secret under root-wrap or root-seal, by level. */
static size_t conceal(const struct kms_key_ref *ref, struct kms_bytes secret, uint8_t *blob)
{
    const struct kms_root *root = kms_roots_get(&worker.roots, 1);
    size_t len = secret.len + KMS_SEALED_OVERHEAD;
    if (ref->level == KMS_LEVEL_SOFTWARE) {
        uint8_t aad[KMS_REF_BYTES];
        struct kms_writer w = kms_writer_over(aad, sizeof aad);
        kms_ref_put(&w, ref, 1);
        const struct kms_sealing sealing = {root->seal, KMS_SEAL_BACKING_KEY, {aad, sizeof aad}};
        KMS_ASSERT_OK_FATAL(kms_seal_key(worker.token, &sealing, secret, blob));
        return len;
    }
    bool mac = kms_spec_of(ref->spec)->family == KMS_FAMILY_HMAC;
    kms_object object = mac ? put_secret(secret) : put_rsa(secret);
    KMS_ASSERT_OK_FATAL(kms_token_wrap(worker.token, root->wrap, object, blob, KMS_HSM_WRAPPED_BYTES, &len));
    kms_token_destroy(worker.token, object);
    return len;
}

/* A key of known material; a key pair's public half is taken from it. */
static void known_key(struct made *m, struct kms_bytes secret)
{
    static uint8_t blob[KMS_HSM_WRAPPED_BYTES], der[KMS_HSM_PUBLIC_BYTES];
    struct kms_wrapped wrapped = {.blob = {blob, conceal(&m->key.ref, secret, blob)}};
    if (kms_family_has_public(kms_spec_of(m->key.ref.spec)->family)) {
        KMS_OWN_PAIR pair = NULL;
        wrapped.public_key.ptr = der;
        KMS_ASSERT_OK_FATAL(kms_pair_from_private(m->key.ref.spec, secret, &pair));
        KMS_ASSERT_OK_FATAL(kms_pair_public_der(pair, der, &wrapped.public_key.len));
    }
    bind(m, &wrapped);
}

/* A key that verifies with that public key; its private half is one of our own, which verifying does not
 * use. */
static void known_public_key(struct made *m, struct kms_bytes public_key)
{
    static struct made own[16][3];
    struct made *mine = &own[m->key.ref.spec][m->key.ref.level];
    struct kms_wrapped wrapped;
    if (mine->key.wrapped.len == 0) {
        size_t len;
        mine->key.ref = m->key.ref;
        KMS_ASSERT_OK_FATAL(kms_keyring_make(worker.keyring, &m->key.ref, mine->wrapped, &len));
        mine->key.wrapped = kms_bytes_of(mine->wrapped, len);
    }
    m->key.ref = mine->key.ref;
    KMS_ASSERT_OK_FATAL(kms_wrapped_get(mine->key.wrapped, &wrapped));
    wrapped.public_key = public_key;
    bind(m, &wrapped);
}

/* ---- the cases ---- */

static uint8_t memory[KMS_HSM_SIGNATURE_BYTES];

/* What the next operations have as label. */
static struct kms_bytes label;

/* *ret_out is what came out, in memory that the next one uses again. */
static kms_err operate(enum kms_hsm_op op, const struct made *m, unsigned algorithm, struct kms_bytes input,
                       struct kms_bytes proof, struct kms_bytes *ret_out)
{
    struct kms_hsm_job job = {.op = op,
                              .key = m->key,
                              .algorithm = (uint8_t)algorithm,
                              .aad = label,
                              .input = input,
                              .proof = proof,
                              .output = memory,
                              .output_cap = sizeof memory};
    CU_ASSERT_TRUE_FATAL(kms_job_valid(&job));
    kms_err err = kms_ops_run(&worker, &job);
    *ret_out = kms_bytes_of(memory, job.output_len);
    return err;
}

static struct {
    unsigned good, bad;
} counted;

static void count(const json_t *vector, bool valid, bool as_said)
{
    *(valid ? &counted.good : &counted.bad) += 1;
    if (!as_said)
        printf("case %d %s\n", (int)json_integer_value(json_object_get(vector, "id")), valid ? "valid" : "");
    CU_ASSERT_TRUE(as_said);
}

/* A ciphertext with a label opens with it alone. */
static void oaep_case(const struct made *m, unsigned algorithm, const json_t *vector, struct kms_bytes text,
                      struct kms_bytes sealed)
{
    static uint8_t given[KMS_HSM_PROOF_BYTES];
    const bool valid = json_is_true(json_object_get(vector, "valid"));
    struct kms_bytes out;
    label = kms_bytes_of(given, 0);
    if (json_object_get(vector, "label") != NULL) {
        label.len = bytes_of(vector, "label", given);
        given[label.len - 1] ^= 1;
        KMS_ASSERT_CODE(operate(KMS_HSM_RSA_DECRYPT, m, algorithm, sealed, (struct kms_bytes){0}, &out),
                        INVALID_CIPHERTEXT);
        given[label.len - 1] ^= 1;
        label.len = 0;
        KMS_ASSERT_CODE(operate(KMS_HSM_RSA_DECRYPT, m, algorithm, sealed, (struct kms_bytes){0}, &out),
                        INVALID_CIPHERTEXT);
        label.len = bytes_of(vector, "label", given);
    }
    kms_err err = operate(KMS_HSM_RSA_DECRYPT, m, algorithm, sealed, (struct kms_bytes){0}, &out);
    bool same = !kms_failed(err) && kms_bytes_equal(text, out);
    label.len = 0;
    count(vector, valid, valid ? same : kms_is(err, KMS_E_INVALID_CIPHERTEXT));
}

static void one_case(const struct made *m, unsigned algorithm, const json_t *vector, bool signs)
{
    static uint8_t message[KMS_HSM_PROOF_BYTES], given[KMS_HSM_PROOF_BYTES];
    const enum kms_key_usage usage = kms_algorithm_of(algorithm)->usage;
    const char *field = usage == KMS_USAGE_SIGN_VERIFY           ? "signature"
                        : usage == KMS_USAGE_GENERATE_VERIFY_MAC ? "mac"
                                                                 : "ciphertext";
    const struct kms_bytes text = {message, bytes_of(vector, "message", message)};
    const struct kms_bytes proof = {given, bytes_of(vector, field, given)}, nothing = {NULL, 0};
    bool valid = json_is_true(json_object_get(vector, "valid"));
    struct kms_bytes out;
    if (usage == KMS_USAGE_ENCRYPT_DECRYPT) {
        oaep_case(m, algorithm, vector, text, proof);
        return;
    }
    bool mac = usage == KMS_USAGE_GENERATE_VERIFY_MAC;
    if (signs || (mac && valid)) {
        KMS_ASSERT_OK(operate(mac ? KMS_HSM_MAC : KMS_HSM_SIGN, m, algorithm, text, nothing, &out));
        CU_ASSERT_TRUE(kms_bytes_equal(proof, out));
    }
    kms_err err = operate(mac ? KMS_HSM_VERIFY_MAC : KMS_HSM_VERIFY, m, algorithm, text, proof, &out);
    kms_err refused = mac ? KMS_FAIL(INVALID_MAC) : KMS_FAIL(INVALID_SIGNATURE);
    count(vector, valid, valid ? !kms_failed(err) : err.code == refused.code);
}

static void one_group(const json_t *group, uint8_t level, uint32_t number)
{
    static uint8_t material[KMS_HSM_PROOF_BYTES];
    static struct made m;
    const unsigned spec = number_of(json_string_value(json_object_get(group, "spec")), spec_name);
    const unsigned algorithm =
        number_of(json_string_value(json_object_get(group, "algorithm")), algorithm_name);
    const bool pair = json_object_get(group, "public_key") != NULL,
               signs = json_object_get(group, "private_key") != NULL;
    m.key.ref = (struct kms_key_ref){
        {{(uint8_t)algorithm}}, number, (uint8_t)spec, (uint8_t)kms_algorithm_of(algorithm)->usage, level};
    if (pair)
        known_public_key(&m, kms_bytes_of(material, bytes_of(group, "public_key", material)));
    else
        known_key(&m, kms_bytes_of(material, bytes_of(group, signs ? "private_key" : "key", material)));
    size_t i;
    json_t *vector;
    json_array_foreach(json_object_get(group, "cases"), i, vector) one_case(&m, algorithm, vector, signs);
}

static bool has_level(const json_t *group, uint8_t level)
{
    const char *spec = json_string_value(json_object_get(group, "spec"));
    return level == KMS_LEVEL_SOFTWARE ||
           strcmp(spec, "ECC_NIST_EDWARDS25519") != 0; /* not wrapped by SoftHSM */
}

static void all(uint8_t level)
{
    struct dirent **names;
    int count_of_files = scandir(KMS_VECTORS "/published", &names, NULL, alphasort), files_read = 0;
    CU_ASSERT_FATAL(count_of_files > 0);
    counted.good = counted.bad = 0;
    for (int n = 0; n < count_of_files; n++) {
        char path[512];
        const char *dot = strrchr(names[n]->d_name, '.');
        snprintf(path, sizeof path, "%s/published/%s", KMS_VECTORS, names[n]->d_name);
        json_t *groups = dot != NULL && strcmp(dot, ".json") == 0 ? json_load_file(path, 0, NULL) : NULL,
               *group;
        size_t i;
        free(names[n]);
        if (groups == NULL) continue;
        files_read++;
        json_array_foreach(groups, i, group) if (has_level(group, level))
            one_group(group, level, (uint32_t)(n * 1000) + (uint32_t)i + 1);
        json_decref(groups);
    }
    free(names);
    printf("%u valid and %u invalid of %d files ", counted.good, counted.bad, files_read);
    CU_ASSERT_TRUE(files_read == 15 && counted.good > 400 && counted.bad > 900);
}

static void at_hsm_level(void)
{
    all(KMS_LEVEL_HSM);
}
static void at_software_level(void)
{
    all(KMS_LEVEL_SOFTWARE);
}

static void closes(void)
{
    kms_keyring_free(worker.keyring);
    kms_locked_free(worker.scratch, KMS_SCRATCH_BYTES);
    kms_token_free(worker.token);
}

KMS_TEST_MAIN("hsm/worker, published vectors", {"opens", opens}, {"at HSM level", at_hsm_level},
              {"at SOFTWARE level", at_software_level}, {"closes", closes})
