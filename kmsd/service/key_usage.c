/* GetKeyUsage: who used which version, and whether anybody would miss it. */
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/usage.h"

enum { VERSIONS_MOST = 1000 };

kms_err kms_get_key_usage_gather(struct kms_call *call)
{
    const Kms__V1__GetKeyUsageRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_GET_KEY_USAGE, request->key_id, &access);
}

static bool add_counts(struct kms_call *call, const struct kms_usage *usage, Kms__V1__VersionUsage *reply)
{
    Kms__V1__OperationCount *counts = kms_call_alloc(call, (usage->action_count + 1) * sizeof *counts);
    reply->operations = kms_call_alloc(call, (usage->action_count + 1) * sizeof *reply->operations);
    if (counts == NULL || reply->operations == NULL) return false;
    for (size_t i = 0; i < usage->action_count; i++) {
        kms__v1__operation_count__init(&counts[i]);
        counts[i].action = kms_arena_print(&call->arena, "%s", kms_action_name(usage->counts[i].action));
        counts[i].count = usage->counts[i].count;
        if (counts[i].action == NULL) return false;
        reply->operations[i] = &counts[i];
    }
    reply->n_operations = usage->action_count;
    return true;
}

static bool add_principals(struct kms_call *call, const struct kms_usage *usage, Kms__V1__VersionUsage *reply)
{
    Kms__V1__PrincipalUse *seen = kms_call_alloc(call, (usage->principal_count + 1) * sizeof *seen);
    reply->principals = kms_call_alloc(call, (usage->principal_count + 1) * sizeof *reply->principals);
    if (seen == NULL || reply->principals == NULL) return false;
    for (size_t i = 0; i < usage->principal_count; i++) {
        kms__v1__principal_use__init(&seen[i]);
        seen[i].principal = kms_arena_print(&call->arena, "%s", usage->principals[i].name);
        seen[i].last_use_time_us = usage->principals[i].last_us;
        if (seen[i].principal == NULL) return false;
        reply->principals[i] = &seen[i];
    }
    reply->n_principals = usage->principal_count;
    return true;
}

static Kms__V1__VersionUsage *describe(struct kms_call *call, const struct kms_key *key, uint32_t version)
{
    struct kms_usage_principal *principals = kms_call_alloc(call, KMS_LEDGER_PRINCIPALS * sizeof *principals);
    Kms__V1__VersionUsage *reply = kms_call_alloc(call, sizeof *reply);
    if (principals == NULL || reply == NULL) return NULL;
    kms__v1__version_usage__init(reply);
    struct kms_usage usage = {.first_us = 0};
    bool used = kms_ledger_find(call->core->ledger, &key->id, version, &usage, principals);
    reply->version = version;
    reply->retirement_time_us = key->versions[version - 1].retired_us;
    reply->may_be_retired = version != key->version_count && reply->retirement_time_us == 0 &&
                            !kms_usage_lately(call->core, key, version);
    if (!used) return reply;
    reply->first_use_time_us = usage.first_us;
    reply->last_use_time_us = usage.last_us;
    return add_counts(call, &usage, reply) && add_principals(call, &usage, reply) ? reply : NULL;
}

kms_err kms_get_key_usage_act(struct kms_call *call)
{
    Kms__V1__GetKeyUsageResponse *reply = kms_new_reply(call);
    const struct kms_key *key = call->access[0].key;
    uint32_t shown = key->version_count < VERSIONS_MOST ? key->version_count : VERSIONS_MOST;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = kms_access_arn(call, &call->access[0]);
    reply->used_lately_days = (uint32_t)(call->core->used_lately_us / KMS_DAY_US);
    reply->versions = kms_call_alloc(call, shown * sizeof *reply->versions);
    if (reply->key_id == NULL || reply->versions == NULL) return KMS_FAIL(NO_MEMORY);
    for (uint32_t i = 0; i < shown; i++) {
        reply->versions[i] = describe(call, key, key->version_count - shown + 1 + i);
        if (reply->versions[i] == NULL) return KMS_FAIL(NO_MEMORY);
    }
    reply->n_versions = shown;
    return KMS_OK;
}
