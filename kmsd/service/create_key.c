/* CreateKey: key, first version, policy and, if wanted, alias, in one step. */
#include <string.h>

#include "base/clock.h"
#include "hsm/spec.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/alias.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/change.h"
#include "kmsd/service/describe.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/new_version.h"
#include "kmsd/service/policy_check.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/tags.h"

static kms_err check_request(struct kms_call *call, const Kms__V1__CreateKeyRequest *request)
{
    bool external = request->origin == KMS__V1__KEY_ORIGIN__KEY_ORIGIN_EXTERNAL;
    if (request->origin > KMS__V1__KEY_ORIGIN__KEY_ORIGIN_EXTERNAL)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "origin: KMS or EXTERNAL");
    call->new_external = external;
    if (request->protection_level > KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "protection_level: HSM or SOFTWARE");
    return kms_description_check(call, request->description);
}

/* UNSPECIFIED is the usual spec and the spec's only usage. */
static kms_err choose_kind(struct kms_call *call, const Kms__V1__CreateKeyRequest *request)
{
    unsigned number = request->key_spec, usage = request->key_usage;
    if (number == KMS__V1__KEY_SPEC__KEY_SPEC_UNSPECIFIED) number = KMS_SPEC_AES_256;
    const struct kms_spec *spec = kms_spec_of(number);
    if (spec == NULL) return kms_call_fail(call, KMS_FAIL(UNSUPPORTED), "key_spec: not one of this service");
    for (unsigned only = 1; usage == 0 && only < 8; only++)
        if (spec->usages == 1U << only) usage = only;
    if (usage == 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "key_usage: an RSA key needs one of %s and %s",
                             kms_usage_name(KMS_USAGE_ENCRYPT_DECRYPT),
                             kms_usage_name(KMS_USAGE_SIGN_VERIFY));
    if (!kms_spec_usage_fits(number, usage))
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "key_usage: not one that %s can have",
                             spec->name);
    call->new_spec = (uint8_t)number;
    call->new_usage = (uint8_t)usage;
    return KMS_OK;
}

/* Where nothing is asked for, the better level that the token can do. */
static kms_err choose_level(struct kms_call *call, const Kms__V1__CreateKeyRequest *request,
                            enum kms_level *ret_level)
{
    static const char *const names[] = {[KMS_LEVEL_HSM] = "HSM", [KMS_LEVEL_SOFTWARE] = "SOFTWARE"};
    bool software = request->protection_level == KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE;
    struct kms_key_ref ref = {.spec = call->new_spec,
                              .usage = call->new_usage,
                              .level = software ? KMS_LEVEL_SOFTWARE : KMS_LEVEL_HSM};
    bool open = request->protection_level == KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_UNSPECIFIED &&
                ref.spec == KMS_SPEC_ED25519;
    const char *(*missing_of)(const struct kms_hsm_status *, const struct kms_key_ref *) =
        call->new_external ? kms_spec_import_missing : kms_spec_missing;
    struct kms_hsm_status status;
    kms_hsm_status(call->core->hsm, &status);
    const char *missing = missing_of(&status, &ref);
    if (missing != NULL && open) ref.level = KMS_LEVEL_SOFTWARE;
    if (missing != NULL && open) missing = missing_of(&status, &ref);
    if (missing != NULL)
        return kms_call_fail(call, KMS_FAIL(UNSUPPORTED), "%s keys of %s level: the token cannot (%s)%s",
                             kms_spec_of(ref.spec)->name, names[ref.level], missing,
                             ref.level == KMS_LEVEL_HSM ? "; SOFTWARE level may" : "");
    *ret_level = (enum kms_level)ref.level;
    return KMS_OK;
}

/* The alias needs the permission of the policy that the key is about to have. */
static kms_err gather_alias(struct kms_call *call, const Kms__V1__CreateKeyRequest *request)
{
    KMS_TRY(kms_alias_name_check(kms_bytes_text(request->alias_name), &call->why));
    struct kms_access *access;
    KMS_TRY(kms_alias_gather_new(call, request->alias_name, &access));
    access->policy = kms_policy_ref(call->access[0].policy);
    return KMS_OK;
}

kms_err kms_create_key_gather(struct kms_call *call)
{
    const Kms__V1__CreateKeyRequest *request = (const void *)call->request;
    call->may_bypass_lockout = true;
    call->bypass_lockout = request->bypass_policy_lockout_safety_check;
    struct kms_id id;
    KMS_TRY(kms_id_new(&id));
    kms_id_text(&id, call->new_key_id);
    KMS_TRY(kms_access_service(call, KMS_ACT_CREATE_KEY));
    KMS_TRY(check_request(call, request));
    KMS_TRY(choose_kind(call, request));
    KMS_TRY(kms_tags_gather(call, &call->access[0], request->tags, request->n_tags));
    const char *json = request->policy[0] != '\0' ? request->policy : kms_policy_default(call);
    if (json == NULL) return KMS_FAIL(NO_MEMORY);
    call->policy_json = json;
    KMS_TRY(kms_policy_say(call, json));
    KMS_TRY(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(json), &call->access[0].policy, &call->why));
    return request->alias_name[0] != '\0' ? gather_alias(call, request) : KMS_OK;
}

static kms_err new_key(struct kms_call *call, const Kms__V1__CreateKeyRequest *request,
                       struct kms_key **ret_key)
{
    KMS_OWN_KEY key = NULL;
    enum kms_level level = KMS_LEVEL_HSM;
    KMS_TRY(choose_level(call, request, &level));
    KMS_TRY(kms_key_new(level, 1, &key));
    if (!kms_id_parse(kms_bytes_text(call->new_key_id), &key->id)) return KMS_FAIL(INTERNAL);
    kms_id_text(&key->id, key->id_text);
    key->created_us = kms_now_us();
    key->spec = call->new_spec;
    key->usage = call->new_usage;
    key->state = call->new_external ? KMS_STATE_PENDING_IMPORT : KMS_STATE_ENABLED;
    key->origin = call->new_external ? KMS_ORIGIN_EXTERNAL : KMS_ORIGIN_KMS;
    kms_documents *documents = kms_keyring_documents(call->core->keys);
    KMS_TRY(kms_documents_policy(documents, call->policy_json, &key->policy, &call->why));
    KMS_TRY(kms_key_set_texts(key, request->description, call->identity->principal));
    KMS_TRY(kms_tags_set(call, key, request->tags, request->n_tags));
    if (!call->new_external) KMS_TRY(kms_begin_rsa(call, key->spec));
    key->versions[0].cause = KMS_CAUSE_IMPORT;
    key->versions[0].created_us = key->created_us;
    if (!call->new_external) KMS_TRY(kms_new_version(call, key, 1));
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

static kms_err create(struct kms_call *call, const Kms__V1__CreateKeyRequest *request,
                      struct kms_key **ret_key)
{
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    struct kms_alias alias = {.deleted = true};
    KMS_TRY(kms_policy_accept(call, call->access[0].policy, NULL, call->new_key_id));
    if (request->alias_name[0] != '\0')
        KMS_TRY(kms_alias_check_new(call, request->alias_name, call->access[0].policy, NULL, &alias));
    KMS_TRY(new_key(call, request, &key));
    const struct kms_made made = {.key_id = key->id, .version = 1};
    KMS_TRY(kms_change_key(&changes, key));
    KMS_TRY(kms_change_version(&changes, key, 1));
    alias.key_id = key->id;
    if (!alias.deleted) KMS_TRY(kms_change_alias(&changes, &alias));
    KMS_TRY(kms_change_token(&changes, call, request->client_request_token, &made));
    KMS_TRY(kms_change_apply_key(&changes, call, key));
    if (!alias.deleted) KMS_TRY(kms_keyring_put_alias(call->core->keys, &alias));
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

kms_err kms_create_key_act(struct kms_call *call)
{
    const Kms__V1__CreateKeyRequest *request = (const void *)call->request;
    Kms__V1__CreateKeyResponse *reply = kms_new_reply(call);
    struct kms_made made;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_made_before(call, request->client_request_token, &made));
    KMS_OWN_KEY key = made.found ? kms_keyring_find(call->core->keys, &made.key_id) : NULL;
    if (!made.found) KMS_TRY(create(call, request, &key));
    if (key == NULL) return KMS_FAIL(NOT_FOUND);                             /* the token's key is gone */
    if (call->access[0].key == NULL) call->access[0].key = kms_key_ref(key); /* the record names it */
    reply->key_metadata = kms_describe(call, key);
    return reply->key_metadata != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
