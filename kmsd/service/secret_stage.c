/* UpdateSecretVersionStage: moves a label by hand. */
#include "kmsd/secrets/stage.h"

#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

kms_err kms_update_secret_version_stage_gather(struct kms_call *call)
{
    const Kms__V1__UpdateSecretVersionStageRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, KMS_ACT_UPDATE_SECRET_VERSION_STAGE, request->secret_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->secret_version_stage = kms_present(request->version_stage);
    call->secret_version = request->move_to_version_id;
    return kms_stage_check(request->version_stage, &call->why);
}

/* Who moves a stage says from where: he has seen how it stands. */
static kms_err check_from(struct kms_call *call, const Kms__V1__UpdateSecretVersionStageRequest *request,
                          const kms_stored_secret *secret)
{
    size_t from = kms_secret_stage_at(secret, request->version_stage);
    const char *has = from != SIZE_MAX ? secret->versions[from]->id : "";
    if (strcmp(has, request->remove_from_version_id) == 0) return KMS_OK;
    if (strcmp(has, request->move_to_version_id) == 0 && request->remove_from_version_id[0] == '\0')
        return KMS_OK; /* it is there already */
    if (from == SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "no version has stage %s",
                             request->version_stage);
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "stage %s is on version %s: say so in %s",
                         request->version_stage, has, "remove_from_version_id");
}

static kms_err move(struct kms_call *call, const Kms__V1__UpdateSecretVersionStageRequest *request,
                    kms_stored_secret *secret)
{
    size_t from = kms_secret_stage_at(secret, request->version_stage);
    KMS_TRY(check_from(call, request, secret));
    if (request->move_to_version_id[0] == '\0') {
        if (strcmp(request->version_stage, KMS_STAGE_CURRENT) == 0)
            return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                                 "a secret with versions keeps AWSCURRENT: move it to another one");
        if (from != SIZE_MAX) kms_stage_take(secret->versions[from], request->version_stage);
        return KMS_OK;
    }
    size_t to = kms_secret_version_at(secret, request->move_to_version_id);
    if (to == SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "%s has no version %.64s", secret->name,
                             request->move_to_version_id);
    return kms_stage_move(secret, request->version_stage, to, &call->why);
}

kms_err kms_update_secret_version_stage_act(struct kms_call *call)
{
    const Kms__V1__UpdateSecretVersionStageRequest *request = (const void *)call->request;
    Kms__V1__UpdateSecretVersionStageResponse *reply = kms_new_reply(call);
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    KMS_TRY(move(call, request, entry->stored));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    KMS_TRY(kms_change_apply_secret(&changes, call, entry));
    return kms_secret_reply_names(call, &reply->arn, &reply->name);
}
