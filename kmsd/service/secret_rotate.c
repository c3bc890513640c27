/* RotateSecret and CancelRotateSecret: what is to be done. The steps themselves are secret_rotation.c's. */
#include <semaphore.h>
#include <string.h>

#include "kmsd/secrets/schedule.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

static struct kms_schedule_rules rules_of(const Kms__V1__RotationRules *rules)
{
    return (struct kms_schedule_rules){.after_days = rules->automatically_after_days,
                                       .expression = kms_bytes_text(rules->schedule_expression),
                                       .duration = kms_bytes_text(rules->duration)};
}

kms_err kms_rotate_secret_gather(struct kms_call *call)
{
    const Kms__V1__RotateSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_schedule schedule;
    KMS_TRY(kms_access_secret(call, KMS_ACT_ROTATE_SECRET, request->secret_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->modify_rotation_rules_known = inputs->rotate_immediately_known = true;
    inputs->modify_rotation_rules = request->rotation_rules != NULL;
    inputs->rotate_immediately = !request->do_not_rotate_immediately;
    if (request->rotation_rules != NULL) {
        const struct kms_schedule_rules rules = rules_of(request->rotation_rules);
        KMS_TRY(kms_schedule_parse(&rules, KMS_SCHEDULE_HOURS_MIN, &schedule, &call->why));
    }
    return kms_secret_version_gather(call, request->client_request_token);
}

static kms_err set_rules(struct kms_call *call, const Kms__V1__RotationRules *rules,
                         kms_stored_rotation *rotation)
{
    uint64_t now_us = kms_core_now_us(call->core);
    struct kms_schedule schedule;
    struct kms_window window;
    const struct kms_schedule_rules parsed = rules_of(rules);
    KMS_TRY(kms_schedule_parse(&parsed, KMS_SCHEDULE_HOURS_MIN, &schedule, &call->why));
    KMS_TRY(kms_secret_set_text(&rotation->schedule, rules->schedule_expression));
    KMS_TRY(kms_secret_set_text(&rotation->duration, rules->duration));
    rotation->after_days = rules->automatically_after_days;
    rotation->automatic = true;
    rotation->since_us = now_us;
    rotation->next_us = kms_schedule_next(&schedule, now_us, now_us, &window) ? window.opens_us : 0;
    return KMS_OK;
}

static kms_err set_rotator(struct kms_call *call, const char *name, kms_stored_rotation *rotation)
{
    bool other = name[0] != '\0' && strcmp(name, rotation->rotator) != 0;
    if (other && rotation->version_id[0] != '\0') /* what one has made, another has not tested */
        return kms_call_fail(call, KMS_FAIL(ROTATION_UNDER_WAY), "by rotator %s: cancel it first",
                             rotation->rotator);
    if (other) KMS_TRY(kms_secret_set_text(&rotation->rotator, name));
    if (rotation->rotator[0] == '\0')
        return kms_call_fail(call, KMS_FAIL(NO_ROTATOR),
                             "name one that the configuration declares (rotators)");
    if (kms_rotators_find(call->core->rotators, rotation->rotator) != NULL) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ROTATOR_UNKNOWN), "there is no rotator %s in the configuration",
                         rotation->rotator);
}

bool kms_secret_rotation_idle(const kms_stored_secret *secret)
{
    size_t pending = kms_secret_stage_at(secret, KMS_STAGE_PENDING);
    return pending == SIZE_MAX || kms_secret_version_has(secret->versions[pending], KMS_STAGE_CURRENT);
}

/* As AWS: a rotation does not begin on top of one that has not ended. */
static kms_err check_idle(struct kms_call *call, const kms_stored_secret *secret)
{
    const kms_stored_rotation *rotation = secret->rotation;
    if (rotation->version_id[0] != '\0')
        return kms_call_fail(call, KMS_FAIL(ROTATION_UNDER_WAY), "version %s is being made: %s is next%s%s",
                             rotation->version_id,
                             kms_rotation_step_name((enum kms_rotation_step)rotation->next_step),
                             rotation->last_error[0] != '\0' ? "; it failed: " : "", rotation->last_error);
    if (kms_secret_rotation_idle(secret)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ROTATION_UNDER_WAY),
                         "AWSPENDING is on version %s, which is not AWSCURRENT: take it away first",
                         secret->versions[kms_secret_stage_at(secret, KMS_STAGE_PENDING)]->id);
}

static kms_err begin(struct kms_call *call, const Kms__V1__RotateSecretRequest *request,
                     kms_stored_secret *secret)
{
    kms_stored_rotation *rotation = secret->rotation;
    KMS_TRY(check_idle(call, secret));
    if (kms_secret_version_at(secret, call->secret_version) != SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "version %s exists already",
                             call->secret_version);
    rotation->revoke_previous = request->revoke_previous;
    return kms_secret_rotation_begin(call, rotation, call->secret_version);
}

kms_err kms_secret_rotation_begin(struct kms_call *call, kms_stored_rotation *rotation,
                                  const char *version_id)
{
    rotation->next_step = KMS_ROTATION_CREATE;
    rotation->failures = 0;
    rotation->next_try_us = kms_core_now_us(call->core);
    rotation->since_us = rotation->next_try_us;
    KMS_TRY(kms_secret_set_text(&rotation->last_error, ""));
    return kms_secret_set_text(&rotation->version_id, version_id);
}

static kms_err rotate(struct kms_call *call, const Kms__V1__RotateSecretRequest *request)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    kms_stored_rotation *rotation = kms_secret_need_rotation(entry->stored);
    if (rotation == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(set_rotator(call, request->rotator, rotation));
    if (request->rotation_rules != NULL) KMS_TRY(set_rules(call, request->rotation_rules, rotation));
    if (!request->do_not_rotate_immediately)
        KMS_TRY(begin(call, request, entry->stored));
    else
        call->secret_version = NULL;
    KMS_TRY(kms_change_secret(&changes, call, entry));
    KMS_TRY(kms_change_apply_secret(&changes, call, entry));
    kms_core_wake_secrets(call->core);
    return KMS_OK;
}

kms_err kms_rotate_secret_act(struct kms_call *call)
{
    const Kms__V1__RotateSecretRequest *request = (const void *)call->request;
    Kms__V1__RotateSecretResponse *reply = kms_new_reply(call);
    const kms_stored_rotation *now = kms_call_secret(call)->stored->rotation;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    bool again = now != NULL && request->client_request_token[0] != '\0' &&
                 strcmp(now->version_id, request->client_request_token) == 0;
    if (!again) KMS_TRY(rotate(call, request));
    if (call->secret_version != NULL)
        reply->version_id = kms_arena_print(&call->arena, "%s", call->secret_version);
    if (reply->version_id == NULL) return KMS_FAIL(NO_MEMORY);
    return kms_secret_reply_names(call, &reply->arn, &reply->name);
}

kms_err kms_cancel_rotate_secret_gather(struct kms_call *call)
{
    const Kms__V1__CancelRotateSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_CANCEL_ROTATE_SECRET, request->secret_id, &access);
}

/* What was not put into force need not be taken back. */
static kms_err give_up(struct kms_call *call, kms_stored_rotation *rotation)
{
    rotation->automatic = false;
    rotation->next_us = 0;
    if (rotation->version_id[0] == '\0') return KMS_OK;
    if (rotation->next_step == KMS_ROTATION_REVOKE_PREVIOUS)
        return kms_call_fail(
            call, KMS_FAIL(ROTATION_UNDER_WAY),
            "the new version is AWSCURRENT, and the one before is being revoked: wait for it");
    /* Nothing was done yet; or undoing it fails, and somebody has decided to live with that. */
    bool nothing = rotation->next_step == KMS_ROTATION_CREATE ||
                   (rotation->next_step == KMS_ROTATION_REVERT && rotation->failures > 0);
    rotation->revoke_previous = false;
    if (nothing) {
        rotation->next_step = KMS_ROTATION_CREATE;
        return kms_secret_set_text(&rotation->version_id, "");
    }
    rotation->next_step = KMS_ROTATION_REVERT;
    rotation->failures = 0;
    rotation->next_try_us = kms_core_now_us(call->core);
    return KMS_OK;
}

/* From the secret as it is now: the steps of the rotation go on changing it meanwhile. */
static kms_err cancel(struct kms_call *call, char **ret_version)
{
    KMS_OWN_ENTRY now =
        kms_secret_book_find(call->core->secrets, kms_bytes_text(kms_call_secret(call)->stored->name));
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (now == NULL) return KMS_FAIL(NOT_FOUND);
    if (now->stored->rotation == NULL) return KMS_OK;
    *ret_version = kms_arena_print(&call->arena, "%s", now->stored->rotation->version_id);
    if (*ret_version == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_entry_copy(now, &entry));
    KMS_TRY(give_up(call, entry->stored->rotation));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

kms_err kms_cancel_rotate_secret_act(struct kms_call *call)
{
    enum { TRIES = 16 };
    Kms__V1__CancelRotateSecretResponse *reply = kms_new_reply(call);
    kms_err err = KMS_FAIL(CONFLICT);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    for (int i = 0; i < TRIES && kms_is(err, KMS_E_CONFLICT); i++) {
        call->why.text[0] = '\0';
        err = cancel(call, &reply->version_id);
    }
    KMS_TRY(err);
    kms_core_wake_secrets(call->core);
    return KMS_OK;
}
