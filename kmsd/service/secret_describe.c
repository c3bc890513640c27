/* DescribeSecret and ListSecretVersionIds: everything but values. */
#include <stdio.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

kms_err kms_describe_secret_gather(struct kms_call *call)
{
    const Kms__V1__DescribeSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_DESCRIBE_SECRET, request->secret_id, &access);
}

static char *key_arn(struct kms_call *call, const struct kms_id *id)
{
    char text[KMS_ID_TEXT], *arn = kms_call_alloc(call, KMS_ARN_BYTES);
    kms_id_text(id, text);
    if (arn != NULL) kms_key_arn(&call->core->arn, text, arn);
    return arn;
}

/* The call holds the entry: its texts may be borrowed. */
static Kms__V1__SecretVersion *version_of(struct kms_call *call, const struct kms_secret_entry *entry,
                                          size_t at)
{
    Kms__V1__SecretVersion *version = kms_call_alloc(call, sizeof *version);
    const kms_stored_secret_version *stored = entry->stored->versions[at];
    struct kms_id id;
    if (version == NULL) return NULL;
    kms__v1__secret_version__init(version);
    version->version_id = stored->id;
    version->version_stages = stored->stages;
    version->n_version_stages = stored->n_stages;
    version->created_us = stored->created_us;
    if (kms_failed(kms_secret_sealed_by(entry->values[at], &id, &version->kms_key_version))) return version;
    version->kms_key_id = key_arn(call, &id);
    return version->kms_key_id != NULL ? version : NULL;
}

/* Newest first. */
static kms_err add_versions(struct kms_call *call, bool deprecated, Kms__V1__SecretVersion ***ret_versions,
                            size_t *ret_count)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    size_t total = entry->stored->n_versions, count = 0;
    Kms__V1__SecretVersion **versions = kms_call_alloc(call, (total + 1) * sizeof(Kms__V1__SecretVersion *));
    if (versions == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = total; i-- > 0;) {
        if (!deprecated && entry->stored->versions[i]->n_stages == 0) continue;
        versions[count] = version_of(call, entry, i);
        if (versions[count++] == NULL) return KMS_FAIL(NO_MEMORY);
    }
    *ret_versions = versions;
    *ret_count = count;
    return KMS_OK;
}

static kms_err add_rotation(struct kms_call *call, const kms_stored_rotation *stored,
                            Kms__V1__DescribeSecretResponse *reply)
{
    Kms__V1__RotationRules *rules = kms_call_alloc(call, sizeof *rules);
    Kms__V1__RotationUnderWay *under_way = kms_call_alloc(call, sizeof *under_way);
    if (rules == NULL || under_way == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__rotation_rules__init(rules);
    rules->automatically_after_days = stored->after_days;
    rules->schedule_expression = stored->schedule;
    rules->duration = stored->duration;
    reply->rotation_enabled = stored->automatic;
    reply->rotator = stored->rotator;
    if (stored->after_days != 0 || stored->schedule[0] != '\0') reply->rotation_rules = rules;
    reply->last_rotated_us = stored->last_us;
    if (stored->version_id[0] == '\0') reply->last_rotation_error = stored->last_error;
    reply->next_rotation_us = stored->next_us;
    if (stored->version_id[0] == '\0') return KMS_OK;
    kms__v1__rotation_under_way__init(under_way);
    under_way->version_id = stored->version_id;
    under_way->next_step = kms_lend(kms_rotation_step_name((enum kms_rotation_step)stored->next_step));
    under_way->failures = stored->failures;
    under_way->last_error = stored->last_error;
    under_way->next_try_us = stored->next_try_us;
    reply->rotation = under_way;
    return KMS_OK;
}

kms_err kms_describe_secret_act(struct kms_call *call)
{
    Kms__V1__DescribeSecretResponse *reply = kms_new_reply(call);
    const struct kms_secret_entry *entry = kms_call_secret(call);
    const kms_stored_secret *stored = entry->stored;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    reply->description = stored->description;
    if (stored->key_id.len == KMS_ID_BYTES) {
        struct kms_id id;
        kms_copy(id.bytes, stored->key_id.data, KMS_ID_BYTES);
        reply->kms_key_id = key_arn(call, &id);
        if (reply->kms_key_id == NULL) return KMS_FAIL(NO_MEMORY);
    }
    reply->last_changed_us = stored->changed_us;
    reply->last_accessed_us = kms_read_day_of(entry->read);
    reply->deletion_us = stored->deletion_us;
    reply->created_us = stored->created_us;
    reply->revision = entry->revision;
    KMS_TRY(kms_secret_reply_tags(call, stored, &reply->tags, &reply->n_tags));
    if (stored->rotation != NULL) KMS_TRY(add_rotation(call, stored->rotation, reply));
    return add_versions(call, false, &reply->versions, &reply->n_versions);
}

kms_err kms_list_secret_version_ids_gather(struct kms_call *call)
{
    const Kms__V1__ListSecretVersionIdsRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_LIST_SECRET_VERSION_IDS, request->secret_id, &access);
}

kms_err kms_list_secret_version_ids_act(struct kms_call *call)
{
    const Kms__V1__ListSecretVersionIdsRequest *request = (const void *)call->request;
    Kms__V1__ListSecretVersionIdsResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    return add_versions(call, request->include_deprecated, &reply->versions, &reply->n_versions);
}
