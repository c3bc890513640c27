/* ImportKeyMaterial, DeleteImportedKeyMaterial, and the end of material whose time is over (kmsd/jobs). */
#include "base/clock.h"
#include "base/secret.h"
#include "hsm/spec.h"
#include "kms/v1/import.pb-c.h"
#include "kmsd/keys/record.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/import.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

typedef Kms__V1__ImportKeyMaterialRequest request_of_import;

static bool expires(const request_of_import *request)
{
    return request->expiration_model !=
           KMS__V1__EXPIRATION_MODEL__EXPIRATION_MODEL_KEY_MATERIAL_DOES_NOT_EXPIRE;
}

kms_err kms_import_key_material_gather(struct kms_call *call)
{
    const request_of_import *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_IMPORT_KEY_MATERIAL, request->key_id, &access));
    if (request->valid_to_time_us > KMS_TIME_MAX_US) /* the record could not say it */
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "valid_to_time_us: a time before the year 10000");
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->expiration_model =
        kms_bytes_text(expires(request) ? "KEY_MATERIAL_EXPIRES" : "KEY_MATERIAL_DOES_NOT_EXPIRE");
    inputs->valid_to_us = request->valid_to_time_us;
    return KMS_OK;
}

static kms_err check_request(struct kms_call *call, const request_of_import *request)
{
    const struct kms_key *key = call->access[0].key;
    KMS_TRY(kms_import_check(call, key));
    if (request->expiration_model > 2 || request->import_type > 2)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "expiration_model or import_type: unknown");
    if (expires(request) && request->valid_to_time_us <= kms_core_now_us(call->core))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "valid_to_time_us: a time to come");
    if (!expires(request) && request->valid_to_time_us != 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "valid_to_time_us: of material that expires");
    if (request->import_type != KMS__V1__IMPORT_TYPE__IMPORT_TYPE_NEW_KEY_MATERIAL) return KMS_OK;
    if (key->spec != KMS_SPEC_AES_256)
        return kms_call_fail(call, KMS_FAIL(UNSUPPORTED),
                             "import_type: what a key of %s makes does not say which version made it",
                             kms_spec_of(key->spec)->name);
    if (key->version_count == KMS_KEY_VERSIONS)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "a key has at most %d versions",
                             KMS_KEY_VERSIONS);
    return KMS_OK;
}

/* The token is the one that the key waits for, and the material as long as its wrapping makes it. */
static kms_err check_token(struct kms_call *call, const request_of_import *request,
                           const kms_stored_import *stored)
{
    enum { MODULUS = 512 };
    bool same = stored != NULL && request->import_token.len == KMS_ID_BYTES &&
                kms_bytes_same(request->import_token.data, stored->token_id.data, KMS_ID_BYTES);
    if (!same) return KMS_FAIL(INVALID_IMPORT_TOKEN);
    if (kms_core_now_us(call->core) >= stored->expires_us) return KMS_FAIL(EXPIRED_IMPORT_TOKEN);
    bool direct =
        stored->wrapping_algorithm == KMS__V1__WRAPPING_ALGORITHM__WRAPPING_ALGORITHM_RSAES_OAEP_SHA_256;
    if (direct != (request->encrypted_key_material.len == MODULUS)) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
    return KMS_OK;
}

struct taken {
    uint8_t mark[KMS_HSM_MARK_BYTES];
    struct kms_bytes wrapped; /* in the arena */
};

/* The material as that version of the key. */
static kms_err take(struct kms_call *call, const kms_stored_import *stored, uint32_t version,
                    struct taken *ret_taken)
{
    const request_of_import *request = (const void *)call->request;
    enum { ROOM = KMS_HSM_MARK_BYTES + KMS_HSM_WRAPPED_BYTES };
    uint8_t *room = kms_call_alloc(call, ROOM);
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_hsm_job job = {.op = KMS_HSM_IMPORT, .output = room, .output_cap = ROOM};
    job.key.ref = (struct kms_key_ref){.version = 1,
                                       .spec = KMS_SPEC_RSA_4096,
                                       .usage = KMS_USAGE_ENCRYPT_DECRYPT,
                                       .level = KMS_LEVEL_SOFTWARE};
    kms_copy(job.key.ref.key_id.bytes, stored->token_id.data, KMS_ID_BYTES);
    job.key.wrapped = kms_bytes_of(stored->wrapped.data, stored->wrapped.len);
    job.to = kms_key_for_hsm(call->access[0].key, kms_key_current(call->access[0].key));
    job.to.ref.version = version;
    job.to.wrapped = (struct kms_bytes){0};
    job.input = kms_bytes_of(request->encrypted_key_material.data, request->encrypted_key_material.len);
    kms_err err = kms_hsm_call(call->core->hsm, &job);
    if (kms_is(err, KMS_E_ROOT_KEYS_MISSING)) return KMS_FAIL(EXPIRED_IMPORT_TOKEN);
    KMS_TRY(err);
    kms_copy(ret_taken->mark, room, sizeof ret_taken->mark);
    ret_taken->wrapped = kms_bytes_of(room + KMS_HSM_MARK_BYTES, job.output_len - KMS_HSM_MARK_BYTES);
    return KMS_OK;
}

/* 0: none. */
static uint32_t version_with(const struct kms_key *key, const uint8_t mark[KMS_HSM_MARK_BYTES])
{
    for (uint32_t i = 0; i < key->version_count; i++)
        if (key->versions[i].mark != NULL && kms_bytes_same(key->versions[i].mark, mark, KMS_HSM_MARK_BYTES))
            return i + 1;
    return 0;
}

/* Which version the material becomes; taken is for that one then. A wrapped key is bound to its version, so
 * material that turns out to be an older one's is taken again. */
static kms_err choose(struct kms_call *call, const kms_stored_import *stored, uint32_t *ret_version,
                      struct taken *taken)
{
    const request_of_import *request = (const void *)call->request;
    const struct kms_key *key = call->access[0].key;
    bool first = key->versions[0].mark == NULL;
    bool fresh = !first && request->import_type == KMS__V1__IMPORT_TYPE__IMPORT_TYPE_NEW_KEY_MATERIAL;
    uint32_t version = key->version_count + fresh;
    KMS_TRY(take(call, stored, version, taken));
    uint32_t known = version_with(key, taken->mark);
    *ret_version = version;
    if (fresh && known != 0)
        return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "version %u has this material", known);
    if (first || fresh) return KMS_OK;
    *ret_version = known;
    if (known == 0) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
    return known == version ? KMS_OK : take(call, stored, known, taken);
}

static kms_err put(struct kms_call *call, struct kms_key *key, uint32_t number, const struct taken *taken)
{
    const request_of_import *request = (const void *)call->request;
    struct kms_key_version *version = &key->versions[number - 1];
    if (version->mark == NULL) {
        version->created_us = kms_core_now_us(call->core);
        version->cause = KMS_CAUSE_IMPORT;
    }
    KMS_TRY(kms_version_set_mark(version, taken->mark));
    version->expires_us = request->valid_to_time_us;
    version->root_id = kms_hsm_root_of(taken->wrapped);
    KMS_TRY(kms_key_set_wrapped(version, taken->wrapped));
    if (key->state == KMS_STATE_PENDING_IMPORT && kms_key_complete(key)) key->state = KMS_STATE_ENABLED;
    return KMS_OK;
}

static kms_err import(struct kms_call *call, uint32_t *ret_version, struct kms_key **ret_key)
{
    const request_of_import *request = (const void *)call->request;
    const struct kms_key *old = call->access[0].key;
    KMS_OWN_IMPORT stored = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_KEY key = NULL;
    struct taken taken;
    uint64_t revision;
    KMS_TRY(check_request(call, request));
    KMS_TRY(kms_begin_rsa(call, old->spec));
    KMS_TRY(kms_import_read(call, old, &stored, &revision));
    KMS_TRY(check_token(call, request, stored));
    KMS_TRY(choose(call, stored, ret_version, &taken));
    KMS_TRY(kms_key_copy(old, *ret_version > old->version_count, &key));
    KMS_TRY(put(call, key, *ret_version, &taken));
    KMS_TRY(kms_change_key(&changes, key));
    KMS_TRY(kms_change_version(&changes, key, *ret_version));
    KMS_TRY(kms_change_remove(&changes, KMS_TABLE_IMPORT, key->id_text, revision));
    KMS_TRY(kms_change_apply_key(&changes, call, key));
    kms_hsm_readmit(call->core->hsm, &key->id);
    *ret_key = KMS_GIVE(key);
    struct kms_id wrapping;
    kms_copy(wrapping.bytes, stored->token_id.data, sizeof wrapping.bytes);
    KMS_TRY(kms_hsm_forget(call->core->hsm, &wrapping));
    return kms_keystore_scrub(call->core->store, &call->why);
}

kms_err kms_import_key_material_act(struct kms_call *call)
{
    Kms__V1__ImportKeyMaterialResponse *reply = kms_new_reply(call);
    KMS_OWN_KEY key = NULL;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(import(call, &reply->version, &key));
    call->access[0].version = reply->version;
    reply->key_id = kms_access_arn(call, &call->access[0]);
    reply->key_state = (Kms__V1__KeyState)kms_key_state_at(key, call->started_us);
    return reply->key_id != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* ---- the end of material ---- */

static bool is_due(const struct kms_key_version *version, uint64_t now_us)
{
    return version->wrapped.len > 0 && version->expires_us != 0 && version->expires_us <= now_us;
}

bool kms_material_due(const struct kms_key *key, uint64_t now_us)
{
    bool due = false;
    for (uint32_t i = 0; key->origin == KMS_ORIGIN_EXTERNAL && i < key->version_count; i++)
        due |= is_due(&key->versions[i], now_us);
    return due;
}

/* Erases the material of all versions, or of those whose time was over by now_us. */
static kms_err erase(struct kms_call *call, bool all, uint64_t now_us)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_KEY key = NULL;
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    bool usable = key->state == KMS_STATE_ENABLED || key->state == KMS_STATE_DISABLED;
    if (usable) key->state = KMS_STATE_PENDING_IMPORT;
    for (uint32_t i = 0; i < key->version_count; i++) {
        struct kms_key_version *version = &key->versions[i];
        if (version->wrapped.len == 0 || (!all && !is_due(version, now_us))) continue;
        kms_version_drop_wrapped(version);
        version->expires_us = 0;
        KMS_TRY(kms_change_version(&changes, key, i + 1));
    }
    KMS_TRY(kms_change_key(&changes, key));
    KMS_TRY(kms_change_apply_key(&changes, call, key));
    KMS_TRY(kms_hsm_forget(call->core->hsm, &key->id));
    return kms_keystore_scrub(call->core->store, &call->why);
}

kms_err kms_delete_imported_key_material_gather(struct kms_call *call)
{
    const Kms__V1__DeleteImportedKeyMaterialRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_DELETE_IMPORTED_KEY_MATERIAL, request->key_id, &access);
}

kms_err kms_delete_imported_key_material_act(struct kms_call *call)
{
    Kms__V1__DeleteImportedKeyMaterialResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = kms_access_arn(call, &call->access[0]);
    if (reply->key_id == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_import_check(call, call->access[0].key));
    return erase(call, true, 0);
}

kms_err kms_expire_material(struct kms_call *call)
{
    uint64_t now_us = kms_core_now_us(call->core);
    if (!kms_material_due(call->access[0].key, now_us))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "not due any more");
    return erase(call, false, now_us);
}
