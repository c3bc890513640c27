/* GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext: a key pair of the worker's, its private half
 * sealed under a symmetric key. */
#include "base/wire.h"
#include "hsm/spec.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

typedef Kms__V1__GenerateDataKeyPairRequest pair_request;
/* The other request has the same fields: one gather reads both. */
_Static_assert(sizeof(pair_request) == sizeof(Kms__V1__GenerateDataKeyPairWithoutPlaintextRequest),
               "one layout");

static kms_err gather(struct kms_call *call, enum kms_action action)
{
    const pair_request *request = (const void *)call->request;
    const struct kms_spec *spec = kms_spec_of(request->key_pair_spec);
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, action, request->key_id, &access));
    KMS_TRY(kms_access_context(call, access, request->n_encryption_context, request->encryption_context));
    if (spec == NULL || !kms_family_has_public(spec->family))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "key_pair_spec: one of RSA or ECC");
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->data_key_pair_spec = kms_bytes_text(spec->name);
    return KMS_OK;
}

static kms_err plan(struct kms_call *call, enum kms_hsm_op op)
{
    const pair_request *request = (const void *)call->request;
    call->job.op = op;
    call->job.pair = (uint8_t)request->key_pair_spec;
    KMS_TRY(kms_seal_plan(call, &call->access[0], &call->job.key, &call->job.aad));
    if (call->out_of_budget) return KMS_OK;
    KMS_TRY(kms_begin_rsa(call, call->job.pair));
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* What the worker put out; the sealed private key begins at `sealed`. */
struct made_pair {
    struct kms_bytes public_key, private_key;
    size_t sealed;
};

/* The views are copies: the ciphertext's header goes where the private key stood. No worker is trusted. */
static kms_err take_pair(struct kms_call *call, bool plain, struct made_pair *ret_pair)
{
    struct kms_reader r = kms_reader_over(kms_bytes_of(call->job.output, call->job.output_len));
    struct kms_bytes public_key = kms_get_blob(&r), private_key = kms_get_blob(&r);
    if (r.short_ || r.at == r.end || public_key.len == 0 || plain != (private_key.len > 0))
        return KMS_FAIL(INTERNAL);
    ret_pair->public_key = kms_arena_copy(&call->arena, public_key);
    ret_pair->private_key = kms_arena_copy(&call->arena, private_key);
    ret_pair->sealed = (size_t)(r.at - call->job.output);
    return ret_pair->public_key.ptr != NULL && (!plain || ret_pair->private_key.ptr != NULL)
               ? KMS_OK
               : KMS_FAIL(NO_MEMORY);
}

static ProtobufCBinaryData field_of(struct kms_bytes bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes.ptr, .len = bytes.len};
}

kms_err kms_generate_data_key_pair_gather(struct kms_call *call)
{
    return gather(call, KMS_ACT_GENERATE_DATA_KEY_PAIR);
}
kms_err kms_generate_data_key_pair_plan(struct kms_call *call)
{
    return plan(call, KMS_HSM_DATA_KEY_PAIR);
}

kms_err kms_generate_data_key_pair_finish(struct kms_call *call)
{
    Kms__V1__GenerateDataKeyPairResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    struct made_pair pair;
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(take_pair(call, true, &pair));
    reply->private_key_ciphertext_blob = kms_seal_blob(call, &call->access[0], pair.sealed);
    reply->private_key_plaintext = field_of(pair.private_key);
    reply->public_key = field_of(pair.public_key);
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->key_pair_spec = (Kms__V1__KeySpec)call->job.pair;
    reply->private_key_ciphertext_crc32c = kms_crc32c_of(reply->private_key_ciphertext_blob);
    reply->private_key_plaintext_crc32c = kms_crc32c_of(reply->private_key_plaintext);
    return KMS_OK;
}

kms_err kms_generate_data_key_pair_without_plaintext_gather(struct kms_call *call)
{
    return gather(call, KMS_ACT_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT);
}

kms_err kms_generate_data_key_pair_without_plaintext_plan(struct kms_call *call)
{
    return plan(call, KMS_HSM_DATA_KEY_PAIR_SEALED);
}

kms_err kms_generate_data_key_pair_without_plaintext_finish(struct kms_call *call)
{
    Kms__V1__GenerateDataKeyPairWithoutPlaintextResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    struct made_pair pair;
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(take_pair(call, false, &pair));
    reply->private_key_ciphertext_blob = kms_seal_blob(call, &call->access[0], pair.sealed);
    reply->public_key = field_of(pair.public_key);
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->key_pair_spec = (Kms__V1__KeySpec)call->job.pair;
    reply->private_key_ciphertext_crc32c = kms_crc32c_of(reply->private_key_ciphertext_blob);
    return KMS_OK;
}
