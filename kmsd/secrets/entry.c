/* Secrets in memory: the stored message, what is compiled from it, and the sealed values. */
#include "kmsd/secrets/entry.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/keys/stored.h"

kms_err kms_sealed_value_new(kms_stored_secret_value *stored, struct kms_sealed_value **ret_value)
{
    struct kms_sealed_value *value = calloc(1, sizeof *value);
    if (value == NULL) {
        kms__store__v1__stored_secret_value__free_unpacked(stored, NULL);
        return KMS_FAIL(NO_MEMORY);
    }
    value->refs = 1;
    value->stored = stored;
    *ret_value = value;
    return KMS_OK;
}

static struct kms_sealed_value *value_ref(struct kms_sealed_value *value)
{
    atomic_fetch_add_explicit(&value->refs, 1, memory_order_relaxed);
    return value;
}

void kms_sealed_value_unref(struct kms_sealed_value *value)
{
    if (value == NULL || atomic_fetch_sub(&value->refs, 1) != 1) return;
    kms__store__v1__stored_secret_value__free_unpacked(value->stored, NULL);
    free(value);
}

kms_err kms_secret_entry_new(const struct kms_arn_prefix *prefix, kms_stored_secret *stored,
                             struct kms_secret_entry **ret_entry)
{
    struct kms_secret_entry *entry = calloc(1, sizeof *entry);
    if (entry != NULL) entry->values = calloc(stored->n_versions + 1, sizeof(struct kms_sealed_value *));
    if (entry == NULL || entry->values == NULL || kms_failed(kms_read_day_new(&entry->read))) {
        if (entry != NULL) free(entry->values);
        free(entry);
        kms__store__v1__stored_secret__free_unpacked(stored, NULL);
        return KMS_FAIL(NO_MEMORY);
    }
    entry->refs = 1;
    entry->stored = stored;
    kms_secret_arn(prefix, stored->name, stored->suffix, entry->arn);
    kms_err err = kms_secret_row(kms_bytes_text(stored->name), entry->row);
    if (kms_failed(err))
        kms_secret_entry_unref(entry);
    else
        *ret_entry = entry;
    return err;
}

struct kms_secret_entry *kms_secret_entry_ref(struct kms_secret_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return entry;
}

void kms_secret_entry_unref(struct kms_secret_entry *entry)
{
    if (entry == NULL || atomic_fetch_sub(&entry->refs, 1) != 1) return;
    for (size_t i = 0; i < entry->stored->n_versions; i++) kms_sealed_value_unref(entry->values[i]);
    free(entry->values);
    kms_policy_unref(entry->policy);
    kms_read_day_unref(entry->read);
    kms__store__v1__stored_secret__free_unpacked(entry->stored, NULL);
    free(entry);
}

/* As AWS's: what only looks, and what takes the mark back. */
kms_err kms_secret_entry_check(const struct kms_secret_entry *entry, enum kms_action action,
                               struct kms_why *why)
{
    static const enum kms_action allowed[] = {KMS_ACT_DESCRIBE_SECRET,     KMS_ACT_LIST_SECRET_VERSION_IDS,
                                              KMS_ACT_GET_RESOURCE_POLICY, KMS_ACT_RESTORE_SECRET,
                                              KMS_ACT_DELETE_SECRET,       KMS_ACT_REWRAP_SECRET};
    if (entry->stored->deletion_us == 0) return KMS_OK;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (allowed[i] == action) return KMS_OK;
    kms_why_set(why, "%s is marked for deletion: kmsctl secret restore takes the mark back", entry->arn);
    return KMS_FAIL(INVALID_SECRET_STATE);
}

kms_err kms_secret_entry_copy(const struct kms_secret_entry *entry, struct kms_secret_entry **ret_copy)
{
    kms_stored_secret *stored = kms_stored_copy(&entry->stored->base);
    size_t count = entry->stored->n_versions;
    struct kms_secret_entry *copy = calloc(1, sizeof *copy);
    struct kms_sealed_value **values = calloc(count + 1, sizeof(struct kms_sealed_value *));
    if (stored == NULL || copy == NULL || values == NULL) {
        if (stored != NULL) kms__store__v1__stored_secret__free_unpacked(stored, NULL);
        free(copy);
        free(values);
        return KMS_FAIL(NO_MEMORY);
    }
    copy->refs = 1;
    copy->revision = entry->revision;
    kms_copy(copy->row, entry->row, sizeof copy->row);
    kms_copy(copy->arn, entry->arn, sizeof copy->arn);
    copy->stored = stored;
    copy->policy = kms_policy_ref(entry->policy);
    copy->read = kms_read_day_ref(entry->read);
    copy->values = values;
    for (size_t i = 0; i < count; i++) values[i] = value_ref(entry->values[i]);
    *ret_copy = copy;
    return KMS_OK;
}

size_t kms_secret_version_at(const kms_stored_secret *stored, const char *version_id)
{
    for (size_t i = 0; i < stored->n_versions; i++)
        if (strcmp(stored->versions[i]->id, version_id) == 0) return i;
    return SIZE_MAX;
}

bool kms_secret_version_has(const kms_stored_secret_version *version, const char *stage)
{
    for (size_t i = 0; i < version->n_stages; i++)
        if (strcmp(version->stages[i], stage) == 0) return true;
    return false;
}

size_t kms_secret_stage_at(const kms_stored_secret *secret, const char *stage)
{
    for (size_t i = 0; i < secret->n_versions; i++)
        if (kms_secret_version_has(secret->versions[i], stage)) return i;
    return SIZE_MAX;
}

kms_err kms_secret_set_text(char **text, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    if (*text != (const char *)protobuf_c_empty_string) free(*text);
    *text = copy;
    return KMS_OK;
}

/* Room for one more in a repeated field. */
static bool grow(void *list, size_t count)
{
    void **items = *(void ***)list, **more = realloc(items, (count + 1) * sizeof *more);
    if (more != NULL) *(void ***)list = more;
    return more != NULL;
}

static kms_stored_secret_version *new_version(const char *version_id, const char *creator, uint64_t now_us)
{
    kms_stored_secret_version *version = malloc(sizeof *version);
    if (version == NULL) return NULL;
    kms__store__v1__stored_secret_version__init(version);
    version->created_us = now_us;
    if (!kms_failed(kms_secret_set_text(&version->id, version_id)) &&
        !kms_failed(kms_secret_set_text(&version->creator, creator)))
        return version;
    kms__store__v1__stored_secret_version__free_unpacked(version, NULL);
    return NULL;
}

kms_err kms_secret_entry_add(struct kms_secret_entry *entry, const char *version_id, const char *creator,
                             uint64_t now_us, struct kms_sealed_value *value)
{
    kms_stored_secret *secret = entry->stored;
    kms_stored_secret_version *version = new_version(version_id, creator, now_us);
    if (version == NULL) return KMS_FAIL(NO_MEMORY);
    if (!grow(&secret->versions, secret->n_versions) || !grow(&entry->values, secret->n_versions)) {
        kms__store__v1__stored_secret_version__free_unpacked(version, NULL);
        return KMS_FAIL(NO_MEMORY);
    }
    entry->values[secret->n_versions] = value;
    secret->versions[secret->n_versions++] = version;
    return KMS_OK;
}

void kms_secret_entry_remove(struct kms_secret_entry *entry, size_t at)
{
    kms_stored_secret *secret = entry->stored;
    kms__store__v1__stored_secret_version__free_unpacked(secret->versions[at], NULL);
    kms_sealed_value_unref(entry->values[at]);
    size_t behind = --secret->n_versions - at;
    memmove(&secret->versions[at], &secret->versions[at + 1], behind * sizeof secret->versions[0]);
    memmove(&entry->values[at], &entry->values[at + 1], behind * sizeof entry->values[0]);
}

static size_t tag_at(const kms_stored_secret *stored, const char *key)
{
    size_t i = 0;
    while (i < stored->n_tags && strcmp(stored->tags[i]->key, key) != 0) i++;
    return i;
}

kms_err kms_secret_set_tag(kms_stored_secret *secret, const char *key, const char *value)
{
    size_t at = tag_at(secret, key);
    if (at < secret->n_tags) return kms_secret_set_text(&secret->tags[at]->value, value);
    if (secret->n_tags >= KMS_SECRET_TAGS) return KMS_FAIL(LIMIT_EXCEEDED);
    Kms__Store__V1__StoredTag *tag = malloc(sizeof *tag);
    if (tag == NULL) return KMS_FAIL(NO_MEMORY);
    kms__store__v1__stored_tag__init(tag);
    if (kms_failed(kms_secret_set_text(&tag->key, key)) ||
        kms_failed(kms_secret_set_text(&tag->value, value)) || !grow(&secret->tags, secret->n_tags)) {
        kms__store__v1__stored_tag__free_unpacked(tag, NULL);
        return KMS_FAIL(NO_MEMORY);
    }
    secret->tags[secret->n_tags++] = tag;
    return KMS_OK;
}

void kms_secret_drop_tag(kms_stored_secret *secret, const char *key)
{
    size_t at = tag_at(secret, key);
    if (at == secret->n_tags) return;
    kms__store__v1__stored_tag__free_unpacked(secret->tags[at], NULL);
    secret->n_tags--;
    memmove(&secret->tags[at], &secret->tags[at + 1], (secret->n_tags - at) * sizeof secret->tags[0]);
}

kms_stored_rotation *kms_secret_need_rotation(kms_stored_secret *secret)
{
    if (secret->rotation != NULL) return secret->rotation;
    secret->rotation = malloc(sizeof *secret->rotation);
    if (secret->rotation != NULL) kms__store__v1__stored_rotation__init(secret->rotation);
    return secret->rotation;
}
