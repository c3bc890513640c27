/* ScheduleKeyDeletion, CancelKeyDeletion, and the deletion itself when its day has come (kmsd/jobs). */
#include "kmsd/service/deletion.h"

#include "kms/v1/keys.pb-c.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/end_grant.h"
#include "kmsd/service/import.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"
#include "kmsd/service/usage.h"

enum { WINDOW_LEAST_DAYS = 7, WINDOW_MOST_DAYS = 30, WARNINGS_MOST = 4, ALIASES_NAMED = 8 };

static uint32_t window_of(const Kms__V1__ScheduleKeyDeletionRequest *request)
{
    return request->pending_window_in_days != 0 ? request->pending_window_in_days : WINDOW_MOST_DAYS;
}

kms_err kms_schedule_key_deletion_gather(struct kms_call *call)
{
    const Kms__V1__ScheduleKeyDeletionRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_SCHEDULE_KEY_DELETION, request->key_id, &access));
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    if (inputs == NULL) return KMS_FAIL(NO_MEMORY);
    inputs->pending_window_days = window_of(request);
    return KMS_OK;
}

static bool warn_of_aliases(struct kms_call *call, const struct kms_key *key, char **ret_warning)
{
    struct kms_alias *aliases = kms_call_alloc(call, ALIASES_NAMED * sizeof *aliases);
    if (aliases == NULL) return false;
    size_t count = kms_keyring_aliases_of(call->core->keys, &key->id, aliases, ALIASES_NAMED);
    *ret_warning = NULL;
    if (count == 0) return true;
    *ret_warning = kms_arena_print(&call->arena, "%zu alias%s still name%s the key, %s among them.", count,
                                   count == 1 ? "" : "es", count == 1 ? "s" : "", aliases[0].name);
    return *ret_warning != NULL;
}

static bool warn_of_use(struct kms_call *call, const struct kms_key *key, char **ret_warning)
{
    uint64_t last_us = 0;
    for (uint32_t version = 1; version <= key->version_count; version++) {
        uint64_t one_us = kms_usage_last_us(call->core, key, version);
        if (one_us > last_us) last_us = one_us;
    }
    *ret_warning = NULL;
    uint64_t now_us = kms_core_now_us(call->core);
    if (last_us == 0 || last_us + call->core->used_lately_us <= now_us) return true;
    uint64_t hours = now_us > last_us ? (now_us - last_us) / (KMS_DAY_US / 24) : 0;
    *ret_warning =
        kms_arena_print(&call->arena, "The key was used %llu hours ago: kmsctl key usage tells by whom.",
                        (unsigned long long)hours);
    return *ret_warning != NULL;
}

/* A version of it is sealed with the key, or the next one will be. */
static bool sealed_with(const void *user, const struct kms_secret_entry *entry)
{
    const struct kms_key *key = user;
    const ProtobufCBinaryData *own = &entry->stored->key_id;
    if (own->len == KMS_ID_BYTES && kms_bytes_same(own->data, key->id.bytes, KMS_ID_BYTES)) return true;
    for (size_t i = 0; i < entry->stored->n_versions; i++) {
        struct kms_id id;
        uint32_t version;
        if (!kms_failed(kms_secret_sealed_by(entry->values[i], &id, &version)) && kms_id_equal(&id, &key->id))
            return true;
    }
    return false;
}

static bool warn_of_secrets(struct kms_call *call, const struct kms_key *key, char **ret_warning)
{
    KMS_OWN_SECRET_LIST list = {.count = 0};
    *ret_warning = NULL;
    if (kms_failed(kms_secret_book_list(call->core->secrets, "", SIZE_MAX, sealed_with, key, &list)))
        return false;
    if (list.count == 0) return true;
    *ret_warning =
        kms_arena_print(&call->arena,
                        "%zu stored secret%s sealed with the key and will not open, %s among them: "
                        "kmsctl secret rewrap moves what has another key by then.",
                        list.count, list.count == 1 ? " is" : "s are", list.entries[0]->stored->name);
    return *ret_warning != NULL;
}

static bool add_warnings(struct kms_call *call, const struct kms_key *key,
                         Kms__V1__ScheduleKeyDeletionResponse *reply)
{
    reply->warnings = kms_call_alloc(call, WARNINGS_MOST * sizeof *reply->warnings);
    if (reply->warnings == NULL) return false;
    char *warning;
    if (!warn_of_use(call, key, &warning)) return false;
    if (warning != NULL) reply->warnings[reply->n_warnings++] = warning;
    if (!warn_of_aliases(call, key, &warning)) return false;
    if (warning != NULL) reply->warnings[reply->n_warnings++] = warning;
    if (!warn_of_secrets(call, key, &warning)) return false;
    if (warning != NULL) reply->warnings[reply->n_warnings++] = warning;
    reply->warnings[reply->n_warnings] = kms_arena_print(&call->arena,
                                                         "Backups of the keystore that hold the key can open "
                                                         "what it encrypted until root key %u is destroyed: "
                                                         "kmsctl root status.",
                                                         kms_key_current(key)->root_id);
    return reply->warnings[reply->n_warnings++] != NULL;
}

kms_err kms_schedule_key_deletion_act(struct kms_call *call)
{
    const Kms__V1__ScheduleKeyDeletionRequest *request = (const void *)call->request;
    Kms__V1__ScheduleKeyDeletionResponse *reply = kms_new_reply(call);
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    uint32_t days = window_of(request);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (days < WINDOW_LEAST_DAYS || days > WINDOW_MOST_DAYS)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "pending_window_in_days: %d to %d",
                             WINDOW_LEAST_DAYS, WINDOW_MOST_DAYS);
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    key->state = KMS_STATE_PENDING_DELETION;
    key->deletion_us = kms_core_now_us(call->core) + days * KMS_DAY_US;
    reply->key_id = kms_access_arn(call, &call->access[0]);
    reply->key_state = KMS__V1__KEY_STATE__KEY_STATE_PENDING_DELETION;
    reply->deletion_time_us = key->deletion_us;
    if (reply->key_id == NULL || !add_warnings(call, key, reply)) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_cancel_key_deletion_gather(struct kms_call *call)
{
    const Kms__V1__CancelKeyDeletionRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_CANCEL_KEY_DELETION, request->key_id, &access);
}

kms_err kms_cancel_key_deletion_act(struct kms_call *call)
{
    Kms__V1__CancelKeyDeletionResponse *reply = kms_new_reply(call);
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = kms_access_arn(call, &call->access[0]);
    if (reply->key_id == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    key->state = kms_key_complete(key) ? KMS_STATE_DISABLED : KMS_STATE_PENDING_IMPORT;
    key->deletion_us = 0;
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

/* ---- the deletion itself ---- */

bool kms_deletion_due(const struct kms_key *key, uint64_t now_us)
{
    return key->state == KMS_STATE_PENDING_DELETION && key->deletion_us <= now_us;
}

/* Aliases stay as tombstones: the name may come back only to a key with no other users. */
static kms_err drop_aliases(struct kms_call *call, struct kms_change_set *changes, const struct kms_key *key,
                            struct kms_alias **ret_aliases, size_t *ret_count)
{
    struct kms_alias none;
    size_t count = kms_keyring_aliases_of(call->core->keys, &key->id, &none, 0);
    struct kms_alias *aliases = kms_call_alloc(call, (count + 1) * sizeof *aliases);
    if (aliases == NULL) return KMS_FAIL(NO_MEMORY);
    size_t again = kms_keyring_aliases_of(call->core->keys, &key->id, aliases, count);
    if (again != count) return kms_call_fail(call, KMS_FAIL(CONFLICT), "an alias came or went meanwhile");
    for (size_t i = 0; i < count; i++) {
        aliases[i].deleted = true;
        KMS_TRY(kms_change_alias(changes, &aliases[i]));
    }
    *ret_aliases = aliases;
    *ret_count = count;
    return KMS_OK;
}

static kms_err drop_usage(const struct kms_core *core, struct kms_change_set *changes,
                          const struct kms_key *key, uint32_t version, const char *row)
{
    struct kms_usage usage;
    bool stored = kms_ledger_find(core->ledger, &key->id, version, &usage, NULL) && usage.revision != 0;
    return stored ? kms_change_remove(changes, KMS_TABLE_USAGE, row, usage.revision) : KMS_OK;
}

static kms_err drop_rows(const struct kms_core *core, struct kms_change_set *changes, struct kms_key *key)
{
    char row[KMS_VERSION_ROW_BYTES];
    for (uint32_t i = 0; i < key->version_count; i++) {
        kms_version_row_id(key, i + 1, row);
        KMS_TRY(kms_change_remove(changes, KMS_TABLE_KEY_VERSION, row, key->versions[i].revision));
        KMS_TRY(drop_usage(core, changes, key, i + 1, row));
    }
    KMS_TRY(kms_change_remove(changes, KMS_TABLE_KEY, key->id_text, key->revision));
    return kms_change_tombstone(changes, key);
}

kms_err kms_delete_key(struct kms_call *call)
{
    const struct kms_core *core = call->core;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_KEY key = NULL;
    struct kms_alias *aliases = NULL;
    size_t alias_count = 0;
    if (!kms_deletion_due(call->access[0].key, kms_core_now_us(core)))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "not due any more");
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    key->deletion_us = kms_core_now_us(core); /* the tombstone says when it was */
    KMS_TRY(drop_aliases(call, &changes, key, &aliases, &alias_count));
    KMS_TRY(kms_change_remove_grants(&changes, key));
    KMS_TRY(kms_import_remove(call, &changes, key));
    KMS_TRY(drop_rows(core, &changes, key));
    KMS_TRY(kms_keyring_reserve_grave(core->keys, &key->id));
    KMS_TRY(kms_change_apply(&changes, call));
    kms_key_drop_wrapped(key);
    for (uint32_t i = 1; i <= key->version_count; i++) kms_ledger_drop(core->ledger, &key->id, i);
    KMS_TRY(kms_keyring_bury(core->keys, key));
    for (size_t i = 0; i < alias_count; i++) KMS_TRY(kms_keyring_put_alias(core->keys, &aliases[i]));
    KMS_TRY(kms_hsm_forget(core->hsm, &key->id));
    return kms_keystore_scrub(core->store, &call->why);
}
