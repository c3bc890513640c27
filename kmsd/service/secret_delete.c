/* DeleteSecret, RestoreSecret, and the deletion itself when its day has come (kmsd/jobs). */
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"
#include "kmsd/service/secret_acts.h"

enum { WINDOW_LEAST_DAYS = 7, WINDOW_MOST_DAYS = 30 };

static uint32_t window_of(const Kms__V1__DeleteSecretRequest *request)
{
    return request->recovery_window_in_days != 0 ? request->recovery_window_in_days : WINDOW_MOST_DAYS;
}

kms_err kms_delete_secret_gather(struct kms_call *call)
{
    const Kms__V1__DeleteSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, KMS_ACT_DELETE_SECRET, request->secret_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->force_delete_known = true;
    inputs->force_delete = request->force_delete_without_recovery;
    if (!inputs->force_delete) inputs->recovery_window_days = window_of(request);
    if (request->force_delete_without_recovery && request->recovery_window_in_days != 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "recovery_window_in_days and force_delete_without_recovery exclude each other");
    uint32_t days = window_of(request);
    if (days >= WINDOW_LEAST_DAYS && days <= WINDOW_MOST_DAYS) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "recovery_window_in_days: %d to %d",
                         WINDOW_LEAST_DAYS, WINDOW_MOST_DAYS);
}

/* The rows go, and what they held goes from the files of the keystore, too. */
static kms_err erase(struct kms_call *call, const struct kms_secret_entry *entry)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_change_remove(&changes, KMS_TABLE_SECRET, entry->row, entry->revision));
    for (size_t i = 0; i < entry->stored->n_versions; i++) {
        char row[KMS_SECRET_VALUE_ROW_BYTES];
        kms_secret_value_row(entry, entry->stored->versions[i]->id, row);
        KMS_TRY(kms_change_remove(&changes, KMS_TABLE_SECRET_VALUE, row, entry->values[i]->revision));
    }
    KMS_TRY(kms_secret_book_begin(call->core->secrets, entry, &call->why));
    kms_err err = KMS_OK;
    if (entry->read->revision != 0)
        err = kms_change_remove(&changes, KMS_TABLE_READ_DAY, entry->row, entry->read->revision);
    if (!kms_failed(err)) err = kms_change_apply(&changes, call);
    if (!kms_failed(err)) kms_secret_book_remove(call->core->secrets, kms_bytes_text(entry->stored->name));
    kms_secret_book_end(call->core->secrets);
    KMS_TRY(err);
    struct kms_why why = {{0}};
    if (kms_failed(kms_keystore_scrub(call->core->store, &why)))
        call->noted = "old pages of the keystore stay until its next scrub";
    return KMS_OK;
}

static kms_err mark(struct kms_call *call, uint64_t deletion_us)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    entry->stored->deletion_us = deletion_us;
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

kms_err kms_delete_secret_act(struct kms_call *call)
{
    const Kms__V1__DeleteSecretRequest *request = (const void *)call->request;
    Kms__V1__DeleteSecretResponse *reply = kms_new_reply(call);
    const struct kms_secret_entry *entry = kms_call_secret(call);
    uint64_t now_us = kms_core_now_us(call->core);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    reply->deletion_us =
        request->force_delete_without_recovery ? now_us : now_us + window_of(request) * KMS_DAY_US;
    if (request->force_delete_without_recovery) return erase(call, entry);
    if (entry->stored->deletion_us != 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_SECRET_STATE), "%s is marked for deletion already",
                             entry->stored->name);
    return mark(call, reply->deletion_us);
}

kms_err kms_restore_secret_gather(struct kms_call *call)
{
    const Kms__V1__RestoreSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_RESTORE_SECRET, request->secret_id, &access);
}

kms_err kms_restore_secret_act(struct kms_call *call)
{
    Kms__V1__RestoreSecretResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    return kms_call_secret(call)->stored->deletion_us != 0 ? mark(call, 0) : KMS_OK;
}

bool kms_secret_deletion_due(const struct kms_secret_entry *entry, uint64_t now_us)
{
    return entry->stored->deletion_us != 0 && entry->stored->deletion_us <= now_us;
}

kms_err kms_delete_secret_scheduled(struct kms_call *call)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    if (!kms_secret_deletion_due(entry, kms_core_now_us(call->core)))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "%s was restored meanwhile", entry->stored->name);
    return erase(call, entry);
}
