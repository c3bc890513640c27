/* CryptoService: requests with the checksum of what they carry. */
#include <kms/client.h>

#include "client/lib/context.h"
#include "client/lib/failure.h"
#include "client/lib/fill.h"
#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/crypto.pb-c.h"

static bool bad_context(struct kms_error *error)
{
    struct kms_why why = {
        .text = "an entry of the encryption context has no name or no value, or memory ran out"};
    kms_error_local(error, KMS_FAIL(INVALID_ARGUMENT), &why);
    return false;
}

struct method {
    enum kms_rpc_id rpc;
    kms_fill *fill;
};

static bool call(kms_client *client, const struct kms_call_options *options, struct method method,
                 const void *request, void **ret_result, struct kms_error *error)
{
    kms_filled filled;
    struct kms_unary unary = {.rpc = method.rpc, .request = &filled.message.base};
    bool ok = method.fill(request, &filled) ? kms_unary_one(client, options, &unary, ret_result, error)
                                            : bad_context(error);
    kms_filled_drop(&filled);
    return ok;
}

#define ONE(name, type, symbol)                                                                              \
    bool kms_client_##name(kms_client *client, const struct kms_##type##_request *request,                   \
                           const struct kms_call_options *options, struct kms_##type##_result **ret_result,  \
                           struct kms_error *error)                                                          \
    {                                                                                                        \
        void *result = NULL;                                                                                 \
        const struct method method = {KMS_RPC_##symbol, kms_fill_##type};                                    \
        bool ok = call(client, options, method, request, &result, error);                                    \
        if (ok) *ret_result = result;                                                                        \
        return ok;                                                                                           \
    }
ONE(encrypt, encrypt, ENCRYPT)
ONE(generate_data_key, data_key, GENERATE_DATA_KEY)

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
