/* The opened keys of a worker, on a token of its own: what is forgotten is closed. */
#include "base/secret.h"
#include "hsm/worker/worker.h"
#include "tests/harness/softhsm.h"
#include "tests/harness/suite.h"

static struct softhsm files;
static kms_token *token;
static struct kms_roots roots;
static kms_keyring *keyring;

static void opens(void)
{
    const struct kms_pin_mark none = {{0}};
    const struct kms_key_budget budget = {16, 1000};
    struct kms_pin_mark refused;
    struct kms_why why = {{0}};
    CU_ASSERT_FATAL(softhsm_make(kms_temp_dir(), "token", &files));
    KMS_ASSERT_OK_FATAL(kms_token_open(files.uri, &none, &token, &refused, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_make(token, &why));
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    KMS_ASSERT_OK_FATAL(kms_keyring_new(token, &roots, &budget, &keyring));
}

struct made {
    struct kms_hsm_key key;
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
};

static void make(uint8_t number, uint32_t version, uint8_t level, struct made *m)
{
    size_t len;
    m->key.ref =
        (struct kms_key_ref){{{number}}, version, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, level};
    KMS_ASSERT_OK_FATAL(kms_keyring_make(keyring, &m->key.ref, m->wrapped, &len));
    m->key.wrapped = kms_bytes_of(m->wrapped, len);
}

static bool alive(kms_object object)
{
    uint8_t out[64];
    size_t len;
    struct kms_gcm gcm = {.key = object, .input = kms_bytes_text("x")};
    return !kms_failed(kms_token_encrypt(token, &gcm, out, sizeof out, &len));
}

static void forgetting_closes_every_version(void)
{
    static struct made m[4]; /* two versions of key 1, one of key 2, and one of key 1 at the other level */
    const struct kms_open_key *opened;
    kms_object object[4];
    make(1, 1, KMS_LEVEL_HSM, &m[0]);
    make(1, 2, KMS_LEVEL_HSM, &m[1]);
    make(2, 1, KMS_LEVEL_HSM, &m[2]);
    make(1, 3, KMS_LEVEL_SOFTWARE, &m[3]);
    for (size_t i = 0; i < 4; i++) {
        KMS_ASSERT_OK_FATAL(kms_keyring_open(keyring, &m[i].key, &opened));
        object[i] = opened->object;
    }
    CU_ASSERT_TRUE(alive(object[0]) && alive(object[1]) && alive(object[2]));
    kms_keyring_forget(keyring, &m[0].key.ref.key_id);
    CU_ASSERT_FALSE(alive(object[0]) || alive(object[1]));
    CU_ASSERT_TRUE(alive(object[2]));
    for (size_t i = 0; i < 4; i++) KMS_ASSERT_OK(kms_keyring_open(keyring, &m[i].key, &opened));
}

/* Places that became free are used again, and the table keeps its order whatever is forgotten. */
static void places_are_used_again(void)
{
    enum { KEYS = 40 };
    static struct made many[KEYS];
    const struct kms_open_key *opened;
    for (unsigned i = 0; i < KEYS; i++)
        make((uint8_t)(100 + i), 1, i % 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE, &many[i]);
    for (unsigned round = 0; round < 6 * KEYS; round++) {
        unsigned i = round * 7 % KEYS;
        KMS_ASSERT_OK_FATAL(kms_keyring_open(keyring, &many[i].key, &opened));
        CU_ASSERT_EQUAL(opened->level, many[i].key.ref.level);
        CU_ASSERT_TRUE(opened->level == KMS_LEVEL_SOFTWARE || alive(opened->object));
        if (round % 3 == 0) kms_keyring_forget(keyring, &many[(i + round) % KEYS].key.ref.key_id);
    }
}

static void closes(void)
{
    kms_keyring_free(keyring);
    kms_token_free(token);
}

KMS_TEST_MAIN("hsm/worker/keyring", {"opens", opens},
              {"forgetting closes every version", forgetting_closes_every_version},
              {"places are used again", places_are_used_again}, {"closes", closes})
