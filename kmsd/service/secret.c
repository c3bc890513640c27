/* Secrets as calls change them: versions, rows, the book. */
#include "kmsd/service/secret.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/secrets/stage.h"
#include "kmsd/service/access.h"
#include "kmsd/service/admin_secret.h"

/* Of a row that callers leave to the service: it must always be able to store how a rotation stands. */
enum { ROOM_BYTES = 2048 };

const struct kms_secret_entry *kms_call_secret(const struct kms_call *call)
{
    return call->access[0].secret;
}

kms_err kms_secret_reply_names(struct kms_call *call, char **ret_arn, char **ret_name)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    *ret_arn = kms_arena_print(&call->arena, "%s", entry->arn);
    *ret_name = kms_arena_print(&call->arena, "%s", entry->stored->name);
    return *ret_arn != NULL && *ret_name != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_secret_reply_stages(struct kms_call *call, const kms_stored_secret_version *version,
                                char ***ret_stages, size_t *ret_count)
{
    char **stages = kms_call_alloc(call, (version->n_stages + 1) * sizeof(char *));
    if (stages == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < version->n_stages; i++) {
        stages[i] = kms_arena_print(&call->arena, "%s", version->stages[i]);
        if (stages[i] == NULL) return KMS_FAIL(NO_MEMORY);
    }
    *ret_stages = stages;
    *ret_count = version->n_stages;
    return KMS_OK;
}

kms_err kms_secret_reply_tags(struct kms_call *call, const kms_stored_secret *secret,
                              Kms__V1__Tag ***ret_tags, size_t *ret_count)
{
    Kms__V1__Tag **tags = kms_call_alloc(call, (secret->n_tags + 1) * sizeof(Kms__V1__Tag *));
    if (tags == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < secret->n_tags; i++) {
        tags[i] = kms_call_alloc(call, sizeof *tags[i]);
        if (tags[i] == NULL) return KMS_FAIL(NO_MEMORY);
        kms__v1__tag__init(tags[i]);
        tags[i]->tag_key = kms_arena_print(&call->arena, "%s", secret->tags[i]->key);
        tags[i]->tag_value = kms_arena_print(&call->arena, "%s", secret->tags[i]->value);
        if (tags[i]->tag_key == NULL || tags[i]->tag_value == NULL) return KMS_FAIL(NO_MEMORY);
    }
    *ret_tags = tags;
    *ret_count = secret->n_tags;
    return KMS_OK;
}

kms_err kms_secret_set_key(struct kms_secret_entry *entry, const struct kms_key *key)
{
    uint8_t *id = malloc(KMS_ID_BYTES);
    if (id == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(id, key->id.bytes, KMS_ID_BYTES);
    free(entry->stored->key_id.data);
    entry->stored->key_id = (ProtobufCBinaryData){.data = id, .len = KMS_ID_BYTES};
    return KMS_OK;
}

kms_err kms_secret_version_gather(struct kms_call *call, const char *token)
{
    if (token[0] != '\0') {
        call->secret_version = token;
        return kms_secret_version_id_check("client_request_token", kms_bytes_text(token), &call->why);
    }
    struct kms_id id;
    char *text = kms_call_alloc(call, KMS_ID_TEXT);
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_id_new(&id));
    kms_id_text(&id, text);
    call->secret_version = text;
    return KMS_OK;
}

kms_err kms_change_secret(struct kms_change_set *changes, struct kms_call *call,
                          struct kms_secret_entry *entry)
{
    kms_buf *body;
    entry->stored->changed_us = kms_core_now_us(call->core);
    KMS_TRY(kms_change_row(changes, KMS_TABLE_SECRET, entry->row, &entry->revision, &body));
    kms_err err = kms_secret_body(entry->stored, body);
    if (!kms_failed(err) && !call->by_service && body->len > KMS_ROW_BODY_BYTES - ROOM_BYTES)
        err = KMS_FAIL(LIMIT_EXCEEDED);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
        return kms_call_fail(call, err, "more versions, stages and tags than one secret can hold");
    return err;
}

kms_err kms_change_secret_value(struct kms_change_set *changes, struct kms_secret_entry *entry, size_t at)
{
    kms_buf *body;
    char row[KMS_SECRET_VALUE_ROW_BYTES];
    kms_secret_value_row(entry, entry->stored->versions[at]->id, row);
    KMS_TRY(kms_change_row(changes, KMS_TABLE_SECRET_VALUE, row, &entry->values[at]->revision, &body));
    return kms_secret_value_body(entry->values[at]->stored, body);
}

static kms_err apply(struct kms_change_set *changes, struct kms_call *call, struct kms_secret_entry *entry,
                     bool other_policy)
{
    kms_secret_book *book = call->core->secrets;
    KMS_TRY(kms_secret_book_begin(book, entry, &call->why));
    kms_err err = other_policy ? kms_admin_secret_readers(call, entry->stored->name, entry->policy) : KMS_OK;
    if (!kms_failed(err)) err = kms_change_apply(changes, call);
    if (!kms_failed(err)) err = kms_secret_book_put(book, entry);
    kms_secret_book_end(book);
    KMS_TRY(err);
    kms_call_say(call, "secret_version", call->secret_version);
    return KMS_OK;
}

kms_err kms_change_apply_secret(struct kms_change_set *changes, struct kms_call *call,
                                struct kms_secret_entry *entry)
{
    return apply(changes, call, entry, false);
}

kms_err kms_change_apply_secret_policy(struct kms_change_set *changes, struct kms_call *call,
                                       struct kms_secret_entry *entry)
{
    return apply(changes, call, entry, true);
}

static kms_err remove_version(struct kms_change_set *changes, struct kms_secret_entry *entry, size_t at)
{
    char row[KMS_SECRET_VALUE_ROW_BYTES];
    kms_secret_value_row(entry, entry->stored->versions[at]->id, row);
    KMS_TRY(kms_change_remove(changes, KMS_TABLE_SECRET_VALUE, row, entry->values[at]->revision));
    kms_secret_entry_remove(entry, at);
    return KMS_OK;
}

/* One version goes for each that comes, so that one is enough. */
static kms_err make_room(struct kms_call *call, struct kms_change_set *changes,
                         struct kms_secret_entry *entry)
{
    const struct kms_core *core = call->core;
    kms_stored_secret *secret = entry->stored;
    if (kms_secret_book_bytes(core->secrets) + KMS_SECRET_VALUE_BYTES > core->secret_bytes)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                             "the values of all secrets take as much memory as limits.secret_memory allows");
    if (secret->n_versions < core->secret_versions) return KMS_OK;
    size_t old = kms_stage_deprecated(secret, core->secret_versions - 1, kms_core_now_us(core));
    if (old != SIZE_MAX) return remove_version(changes, entry, old);
    if (secret->n_versions < 2 * (size_t)core->secret_versions) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                         "%s has %zu versions and all of them have stages: take some away first "
                         "(limits.secret_versions)",
                         secret->name, secret->n_versions);
}

static kms_err set_stages(struct kms_call *call, kms_stored_secret *secret, size_t at, char *const *stages,
                          size_t count)
{
    bool current = count == 0 || kms_secret_stage_at(secret, KMS_STAGE_CURRENT) == SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        KMS_TRY(kms_stage_check(stages[i], &call->why));
        KMS_TRY(kms_stage_move(secret, stages[i], at, &call->why));
    }
    /* The first version has it always. */
    return current ? kms_stage_move(secret, KMS_STAGE_CURRENT, at, &call->why) : KMS_OK;
}

kms_err kms_secret_add_version(struct kms_call *call, struct kms_change_set *changes,
                               struct kms_secret_entry *entry, struct kms_sealed_value *value,
                               char *const *stages, size_t stage_count)
{
    kms_err err = make_room(call, changes, entry);
    if (!kms_failed(err))
        err = kms_secret_entry_add(entry, call->secret_version, call->identity->principal,
                                   kms_core_now_us(call->core), value);
    if (kms_failed(err)) {
        kms_sealed_value_unref(value);
        return err;
    }
    size_t at = entry->stored->n_versions - 1;
    KMS_TRY(kms_change_secret_value(changes, entry, at));
    return set_stages(call, entry->stored, at, stages, stage_count);
}
