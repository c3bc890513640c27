/* Acts of the service itself. */
#include "kmsd/service/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/approval.h"
#include "kmsd/service/deletion.h"
#include "kmsd/service/end_grant.h"
#include "kmsd/service/import.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/lease_acts.h"
#include "kmsd/service/record.h"
#include "kmsd/service/retention.h"
#include "kmsd/service/rotation.h"
#include "kmsd/service/secret_acts.h"
#include "kmsd/service/tally.h"
#include "kmsd/service/usage.h"

enum { ARENA_BYTES = 2 * 1024 * 1024 };

#define ROW_OF(service_, name, act_, action_, ...)                                                           \
    {                                                                                                        \
        .service = &kms__v1__##service_##__descriptor, .rpc = (name), .action = KMS_ACT_##action_,           \
        .lane = KMS_LANE_ADMIN, .act = (act_), __VA_ARGS__                                                   \
    }
#define ROW(name, act_, action_, ...) ROW_OF(key_service, name, act_, action_, __VA_ARGS__)
static const struct kms_method acts[KMS_INTERNAL_COUNT] = {
    [KMS_INTERNAL_ROTATE_SCHEDULED] = ROW("RotateKeyOnSchedule", kms_rotate_scheduled, ROTATE_KEY_ON_DEMAND),
    [KMS_INTERNAL_ROTATE_FOR_BUDGET] = ROW("RotateKeyForBudget", kms_rotate_for_budget, ROTATE_KEY_ON_DEMAND),
    [KMS_INTERNAL_EXPIRE_GRANTS] = ROW("ExpireGrants", kms_expire_grants, REVOKE_GRANT),
    [KMS_INTERNAL_EXPIRE_MATERIAL] =
        ROW("ExpireKeyMaterial", kms_expire_material, DELETE_IMPORTED_KEY_MATERIAL),
    [KMS_INTERNAL_CHECKPOINT_USAGE] = ROW("CheckpointUsage", kms_usage_checkpoint, GET_KEY_USAGE),
    [KMS_INTERNAL_DELETE_KEY] = ROW("DeleteKey", kms_delete_key, SCHEDULE_KEY_DELETION),
    [KMS_INTERNAL_DROP_AUDIT] =
        ROW("DropAuditFiles", kms_retention_act, GET_STATUS, .gather = kms_retention_gather),
    [KMS_INTERNAL_DELETE_SECRET] =
        ROW_OF(secret_service, "DeleteSecretScheduled", kms_delete_secret_scheduled, DELETE_SECRET),
    [KMS_INTERNAL_ROTATE_SECRET] = ROW_OF(secret_service, "RotateSecretStep", kms_rotate_secret_step,
                                          ROTATE_SECRET, .gather = kms_rotate_secret_step_gather),
    [KMS_INTERNAL_BEGIN_LEASE] = ROW_OF(lease_service, "BeginLease", kms_lease_begin, GENERATE_CREDENTIALS,
                                        .gather = kms_lease_begin_gather),
    [KMS_INTERNAL_EXPIRE_LEASES] = ROW_OF(lease_service, "ExpireLeases", kms_lease_expire, REVOKE_PREFIX,
                                          .gather = kms_lease_expire_gather),
    [KMS_INTERNAL_REVOKE_LEASES] = ROW_OF(lease_service, "EndLeases", kms_lease_revoke_due, REVOKE_PREFIX,
                                          .gather = kms_lease_revoke_due_gather),
    [KMS_INTERNAL_SWEEP_LEASES] =
        ROW_OF(lease_service, "SweepLeasesOnSchedule", kms_lease_sweep_due, SWEEP_LEASES),
    [KMS_INTERNAL_CLOSE_APPROVAL] = ROW("CloseApproval", kms_close_approval, REJECT_REQUEST),
};

const char *kms_internal_name(enum kms_internal what)
{
    return acts[what].rpc;
}

static kms_err record(kms_pipeline *pipeline, const struct kms_call *call)
{
    struct kms_record space;
    return kms_pipeline_record(pipeline, kms_record_of(call, &space));
}

/* Attempt, act, outcome. */
static kms_err run(kms_pipeline *pipeline, struct kms_call *call)
{
    if (call->method->gather != NULL) KMS_TRY(call->method->gather(call));
    call->stage = KMS_STAGE_ACT;
    call->attempt = true;
    KMS_TRY(record(pipeline, call));
    call->attempt = false;
    call->err = call->method->act(call);
    kms_err recorded = record(pipeline, call);
    return kms_failed(call->err) ? call->err : recorded;
}

static kms_err find_key(struct kms_call *call, const struct kms_id *key_id)
{
    struct kms_access *access;
    KMS_TRY(kms_access_id(call, call->method->action, key_id, &access));
    return access->key != NULL ? KMS_OK : kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the key is gone");
}

static kms_err find_secret(struct kms_call *call, const char *name)
{
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, call->method->action, name, &access));
    return access->secret != NULL ? KMS_OK : kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the secret is gone");
}

static kms_err find_role(struct kms_call *call, const char *name)
{
    struct kms_access *access;
    KMS_TRY(kms_access_role(call, call->method->action, name, &access));
    return access->role != NULL ? KMS_OK : kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the role is gone");
}

/* One of these, or none. */
struct about {
    const struct kms_id *id; /* of a key, or of the approval that it is about */
    const char *secret, *role;
    struct kms_lease *lease; /* of the role; NULL: none in particular */
};

static kms_err find(struct kms_call *call, enum kms_internal what, const struct about *about)
{
    if (what == KMS_INTERNAL_CLOSE_APPROVAL)
        kms_id_text(about->id, call->approval.id);
    else if (about->id != NULL)
        return find_key(call, about->id);
    if (about->lease != NULL) KMS_TRY(kms_lease_hold(call, about->lease));
    if (about->role != NULL) return find_role(call, about->role);
    return about->secret != NULL ? find_secret(call, about->secret) : KMS_OK;
}

static kms_err run_about(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                         const struct about *about, struct kms_why *why)
{
    kms_identity service = {.refs = 1, .principal = "kmsd", .source = "service"};
    struct kms_call call = {.method = &acts[what],
                            .core = core,
                            .identity = &service,
                            .by_service = true,
                            .started_us = kms_now_us()};
    kms_core_request_id(core, &call.request_id);
    kms_arena_init(&call.arena, ARENA_BYTES);
    kms_err err = find(&call, what, about);
    if (!kms_failed(err)) err = run(pipeline, &call);
    kms_tally_act(what, err);
    *why = call.why;
    call.identity = NULL; /* it is ours */
    kms_call_end(&call);
    return err;
}

kms_err kms_internal_run(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                         const struct kms_id *about, struct kms_why *why)
{
    return run_about(pipeline, core, what, &(struct about){.id = about}, why);
}

kms_err kms_internal_run_secret(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                                const char *name, struct kms_why *why)
{
    return run_about(pipeline, core, what, &(struct about){.secret = name}, why);
}

kms_err kms_internal_run_role(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                              const char *name, struct kms_lease *lease, struct kms_why *why)
{
    return run_about(pipeline, core, what, &(struct about){.role = name, .lease = lease}, why);
}
