/* "kg1." and base64 of key id, grant id and the grant's random check. */
#include "kmsd/service/grant_token.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define PREFIX "kg1."
enum {
    PREFIX_BYTES = sizeof PREFIX - 1,
    RAW_BYTES = 2 * KMS_ID_BYTES + KMS_GRANT_CHECK_BYTES,
    TEXT_BYTES = 64
};
_Static_assert(PREFIX_BYTES + TEXT_BYTES < KMS_GRANT_TOKEN_BYTES, "it fits");

struct token {
    struct kms_id key_id, grant_id;
    uint8_t check[KMS_GRANT_CHECK_BYTES];
};
_Static_assert(sizeof(struct token) == RAW_BYTES, "no padding");

void kms_grant_token(const struct kms_id *key_id, const struct kms_grant *grant,
                     char text[KMS_GRANT_TOKEN_BYTES])
{
    struct token token = {.key_id = *key_id, .grant_id = grant->id};
    kms_copy(token.check, grant->check, sizeof token.check);
    snprintf(text, KMS_GRANT_TOKEN_BYTES, PREFIX);
    kms_base64(kms_bytes_of(&token, sizeof token), text + PREFIX_BYTES);
}

static kms_err parse(const char *text, struct token *ret_token)
{
    uint8_t raw[TEXT_BYTES]; /* kms_unbase64 wants three bytes for four */
    size_t len;
    if (strlen(text) != PREFIX_BYTES + TEXT_BYTES || strncmp(text, PREFIX, PREFIX_BYTES) != 0 ||
        !kms_unbase64(kms_bytes_text(text + PREFIX_BYTES), raw, &len) || len != RAW_BYTES)
        return KMS_FAIL(INVALID_GRANT_TOKEN);
    kms_copy(ret_token, raw, RAW_BYTES);
    return KMS_OK;
}

kms_err kms_grant_token_key(const char *text, struct kms_id *ret_key_id)
{
    struct token token;
    KMS_TRY(parse(text, &token));
    *ret_key_id = token.key_id;
    return KMS_OK;
}

kms_err kms_grant_token_find(const char *text, const struct kms_key *key, struct kms_granted **ret_granted)
{
    struct token token;
    KMS_TRY(parse(text, &token));
    if (key == NULL || !kms_id_equal(&key->id, &token.key_id)) return KMS_FAIL(INVALID_GRANT_TOKEN);
    KMS_OWN_GRANTED granted = kms_grants_find(key->grants, &token.grant_id);
    if (granted == NULL || !kms_bytes_same(granted->grant.check, token.check, sizeof token.check))
        return KMS_FAIL(INVALID_GRANT_TOKEN);
    *ret_granted = KMS_GIVE(granted);
    return KMS_OK;
}

static kms_err check(const struct kms_call *call, const char *text)
{
    for (size_t i = 0; i < call->access_count; i++) {
        KMS_OWN_GRANTED granted = NULL;
        kms_err err = kms_grant_token_find(text, call->access[i].key, &granted);
        if (!kms_failed(err) && !kms_grant_expired(&granted->grant, call->started_us)) return KMS_OK;
    }
    return KMS_FAIL(INVALID_GRANT_TOKEN);
}

kms_err kms_grant_tokens_check(struct kms_call *call)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(call->request->descriptor, KMS_GRANT_TOKEN_FIELD);
    if (field == NULL) return KMS_OK;
    size_t count = *(const size_t *)(const void *)((const char *)call->request + field->quantifier_offset);
    char *const *tokens = *(char *const *const *)(const void *)((const char *)call->request + field->offset);
    if (count > KMS_GRANT_TOKENS_MAX)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "grant_tokens: at most %d",
                             KMS_GRANT_TOKENS_MAX);
    for (size_t i = 0; i < count; i++) {
        kms_err err = check(call, tokens[i]);
        if (kms_failed(err)) return kms_call_fail(call, err, "grant_tokens[%zu]", i);
    }
    return KMS_OK;
}
