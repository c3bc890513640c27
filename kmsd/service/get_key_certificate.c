/* GetKeyCertificate: a certificate of an RSA key that encrypts, which the worker writes and the key signs. */
#include <string.h>

#include "base/wire.h"
#include "hsm/spec.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { DEFAULT_DAYS = 3650, MOST_DAYS = 36500 };
#define DAY_S     (24 * 3600)
#define SECOND_US 1000000u

kms_err kms_get_key_certificate_gather(struct kms_call *call)
{
    const Kms__V1__GetKeyCertificateRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_GET_KEY_CERTIFICATE, request->key_id, &access));
    if (request->validity_days > MOST_DAYS)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "validity_days: 1 to %d, not %u", MOST_DAYS,
                             request->validity_days);
    if (strlen(request->common_name) > KMS_HSM_NAME_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "common_name: at most %d bytes, not %zu",
                             KMS_HSM_NAME_BYTES, strlen(request->common_name));
    return KMS_OK;
}

static uint64_t from_s(const struct kms_call *call)
{
    return call->started_us / SECOND_US;
}

static uint64_t to_s(const struct kms_call *call)
{
    const Kms__V1__GetKeyCertificateRequest *request = (const void *)call->request;
    uint32_t days = request->validity_days != 0 ? request->validity_days : DEFAULT_DAYS;
    return from_s(call) + (uint64_t)days * DAY_S;
}

/* As KMS_HSM_CERTIFY wants it. */
static kms_err put_terms(struct kms_call *call, const struct kms_key *key)
{
    enum { TERMS_BYTES = 8 + 8 + 4 + KMS_HSM_NAME_BYTES };
    const Kms__V1__GetKeyCertificateRequest *request = (const void *)call->request;
    uint8_t *memory = kms_call_alloc(call, TERMS_BYTES);
    if (memory == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_writer out = kms_writer_over(memory, TERMS_BYTES);
    kms_put_u64(&out, from_s(call));
    kms_put_u64(&out, to_s(call));
    kms_put_blob(&out, kms_bytes_text(request->common_name[0] != '\0' ? request->common_name : key->id_text));
    if (out.overflow) return KMS_FAIL(INTERNAL);
    call->job.input = kms_bytes_of(memory, (size_t)(out.at - memory));
    return KMS_OK;
}

kms_err kms_get_key_certificate_plan(struct kms_call *call)
{
    struct kms_access *access = &call->access[0];
    const struct kms_key *key = access->key;
    const struct kms_spec *spec = kms_spec_of(key->spec);
    if (spec->family != KMS_FAMILY_RSA || key->usage != KMS_USAGE_ENCRYPT_DECRYPT)
        return kms_call_fail(call, KMS_FAIL(INVALID_KEY_USAGE),
                             "key %s is %s for %s: certificates are made of RSA keys for ENCRYPT_DECRYPT",
                             key->id_text, spec->name, kms_usage_name(key->usage));
    const struct kms_key_version *version = kms_key_current(key);
    access->version = version->version;
    call->job.op = KMS_HSM_CERTIFY;
    call->job.key = kms_key_for_hsm(key, version);
    KMS_TRY(put_terms(call, key));
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_get_key_certificate_finish(struct kms_call *call)
{
    Kms__V1__GetKeyCertificateResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    char *pem = kms_pem_of(call, "CERTIFICATE", kms_bytes_of(call->job.output, call->job.output_len));
    if (reply == NULL || arn == NULL || pem == NULL) return KMS_FAIL(NO_MEMORY);
    reply->certificate = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->certificate_pem = pem;
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->not_before_time_us = from_s(call) * SECOND_US;
    reply->not_after_time_us = to_s(call) * SECOND_US;
    return KMS_OK;
}
