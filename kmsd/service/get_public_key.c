/* GetPublicKey: the public half of a key pair, from a worker that has verified that it belongs to the key. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "hsm/spec.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_get_public_key_gather(struct kms_call *call)
{
    const Kms__V1__GetPublicKeyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_GET_PUBLIC_KEY, request->key_id, &access);
}

kms_err kms_get_public_key_plan(struct kms_call *call)
{
    struct kms_access *access = &call->access[0];
    if (!kms_family_has_public(kms_spec_of(access->key->spec)->family))
        return kms_call_fail(call, KMS_FAIL(INVALID_KEY_USAGE), "key %s is %s: it has no public key",
                             access->key->id_text, kms_spec_of(access->key->spec)->name);
    const struct kms_key_version *version = kms_key_current(access->key);
    access->version = version->version;
    call->job.op = KMS_HSM_PUBLIC_KEY;
    call->job.key = kms_key_for_hsm(access->key, version);
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

char *kms_pem_of(struct kms_call *call, const char *label, struct kms_bytes der)
{
    enum { LINE_BYTES = 48, LINE = 64, FRAME = 64 };
    size_t lines = (der.len + LINE_BYTES - 1) / LINE_BYTES, frame = 2 * (FRAME + strlen(label));
    char *pem = kms_call_alloc(call, frame + lines * (LINE + 2)), *at = pem;
    if (pem == NULL) return NULL;
    at += snprintf(at, frame / 2, "-----BEGIN %s-----\n", label);
    for (size_t from = 0; from < der.len; from += LINE_BYTES) {
        size_t len = der.len - from < LINE_BYTES ? der.len - from : LINE_BYTES;
        at += EVP_EncodeBlock((unsigned char *)at, der.ptr + from, (int)len);
        *at++ = '\n';
    }
    snprintf(at, frame / 2, "-----END %s-----\n", label);
    return pem;
}

kms_err kms_get_public_key_finish(struct kms_call *call)
{
    const struct kms_key *key = call->access[0].key;
    Kms__V1__GetPublicKeyResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    char *pem = kms_pem_of(call, "PUBLIC KEY", kms_bytes_of(call->job.output, call->job.output_len));
    struct kms_algorithms algorithms;
    if (reply == NULL || arn == NULL || pem == NULL || !kms_algorithms_of_key(call, key, &algorithms))
        return KMS_FAIL(NO_MEMORY);
    reply->public_key = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->public_key_pem = pem;
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->key_spec = (Kms__V1__KeySpec)key->spec;
    reply->key_usage = (Kms__V1__KeyUsage)key->usage;
    reply->n_encryption_algorithms = algorithms.encryption_count;
    reply->encryption_algorithms = algorithms.encryption;
    reply->n_signing_algorithms = algorithms.signing_count;
    reply->signing_algorithms = algorithms.signing;
    return KMS_OK;
}
