/* Making, copying and letting go of keys. */
#include "kmsd/keys/key.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

static struct kms_budget *budget_new(void)
{
    struct kms_budget *budget = calloc(1, sizeof *budget);
    if (budget == NULL) return NULL;
    atomic_init(&budget->refs, 1);
    atomic_init(&budget->block_log2, KMS_BUDGET_BLOCK_LOG2);
    return budget;
}

static void budget_unref(struct kms_budget *budget)
{
    if (budget != NULL && atomic_fetch_sub(&budget->refs, 1) == 1) free(budget);
}

kms_err kms_key_new(enum kms_level level, uint32_t version_count, struct kms_key **ret_key)
{
    KMS_OWN_KEY key = calloc(1, sizeof *key + version_count * sizeof key->versions[0]);
    if (key == NULL) return KMS_FAIL(NO_MEMORY);
    atomic_init(&key->refs, 1);
    key->level = (uint8_t)level;
    key->version_count = version_count;
    for (uint32_t i = 0; i < version_count; i++) {
        key->versions[i].version = (i + 1) & 0xffffff; /* far more than KMS_KEY_VERSIONS */
        if (level != KMS_LEVEL_HSM) continue;
        key->versions[i].budget = budget_new();
        if (key->versions[i].budget == NULL) return KMS_FAIL(NO_MEMORY);
    }
    *ret_key = KMS_GIVE(key);
    return KMS_OK;
}

struct kms_key *kms_key_ref(struct kms_key *key)
{
    atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

static void free_tag(struct kms_tag *tag)
{
    free(tag->key);
    free(tag->value);
}

void kms_key_unref(struct kms_key *key)
{
    if (key == NULL || atomic_fetch_sub(&key->refs, 1) != 1) return;
    for (uint32_t i = 0; i < key->version_count; i++) {
        free((void *)(uintptr_t)key->versions[i].wrapped.ptr);
        free(key->versions[i].mark);
        budget_unref(key->versions[i].budget);
    }
    kms_policy_unref(key->policy);
    kms_grants_unref(key->grants);
    kms_rule_unref(key->rule);
    for (uint32_t i = 0; i < key->tag_count; i++) free_tag(&key->tags[i]);
    free(key->tags);
    free(key->description);
    free(key->creator);
    free(key);
}

static kms_err replace_text(char **text, const char *with)
{
    char *copy = strdup(with);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    free(*text);
    *text = copy;
    return KMS_OK;
}

kms_err kms_key_set_description(struct kms_key *key, const char *description)
{
    if (description[0] != '\0') return replace_text(&key->description, description);
    free(key->description);
    key->description = NULL;
    return KMS_OK;
}

kms_err kms_key_set_texts(struct kms_key *key, const char *description, const char *creator)
{
    KMS_TRY(kms_key_set_description(key, description));
    return replace_text(&key->creator, creator);
}

kms_err kms_version_set_mark(struct kms_key_version *version, const uint8_t mark[KMS_HSM_MARK_BYTES])
{
    if (version->mark == NULL) version->mark = malloc(KMS_HSM_MARK_BYTES);
    if (version->mark == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(version->mark, mark, KMS_HSM_MARK_BYTES);
    return KMS_OK;
}

kms_err kms_key_set_wrapped(struct kms_key_version *version, struct kms_bytes wrapped)
{
    uint8_t *copy = malloc(wrapped.len > 0 ? wrapped.len : 1);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(copy, wrapped.ptr, wrapped.len);
    free((void *)(uintptr_t)version->wrapped.ptr);
    version->wrapped = kms_bytes_of(copy, wrapped.len);
    return KMS_OK;
}

void kms_version_drop_wrapped(struct kms_key_version *version)
{
    struct kms_bytes *wrapped = &version->wrapped;
    if (wrapped->ptr != NULL) kms_wipe((void *)(uintptr_t)wrapped->ptr, wrapped->len);
    free((void *)(uintptr_t)wrapped->ptr);
    *wrapped = (struct kms_bytes){0};
}

void kms_key_drop_wrapped(struct kms_key *key)
{
    for (uint32_t i = 0; i < key->version_count; i++) kms_version_drop_wrapped(&key->versions[i]);
}

bool kms_key_complete(const struct kms_key *key)
{
    bool complete = true;
    for (uint32_t i = 0; i < key->version_count; i++) complete &= key->versions[i].wrapped.len > 0;
    return complete;
}

/* The copy's version is the same version: one budget for both. */
static kms_err copy_version(struct kms_key_version *to, const struct kms_key_version *from)
{
    budget_unref(to->budget);
    to->budget = from->budget;
    if (from->budget != NULL) atomic_fetch_add(&from->budget->refs, 1);
    to->root_id = from->root_id;
    to->revision = from->revision;
    to->created_us = from->created_us;
    to->retired_us = from->retired_us;
    to->expires_us = from->expires_us;
    to->cause = from->cause;
    if (from->mark != NULL) KMS_TRY(kms_version_set_mark(to, from->mark));
    return kms_key_set_wrapped(to, from->wrapped);
}

/* Where a tag stands, or where it would. */
static size_t tag_place(const struct kms_key *key, const char *name, bool *ret_there)
{
    size_t at = 0;
    while (at < key->tag_count && strcmp(key->tags[at].key, name) < 0) at++;
    *ret_there = at < key->tag_count && strcmp(key->tags[at].key, name) == 0;
    return at;
}

kms_err kms_key_set_tag(struct kms_key *key, const char *name, const char *value)
{
    bool there;
    size_t at = tag_place(key, name, &there);
    if (!there && key->tag_count == KMS_TAGS_MAX) return KMS_FAIL(LIMIT_EXCEEDED);
    if (key->tags == NULL) key->tags = calloc(KMS_TAGS_MAX, sizeof *key->tags);
    struct kms_tag tag = {.key = strdup(name), .value = strdup(value)};
    if (key->tags == NULL || tag.key == NULL || tag.value == NULL) {
        free_tag(&tag);
        return KMS_FAIL(NO_MEMORY);
    }
    if (there) {
        free_tag(&key->tags[at]);
    } else {
        memmove(&key->tags[at + 1], &key->tags[at], (key->tag_count - at) * sizeof tag);
        key->tag_count++;
    }
    key->tags[at] = tag;
    return KMS_OK;
}

void kms_key_drop_tag(struct kms_key *key, const char *name)
{
    bool there;
    size_t at = tag_place(key, name, &there);
    if (!there) return;
    free_tag(&key->tags[at]);
    key->tag_count--;
    memmove(&key->tags[at], &key->tags[at + 1], (key->tag_count - at) * sizeof *key->tags);
}

kms_err kms_key_copy(const struct kms_key *key, uint32_t more, struct kms_key **ret_copy)
{
    KMS_OWN_KEY copy = NULL;
    KMS_TRY(kms_key_new(key->level, key->version_count + more, &copy));
    for (uint32_t i = 0; i < key->version_count; i++)
        KMS_TRY(copy_version(&copy->versions[i], &key->versions[i]));
    KMS_TRY(kms_key_set_texts(copy, kms_key_description(key), key->creator != NULL ? key->creator : ""));
    for (uint32_t i = 0; i < key->tag_count; i++)
        KMS_TRY(kms_key_set_tag(copy, key->tags[i].key, key->tags[i].value));
    copy->policy = kms_policy_ref(key->policy);
    copy->grants = kms_grants_ref(key->grants);
    copy->rule = kms_rule_ref(key->rule);
    copy->id = key->id;
    memcpy(copy->id_text, key->id_text, sizeof copy->id_text);
    copy->revision = key->revision;
    copy->created_us = key->created_us;
    copy->spec = key->spec;
    copy->usage = key->usage;
    copy->state = key->state;
    copy->origin = key->origin;
    copy->deletion_us = key->deletion_us;
    copy->rotation_period_days = key->rotation_period_days;
    copy->rotation_next_us = key->rotation_next_us;
    *ret_copy = KMS_GIVE(copy);
    return KMS_OK;
}

kms_err kms_key_need_grants(struct kms_key *key)
{
    return key->grants != NULL ? KMS_OK : kms_grants_new(&key->grants);
}

enum kms_grant_kind kms_key_grant_kind(const struct kms_key *key)
{
    switch (key->usage) {
    case KMS_USAGE_SIGN_VERIFY:
        return KMS_GRANT_KIND_SIGNING;
    case KMS_USAGE_GENERATE_VERIFY_MAC:
        return KMS_GRANT_KIND_MAC;
    default:
        return key->spec == KMS_SPEC_AES_256 ? KMS_GRANT_KIND_SYMMETRIC : KMS_GRANT_KIND_ASYMMETRIC;
    }
}

const struct kms_key_version *kms_key_version_find(const struct kms_key *key, uint32_t version)
{
    return version >= 1 && version <= key->version_count ? &key->versions[version - 1] : NULL;
}

struct kms_hsm_key kms_key_for_hsm(const struct kms_key *key, const struct kms_key_version *version)
{
    return (struct kms_hsm_key){
        .ref = {.key_id = key->id,
                .version = version->version,
                .spec = key->spec,
                .usage = key->usage,
                .level = key->level},
        .wrapped = version->wrapped,
    };
}

bool kms_budget_take(struct kms_budget *budget)
{
    if (atomic_load_explicit(&budget->left, memory_order_relaxed) <= 0) return false;
    return atomic_fetch_sub_explicit(&budget->left, 1, memory_order_relaxed) > 0;
}

bool kms_budget_claim_refill(struct kms_budget *budget)
{
    long long low = 1LL << (atomic_load(&budget->block_log2) - 2);
    if (atomic_load_explicit(&budget->left, memory_order_relaxed) > low) return false;
    return !atomic_exchange(&budget->reserving, true);
}
