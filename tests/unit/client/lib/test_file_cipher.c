/* A chunk opens in its place, under its key, whole; nowhere else, and nothing of it is left then. */
#include "client/lib/file_cipher.h"

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static const uint8_t key[KMS_FILE_KEY_BYTES] = {1, 2, 3}, other_key[KMS_FILE_KEY_BYTES] = {1, 2, 4};
static const uint8_t text[] = "sixteen bytes, and some more";

enum { SEALED = sizeof text + KMS_FILE_TAG_BYTES };

static void a_chunk_opens_in_its_place_alone(void)
{
    static const struct kms_file_place places[] = {{0, false}, {0, true},    {1, false},
                                                   {1, true},  {256, false}, {UINT64_C(1) << 32, false}};
    kms_file_cipher *cipher = NULL;
    KMS_ASSERT_OK_FATAL(kms_file_cipher_new(key, &cipher));
    for (size_t from = 0; from < KMS_COUNT(places); from++) {
        uint8_t sealed[SEALED];
        KMS_ASSERT_OK(kms_file_seal(cipher, places[from], kms_bytes_of(text, sizeof text), sealed));
        for (size_t at = 0; at < KMS_COUNT(places); at++) {
            uint8_t out[sizeof text], nothing[sizeof text] = {0};
            memset(out, 'x', sizeof out);
            kms_err err = kms_file_unseal(cipher, places[at], kms_bytes_of(sealed, sizeof sealed), out);
            CU_ASSERT_EQUAL(err.code, at == from ? KMS_E_OK : KMS_E_INVALID_CIPHERTEXT);
            CU_ASSERT_EQUAL(memcmp(out, at == from ? text : nothing, sizeof out), 0);
        }
    }
    kms_file_cipher_free(cipher);
}

static void every_bit_counts(void)
{
    const struct kms_file_place place = {7, false};
    kms_file_cipher *cipher = NULL, *other = NULL;
    uint8_t sealed[SEALED], out[sizeof text];
    KMS_ASSERT_OK_FATAL(kms_file_cipher_new(key, &cipher));
    KMS_ASSERT_OK_FATAL(kms_file_cipher_new(other_key, &other));
    KMS_ASSERT_OK(kms_file_seal(cipher, place, kms_bytes_of(text, sizeof text), sealed));
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        KMS_ASSERT_CODE(kms_file_unseal(cipher, place, kms_bytes_of(sealed, sizeof sealed), out),
                        INVALID_CIPHERTEXT);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = KMS_FILE_TAG_BYTES; len < sizeof sealed; len++)
        KMS_ASSERT_CODE(kms_file_unseal(cipher, place, kms_bytes_of(sealed, len), out), INVALID_CIPHERTEXT);
    KMS_ASSERT_CODE(kms_file_unseal(other, place, kms_bytes_of(sealed, sizeof sealed), out),
                    INVALID_CIPHERTEXT);
    KMS_ASSERT_OK(kms_file_unseal(cipher, place, kms_bytes_of(sealed, sizeof sealed), out));
    kms_file_cipher_free(cipher);
    kms_file_cipher_free(other);
    kms_file_cipher_free(NULL);
}

static void without_memory(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_file_cipher *cipher = NULL;
        kms_err err = kms_file_cipher_new(key, &cipher);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        kms_file_cipher_free(cipher);
    }
}

KMS_TEST_MAIN("client/lib/file_cipher",
              {"a chunk opens in its place alone", a_chunk_opens_in_its_place_alone},
              {"every bit counts", every_bit_counts}, {"without memory", without_memory})
