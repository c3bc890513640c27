/*
 * One step of a rotation, as an act of the service: what the secret has is opened, the rotator does its
 * part (it looks first whether that is done already), then one change stores what is next. So kmsd may die
 * between any two lines: the step is done again. Only the last step moves AWSCURRENT, and only to a version
 * that was tested.
 */
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "kmsd/keys/state.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/secrets/schedule.h"
#include "kmsd/secrets/stage.h"
#include "kmsd/service/access.h"
#include "kmsd/service/secret.h"
#include "kmsd/service/secret_acts.h"

enum { BACKOFF_LOG2_MOST = 16 };
#define BACKOFF_MOST_US (UINT64_C(3600) * 1000000)

/* How long behind so many failures of a step. */
static uint64_t wait_us(uint64_t backoff_us, unsigned failures)
{
    uint64_t wait_us = failures > 0 ? backoff_us : 0;
    unsigned doublings = failures < BACKOFF_LOG2_MOST ? failures : BACKOFF_LOG2_MOST;
    for (unsigned i = 1; i < doublings && wait_us < BACKOFF_MOST_US; i++) wait_us *= 2;
    return wait_us < BACKOFF_MOST_US ? wait_us : BACKOFF_MOST_US;
}

/* The schedule counts from a time that has not come yet: the clock was wrong then, and was put right. */
static bool counts_from_the_future(const kms_stored_rotation *rotation, uint64_t now_us)
{
    return rotation->since_us > now_us + BACKOFF_MOST_US;
}

bool kms_secret_rotation_due(const struct kms_secret_entry *entry, uint64_t backoff_us, uint64_t now_us,
                             bool doubted)
{
    const kms_stored_rotation *rotation = entry->stored->rotation;
    if (rotation == NULL || entry->stored->deletion_us != 0) return false;
    if (rotation->version_id[0] == '\0')
        return !doubted && rotation->automatic && rotation->next_us != 0 &&
               (rotation->next_us <= now_us || counts_from_the_future(rotation, now_us));
    /* Further away than it waits: the clock was put back. */
    return rotation->next_try_us <= now_us ||
           rotation->next_try_us > now_us + wait_us(backoff_us, rotation->failures);
}

bool kms_secret_rotation_fails(const struct kms_secret_entry *entry)
{
    const kms_stored_rotation *rotation = entry->stored->rotation;
    if (rotation == NULL || entry->stored->deletion_us != 0 || rotation->last_error[0] == '\0') return false;
    return rotation->version_id[0] != '\0' || rotation->automatic || !kms_secret_rotation_idle(entry->stored);
}

/* ---- what the rotator gets ---- */

static kms_err open_value(struct kms_call *call, const struct kms_secret_entry *entry, size_t at,
                          struct kms_rotation_value *ret_value)
{
    struct kms_secret_plain plain;
    if (at == SIZE_MAX) return KMS_OK;
    KMS_TRY(kms_secret_open_now(call, entry, at, &plain));
    *ret_value = (struct kms_rotation_value){plain.bytes, plain.binary};
    return KMS_OK;
}

/* The secret that the configuration names for the database: nobody asks policy for it, the operator has
 * said so. */
static kms_err open_admin(struct kms_call *call, const char *rotator, struct kms_bytes *ret_admin)
{
    const char *name = kms_rotators_admin_secret(call->core->rotators, rotator);
    struct kms_rotation_value value = {.binary = false};
    if (name == NULL || name[0] == '\0') return KMS_OK;
    KMS_OWN_ENTRY entry = kms_secret_book_find(call->core->secrets, kms_bytes_text(name));
    size_t at = entry != NULL ? kms_secret_stage_at(entry->stored, KMS_STAGE_CURRENT) : SIZE_MAX;
    if (at == SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND),
                             "the database's admin_secret %s does not exist or has no value", name);
    KMS_TRY(open_value(call, entry, at, &value));
    *ret_admin = value.bytes;
    return KMS_OK;
}

static kms_err prepare(struct kms_call *call, const struct kms_secret_entry *entry, struct kms_rotation *ret)
{
    const kms_stored_secret *secret = entry->stored;
    *ret = (struct kms_rotation){
        .secret_name = secret->name, .arn = entry->arn, .token = secret->rotation->version_id};
    KMS_TRY(open_value(call, entry, kms_secret_stage_at(secret, KMS_STAGE_CURRENT), &ret->current));
    KMS_TRY(open_value(call, entry, kms_secret_stage_at(secret, KMS_STAGE_PREVIOUS), &ret->previous));
    KMS_TRY(
        open_value(call, entry, kms_secret_version_at(secret, secret->rotation->version_id), &ret->pending));
    return open_admin(call, secret->rotation->rotator, &ret->admin);
}

/* ---- what becomes of the secret ---- */

/* The new value as a version with AWSPENDING. */
static kms_err add_pending(struct kms_call *call, struct kms_change_set *changes,
                           struct kms_secret_entry *entry, struct kms_rotation *done)
{
    char *const stages[] = {(char[]){KMS_STAGE_PENDING}};
    struct kms_sealed_value *value;
    if (done->created == NULL) return KMS_OK; /* it is there */
    const struct kms_secret_plain plain = {
        kms_bytes_of(kms_secret_data(done->created), kms_secret_len(done->created)), done->created_binary};
    if (plain.bytes.len == 0 || plain.bytes.len > KMS_SECRET_VALUE_BYTES)
        return kms_call_fail(call, KMS_FAIL(ROTATOR_ANSWER), "the new value has %zu bytes, not 1 to %d",
                             plain.bytes.len, KMS_SECRET_VALUE_BYTES);
    struct kms_access *key;
    /* The record borrows the texts: from the entry that the call holds, not from the one that is being
     * made. */
    KMS_TRY(kms_secret_key_gather(call, "", entry, kms_call_secret(call)->arn, call->secret_version));
    key = &call->access[call->access_count - 1];
    KMS_TRY(kms_secret_key_need(call, key, changes));
    KMS_TRY(kms_key_state_check(key->key, kms_core_key_state(call->core, key->key, call->started_us),
                                key->action, &call->why));
    if (entry->stored->key_id.len == 0) KMS_TRY(kms_secret_set_key(entry, key->key));
    KMS_TRY(kms_secret_seal(call, key, &plain, &value));
    return kms_secret_add_version(call, changes, entry, value, stages, 1);
}

/* Nothing is under way any more. */
static kms_err end(kms_stored_rotation *rotation)
{
    rotation->next_step = KMS_ROTATION_CREATE;
    rotation->revoke_previous = false;
    return kms_secret_set_text(&rotation->version_id, "");
}

/* The tested version is what applications get from now on. */
static kms_err finish(struct kms_call *call, kms_stored_secret *secret)
{
    size_t at = kms_secret_version_at(secret, secret->rotation->version_id);
    if (at == SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "version %s is gone", secret->rotation->version_id);
    KMS_TRY(kms_stage_move(secret, KMS_STAGE_CURRENT, at, &call->why));
    kms_stage_take(secret->versions[at], KMS_STAGE_PENDING);
    secret->rotation->last_us = kms_core_now_us(call->core);
    if (!secret->rotation->revoke_previous) return end(secret->rotation);
    secret->rotation->next_step = KMS_ROTATION_REVOKE_PREVIOUS;
    return KMS_OK;
}

static kms_err revoke(kms_stored_secret *secret)
{
    size_t at = kms_secret_stage_at(secret, KMS_STAGE_PREVIOUS);
    if (at != SIZE_MAX) kms_stage_take(secret->versions[at], KMS_STAGE_PREVIOUS);
    return end(secret->rotation);
}

static kms_err advance(struct kms_call *call, struct kms_change_set *changes, struct kms_secret_entry *entry,
                       struct kms_rotation *done)
{
    kms_stored_rotation *rotation = entry->stored->rotation;
    unsigned step = rotation->next_step;
    rotation->failures = 0;
    rotation->next_try_us = kms_core_now_us(call->core);
    if (step != KMS_ROTATION_REVERT) KMS_TRY(kms_secret_set_text(&rotation->last_error, ""));
    switch (step) {
    case KMS_ROTATION_FINISH:
        return finish(call, entry->stored);
    case KMS_ROTATION_REVOKE_PREVIOUS:
        return revoke(entry->stored);
    case KMS_ROTATION_REVERT:
        return end(rotation); /* last_error says why */
    case KMS_ROTATION_CREATE:
        KMS_TRY(add_pending(call, changes, entry, done));
        break;
    default:
        break;
    }
    rotation->next_step = step + 1;
    return KMS_OK;
}

static kms_err run_rotator(struct kms_call *call, const struct kms_secret_entry *entry,
                           struct kms_rotation *rotation)
{
    const kms_stored_rotation *stored = entry->stored->rotation;
    enum kms_rotation_step step = (enum kms_rotation_step)stored->next_step;
    KMS_TRY(prepare(call, entry, rotation));
    kms_err err = kms_rotator_step(call->core->rotators, stored->rotator, step, rotation, &call->why);
    if (rotation->said[0] != '\0')
        kms_log(KMS_LOG_INFO, "secret.rotator", "secret=%s step=%s said=%s", entry->stored->name,
                kms_rotation_step_name(step), rotation->said);
    bool nothing = step == KMS_ROTATION_REVERT || step == KMS_ROTATION_REVOKE_PREVIOUS;
    if (!kms_is(err, KMS_E_UNSUPPORTED) || !nothing) return err;
    call->why.text[0] = '\0'; /* this type has nothing to undo */
    return KMS_OK;
}

static kms_err store(struct kms_call *call, struct kms_change_set *changes, struct kms_secret_entry *entry)
{
    KMS_TRY(kms_change_secret(changes, call, entry));
    KMS_TRY(kms_change_apply_secret(changes, call, entry));
    for (size_t i = 1; i < call->access_count; i++) KMS_TRY(kms_secret_key_made(call, &call->access[i]));
    return KMS_OK;
}

static kms_err do_step(struct kms_call *call, const struct kms_secret_entry *old)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    struct kms_rotation rotation = {.created = NULL};
    KMS_TRY(kms_secret_entry_copy(old, &entry));
    kms_err err = run_rotator(call, old, &rotation);
    if (!kms_failed(err)) err = advance(call, &changes, entry, &rotation);
    kms_secret_free(rotation.created);
    KMS_TRY(err);
    KMS_TRY(store(call, &changes, entry));
    if (old->stored->rotation->next_step == KMS_ROTATION_FINISH) kms_metric_add(KMS_METRIC_ROTATIONS, 1);
    return KMS_OK;
}

/* ---- failures ---- */

/* A step is tried as often as the configuration says, with growing waits; then the rotation is given up,
 * and what it did is undone. */
static kms_err reckon(struct kms_call *call, kms_stored_rotation *rotation)
{
    uint64_t now_us = kms_core_now_us(call->core);
    rotation->failures++;
    rotation->next_try_us = now_us + wait_us(call->core->rotation_backoff_us, rotation->failures);
    bool forward = rotation->next_step < KMS_ROTATION_REVERT;
    if (!forward || rotation->failures < call->core->rotation_attempts) return KMS_OK;
    kms_metric_add(KMS_METRIC_ROTATIONS_GIVEN_UP, 1);
    call->noted = "given up: what it did is undone, AWSCURRENT stays";
    if (rotation->next_step == KMS_ROTATION_CREATE) return end(rotation); /* it has done nothing */
    rotation->next_step = KMS_ROTATION_REVERT;
    rotation->failures = 0;
    rotation->next_try_us = now_us;
    return KMS_OK;
}

static kms_err store_failure(struct kms_call *call, const struct kms_secret_entry *old, kms_err cause)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    const char *words = kms_arena_print(&call->arena, "%s: %s", kms_err_reason(cause), call->why.text);
    kms_metric_add(KMS_METRIC_ROTATION_FAILURES, 1);
    KMS_TRY(kms_secret_entry_copy(old, &entry));
    kms_stored_rotation *rotation = entry->stored->rotation;
    KMS_TRY(kms_secret_set_text(&rotation->last_error, words != NULL ? words : kms_err_reason(cause)));
    KMS_TRY(reckon(call, rotation));
    kms_log(KMS_LOG_WARN, "secret.rotation", "secret=%s version=%s step=%s failures=%u %s",
            entry->stored->name, rotation->version_id,
            kms_rotation_step_name((enum kms_rotation_step)old->stored->rotation->next_step),
            rotation->failures, words != NULL ? words : "");
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

/* ---- beginning by schedule ---- */

/* The window has opened. Nothing rotates on top of what failed before somebody has looked: then it passes
 * unused. */
static kms_err use_window(struct kms_call *call, kms_stored_secret *secret, uint64_t now_us)
{
    secret->rotation->since_us = now_us;
    if (!kms_secret_rotation_idle(secret)) {
        call->noted = "not begun: AWSPENDING is on a version that is not AWSCURRENT";
        return KMS_OK;
    }
    secret->rotation->revoke_previous = false;
    KMS_TRY(kms_secret_version_gather(call, ""));
    return kms_secret_rotation_begin(call, secret->rotation, call->secret_version);
}

static kms_err begin(struct kms_call *call, const struct kms_secret_entry *old)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    struct kms_schedule schedule;
    struct kms_window window;
    uint64_t now_us = kms_core_now_us(call->core);
    KMS_TRY(kms_secret_entry_copy(old, &entry));
    kms_stored_rotation *rotation = entry->stored->rotation;
    const struct kms_schedule_rules rules = {rotation->after_days, kms_bytes_text(rotation->schedule),
                                             kms_bytes_text(rotation->duration)};
    KMS_TRY(kms_schedule_parse(&rules, KMS_SCHEDULE_HOURS_MIN, &schedule, &call->why));
    bool wrong = counts_from_the_future(rotation, now_us);
    if (wrong) rotation->since_us = now_us;
    bool open =
        kms_schedule_next(&schedule, rotation->since_us, now_us, &window) && window.opens_us <= now_us;
    if (open)
        KMS_TRY(use_window(call, entry->stored, now_us));
    else
        call->noted = wrong ? "the clock was put back: windows count from now" : "the window has passed";
    bool more = kms_schedule_next(&schedule, rotation->since_us, now_us, &window);
    rotation->next_us = more ? window.opens_us : 0;
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

kms_err kms_rotate_secret_step_gather(struct kms_call *call)
{
    const kms_stored_rotation *rotation = kms_call_secret(call)->stored->rotation;
    if (rotation == NULL || rotation->version_id[0] == '\0') return KMS_OK;
    call->secret_version = rotation->version_id;
    kms_call_say(call, "rotation_step", kms_rotation_step_name((enum kms_rotation_step)rotation->next_step));
    kms_call_say(call, "rotator", rotation->rotator);
    return KMS_OK;
}

kms_err kms_rotate_secret_step(struct kms_call *call)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    if (!kms_secret_rotation_due(entry, call->core->rotation_backoff_us, kms_core_now_us(call->core), false))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "changed meanwhile");
    const kms_stored_rotation *rotation = entry->stored->rotation;
    if (rotation->version_id[0] == '\0') return begin(call, entry);
    kms_err err = do_step(call, entry);
    /* What is not the rotator's fault, nor the secret's, is simply done again. */
    bool elsewhere = kms_is(err, KMS_E_CONFLICT) || kms_is(err, KMS_E_KEYSTORE_UNAVAILABLE) ||
                     kms_is(err, KMS_E_SHUTTING_DOWN) || call->changed_store;
    if (!kms_failed(err) || elsewhere) return err;
    struct kms_why why = call->why;
    kms_err stored = store_failure(call, entry, err);
    call->why = why;
    return kms_failed(stored) ? stored : err;
}
