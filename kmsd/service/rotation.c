/* EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, ListKeyRotations; and the rotation itself,
 * when the scheduler says so (kmsd/jobs). */
#include <stdlib.h>

#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/describe.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/new_version.h"
#include "kmsd/service/rotation.h"
#include "kmsd/service/seal.h"

enum { PERIOD_DEFAULT_DAYS = 365, PERIOD_MOST_DAYS = 2560, LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

static kms_err set_period(struct kms_call *call, uint32_t days, struct kms_key **ret_key)
{
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    key->rotation_period_days = days;
    key->rotation_next_us = days != 0 ? kms_core_now_us(call->core) + days * KMS_DAY_US : 0;
    KMS_TRY(kms_change_key(&changes, key));
    KMS_TRY(kms_change_apply_key(&changes, call, key));
    if (ret_key != NULL) *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

static uint32_t period_of(const Kms__V1__EnableKeyRotationRequest *request)
{
    return request->rotation_period_in_days != 0 ? request->rotation_period_in_days : PERIOD_DEFAULT_DAYS;
}

kms_err kms_enable_key_rotation_gather(struct kms_call *call)
{
    const Kms__V1__EnableKeyRotationRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_ENABLE_KEY_ROTATION, request->key_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->rotation_period_days = period_of(request);
    return KMS_OK;
}

kms_err kms_enable_key_rotation_act(struct kms_call *call)
{
    const Kms__V1__EnableKeyRotationRequest *request = (const void *)call->request;
    Kms__V1__EnableKeyRotationResponse *reply = kms_new_reply(call);
    const struct kms_key *old = call->access[0].key;
    KMS_OWN_KEY key = NULL;
    uint32_t days = period_of(request);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (days > PERIOD_MOST_DAYS)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "rotation_period_in_days: 1 to %d",
                             PERIOD_MOST_DAYS);
    KMS_TRY(kms_rotation_check(call, old));
    KMS_TRY(set_period(call, days, &key));
    reply->next_rotation_time_us = key->rotation_next_us;
    return KMS_OK;
}

kms_err kms_disable_key_rotation_gather(struct kms_call *call)
{
    const Kms__V1__DisableKeyRotationRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_DISABLE_KEY_ROTATION, request->key_id, &access);
}

kms_err kms_disable_key_rotation_act(struct kms_call *call)
{
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    if (call->access[0].key->rotation_period_days == 0) return KMS_OK;
    return set_period(call, 0, NULL);
}

kms_err kms_get_key_rotation_status_gather(struct kms_call *call)
{
    const Kms__V1__GetKeyRotationStatusRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_GET_KEY_ROTATION_STATUS, request->key_id, &access);
}

kms_err kms_get_key_rotation_status_act(struct kms_call *call)
{
    Kms__V1__GetKeyRotationStatusResponse *reply = kms_new_reply(call);
    const struct kms_key *key = call->access[0].key;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = kms_access_arn(call, &call->access[0]);
    reply->key_rotation_enabled = key->rotation_period_days != 0;
    reply->rotation_period_in_days = key->rotation_period_days;
    reply->next_rotation_time_us = key->rotation_next_us;
    return reply->key_id != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_list_key_rotations_gather(struct kms_call *call)
{
    const Kms__V1__ListKeyRotationsRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_LIST_KEY_ROTATIONS, request->key_id, &access);
}

/* The marker is the last version of the page before. */
static kms_err read_marker(const char *marker, const struct kms_key *key, uint32_t *ret_version)
{
    char *end = NULL;
    unsigned long version = marker[0] != '\0' ? strtoul(marker, &end, 10) : 1;
    if ((end != NULL && *end != '\0') || version < 1 || version > key->version_count)
        return KMS_FAIL(INVALID_MARKER);
    *ret_version = (uint32_t)version;
    return KMS_OK;
}

kms_err kms_list_key_rotations_act(struct kms_call *call)
{
    const Kms__V1__ListKeyRotationsRequest *request = (const void *)call->request;
    Kms__V1__ListKeyRotationsResponse *reply = kms_new_reply(call);
    const struct kms_key *key = call->access[0].key;
    uint32_t after, limit = request->limit != 0 ? request->limit : LIMIT_DEFAULT;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    KMS_TRY(read_marker(request->marker, key, &after));
    uint32_t left = key->version_count - after;
    reply->n_rotations = left < limit ? left : limit;
    reply->rotations = kms_describe_versions(call, key, after + 1, (uint32_t)reply->n_rotations);
    reply->truncated = left > limit;
    if (reply->truncated) reply->next_marker = kms_arena_print(&call->arena, "%u", after + limit);
    return reply->rotations != NULL && reply->next_marker != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_rotation_check(struct kms_call *call, const struct kms_key *key)
{
    if (key->spec == KMS_SPEC_AES_256 && key->origin == KMS_ORIGIN_KMS) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(UNSUPPORTED),
                         "only symmetric keys whose material was made here rotate: key %s does not",
                         key->id_text);
}

kms_err kms_rotate_copy(struct kms_call *call, enum kms_version_cause cause, struct kms_key **ret_key)
{
    const struct kms_key *old = call->access[0].key;
    KMS_OWN_KEY key = NULL;
    if (old->version_count == KMS_KEY_VERSIONS)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "a key has at most %d versions",
                             KMS_KEY_VERSIONS);
    KMS_TRY(kms_key_copy(old, 1, &key));
    KMS_TRY(kms_new_version(call, key, key->version_count));
    key->versions[key->version_count - 1].cause = (uint8_t)cause;
    call->access[0].version = key->version_count;
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

kms_err kms_rotate_apply(struct kms_call *call, struct kms_change_set *changes, struct kms_key *key)
{
    KMS_TRY(kms_change_key(changes, key));
    KMS_TRY(kms_change_version(changes, key, key->version_count));
    return kms_change_apply_key(changes, call, key);
}

/* One rotation makes up for all that were missed, and the next one is a period after the day it was due. */
static uint64_t next_after(const struct kms_key *key, uint64_t now_us)
{
    uint64_t period_us = key->rotation_period_days * KMS_DAY_US;
    uint64_t missed = (now_us - key->rotation_next_us) / period_us;
    return key->rotation_next_us + (missed + 1) * period_us;
}

bool kms_rotation_due(const struct kms_key *key, uint64_t now_us)
{
    return key->rotation_period_days != 0 && key->rotation_next_us <= now_us &&
           key->state == KMS_STATE_ENABLED;
}

kms_err kms_rotate_scheduled(struct kms_call *call)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_KEY key = NULL;
    uint64_t now_us = kms_core_now_us(call->core);
    if (!kms_rotation_due(call->access[0].key, now_us))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "not due any more");
    KMS_TRY(kms_rotate_copy(call, KMS_CAUSE_SCHEDULE, &key));
    key->rotation_next_us = next_after(key, now_us);
    return kms_rotate_apply(call, &changes, key);
}

bool kms_rotation_due_for_budget(const struct kms_key *key)
{
    const struct kms_budget *budget = kms_key_current(key)->budget;
    return budget != NULL && atomic_load(&budget->low) && key->state == KMS_STATE_ENABLED &&
           key->origin == KMS_ORIGIN_KMS;
}

kms_err kms_rotate_for_budget(struct kms_call *call)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_KEY key = NULL;
    if (!kms_rotation_due_for_budget(call->access[0].key))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "not due any more");
    KMS_TRY(kms_rotate_copy(call, KMS_CAUSE_BUDGET, &key));
    return kms_rotate_apply(call, &changes, key);
}
