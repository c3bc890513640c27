/* Replies of CryptoService: a wrong or unconfirmed checksum is refused, and no failure leaks. */
#include <kms/types.h>

#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "client/lib/store.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

#define CRC_OF_DATA 0xaed87dd1u /* CRC-32C of "data" */

static ProtobufCBinaryData data(void)
{
    return kms_borrow_bytes((const uint8_t *)"data", 4);
}

static void encrypt(void)
{
    Kms__V1__EncryptResponse reply;
    kms__v1__encrypt_response__init(&reply);
    reply.ciphertext_blob = data();
    reply.key_id = kms_borrow_text("arn");
    reply.key_version = 3;
    void *result = NULL;
    struct kms_why why;
    KMS_ASSERT_CODE(kms_take_encrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH); /* not confirmed */
    reply.verified_plaintext_crc32c = true;
    KMS_ASSERT_CODE(kms_take_encrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH); /* wrong */
    CU_ASSERT_PTR_NULL(result);
    reply.ciphertext_crc32c = CRC_OF_DATA;
    FAULTS_EACH () {
        struct kms_encrypt_result *r = NULL;
        kms_err err = kms_take_encrypt(&reply.base, &result, &why);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (!kms_failed(err)) {
            r = result;
            CU_ASSERT_EQUAL(r->ciphertext.len, 4);
            CU_ASSERT_STRING_EQUAL(r->key_arn, "arn");
            CU_ASSERT_EQUAL(r->key_version, 3);
        }
        kms_encrypt_result_free(r);
    }
}

static void decrypt(void)
{
    Kms__V1__DecryptResponse reply;
    kms__v1__decrypt_response__init(&reply);
    reply.plaintext = data();
    reply.plaintext_crc32c = CRC_OF_DATA;
    void *result = NULL;
    struct kms_why why;
    KMS_ASSERT_CODE(kms_take_decrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH); /* not confirmed */
    reply.verified_ciphertext_crc32c = true;
    reply.plaintext_crc32c++;
    KMS_ASSERT_CODE(kms_take_decrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH);
    reply.plaintext_crc32c--;
    FAULTS_EACH () {
        struct kms_decrypt_result *r = NULL;
        kms_err err = kms_take_decrypt(&reply.base, &result, &why);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (!kms_failed(err)) {
            r = result;
            CU_ASSERT_EQUAL(memcmp(kms_plaintext_data(r->plaintext), "data", 4), 0);
        }
        kms_decrypt_result_free(r);
    }
}

static void re_encrypt(void)
{
    Kms__V1__ReEncryptResponse reply;
    kms__v1__re_encrypt_response__init(&reply);
    reply.ciphertext_blob = data();
    void *result = NULL;
    struct kms_why why;
    KMS_ASSERT_CODE(kms_take_re_encrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH);
    reply.verified_ciphertext_crc32c = true;
    KMS_ASSERT_CODE(kms_take_re_encrypt(&reply.base, &result, &why), CHECKSUM_MISMATCH);
    reply.ciphertext_crc32c = CRC_OF_DATA;
    reply.source_key_version = 1;
    reply.key_version = 2;
    KMS_ASSERT_OK_FATAL(kms_take_re_encrypt(&reply.base, &result, &why));
    struct kms_re_encrypt_result *r = result;
    CU_ASSERT_EQUAL(r->source_key_version, 1);
    CU_ASSERT_EQUAL(r->key_version, 2);
    kms_re_encrypt_result_free(r);
}

static void data_key(void)
{
    static const struct {
        uint32_t wrapped_crc, plain_crc;
        bool ok;
    } rows[] = {{CRC_OF_DATA, CRC_OF_DATA, true}, {CRC_OF_DATA, 1, false}, {1, CRC_OF_DATA, false}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        Kms__V1__GenerateDataKeyResponse reply;
        kms__v1__generate_data_key_response__init(&reply);
        reply.ciphertext_blob = reply.plaintext = data();
        reply.ciphertext_crc32c = rows[i].wrapped_crc;
        reply.plaintext_crc32c = rows[i].plain_crc;
        void *result = NULL;
        kms_err err = kms_take_data_key(&reply.base, &result, &(struct kms_why){0});
        CU_ASSERT_EQUAL(!kms_failed(err), rows[i].ok);
        CU_ASSERT_EQUAL(result != NULL, rows[i].ok);
        kms_data_key_result_free(result);
    }
}

static void wrapped_data_key_and_random(void)
{
    struct kms_why why;
    void *result = NULL;
    Kms__V1__GenerateDataKeyWithoutPlaintextResponse wrapped;
    kms__v1__generate_data_key_without_plaintext_response__init(&wrapped);
    wrapped.ciphertext_blob = data();
    KMS_ASSERT_CODE(kms_take_wrapped_data_key(&wrapped.base, &result, &why), CHECKSUM_MISMATCH);
    wrapped.ciphertext_crc32c = CRC_OF_DATA;
    KMS_ASSERT_OK_FATAL(kms_take_wrapped_data_key(&wrapped.base, &result, &why));
    CU_ASSERT_PTR_NULL(((struct kms_data_key_result *)result)->plaintext);
    kms_data_key_result_free(result);
    Kms__V1__GenerateRandomResponse random;
    kms__v1__generate_random_response__init(&random);
    random.plaintext = data();
    KMS_ASSERT_CODE(kms_take_random(&random.base, &result, &why), CHECKSUM_MISMATCH);
    random.plaintext_crc32c = CRC_OF_DATA;
    KMS_ASSERT_OK_FATAL(kms_take_random(&random.base, &result, &why));
    kms_plaintext_free(result);
}

KMS_TEST_MAIN("client/lib/take_crypto", {"encrypt", encrypt}, {"decrypt", decrypt},
              {"re-encrypt", re_encrypt}, {"data key", data_key},
              {"wrapped data key and random", wrapped_data_key_and_random})
