/* CryptoService: requests with the checksum of what they carry. */
#include <kms/client.h>

#include "base/text.h"
#include "client/lib/context.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/crypto.pb-c.h"

static uint32_t crc32c(struct kms_blob blob)
{
    return kms_crc32c(0, kms_bytes_of(blob.data, blob.len));
}

static bool bad_context(struct kms_error *error)
{
    struct kms_why why = {
        .text = "an entry of the encryption context has no name or no value, or memory ran out"};
    kms_error_local(error, KMS_FAIL(INVALID_ARGUMENT), &why);
    return false;
}

bool kms_client_encrypt(kms_client *client, const struct kms_encrypt_request *request,
                        const struct kms_call_options *options, struct kms_encrypt_result **ret_result,
                        struct kms_error *error)
{
    KMS_OWN(kms_context_map) map = NULL;
    if (!kms_context_map_new(&request->context,
                             &kms__v1__encrypt_request__encryption_context_entry__descriptor, &map))
        return bad_context(error);
    Kms__V1__EncryptRequest message;
    kms__v1__encrypt_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.plaintext = kms_borrow_bytes(request->plaintext.data, request->plaintext.len);
    message.n_encryption_context = request->context.count;
    message.encryption_context = kms_context_map_entries(map);
    message.encryption_algorithm = (Kms__V1__EncryptionAlgorithm)request->encryption_algorithm;
    message.optional_plaintext_crc32c_case =
        KMS__V1__ENCRYPT_REQUEST__OPTIONAL_PLAINTEXT_CRC32C_PLAINTEXT_CRC32C;
    message.plaintext_crc32c = crc32c(request->plaintext);
    struct kms_unary call = {.rpc = KMS_RPC_ENCRYPT, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_result = result;
    return true;
}

bool kms_client_generate_data_key(kms_client *client, const struct kms_data_key_request *request,
                                  const struct kms_call_options *options,
                                  struct kms_data_key_result **ret_result, struct kms_error *error)
{
    KMS_OWN(kms_context_map) map = NULL;
    if (!kms_context_map_new(&request->context,
                             &kms__v1__generate_data_key_request__encryption_context_entry__descriptor, &map))
        return bad_context(error);
    Kms__V1__GenerateDataKeyRequest message;
    kms__v1__generate_data_key_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.key_spec = (Kms__V1__DataKeySpec)request->spec;
    message.number_of_bytes = request->number_of_bytes;
    message.n_encryption_context = request->context.count;
    message.encryption_context = kms_context_map_entries(map);
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_DATA_KEY, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_result = result;
    return true;
}

bool kms_client_generate_data_key_without_plaintext(kms_client *client,
                                                    const struct kms_data_key_request *request,
                                                    const struct kms_call_options *options,
                                                    struct kms_data_key_result **ret_result,
                                                    struct kms_error *error)
{
    KMS_OWN(kms_context_map) map = NULL;
    if (!kms_context_map_new(
            &request->context,
            &kms__v1__generate_data_key_without_plaintext_request__encryption_context_entry__descriptor,
            &map))
        return bad_context(error);
    Kms__V1__GenerateDataKeyWithoutPlaintextRequest message;
    kms__v1__generate_data_key_without_plaintext_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.key_spec = (Kms__V1__DataKeySpec)request->spec;
    message.number_of_bytes = request->number_of_bytes;
    message.n_encryption_context = request->context.count;
    message.encryption_context = kms_context_map_entries(map);
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_result = result;
    return true;
}

bool kms_client_generate_random(kms_client *client, uint32_t number_of_bytes,
                                const struct kms_call_options *options, kms_plaintext **ret_random,
                                struct kms_error *error)
{
    Kms__V1__GenerateRandomRequest message;
    kms__v1__generate_random_request__init(&message);
    message.number_of_bytes = number_of_bytes;
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_RANDOM, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_random = result;
    return true;
}
