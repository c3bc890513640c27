/* Data key pairs: requests, and what becomes of their replies. */
#include <kms/client.h>

#include "base/text.h"
#include "client/lib/context.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "client/lib/store.h"
#include "client/lib/unary.h"
#include "kms/v1/crypto.pb-c.h"

static bool bad_context(struct kms_error *error)
{
    struct kms_why why = {
        .text = "an entry of the encryption context has no name or no value, or memory ran out"};
    kms_error_local(error, KMS_FAIL(INVALID_ARGUMENT), &why);
    return false;
}

static bool run(kms_client *client, const struct kms_call_options *options, struct kms_unary *call,
                struct kms_data_key_pair_result **ret_result, struct kms_error *error)
{
    void *result = NULL;
    if (!kms_unary_one(client, options, call, &result, error)) return false;
    *ret_result = result;
    return true;
}

bool kms_client_generate_data_key_pair(kms_client *client, const struct kms_data_key_pair_request *request,
                                       const struct kms_call_options *options,
                                       struct kms_data_key_pair_result **ret_result, struct kms_error *error)
{
    KMS_OWN(kms_context_map) map = NULL;
    int spec;
    if (!kms_enum_of(&kms__v1__key_spec__descriptor, "KEY_SPEC_", request->spec, &spec, error)) return false;
    if (!kms_context_map_new(&request->context,
                             &kms__v1__generate_data_key_pair_request__encryption_context_entry__descriptor,
                             &map))
        return bad_context(error);
    Kms__V1__GenerateDataKeyPairRequest message;
    kms__v1__generate_data_key_pair_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.key_pair_spec = (Kms__V1__KeySpec)spec;
    message.n_encryption_context = request->context.count;
    message.encryption_context = kms_context_map_entries(map);
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_DATA_KEY_PAIR, .request = &message.base};
    return run(client, options, &call, ret_result, error);
}

bool kms_client_generate_data_key_pair_without_plaintext(kms_client *client,
                                                         const struct kms_data_key_pair_request *request,
                                                         const struct kms_call_options *options,
                                                         struct kms_data_key_pair_result **ret_result,
                                                         struct kms_error *error)
{
    KMS_OWN(kms_context_map) map = NULL;
    int spec;
    if (!kms_enum_of(&kms__v1__key_spec__descriptor, "KEY_SPEC_", request->spec, &spec, error)) return false;
    if (!kms_context_map_new(
            &request->context,
            &kms__v1__generate_data_key_pair_without_plaintext_request__encryption_context_entry__descriptor,
            &map))
        return bad_context(error);
    Kms__V1__GenerateDataKeyPairWithoutPlaintextRequest message;
    kms__v1__generate_data_key_pair_without_plaintext_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.key_pair_spec = (Kms__V1__KeySpec)spec;
    message.n_encryption_context = request->context.count;
    message.encryption_context = kms_context_map_entries(map);
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
                             .request = &message.base};
    return run(client, options, &call, ret_result, error);
}

static kms_err check(const char *what, ProtobufCBinaryData data, uint32_t sent, struct kms_why *why)
{
    if (kms_crc32c(0, kms_bytes_of(data.data, data.len)) == sent) return KMS_OK;
    kms_why_set(why, "%s does not match its CRC-32C", what);
    return KMS_FAIL(CHECKSUM_MISMATCH);
}

kms_err kms_take_data_key_pair(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GenerateDataKeyPairResponse *reply = (const Kms__V1__GenerateDataKeyPairResponse *)message;
    KMS_TRY(check("the wrapped private key", reply->private_key_ciphertext_blob,
                  reply->private_key_ciphertext_crc32c, why));
    KMS_TRY(check("the private key", reply->private_key_plaintext, reply->private_key_plaintext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_data_key_pair_result));
    KMS_OWN(kms_plaintext) private_key = kms_plaintext_of(reply->private_key_plaintext);
    if (result == NULL || private_key == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_data_key_pair_result *)result = (struct kms_data_key_pair_result){
        .private_key_ciphertext = kms_store_blob(result, reply->private_key_ciphertext_blob),
        .public_key = kms_store_blob(result, reply->public_key),
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    ((struct kms_data_key_pair_result *)result)->private_key = KMS_GIVE(private_key);
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

kms_err kms_take_wrapped_data_key_pair(const ProtobufCMessage *message, void **ret_result,
                                       struct kms_why *why)
{
    const Kms__V1__GenerateDataKeyPairWithoutPlaintextResponse *reply =
        (const Kms__V1__GenerateDataKeyPairWithoutPlaintextResponse *)message;
    KMS_TRY(check("the wrapped private key", reply->private_key_ciphertext_blob,
                  reply->private_key_ciphertext_crc32c, why));
    KMS_OWN(kms_store) result = kms_store_new(sizeof(struct kms_data_key_pair_result));
    if (result == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_data_key_pair_result *)result = (struct kms_data_key_pair_result){
        .private_key_ciphertext = kms_store_blob(result, reply->private_key_ciphertext_blob),
        .public_key = kms_store_blob(result, reply->public_key),
        .key_arn = kms_store_text(result, reply->key_id),
        .key_version = reply->key_version,
    };
    KMS_TRY(kms_store_check(result));
    *ret_result = KMS_GIVE(result);
    return KMS_OK;
}

void kms_data_key_pair_result_free(struct kms_data_key_pair_result *result)
{
    if (result != NULL) kms_plaintext_free(result->private_key);
    kms_store_free(result);
}
