/* SOFTWARE level against the written format: key, nonce and layout computed here from the standards' text
 * alone. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "hsm/worker/worker.h"
#include "tests/harness/suite.h"

static const uint8_t backing_key[32] = {1, 2, 3};
static const uint8_t plaintext[] = "the plaintext", aad[] = "header and context";

static bool open_by_hand(const uint8_t *sealed, size_t len, uint8_t *out)
{
    uint8_t message[4 + 19 + 1 + 16 + 4] = {0, 0, 0, 1}, key[32];
    memcpy(message + 4, "kmsd.aes-256-gcm.v1", 20); /* label and 0x00 */
    memcpy(message + 24, sealed, 16);               /* N */
    memcpy(message + 40, "\0\0\1\0", 4);            /* 256 bits */
    unsigned key_len = 0;
    int got = 0;
    if (HMAC(EVP_sha256(), backing_key, 32, message, sizeof message, key, &key_len) == NULL) return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t tag[16];
    memcpy(tag, sealed + len - 16, 16);
    bool ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed + 16) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &got, aad, sizeof aad) == 1 &&
              EVP_DecryptUpdate(ctx, out, &got, sealed + 28, (int)len - 44) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, out, &got) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static void seals_as_it_is_written(void)
{
    kms_software *software = NULL;
    kms_digest *backing = NULL;
    uint8_t sealed[sizeof plaintext + KMS_SEAL_OVERHEAD_SOFTWARE], again[sizeof sealed],
        out[sizeof plaintext + 16];
    const struct kms_bytes extra = {aad, sizeof aad}, in = {plaintext, sizeof plaintext};
    KMS_ASSERT_OK_FATAL(kms_software_new(&software));
    KMS_ASSERT_OK_FATAL(kms_digest_new_keyed(kms_bytes_of(backing_key, 32), &backing));
    KMS_ASSERT_OK(kms_software_seal(software, backing, extra, in, sealed));
    CU_ASSERT_TRUE(open_by_hand(sealed, sizeof sealed, out));
    CU_ASSERT_EQUAL(memcmp(out, plaintext, sizeof plaintext), 0);
    KMS_ASSERT_OK(kms_software_seal(software, backing, extra, in, again));
    CU_ASSERT_NOT_EQUAL(memcmp(sealed, again, 16), 0); /* a fresh N */
    for (size_t at = 0; at < sizeof sealed; at++) {
        static const uint8_t zero[sizeof plaintext];
        sealed[at] ^= 0x80;
        kms_err err = kms_software_open(software, backing, extra, kms_bytes_of(sealed, sizeof sealed), out);
        KMS_ASSERT_CODE(err, INVALID_CIPHERTEXT);
        CU_ASSERT_EQUAL(memcmp(out, zero, sizeof zero), 0); /* nothing unverified is left */
        sealed[at] ^= 0x80;
    }
    KMS_ASSERT_OK(kms_software_open(software, backing, extra, kms_bytes_of(sealed, sizeof sealed), out));
    kms_digest_free(backing);
    kms_software_free(software);
}

KMS_TEST_MAIN("hsm/worker/software", {"seals as it is written", seals_as_it_is_written})
