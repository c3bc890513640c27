/* Headers, additional authenticated data and checksums around HSM jobs. */
#include "kmsd/service/seal.h"

#include <string.h>

#include "base/ciphertext.h"
#include "base/text.h"
#include "hsm/spec.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/method.h"

static const uint8_t algorithm_of[] = {
    [KMS_LEVEL_HSM] = KMS_ALG_AES_256_GCM, [KMS_LEVEL_SOFTWARE] = KMS_ALG_AES_256_GCM_DERIVED};

/* Header and canonical context, side by side in the arena. */
static kms_err make_aad(struct kms_call *call, const struct kms_access *access, struct kms_bytes *ret_aad)
{
    size_t len = KMS_CIPHERTEXT_HEADER_BYTES + access->canonical.len;
    uint8_t *aad = kms_call_alloc(call, len);
    if (aad == NULL) return KMS_FAIL(NO_MEMORY);
    const struct kms_ciphertext_header header = {.algorithm = algorithm_of[access->key->level],
                                                 .key_id = access->key->id,
                                                 .key_version = access->version};
    kms_ciphertext_header_put(&header, aad);
    kms_copy(aad + KMS_CIPHERTEXT_HEADER_BYTES, access->canonical.ptr, access->canonical.len);
    *ret_aad = kms_bytes_of(aad, len);
    return KMS_OK;
}

kms_err kms_seal_key_check(struct kms_call *call, const struct kms_key *key)
{
    if (key->spec == KMS_SPEC_AES_256) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_KEY_USAGE), "key %s is %s for %s: this takes a symmetric key",
                         key->id_text, kms_spec_of(key->spec)->name, kms_usage_name(key->usage));
}

kms_err kms_open_gather(struct kms_call *call, enum kms_action action, ProtobufCBinaryData blob,
                        const char *expected, struct kms_access **ret_access)
{
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    KMS_TRY(kms_ciphertext_parse(kms_bytes_of(blob.data, blob.len), &header, &sealed, &call->why));
    KMS_TRY(kms_access_id(call, action, &header.key_id, ret_access));
    (*ret_access)->named = kms_bytes_text(expected);
    (*ret_access)->version = header.key_version;
    if (expected[0] == '\0') return KMS_OK;
    struct kms_key_name name; /* kms:RequestAlias may ask for it; plan checks that it is this key's */
    KMS_TRY(kms_key_name_parse(&call->core->arn, (*ret_access)->named, &name, &call->why));
    (*ret_access)->alias = name.alias;
    return KMS_OK;
}

static kms_err check_expected(struct kms_call *call, const struct kms_access *access, const char *expected)
{
    struct kms_key_name name;
    if (expected[0] == '\0') return KMS_OK;
    KMS_TRY(kms_key_name_parse(&call->core->arn, kms_bytes_text(expected), &name, &call->why));
    /* One answer for another key and for none: who may decrypt may not ask which aliases there are. */
    if (kms_name_resolve(call, &name) && kms_id_equal(&name.id, &access->key->id)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INCORRECT_KEY), "made with key %s", access->key->id_text);
}

kms_err kms_open_plan(struct kms_call *call, struct kms_access *access, ProtobufCBinaryData blob,
                      const char *expected)
{
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    KMS_TRY(kms_ciphertext_parse(kms_bytes_of(blob.data, blob.len), &header, &sealed, &call->why));
    KMS_TRY(check_expected(call, access, expected));
    KMS_TRY(kms_seal_key_check(call, access->key));
    const struct kms_key_version *version = kms_key_version_find(access->key, header.key_version);
    if (version == NULL || header.algorithm != algorithm_of[access->key->level])
        return kms_call_fail(call, KMS_FAIL(INVALID_CIPHERTEXT), "no such key version or algorithm");
    if (version->retired_us != 0)
        return kms_call_fail(call, KMS_FAIL(KEY_VERSION_RETIRED), "version %u of key %s", version->version,
                             access->key->id_text);
    call->job.key = kms_key_for_hsm(access->key, version);
    call->job.input = sealed;
    return make_aad(call, access, &call->job.aad);
}

kms_err kms_seal_plan(struct kms_call *call, struct kms_access *access, struct kms_hsm_key *ret_key,
                      struct kms_bytes *ret_aad)
{
    KMS_TRY(kms_seal_key_check(call, access->key));
    const struct kms_key_version *version = kms_key_current(access->key);
    access->version = version->version;
    if (access->key->level == KMS_LEVEL_HSM) {
        call->spends = access;
        call->out_of_budget = !kms_budget_take(version->budget);
        if (call->out_of_budget) return KMS_OK;
    }
    *ret_key = kms_key_for_hsm(access->key, version);
    return make_aad(call, access, ret_aad);
}

kms_err kms_seal_output(struct kms_call *call, const struct kms_access *access, size_t plaintext_len)
{
    size_t overhead =
        access->key->level == KMS_LEVEL_HSM ? KMS_SEAL_OVERHEAD_HSM : KMS_SEAL_OVERHEAD_SOFTWARE;
    size_t prefix = call->job.op == KMS_HSM_DATA_KEY ? plaintext_len : 0;
    uint8_t *room = kms_call_alloc(call, KMS_CIPHERTEXT_HEADER_BYTES + prefix + plaintext_len + overhead);
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    call->job.output = room + KMS_CIPHERTEXT_HEADER_BYTES;
    call->job.output_cap = prefix + plaintext_len + overhead;
    return KMS_OK;
}

ProtobufCBinaryData kms_seal_blob(struct kms_call *call, const struct kms_access *access, size_t skip)
{
    uint8_t *blob = call->job.output + skip - KMS_CIPHERTEXT_HEADER_BYTES;
    size_t sealed = call->job.output_len - skip;
    const struct kms_ciphertext_header header = {.algorithm = algorithm_of[access->key->level],
                                                 .key_id = access->key->id,
                                                 .key_version = access->version};
    kms_ciphertext_header_put(&header, blob);
    return (ProtobufCBinaryData){.data = blob, .len = KMS_CIPHERTEXT_HEADER_BYTES + sealed};
}

uint32_t kms_crc32c_of(ProtobufCBinaryData data)
{
    return kms_crc32c(0, kms_bytes_of(data.data, data.len));
}

kms_err kms_check_crc32c(struct kms_call *call, const char *field, ProtobufCBinaryData data, uint32_t sent)
{
    if (kms_crc32c_of(data) == sent) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(CHECKSUM_MISMATCH), "%s", field);
}

char *kms_access_arn(struct kms_call *call, const struct kms_access *access)
{
    char *arn = kms_call_alloc(call, KMS_ARN_BYTES);
    if (arn != NULL) kms_key_arn(&call->core->arn, access->key->id_text, arn);
    return arn;
}

void *kms_new_reply(struct kms_call *call)
{
    const ProtobufCMessageDescriptor *type = kms_method_codec(call->method)->output;
    ProtobufCMessage *reply = kms_call_alloc(call, type->sizeof_message);
    if (reply != NULL) protobuf_c_message_init(type, reply);
    call->reply = reply;
    return reply;
}
