/*
 * Values of secrets: each is sealed once, under a data key of its own, which is sealed under the KMS key of
 * the secret in the context of secret and version (proto/FORMAT.md, "Values of secrets").
 */
#include <stdlib.h>
#include <string.h>

#include "base/aead.h"
#include "base/ciphertext.h"
#include "base/secret.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/dispatch.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

#define LABEL "kmsd secret value v1"

kms_err kms_secret_plain_of(struct kms_call *call, const Kms__V1__SecretValue *value,
                            struct kms_secret_plain *ret_plain)
{
    struct kms_secret_plain plain = {.binary = false};
    if (value != NULL && value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING)
        plain.bytes = kms_bytes_text(value->secret_string);
    if (value != NULL && value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY)
        plain = (struct kms_secret_plain){kms_bytes_of(value->secret_binary.data, value->secret_binary.len),
                                          true};
    *ret_plain = plain;
    if (plain.bytes.len >= 1 && plain.bytes.len <= KMS_SECRET_VALUE_BYTES) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                         "value: secret_string or secret_binary of 1 to %d bytes; it has %zu",
                         KMS_SECRET_VALUE_BYTES, plain.bytes.len);
}

bool kms_secret_plain_same(const struct kms_secret_plain *a, const struct kms_secret_plain *b)
{
    return a->binary == b->binary && a->bytes.len == b->bytes.len &&
           kms_bytes_same(a->bytes.ptr, b->bytes.ptr, a->bytes.len);
}

Kms__V1__SecretValue *kms_secret_reply_value(struct kms_call *call, const struct kms_secret_plain *plain)
{
    Kms__V1__SecretValue *value = kms_call_alloc(call, sizeof *value);
    uint8_t *bytes = kms_call_alloc(call, plain->bytes.len + 1); /* zeroed: with a NUL */
    if (value == NULL || bytes == NULL) return NULL;
    kms__v1__secret_value__init(value);
    kms_copy(bytes, plain->bytes.ptr, plain->bytes.len);
    value->value_case = plain->binary ? KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY
                                      : KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
    if (plain->binary)
        value->secret_binary = (ProtobufCBinaryData){.data = bytes, .len = plain->bytes.len};
    else
        value->secret_string = (char *)bytes;
    return value;
}

/* Additional data of a value: what it is, and whose. */
static kms_err make_aad(struct kms_call *call, const struct kms_access *access, bool binary,
                        struct kms_bytes *ret_aad)
{
    size_t len = sizeof LABEL + 1 + access->canonical.len; /* the label's NUL ends it */
    uint8_t *aad = kms_call_alloc(call, len);
    if (aad == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(aad, LABEL, sizeof LABEL);
    aad[sizeof LABEL] = binary;
    kms_copy(aad + sizeof LABEL + 1, access->canonical.ptr, access->canonical.len);
    *ret_aad = kms_bytes_of(aad, len);
    return KMS_OK;
}

/* Runs the job on this thread; plan again when the key's budget must be reserved first. */
static kms_err run(struct kms_call *call)
{
    kms_err err = kms_hsm_call(call->core->hsm, &call->job);
    if (kms_is(err, KMS_E_ROOT_KEYS_MISSING))
        return kms_call_fail(call, KMS_FAIL(KEY_UNAVAILABLE), "kmsctl root status tells what is there");
    return err;
}

static kms_err seal_plan(struct kms_call *call, struct kms_access *access, struct kms_hsm_key *ret_key,
                         struct kms_bytes *ret_aad)
{
    enum { TRIES = 3 }; /* others may spend a fresh block before this call gets to it */
    kms_err err = KMS_OK;
    for (int i = 0; i < TRIES; i++) {
        call->out_of_budget = false;
        err = kms_seal_plan(call, access, ret_key, ret_aad);
        bool reserve = call->out_of_budget;
        call->spends = NULL;
        call->out_of_budget = false;
        if (kms_failed(err) || !reserve) return err;
        KMS_TRY(kms_budget_reserve(call->core, access->key, access->version, &call->why));
    }
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static kms_err dup_data(struct kms_bytes from, ProtobufCBinaryData *ret_data)
{
    ret_data->data = malloc(from.len + 1);
    if (ret_data->data == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(ret_data->data, from.ptr, from.len);
    ret_data->len = from.len;
    return KMS_OK;
}

static kms_err new_value(struct kms_bytes data_key, struct kms_bytes sealed, bool binary,
                         struct kms_sealed_value **ret_value)
{
    kms_stored_secret_value *stored = malloc(sizeof *stored);
    if (stored == NULL) return KMS_FAIL(NO_MEMORY);
    kms__store__v1__stored_secret_value__init(stored);
    stored->binary = binary;
    if (!kms_failed(dup_data(data_key, &stored->data_key)) && !kms_failed(dup_data(sealed, &stored->sealed)))
        return kms_sealed_value_new(stored, ret_value);
    kms__store__v1__stored_secret_value__free_unpacked(stored, NULL);
    return KMS_FAIL(NO_MEMORY);
}

kms_err kms_secret_seal(struct kms_call *call, struct kms_access *access,
                        const struct kms_secret_plain *plain, struct kms_sealed_value **ret_value)
{
    enum { KEY = KMS_AEAD_KEY_BYTES };
    call->job = (struct kms_hsm_job){.op = KMS_HSM_DATA_KEY, .count = KEY};
    KMS_TRY(seal_plan(call, access, &call->job.key, &call->job.aad));
    KMS_TRY(kms_seal_output(call, access, KEY));
    KMS_TRY(run(call));
    if (call->job.output_len != call->job.output_cap) return KMS_FAIL(INTERNAL); /* no worker is trusted */
    size_t len = KMS_AEAD_IV_BYTES + plain->bytes.len + KMS_AEAD_TAG_BYTES;
    uint8_t *key = kms_call_alloc(call, KEY), *sealed = kms_call_alloc(call, len);
    struct kms_bytes aad;
    if (key == NULL || sealed == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(key, call->job.output, KEY); /* the header goes where it stood */
    const ProtobufCBinaryData blob = kms_seal_blob(call, access, KEY);
    KMS_TRY(make_aad(call, access, plain->binary, &aad));
    KMS_TRY(kms_random(sealed, KMS_AEAD_IV_BYTES));
    KMS_TRY(kms_aead_seal(key, sealed, aad, plain->bytes, sealed + KMS_AEAD_IV_BYTES));
    kms_wipe(key, KEY);
    return new_value(kms_bytes_of(blob.data, blob.len), kms_bytes_of(sealed, len), plain->binary, ret_value);
}

kms_err kms_secret_open(struct kms_call *call, const struct kms_access *access,
                        const struct kms_sealed_value *value, struct kms_bytes data_key,
                        struct kms_secret_plain *ret_plain)
{
    const ProtobufCBinaryData *sealed = &value->stored->sealed;
    enum { LEAST = KMS_AEAD_IV_BYTES + KMS_AEAD_TAG_BYTES };
    struct kms_bytes aad;
    if (data_key.len != KMS_AEAD_KEY_BYTES || sealed->len < LEAST) return KMS_FAIL(CORRUPT);
    uint8_t *plain = kms_call_alloc(call, sealed->len - LEAST + 1);
    if (plain == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(make_aad(call, access, value->stored->binary, &aad));
    const struct kms_bytes body =
        kms_bytes_of(sealed->data + KMS_AEAD_IV_BYTES, sealed->len - KMS_AEAD_IV_BYTES);
    kms_err err = kms_aead_open(data_key.ptr, sealed->data, aad, body, plain);
    if (kms_is(err, KMS_E_INVALID_CIPHERTEXT))
        return kms_call_fail(call, KMS_FAIL(CORRUPT), "a value of the secret does not open");
    KMS_TRY(err);
    *ret_plain = (struct kms_secret_plain){kms_bytes_of(plain, sealed->len - LEAST), value->stored->binary};
    return KMS_OK;
}

kms_err kms_secret_sealed_by(const struct kms_sealed_value *value, struct kms_id *ret_key_id,
                             uint32_t *ret_version)
{
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    const ProtobufCBinaryData *blob = &value->stored->data_key;
    KMS_TRY(kms_ciphertext_parse(kms_bytes_of(blob->data, blob->len), &header, &sealed, NULL));
    *ret_key_id = header.key_id;
    *ret_version = header.key_version;
    return KMS_OK;
}

/* An access that policy is not asked about: to the key that a version is sealed with. */
static kms_err access_of(struct kms_call *call, const struct kms_secret_entry *entry, size_t at,
                         struct kms_access *ret_access)
{
    struct kms_id id;
    *ret_access = (struct kms_access){.action = KMS_ACT_DECRYPT, .via_secrets = true};
    KMS_TRY(kms_secret_sealed_by(entry->values[at], &id, &ret_access->version));
    KMS_TRY(kms_secret_context(call, ret_access, entry->arn, entry->stored->versions[at]->id));
    ret_access->key = kms_keyring_find(call->core->keys, &id);
    if (ret_access->key == NULL)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the key of %s is gone", entry->stored->name);
    return kms_key_state_check(ret_access->key,
                               kms_core_key_state(call->core, ret_access->key, call->started_us),
                               KMS_ACT_DECRYPT, &call->why);
}

kms_err kms_secret_open_now(struct kms_call *call, const struct kms_secret_entry *entry, size_t at,
                            struct kms_secret_plain *ret_plain)
{
    struct kms_access access;
    call->job = (struct kms_hsm_job){.op = KMS_HSM_DECRYPT};
    kms_err err = access_of(call, entry, at, &access);
    if (!kms_failed(err)) err = kms_open_plan(call, &access, entry->values[at]->stored->data_key, "");
    uint8_t *key = kms_call_alloc(call, KMS_AEAD_KEY_BYTES);
    if (!kms_failed(err) && key == NULL) err = KMS_FAIL(NO_MEMORY);
    call->job.output = key;
    call->job.output_cap = KMS_AEAD_KEY_BYTES;
    if (!kms_failed(err)) err = run(call);
    if (!kms_failed(err))
        err = kms_secret_open(call, &access, entry->values[at], kms_bytes_of(key, call->job.output_len),
                              ret_plain);
    if (key != NULL) kms_wipe(key, KMS_AEAD_KEY_BYTES);
    kms_accesses_end(&access, 1);
    return err;
}

static kms_err rewrap(struct kms_call *call, const struct kms_access *from, struct kms_access *to,
                      const struct kms_sealed_value *old, struct kms_sealed_value **ret_value)
{
    const ProtobufCBinaryData *sealed = &old->stored->sealed;
    struct kms_access source = *from;
    call->job = (struct kms_hsm_job){.op = KMS_HSM_REENCRYPT};
    KMS_TRY(kms_open_plan(call, &source, old->stored->data_key, ""));
    KMS_TRY(seal_plan(call, to, &call->job.to, &call->job.to_aad));
    KMS_TRY(kms_seal_output(call, to, call->job.input.len));
    KMS_TRY(run(call));
    const ProtobufCBinaryData blob = kms_seal_blob(call, to, 0);
    KMS_TRY(new_value(kms_bytes_of(blob.data, blob.len), kms_bytes_of(sealed->data, sealed->len),
                      old->stored->binary, ret_value));
    (*ret_value)->revision = old->revision;
    return KMS_OK;
}

kms_err kms_secret_rewrap(struct kms_call *call, const struct kms_secret_entry *entry, size_t at,
                          struct kms_access *to, struct kms_sealed_value **ret_value)
{
    struct kms_access from;
    *ret_value = NULL;
    kms_err err = access_of(call, entry, at, &from);
    bool current = !kms_failed(err) && kms_id_equal(&from.key->id, &to->key->id) &&
                   from.version == kms_key_current(to->key)->version;
    if (!kms_failed(err) && !current) {
        err = kms_secret_context(call, to, entry->arn, entry->stored->versions[at]->id);
        if (!kms_failed(err)) err = rewrap(call, &from, to, entry->values[at], ret_value);
    }
    kms_accesses_end(&from, 1);
    return err;
}
