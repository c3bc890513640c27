/* AES-256-GCM: a published vector, and that nothing opens that was changed. */
#include "base/aead.h"

#include <string.h>

#include "tests/harness/suite.h"

/* NIST CAVP gcmEncryptExtIV256.rsp, IV of 96 bits, text and AAD of 128, tag of 128: Count = 0. */
static const char KEY[] = "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
                  IV[] = "ac93a1a6145299bde902f21a", TEXT[] = "2d71bcfa914e4ac045b2aa60955fad24",
                  AAD[] = "1e0889016f67601c8ebea4943bc23ad6",
                  SEALED[] = "8995ae2e6df3dbf96fac7b7137bae67feca5aa77d51d4a0a14d9c51e1da474ab";

struct vector {
    uint8_t key[32], iv[12], text[16], aad[16], sealed[32];
};

static struct vector vector(void)
{
    struct vector v;
    CU_ASSERT_FATAL(kms_unhex(KEY, 64, v.key, 32) && kms_unhex(IV, 24, v.iv, 12) &&
                    kms_unhex(TEXT, 32, v.text, 16) && kms_unhex(AAD, 32, v.aad, 16) &&
                    kms_unhex(SEALED, 64, v.sealed, 32));
    return v;
}

static void published(void)
{
    const struct vector v = vector();
    uint8_t sealed[32], opened[16];
    KMS_ASSERT_OK(kms_aead_seal(v.key, v.iv, kms_bytes_of(v.aad, 16), kms_bytes_of(v.text, 16), sealed));
    CU_ASSERT_EQUAL(memcmp(sealed, v.sealed, 32), 0);
    KMS_ASSERT_OK(kms_aead_open(v.key, v.iv, kms_bytes_of(v.aad, 16), kms_bytes_of(sealed, 32), opened));
    CU_ASSERT_EQUAL(memcmp(opened, v.text, 16), 0);
}

static void every_flipped_bit_is_refused(void)
{
    struct vector v = vector();
    uint8_t opened[16];
    for (size_t bit = 0; bit < sizeof v.sealed * 8; bit++) {
        v.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(opened, 0xaa, sizeof opened);
        KMS_ASSERT_CODE(
            kms_aead_open(v.key, v.iv, kms_bytes_of(v.aad, 16), kms_bytes_of(v.sealed, 32), opened),
            INVALID_CIPHERTEXT);
        CU_ASSERT_TRUE(opened[0] == 0 && opened[15] == 0); /* nothing unauthentic stays */
        v.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    v.aad[3] ^= 1;
    KMS_ASSERT_CODE(kms_aead_open(v.key, v.iv, kms_bytes_of(v.aad, 16), kms_bytes_of(v.sealed, 32), opened),
                    INVALID_CIPHERTEXT);
}

static void empty_and_short(void)
{
    const struct vector v = vector();
    uint8_t sealed[16], opened[1];
    const struct kms_bytes nothing = {0};
    KMS_ASSERT_OK(kms_aead_seal(v.key, v.iv, nothing, nothing, sealed));
    KMS_ASSERT_OK(kms_aead_open(v.key, v.iv, nothing, kms_bytes_of(sealed, 16), opened));
    KMS_ASSERT_CODE(kms_aead_open(v.key, v.iv, nothing, kms_bytes_of(sealed, 15), opened),
                    INVALID_CIPHERTEXT);
}

KMS_TEST_MAIN("base/aead", {"published", published},
              {"every flipped bit is refused", every_flipped_bit_is_refused},
              {"empty and short", empty_and_short})
