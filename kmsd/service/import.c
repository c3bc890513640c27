/* GetParametersForImport: a wrapping key of its own and a token for each import. */
#include "kmsd/service/import.h"

#include "hsm/spec.h"
#include "hsm/wrapped.h"
#include "kms/v1/import.pb-c.h"
#include "kmsd/keys/stored.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

void kms_import_drop(kms_stored_import **import)
{
    if (*import != NULL) kms__store__v1__stored_import__free_unpacked(*import, NULL);
}

kms_err kms_import_read(struct kms_call *call, const struct kms_key *key, kms_stored_import **ret_import,
                        uint64_t *ret_revision)
{
    KMS_OWN_BUF body = {0};
    *ret_import = NULL;
    *ret_revision = 0;
    kms_err err =
        kms_keystore_get(call->core->store, KMS_TABLE_IMPORT, key->id_text, ret_revision, &body, &call->why);
    if (kms_is(err, KMS_E_NOT_FOUND)) {
        call->why.text[0] = '\0';
        return KMS_OK;
    }
    KMS_TRY(err);
    KMS_OWN_IMPORT stored = kms__store__v1__stored_import__unpack(NULL, body.len, body.data);
    if (stored == NULL || stored->token_id.len != KMS_ID_BYTES) return KMS_FAIL(CORRUPT);
    *ret_import = KMS_GIVE(stored);
    return KMS_OK;
}

kms_err kms_import_remove(struct kms_call *call, struct kms_change_set *changes, const struct kms_key *key)
{
    KMS_OWN_IMPORT stored = NULL;
    uint64_t revision;
    KMS_TRY(kms_import_read(call, key, &stored, &revision));
    return stored != NULL ? kms_change_remove(changes, KMS_TABLE_IMPORT, key->id_text, revision) : KMS_OK;
}

kms_err kms_import_check(struct kms_call *call, const struct kms_key *key)
{
    if (key->origin == KMS_ORIGIN_EXTERNAL) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(UNSUPPORTED), "key %s was made with material of this service",
                         key->id_text);
}

enum { OAEP = KMS__V1__WRAPPING_ALGORITHM__WRAPPING_ALGORITHM_RSAES_OAEP_SHA_256 };
enum { RSA_AES = KMS__V1__WRAPPING_ALGORITHM__WRAPPING_ALGORITHM_RSA_AES_KEY_WRAP_SHA_256 };

static bool is_pair(const struct kms_key *key)
{
    return key != NULL && kms_family_has_public(kms_spec_of(key->spec)->family);
}

/* UNSPECIFIED: OAEP, which has no room for a private key. */
static unsigned algorithm_of(const struct kms_call *call)
{
    const Kms__V1__GetParametersForImportRequest *request = (const void *)call->request;
    if (request->wrapping_algorithm != 0) return request->wrapping_algorithm;
    return is_pair(call->access[0].key) ? RSA_AES : OAEP;
}

kms_err kms_get_parameters_for_import_gather(struct kms_call *call)
{
    static const char *const names[] = {"", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_256"};
    const Kms__V1__GetParametersForImportRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_GET_PARAMETERS_FOR_IMPORT, request->key_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    unsigned algorithm = algorithm_of(call);
    if (algorithm >= sizeof names / sizeof names[0] || request->wrapping_key_spec > 1)
        return kms_call_fail(call, KMS_FAIL(UNSUPPORTED),
                             "wrapping: RSAES_OAEP_SHA_256 or RSA_AES_KEY_WRAP_SHA_256 with RSA_4096");
    inputs->wrapping_algorithm = kms_bytes_text(names[algorithm]);
    inputs->wrapping_key_spec = kms_bytes_text("RSA_4096");
    return KMS_OK;
}

static kms_err store(struct kms_call *call, kms_stored_import *stored)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_IMPORT before = NULL;
    const struct kms_key *key = call->access[0].key;
    uint64_t revision;
    kms_buf *body;
    KMS_TRY(kms_import_read(call, key, &before, &revision));
    KMS_TRY(kms_change_row(&changes, KMS_TABLE_IMPORT, key->id_text, &revision, &body));
    KMS_TRY(kms_stored_pack(&stored->base, body));
    return kms_change_apply(&changes, call);
}

static bool copy(struct kms_call *call, struct kms_bytes from, ProtobufCBinaryData *to)
{
    to->data = kms_call_alloc(call, from.len);
    to->len = from.len;
    if (to->data != NULL) kms_copy(to->data, from.ptr, from.len);
    return to->data != NULL;
}

kms_err kms_get_parameters_for_import_act(struct kms_call *call)
{
    Kms__V1__GetParametersForImportResponse *reply = kms_new_reply(call);
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
    struct kms_hsm_job job = {.op = KMS_HSM_NEW_KEY, .output = wrapped, .output_cap = sizeof wrapped};
    struct kms_wrapped parsed;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_import_check(call, call->access[0].key));
    if (is_pair(call->access[0].key) && algorithm_of(call) == OAEP)
        return kms_call_fail(call, KMS_FAIL(UNSUPPORTED),
                             "wrapping: a private key needs RSA_AES_KEY_WRAP_SHA_256");
    KMS_TRY(kms_begin_rsa(call, KMS_SPEC_RSA_4096));
    job.key.ref = (struct kms_key_ref){.version = 1,
                                       .spec = KMS_SPEC_RSA_4096,
                                       .usage = KMS_USAGE_ENCRYPT_DECRYPT,
                                       .level = KMS_LEVEL_SOFTWARE};
    KMS_TRY(kms_id_new(&job.key.ref.key_id));
    kms_err err = kms_hsm_call(call->core->hsm, &job);
    if (kms_failed(err)) return kms_call_fail(call, err, "making the wrapping key");
    KMS_TRY(kms_wrapped_get(kms_bytes_of(wrapped, job.output_len), &parsed));
    reply->key_id = kms_access_arn(call, &call->access[0]);
    reply->parameters_valid_to_time_us = kms_core_now_us(call->core) + call->core->import_window_us;
    const struct kms_bytes token = {job.key.ref.key_id.bytes, KMS_ID_BYTES};
    if (reply->key_id == NULL || !copy(call, token, &reply->import_token) ||
        !copy(call, parsed.public_key, &reply->public_key))
        return KMS_FAIL(NO_MEMORY);
    kms_stored_import stored;
    kms__store__v1__stored_import__init(&stored);
    stored.token_id = reply->import_token;
    stored.wrapped = (ProtobufCBinaryData){.data = wrapped, .len = job.output_len};
    stored.wrapping_algorithm = algorithm_of(call);
    stored.expires_us = reply->parameters_valid_to_time_us;
    return store(call, &stored);
}
