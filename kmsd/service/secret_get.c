/* GetSecretValue: the secret's policy and the key's both say yes, then one HSM job opens the data key of
 * the version. */
#include <string.h>

#include "base/secret.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

static const char *stage_of(const Kms__V1__GetSecretValueRequest *request)
{
    bool neither = request->version_stage[0] == '\0' && request->version_id[0] == '\0';
    return neither ? KMS_STAGE_CURRENT : request->version_stage;
}

/* SIZE_MAX: no such version. */
static size_t find_version(const kms_stored_secret *secret, const Kms__V1__GetSecretValueRequest *request)
{
    const char *stage = stage_of(request);
    if (request->version_id[0] == '\0') return kms_secret_stage_at(secret, stage);
    size_t at = kms_secret_version_at(secret, request->version_id);
    if (at == SIZE_MAX || stage[0] == '\0') return at;
    return kms_secret_version_has(secret->versions[at], stage) ? at : SIZE_MAX;
}

kms_err kms_get_secret_value_gather(struct kms_call *call)
{
    const Kms__V1__GetSecretValueRequest *request = (const void *)call->request;
    struct kms_access *access, *key;
    struct kms_id id;
    KMS_TRY(kms_access_secret(call, KMS_ACT_GET_SECRET_VALUE, request->secret_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->secret_version_id = kms_present(request->version_id);
    inputs->secret_version_stage = kms_present(stage_of(request));
    const struct kms_secret_entry *entry = access->secret;
    size_t at = entry != NULL ? find_version(entry->stored, request) : SIZE_MAX;
    if (at == SIZE_MAX) return KMS_OK; /* said after the decision */
    call->secret_version = entry->stored->versions[at]->id;
    KMS_TRY(kms_secret_sealed_by(entry->values[at], &id, &access->version));
    KMS_TRY(kms_access_id(call, KMS_ACT_DECRYPT, &id, &key));
    key->version = access->version;
    access->version = 0;
    key->via_secrets = true;
    return kms_secret_context(call, key, entry->arn, call->secret_version);
}

static kms_err no_version(struct kms_call *call, const Kms__V1__GetSecretValueRequest *request)
{
    const char *name = kms_call_secret(call)->stored->name;
    if (request->version_id[0] != '\0')
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "%s has no version %.64s%s%.256s", name,
                             request->version_id, request->version_stage[0] != '\0' ? " with stage " : "",
                             request->version_stage);
    return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "%s has no value with stage %.256s", name,
                         stage_of(request));
}

static const struct kms_sealed_value *value_of(const struct kms_call *call)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    return entry->values[kms_secret_version_at(entry->stored, call->secret_version)];
}

kms_err kms_get_secret_value_plan(struct kms_call *call)
{
    const Kms__V1__GetSecretValueRequest *request = (const void *)call->request;
    if (call->secret_version == NULL) return no_version(call, request);
    call->job.op = KMS_HSM_DECRYPT;
    KMS_TRY(kms_open_plan(call, &call->access[1], value_of(call)->stored->data_key, ""));
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_get_secret_value_finish(struct kms_call *call)
{
    Kms__V1__GetSecretValueResponse *reply = kms_new_reply(call);
    const struct kms_secret_entry *entry = kms_call_secret(call);
    const kms_stored_secret_version *version =
        entry->stored->versions[kms_secret_version_at(entry->stored, call->secret_version)];
    struct kms_secret_plain plain;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_open(call, &call->access[1], value_of(call),
                            kms_bytes_of(call->job.output, call->job.output_len), &plain));
    kms_wipe(call->job.output, call->job.output_len);
    reply->arn = kms_lend(entry->arn); /* the call holds the entry */
    reply->name = entry->stored->name;
    reply->version_id = version->id;
    reply->version_stages = version->stages;
    reply->n_version_stages = version->n_stages;
    reply->created_us = version->created_us;
    reply->value = kms_secret_reply_value(call, &plain);
    kms_call_say(call, "secret_version", version->id);
    return reply->value != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
