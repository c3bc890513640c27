/* The key of a secret: the one that it names, or the default key, made when it is first needed. */
#include <string.h>

#include "base/ciphertext.h"
#include "hsm/spec.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/new_version.h"
#include "kmsd/service/policy_check.h"
#include "kmsd/service/secret.h"

#define DEFAULT_ALIAS "alias/aws/secretsmanager"
enum { ROTATION_DAYS = 365 }; /* of the default key, as AWS rotates the keys that it manages */

kms_err kms_secret_context(struct kms_call *call, struct kms_access *access, const char *arn,
                           const char *version_id)
{
    struct kms_context_pair pairs[] = {{kms_bytes_text("SecretARN"), kms_bytes_text(arn)},
                                       {kms_bytes_text("SecretVersionId"), kms_bytes_text(version_id)}};
    return kms_access_pairs(call, access, pairs, 2);
}

/*
 * Whoever may use a secret uses the key for it, through this service alone; the secret's own policy
 * separates. Nobody administers the key: it is rotated by itself. AWS's key policy for aws/secretsmanager
 * says the same.
 */
static char *default_policy(struct kms_call *call)
{
    return kms_arena_print(
        &call->arena,
        "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Sid\": \"ThroughSecretsManager\", "
        "\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": [\"kms:Decrypt\", "
        "\"kms:GenerateDataKey\"], \"Resource\": \"*\", \"Condition\": {\"StringEquals\": "
        "{\"kms:ViaService\": \"%s\"}}}, {\"Sid\": \"Metadata\", \"Effect\": \"Allow\", "
        "\"Principal\": \"*\", \"Action\": [\"kms:DescribeKey\", \"kms:GetKeyPolicy\", "
        "\"kms:GetKeyRotationStatus\", \"kms:ListKeyRotations\"], \"Resource\": \"*\"}]}",
        call->core->via_secrets);
}

static kms_err gather_new(struct kms_call *call, struct kms_access *access)
{
    struct kms_id id;
    KMS_TRY(kms_id_new(&id));
    kms_id_text(&id, call->new_key_id);
    call->new_spec = KMS_SPEC_AES_256;
    call->new_usage = KMS_USAGE_ENCRYPT_DECRYPT;
    call->policy_json = default_policy(call);
    if (call->policy_json == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_policy_say(call, call->policy_json));
    return kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(call->policy_json), &access->policy, &call->why);
}

/* The default key: by its alias, whether that is one of ours or of somebody who may name it. */
static kms_err gather_default(struct kms_call *call, struct kms_access **ret_access)
{
    const char *name = call->core->default_secret_key;
    const struct kms_id none = {{0}};
    struct kms_alias alias;
    bool there = kms_keyring_alias(call->core->keys, kms_bytes_text(name), &alias) && !alias.deleted;
    KMS_TRY(kms_access_id(call, KMS_ACT_GENERATE_DATA_KEY, there ? &alias.key_id : &none, ret_access));
    (*ret_access)->named = kms_bytes_text(name);
    if (there) return KMS_OK;
    if (strcmp(name, DEFAULT_ALIAS) == 0) return gather_new(call, *ret_access);
    return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "secrets.default_key: there is no %s", name);
}

/* The key that the request names is an input of what it asks of the secret, which is the first access. */
static kms_err say_key(struct kms_call *call, const char *named, const struct kms_key *key)
{
    struct kms_operation_inputs *inputs = kms_access_inputs(call, &call->access[0]);
    char *arn = kms_call_alloc(call, KMS_ARN_BYTES);
    if (inputs == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->secret_kms_key_id = kms_bytes_text(named);
    if (key == NULL) return KMS_OK;
    kms_key_arn(&call->core->arn, key->id_text, arn);
    inputs->secret_kms_key_arn = kms_bytes_text(arn);
    return KMS_OK;
}

kms_err kms_secret_key_gather(struct kms_call *call, const char *named, const struct kms_secret_entry *entry,
                              const char *arn, const char *version_id)
{
    struct kms_access *access;
    bool own = entry != NULL && entry->stored->key_id.len == KMS_ID_BYTES;
    if (named[0] != '\0') {
        KMS_TRY(kms_access_named(call, KMS_ACT_GENERATE_DATA_KEY, named, &access));
        KMS_TRY(say_key(call, named, access->key));
    } else if (own) {
        struct kms_id id;
        kms_copy(id.bytes, entry->stored->key_id.data, KMS_ID_BYTES);
        KMS_TRY(kms_access_id(call, KMS_ACT_GENERATE_DATA_KEY, &id, &access));
    } else {
        KMS_TRY(gather_default(call, &access));
    }
    access->via_secrets = true;
    return kms_secret_context(call, access, arn, version_id);
}

static kms_err make(struct kms_call *call, struct kms_key **ret_key)
{
    KMS_OWN_KEY key = NULL;
    KMS_TRY(kms_key_new(KMS_LEVEL_HSM, 1, &key));
    if (!kms_id_parse(kms_bytes_text(call->new_key_id), &key->id)) return KMS_FAIL(INTERNAL);
    kms_id_text(&key->id, key->id_text);
    key->created_us = kms_core_now_us(call->core);
    key->spec = KMS_SPEC_AES_256;
    key->usage = KMS_USAGE_ENCRYPT_DECRYPT;
    key->state = KMS_STATE_ENABLED;
    key->origin = KMS_ORIGIN_KMS;
    key->rotation_period_days = ROTATION_DAYS;
    key->rotation_next_us = key->created_us + ROTATION_DAYS * KMS_DAY_US;
    KMS_TRY(kms_key_set_texts(key, "Seals the stored secrets that name no other key.", "kmsd"));
    kms_documents *documents = kms_keyring_documents(call->core->keys);
    KMS_TRY(kms_documents_policy(documents, call->policy_json, &key->policy, &call->why));
    KMS_TRY(kms_new_version(call, key, 1));
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

kms_err kms_secret_key_need(struct kms_call *call, struct kms_access *access, struct kms_change_set *changes)
{
    struct kms_alias alias = {.name = DEFAULT_ALIAS};
    if (access->key != NULL) return KMS_OK;
    KMS_TRY(make(call, &access->key));
    alias.key_id = access->key->id;
    KMS_TRY(kms_keyring_reserve(call->core->keys, &access->key->id));
    KMS_TRY(kms_change_key(changes, access->key));
    KMS_TRY(kms_change_version(changes, access->key, 1));
    kms_buf *body; /* the alias itself is made again when the change is applied */
    KMS_TRY(kms_change_row(changes, KMS_TABLE_ALIAS, alias.name, NULL, &body));
    return kms_alias_body(&alias, access->key->created_us, body);
}

kms_err kms_secret_key_made(struct kms_call *call, const struct kms_access *access)
{
    if (access->policy == NULL) return KMS_OK; /* it was there before */
    struct kms_alias alias = {.name = DEFAULT_ALIAS, .key_id = access->key->id, .revision = 1};
    KMS_TRY(kms_keyring_put(call->core->keys, access->key));
    return kms_keyring_put_alias(call->core->keys, &alias);
}
