/* Keys, versions and aliases as keystore rows, out and in (keystore/record.proto). */
#include "kmsd/keys/record.h"

#include <stdio.h>
#include <string.h>

#include "hsm/spec.h"
#include "keystore/record.pb-c.h"
#include "kmsd/keys/state.h"
#include "kmsd/keys/stored.h"

void kms_version_row_id(const struct kms_key *key, uint32_t version, char row_id[KMS_VERSION_ROW_BYTES])
{
    snprintf(row_id, KMS_VERSION_ROW_BYTES, "%s/%08x", key->id_text,
             version); /* fixed width: sorts by number */
}

kms_err kms_key_body(const struct kms_key *key, kms_buf *body)
{
    Kms__Store__V1__StoredKey stored;
    kms__store__v1__stored_key__init(&stored);
    stored.created_us = key->created_us;
    stored.description = (char *)(uintptr_t)kms_key_description(key); /* only read by pack */
    stored.spec = key->spec;
    stored.usage = key->usage;
    stored.level = key->level;
    stored.state = key->state;
    stored.origin = key->origin;
    stored.deletion_us = key->deletion_us;
    stored.rotation_period_days = key->rotation_period_days;
    stored.rotation_next_us = key->rotation_next_us;
    stored.current_version = key->version_count;
    stored.policy = (char *)(uintptr_t)kms_policy_source(key->policy);
    stored.creator = key->creator;
    Kms__Store__V1__StoredTag tags[KMS_TAGS_MAX], *tag_list[KMS_TAGS_MAX];
    for (uint32_t i = 0; i < key->tag_count; i++) {
        kms__store__v1__stored_tag__init(&tags[i]);
        tags[i].key = key->tags[i].key;
        tags[i].value = key->tags[i].value;
        tag_list[i] = &tags[i];
    }
    stored.tags = tag_list;
    stored.n_tags = key->tag_count;
    Kms__Store__V1__StoredApprovalRule rule;
    kms__store__v1__stored_approval_rule__init(&rule);
    if (key->rule != NULL) {
        rule.required = key->rule->required;
        rule.principals = key->rule->principals;
        rule.n_principals = key->rule->count;
        stored.approval_rule = &rule;
    }
    return kms_stored_pack(&stored.base, body);
}

kms_err kms_version_body(const struct kms_key_version *version, kms_buf *body)
{
    Kms__Store__V1__StoredKeyVersion stored;
    kms__store__v1__stored_key_version__init(&stored);
    stored.created_us = version->created_us;
    stored.root_id = version->root_id;
    stored.wrapped.data = (uint8_t *)(uintptr_t)version->wrapped.ptr; /* only read by pack */
    stored.wrapped.len = version->wrapped.len;
    stored.cause = version->cause;
    stored.retired_us = version->retired_us;
    stored.expires_us = version->expires_us;
    stored.material_mark.data = version->mark;
    stored.material_mark.len = version->mark != NULL ? KMS_HSM_MARK_BYTES : 0;
    return kms_stored_pack(&stored.base, body);
}

kms_err kms_alias_body(const struct kms_alias *alias, uint64_t changed_us, kms_buf *body)
{
    Kms__Store__V1__StoredAlias stored;
    kms__store__v1__stored_alias__init(&stored);
    uint8_t id[KMS_ID_BYTES];
    kms_copy(id, alias->key_id.bytes, sizeof id);
    stored.key_id.data = id;
    stored.key_id.len = sizeof id;
    stored.deleted = alias->deleted;
    stored.changed_us = changed_us;
    return kms_stored_pack(&stored.base, body);
}

kms_err kms_tombstone_body(const struct kms_key *key, kms_buf *body)
{
    Kms__Store__V1__StoredTombstone stored;
    kms__store__v1__stored_tombstone__init(&stored);
    stored.created_us = key->created_us;
    stored.deleted_us = key->deletion_us;
    stored.description = (char *)(uintptr_t)kms_key_description(key);
    stored.creator = key->creator;
    stored.spec = key->spec;
    stored.usage = key->usage;
    stored.level = key->level;
    stored.versions = key->version_count;
    stored.policy = (char *)(uintptr_t)kms_policy_source(key->policy);
    return kms_stored_pack(&stored.base, body);
}

static kms_err bad_row(const struct kms_row *row, const char *what, struct kms_why *why)
{
    kms_why_set(why, "keystore row %s: %s", row->id, what);
    return KMS_FAIL(CORRUPT);
}

/* A row of a release that knew no states says only whether the key may be used. */
static uint32_t state_of(const Kms__Store__V1__StoredKey *stored)
{
    if (stored->state != 0) return stored->state;
    return stored->enabled ? KMS_STATE_ENABLED : KMS_STATE_DISABLED;
}

/* What this release can have written; kmsd/service indexes tables with these numbers. */
static bool possible(const Kms__Store__V1__StoredKey *stored)
{
    return stored->current_version >= 1 && stored->current_version <= KMS_KEY_VERSIONS &&
           kms_spec_usage_fits(stored->spec, stored->usage) && state_of(stored) <= KMS_STATE_PENDING_IMPORT &&
           stored->origin <= KMS_ORIGIN_EXTERNAL && stored->n_tags <= KMS_TAGS_MAX &&
           (stored->level == KMS_LEVEL_HSM || stored->level == KMS_LEVEL_SOFTWARE);
}

static kms_err fill_policy(struct kms_key *key, const char *json, kms_documents *documents,
                           struct kms_why *why)
{
    struct kms_why cause = {{0}};
    kms_err err = kms_documents_policy(documents, json, &key->policy, &cause);
    if (!kms_is(err, KMS_E_MALFORMED_POLICY)) return err;
    kms_why_set(why, "policy of key %s: %.300s", key->id_text, cause.text);
    return KMS_FAIL(CORRUPT);
}

static kms_err fill_key(struct kms_key *key, const struct kms_row *row,
                        const Kms__Store__V1__StoredKey *stored)
{
    key->revision = row->revision;
    key->created_us = stored->created_us;
    key->spec = (uint8_t)stored->spec;
    key->usage = (uint8_t)stored->usage;
    key->state = (uint8_t)state_of(stored);
    key->origin = stored->origin == 0 ? KMS_ORIGIN_KMS : (uint8_t)stored->origin;
    key->deletion_us = stored->deletion_us;
    key->rotation_period_days = stored->rotation_period_days;
    key->rotation_next_us = stored->rotation_next_us;
    for (size_t i = 0; i < stored->n_tags; i++)
        KMS_TRY(kms_key_set_tag(key, stored->tags[i]->key, stored->tags[i]->value));
    const Kms__Store__V1__StoredApprovalRule *rule = stored->approval_rule;
    if (rule != NULL)
        KMS_TRY(kms_rule_new(rule->required, rule->principals, rule->n_principals, &key->rule, NULL));
    return kms_key_set_texts(key, stored->description, stored->creator);
}

kms_err kms_key_from_row(const struct kms_row *row, kms_documents *documents, struct kms_key **ret_key,
                         struct kms_why *why)
{
    struct kms_stored_room room;
    kms_stored_room_open(&room);
    Kms__Store__V1__StoredKey *stored =
        kms__store__v1__stored_key__unpack(&room.allocator, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "unreadable body", why);
    KMS_OWN_KEY key = NULL;
    kms_err err = KMS_OK;
    struct kms_id id;
    if (!possible(stored) || !kms_id_parse(kms_bytes_text(row->id), &id))
        err = bad_row(row, "impossible values", why);
    if (!kms_failed(err)) err = kms_key_new((enum kms_level)stored->level, stored->current_version, &key);
    if (!kms_failed(err)) {
        key->id = id;
        kms_id_text(&id, key->id_text);
        err = fill_key(key, row, stored);
    }
    if (!kms_failed(err)) err = fill_policy(key, stored->policy, documents, why);
    kms__store__v1__stored_key__free_unpacked(stored, &room.allocator);
    if (!kms_failed(err)) *ret_key = KMS_GIVE(key);
    return err;
}

/* A row of a release that knew no causes. */
static uint32_t cause_of(const Kms__Store__V1__StoredKeyVersion *stored, uint32_t version)
{
    if (stored->cause != 0) return stored->cause;
    return version == 1 ? KMS_CAUSE_CREATION : KMS_CAUSE_ON_DEMAND;
}

static kms_err fill_material(struct kms_key_version *to, const Kms__Store__V1__StoredKeyVersion *stored)
{
    size_t mark_len = stored->material_mark.len;
    if (stored->cause >= KMS_CAUSE_COUNT || (mark_len > 0 && mark_len != KMS_HSM_MARK_BYTES))
        return KMS_FAIL(CORRUPT);
    if (mark_len > 0) KMS_TRY(kms_version_set_mark(to, stored->material_mark.data));
    return kms_key_set_wrapped(to, kms_bytes_of(stored->wrapped.data, stored->wrapped.len));
}

kms_err kms_version_from_row(struct kms_key *key, uint32_t version, const struct kms_row *row,
                             struct kms_why *why)
{
    struct kms_stored_room room;
    kms_stored_room_open(&room);
    Kms__Store__V1__StoredKeyVersion *stored =
        kms__store__v1__stored_key_version__unpack(&room.allocator, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "unreadable body", why);
    struct kms_key_version *to = &key->versions[version - 1];
    to->created_us = stored->created_us;
    to->root_id = stored->root_id;
    to->revision = row->revision;
    to->retired_us = stored->retired_us;
    to->expires_us = stored->expires_us;
    to->cause = (uint8_t)cause_of(stored, version);
    kms_err err = fill_material(to, stored);
    kms__store__v1__stored_key_version__free_unpacked(stored, &room.allocator);
    return kms_is(err, KMS_E_CORRUPT) ? bad_row(row, "impossible values", why) : err;
}

kms_err kms_version_wrapped(const struct kms_row *row, kms_buf *wrapped, struct kms_why *why)
{
    Kms__Store__V1__StoredKeyVersion *stored =
        kms__store__v1__stored_key_version__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "unreadable body", why);
    kms_err err = kms_buf_append(wrapped, stored->wrapped.data, stored->wrapped.len);
    kms__store__v1__stored_key_version__free_unpacked(stored, NULL);
    return err;
}

kms_err kms_alias_from_row(const struct kms_row *row, struct kms_alias *ret_alias, struct kms_why *why)
{
    struct kms_stored_room room;
    kms_stored_room_open(&room);
    Kms__Store__V1__StoredAlias *stored =
        kms__store__v1__stored_alias__unpack(&room.allocator, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "unreadable body", why);
    kms_err err = KMS_OK;
    if (stored->key_id.len != KMS_ID_BYTES || strlen(row->id) >= KMS_ALIAS_BYTES) {
        err = bad_row(row, "impossible values", why);
    } else {
        *ret_alias = (struct kms_alias){.revision = row->revision, .deleted = stored->deleted};
        kms_copy(ret_alias->key_id.bytes, stored->key_id.data, KMS_ID_BYTES);
        kms_copy(ret_alias->name, row->id, strlen(row->id));
    }
    kms__store__v1__stored_alias__free_unpacked(stored, &room.allocator);
    return err;
}

static kms_err fill_tombstone(struct kms_key *key, const struct kms_row *row,
                              const Kms__Store__V1__StoredTombstone *stored)
{
    if (!kms_id_parse(kms_bytes_text(row->id), &key->id)) return KMS_FAIL(CORRUPT);
    kms_id_text(&key->id, key->id_text);
    key->created_us = stored->created_us;
    key->deletion_us = stored->deleted_us;
    key->spec = (uint8_t)stored->spec;
    key->usage = (uint8_t)stored->usage;
    key->level = (uint8_t)stored->level;
    key->state = KMS_STATE_DELETED;
    return kms_key_set_texts(key, stored->description, stored->creator);
}

kms_err kms_tombstone_from_row(const struct kms_row *row, kms_documents *documents, struct kms_key **ret_key,
                               struct kms_why *why)
{
    Kms__Store__V1__StoredTombstone *stored =
        kms__store__v1__stored_tombstone__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "unreadable body", why);
    KMS_OWN_KEY key = NULL;
    kms_err err = kms_key_new((enum kms_level)stored->level, 1, &key);
    if (!kms_failed(err)) err = fill_tombstone(key, row, stored);
    if (kms_is(err, KMS_E_CORRUPT)) err = bad_row(row, "impossible values", why);
    if (!kms_failed(err)) err = fill_policy(key, stored->policy, documents, why);
    kms__store__v1__stored_tombstone__free_unpacked(stored, NULL);
    if (!kms_failed(err)) *ret_key = KMS_GIVE(key);
    return err;
}
