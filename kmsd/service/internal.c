/* Acts of the service itself. */
#include "kmsd/service/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/approval.h"
#include "kmsd/service/deletion.h"
#include "kmsd/service/end_grant.h"
#include "kmsd/service/import.h"
#include "kmsd/service/record.h"
#include "kmsd/service/retention.h"
#include "kmsd/service/rotation.h"
#include "kmsd/service/usage.h"

enum { ARENA_BYTES = 1024 * 1024 };

#define ROW(name, act_, action_, ...)                                                                        \
    {                                                                                                        \
        .service = &kms__v1__key_service__descriptor, .rpc = (name), .action = KMS_ACT_##action_,            \
        .lane = KMS_LANE_ADMIN, .act = (act_), __VA_ARGS__                                                   \
    }
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
    [KMS_INTERNAL_CLOSE_APPROVAL] = ROW("CloseApproval", kms_close_approval, REJECT_REQUEST),
};

static kms_err record(kms_pipeline *pipeline, const struct kms_call *call)
{
    struct kms_record space;
    return kms_pipeline_record(pipeline, kms_record_of(call, &space));
}

static kms_err run(kms_pipeline *pipeline, struct kms_call *call, const struct kms_id *key_id)
{
    struct kms_access *access;
    if (key_id != NULL) KMS_TRY(kms_access_id(call, call->method->action, key_id, &access));
    if (key_id != NULL && access->key == NULL)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the key is gone");
    if (call->method->gather != NULL) KMS_TRY(call->method->gather(call));
    call->stage = KMS_STAGE_ACT;
    call->attempt = true;
    KMS_TRY(record(pipeline, call));
    call->attempt = false;
    call->err = call->method->act(call);
    kms_err recorded = record(pipeline, call);
    return kms_failed(call->err) ? call->err : recorded;
}

kms_err kms_internal_run(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                         const struct kms_id *about, struct kms_why *why)
{
    kms_identity service = {.refs = 1, .principal = "kmsd", .source = "service"};
    struct kms_call call = {.method = &acts[what],
                            .core = core,
                            .identity = &service,
                            .by_service = true,
                            .started_us = kms_now_us()};
    kms_core_request_id(core, &call.request_id);
    kms_arena_init(&call.arena, ARENA_BYTES);
    bool approval = what == KMS_INTERNAL_CLOSE_APPROVAL;
    if (approval) kms_id_text(about, call.approval.id);
    kms_err err = run(pipeline, &call, approval ? NULL : about);
    *why = call.why;
    call.identity = NULL; /* it is ours */
    kms_call_end(&call);
    return err;
}
