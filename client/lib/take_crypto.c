/* Replies of CryptoService become results, after their checksums are found right. */
#include "base/bytes.h"
#include "base/text.h"
#include "client/lib/rpc.h"
#include "client/lib/store.h"
#include "kms/v1/crypto.pb-c.h"

static kms_err check_crc32c(const char *what, ProtobufCBinaryData data, uint32_t want, struct kms_why *why)
{
    if (kms_crc32c(0, kms_bytes_of(data.data, data.len)) == want) return KMS_OK;
    kms_why_set(why, "%s changed on its way here: its CRC32C is not the one that the server sent", what);
    return KMS_FAIL(CHECKSUM_MISMATCH);
}

/* A server that does not confirm the checksum of the request may have worked on damaged bytes. */
static kms_err check_verified(const char *what, bool verified, struct kms_why *why)
{
    if (verified) return KMS_OK;
    kms_why_set(why, "the server did not confirm the CRC32C of the %s that was sent", what);
    return KMS_FAIL(CHECKSUM_MISMATCH);
}

kms_err kms_take_encrypt(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__EncryptResponse *reply = (const Kms__V1__EncryptResponse *)message;
    KMS_TRY(check_verified("plaintext", reply->verified_plaintext_crc32c, why));
    KMS_TRY(check_crc32c("the ciphertext", reply->ciphertext_blob, reply->ciphertext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_encrypt_result));
    if (result == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_encrypt_result *)result = (struct kms_encrypt_result){
        .ciphertext = kms_store_blob(result, reply->ciphertext_blob),
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_decrypt(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__DecryptResponse *reply = (const Kms__V1__DecryptResponse *)message;
    KMS_TRY(check_verified("ciphertext", reply->verified_ciphertext_crc32c, why));
    KMS_TRY(check_crc32c("the plaintext", reply->plaintext, reply->plaintext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_decrypt_result));
    KMS_OWN(kms_plaintext) plaintext = kms_plaintext_of(reply->plaintext);
    if (result == NULL || plaintext == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_decrypt_result *)result = (struct kms_decrypt_result){
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    ((struct kms_decrypt_result *)result)->plaintext = KMS_GIVE(plaintext);
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_re_encrypt(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__ReEncryptResponse *reply = (const Kms__V1__ReEncryptResponse *)message;
    KMS_TRY(check_verified("ciphertext", reply->verified_ciphertext_crc32c, why));
    KMS_TRY(check_crc32c("the new ciphertext", reply->ciphertext_blob, reply->ciphertext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_re_encrypt_result));
    if (result == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_re_encrypt_result *)result = (struct kms_re_encrypt_result){
        .ciphertext = kms_store_blob(result, reply->ciphertext_blob),
        .source_key_arn = kms_store_text(result, reply->source_key_id),
        .key_arn = kms_store_text(result, reply->key_id),
        .source_key_version = reply->source_key_version,
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_data_key(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GenerateDataKeyResponse *reply = (const Kms__V1__GenerateDataKeyResponse *)message;
    KMS_TRY(check_crc32c("the wrapped data key", reply->ciphertext_blob, reply->ciphertext_crc32c, why));
    KMS_TRY(check_crc32c("the data key", reply->plaintext, reply->plaintext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_data_key_result));
    KMS_OWN(kms_plaintext) plaintext = kms_plaintext_of(reply->plaintext);
    if (result == NULL || plaintext == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_data_key_result *)result = (struct kms_data_key_result){
        .ciphertext = kms_store_blob(result, reply->ciphertext_blob),
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    ((struct kms_data_key_result *)result)->plaintext = KMS_GIVE(plaintext);
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_wrapped_data_key(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GenerateDataKeyWithoutPlaintextResponse *reply =
        (const Kms__V1__GenerateDataKeyWithoutPlaintextResponse *)message;
    KMS_TRY(check_crc32c("the wrapped data key", reply->ciphertext_blob, reply->ciphertext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_data_key_result));
    if (result == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_data_key_result *)result = (struct kms_data_key_result){
        .ciphertext = kms_store_blob(result, reply->ciphertext_blob),
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_random(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GenerateRandomResponse *reply = (const Kms__V1__GenerateRandomResponse *)message;
    KMS_TRY(check_crc32c("the random data", reply->plaintext, reply->plaintext_crc32c, why));
    kms_plaintext *plaintext = kms_plaintext_of(reply->plaintext);
    if (plaintext == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_result = plaintext;
    return KMS_OK;
}

void kms_encrypt_result_free(struct kms_encrypt_result *result)
{
    kms_store_free(result);
}

void kms_decrypt_result_free(struct kms_decrypt_result *result)
{
    if (result != NULL) kms_plaintext_free(result->plaintext);
    kms_store_free(result);
}

void kms_re_encrypt_result_free(struct kms_re_encrypt_result *result)
{
    kms_store_free(result);
}

void kms_data_key_result_free(struct kms_data_key_result *result)
{
    if (result != NULL) kms_plaintext_free(result->plaintext);
    kms_store_free(result);
}
