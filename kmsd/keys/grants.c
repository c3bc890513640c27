/*
 * Two chained hash tables under one reader-writer lock: by id, and by what a call knows of the grant that it
 * needs: the grantee and, where the grant is bound to exactly one encryption context, that context. So one
 * grantee with a grant for each of 50,000 contexts is found as fast as 50,000 grantees.
 */
#include "kmsd/keys/grants.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 8 };

struct kms_grants {
    atomic_uint refs;
    pthread_rwlock_t lock;
    size_t count, buckets; /* a power of two */
    struct kms_granted **by_id, **by_finding;
    uint64_t first_expiry_us; /* not after that of any grant in here; 0: none expires */
};

static uint64_t mix(uint64_t hash)
{
    hash *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    return hash ^ hash >> 29;
}

static uint64_t hash_bytes(struct kms_bytes text)
{
    uint64_t hash = text.len;
    for (size_t at = 0; at < text.len; at += 8) {
        uint64_t word = 0;
        kms_copy(&word, text.ptr + at, text.len - at < 8 ? text.len - at : 8);
        hash = mix(hash ^ word);
    }
    return mix(hash);
}

/* The same in any order: pairs are sorted, but it need not matter. */
static uint64_t hash_context(const struct kms_pair *pairs, size_t count)
{
    uint64_t hash = count + 1;
    for (size_t i = 0; i < count; i++)
        hash += mix(hash_bytes(pairs[i].name) + 3 * hash_bytes(pairs[i].value));
    return hash;
}

/* DescribeKey comes without a context: a grant that permits it must be found without. */
static bool found_by_context(const struct kms_grant *grant)
{
    return grant->constraint == KMS_GRANT_CONTEXT_EQUALS &&
           (grant->operations & kms_grant_bit(KMS_ACT_DESCRIBE_KEY)) == 0;
}

static uint64_t hash_finding(const struct kms_grant *grant)
{
    uint64_t hash = hash_bytes(grant->grantee);
    return found_by_context(grant) ? mix(hash ^ hash_context(grant->pairs, grant->pair_count)) : hash;
}

static uint64_t hash_id(const struct kms_id *id)
{
    uint64_t hash; /* random anyway */
    memcpy(&hash, id->bytes, sizeof hash);
    return hash;
}

/* One block: the struct, its pairs, its texts. */
kms_err kms_granted_new(const struct kms_grant *grant, struct kms_granted **ret_granted)
{
    size_t len = sizeof(struct kms_granted) + grant->pair_count * sizeof(struct kms_pair) +
                 grant->grantee.len + grant->retiring.len + grant->name.len + grant->creator.len;
    for (size_t i = 0; i < grant->pair_count; i++)
        len += grant->pairs[i].name.len + grant->pairs[i].value.len;
    struct kms_granted *granted = calloc(1, len);
    if (granted == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_pair *pairs = (struct kms_pair *)(granted + 1);
    uint8_t *at = (uint8_t *)(pairs + grant->pair_count);
    atomic_init(&granted->refs, 1);
    granted->grant = *grant;
    granted->grant.pairs = pairs;
    for (size_t i = 0; i < grant->pair_count; i++) pairs[i] = grant->pairs[i];
    struct kms_bytes *const texts[] = {&granted->grant.grantee, &granted->grant.retiring,
                                       &granted->grant.name, &granted->grant.creator};
    for (size_t i = 0; i < sizeof texts / sizeof *texts + 2 * grant->pair_count; i++) {
        size_t pair = i - sizeof texts / sizeof *texts;
        struct kms_bytes *text = i < sizeof texts / sizeof *texts ? texts[i]
                                 : pair % 2 == 0                  ? &pairs[pair / 2].name
                                                                  : &pairs[pair / 2].value;
        kms_copy(at, text->ptr, text->len);
        text->ptr = at;
        at += text->len;
    }
    granted->hash = hash_finding(&granted->grant);
    *ret_granted = granted;
    return KMS_OK;
}

struct kms_granted *kms_granted_ref(struct kms_granted *granted)
{
    atomic_fetch_add_explicit(&granted->refs, 1, memory_order_relaxed);
    return granted;
}

void kms_granted_unref(struct kms_granted *granted)
{
    if (granted != NULL && atomic_fetch_sub(&granted->refs, 1) == 1) free(granted);
}

kms_err kms_grants_new(kms_grants **ret_grants)
{
    KMS_OWN(kms_grants) grants = calloc(1, sizeof *grants);
    if (grants == NULL) return KMS_FAIL(NO_MEMORY);
    atomic_init(&grants->refs, 1);
    pthread_rwlock_init(&grants->lock, NULL);
    grants->buckets = BUCKETS_FIRST;
    grants->by_id = calloc(BUCKETS_FIRST, sizeof(struct kms_granted *));
    grants->by_finding = calloc(BUCKETS_FIRST, sizeof(struct kms_granted *));
    if (grants->by_id == NULL || grants->by_finding == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_grants = KMS_GIVE(grants);
    return KMS_OK;
}

kms_grants *kms_grants_ref(kms_grants *grants)
{
    if (grants != NULL) atomic_fetch_add_explicit(&grants->refs, 1, memory_order_relaxed);
    return grants;
}

void kms_grants_unref(kms_grants *grants)
{
    if (grants == NULL || atomic_fetch_sub(&grants->refs, 1) != 1) return;
    for (size_t i = 0; i < grants->buckets && grants->count > 0; i++)
        for (struct kms_granted *granted = grants->by_id[i], *next; granted != NULL; granted = next) {
            next = granted->next_id;
            kms_granted_unref(granted);
        }
    free(grants->by_id);
    free(grants->by_finding);
    pthread_rwlock_destroy(&grants->lock);
    free(grants);
}

void kms_grants_drop(kms_grants **grants)
{
    kms_grants_unref(*grants);
}

/* The lock is held by the caller, here and in every static function below. */
static struct kms_granted **id_bucket(const kms_grants *grants, const struct kms_id *id)
{
    return &grants->by_id[hash_id(id) & (grants->buckets - 1)];
}

static struct kms_granted **finding_bucket(const kms_grants *grants, uint64_t hash)
{
    return &grants->by_finding[hash & (grants->buckets - 1)];
}

static void link_in(kms_grants *grants, struct kms_granted *granted)
{
    struct kms_granted **by_id = id_bucket(grants, &granted->grant.id);
    struct kms_granted **by_finding = finding_bucket(grants, granted->hash);
    granted->next_id = *by_id;
    granted->next_found = *by_finding;
    *by_id = *by_finding = granted;
}

/* Without memory the chains grow longer: slower, never wrong. */
static void grow(kms_grants *grants)
{
    size_t old_count = grants->buckets, count = 2 * old_count;
    struct kms_granted **by_id = calloc(count, sizeof *by_id), **old = grants->by_id;
    struct kms_granted **by_finding = calloc(count, sizeof *by_finding);
    if (by_id == NULL || by_finding == NULL) {
        free(by_id);
        free(by_finding);
        return;
    }
    free(grants->by_finding);
    grants->by_id = by_id;
    grants->by_finding = by_finding;
    grants->buckets = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct kms_granted *granted = old[i], *next; granted != NULL; granted = next) {
            next = granted->next_id;
            link_in(grants, granted);
        }
    free(old);
}

static uint64_t sooner(uint64_t a_us, uint64_t b_us)
{
    if (a_us == 0 || b_us == 0) return a_us + b_us;
    return a_us < b_us ? a_us : b_us;
}

size_t kms_grants_count(kms_grants *grants)
{
    if (grants == NULL) return 0;
    pthread_rwlock_rdlock(&grants->lock);
    size_t count = grants->count;
    pthread_rwlock_unlock(&grants->lock);
    return count;
}

void kms_grants_add(kms_grants *grants, struct kms_granted *granted)
{
    uint64_t expires_us = granted->grant.expires_us;
    pthread_rwlock_wrlock(&grants->lock);
    if (grants->count >= grants->buckets) grow(grants);
    link_in(grants, kms_granted_ref(granted));
    grants->count++;
    grants->first_expiry_us = sooner(grants->first_expiry_us, expires_us);
    pthread_rwlock_unlock(&grants->lock);
}

static struct kms_granted *unlink_id(kms_grants *grants, const struct kms_id *id)
{
    for (struct kms_granted **at = id_bucket(grants, id); *at != NULL; at = &(*at)->next_id) {
        struct kms_granted *granted = *at;
        if (!kms_id_equal(&granted->grant.id, id)) continue;
        *at = granted->next_id;
        return granted;
    }
    return NULL;
}

void kms_grants_remove(kms_grants *grants, const struct kms_id *id)
{
    if (grants == NULL) return;
    pthread_rwlock_wrlock(&grants->lock);
    struct kms_granted *granted = unlink_id(grants, id);
    if (granted != NULL) {
        struct kms_granted **at = finding_bucket(grants, granted->hash);
        while (*at != granted) at = &(*at)->next_found;
        *at = granted->next_found;
        grants->count--;
    }
    pthread_rwlock_unlock(&grants->lock);
    kms_granted_unref(granted);
}

struct kms_granted *kms_grants_find(kms_grants *grants, const struct kms_id *id)
{
    if (grants == NULL) return NULL;
    pthread_rwlock_rdlock(&grants->lock);
    struct kms_granted *granted = *id_bucket(grants, id);
    while (granted != NULL && !kms_id_equal(&granted->grant.id, id)) granted = granted->next_id;
    if (granted != NULL) kms_granted_ref(granted);
    pthread_rwlock_unlock(&grants->lock);
    return granted;
}

struct kms_granted *kms_grants_find_same(kms_grants *grants, const struct kms_grant *wanted, uint64_t now_us)
{
    if (grants == NULL) return NULL;
    uint64_t hash = hash_finding(wanted);
    pthread_rwlock_rdlock(&grants->lock);
    struct kms_granted *granted = *finding_bucket(grants, hash);
    while (granted != NULL && (granted->hash != hash || kms_grant_expired(&granted->grant, now_us) ||
                               !kms_grant_same(&granted->grant, wanted)))
        granted = granted->next_found;
    if (granted != NULL) kms_granted_ref(granted);
    pthread_rwlock_unlock(&grants->lock);
    return granted;
}

static const struct kms_granted *find_allowing(const kms_grants *grants, uint64_t hash,
                                               const struct kms_grant_question *question)
{
    const struct kms_granted *granted = *finding_bucket(grants, hash);
    while (granted != NULL && (granted->hash != hash || !kms_grant_allows(&granted->grant, question)))
        granted = granted->next_found;
    return granted;
}

/* The context by which a grant bound to exactly one could be found for this question. */
static uint64_t context_of(const struct kms_grant_question *question)
{
    const struct kms_grant *wanted = question->wanted;
    return wanted != NULL ? hash_context(wanted->pairs, wanted->pair_count)
                          : hash_context(question->context, question->context_count);
}

static const struct kms_granted *find_retired(const kms_grants *grants,
                                              const struct kms_grant_question *question)
{
    const struct kms_granted *granted =
        question->retired != NULL ? *id_bucket(grants, question->retired) : NULL;
    while (granted != NULL && !kms_grant_allows(&granted->grant, question)) granted = granted->next_id;
    return granted;
}

bool kms_grants_allow(kms_grants *grants, const struct kms_grant_question *question, struct kms_id *ret_id)
{
    if (grants == NULL || kms_grant_bit(question->action) == 0) return false;
    uint64_t hash = hash_bytes(question->principal);
    const struct kms_granted *granted;
    pthread_rwlock_rdlock(&grants->lock);
    if (question->action == KMS_ACT_RETIRE_GRANT) {
        granted = find_retired(grants, question);
    } else {
        granted = find_allowing(grants, mix(hash ^ context_of(question)), question);
        if (granted == NULL) granted = find_allowing(grants, hash, question);
    }
    if (granted != NULL) *ret_id = granted->grant.id;
    pthread_rwlock_unlock(&grants->lock);
    return granted != NULL;
}

static bool covered(const kms_grants *grants, uint64_t hash, const struct kms_grant *inner, uint64_t now_us)
{
    const struct kms_granted *granted = *finding_bucket(grants, hash);
    while (granted != NULL && (granted->hash != hash || kms_grant_expired(&granted->grant, now_us) ||
                               !kms_bytes_equal(granted->grant.grantee, inner->grantee) ||
                               !kms_grant_within(inner, &granted->grant)))
        granted = granted->next_found;
    return granted != NULL;
}

bool kms_grants_cover(kms_grants *grants, const struct kms_grant *inner, uint64_t now_us)
{
    if (grants == NULL) return false;
    uint64_t hash = hash_bytes(inner->grantee), context = hash_context(inner->pairs, inner->pair_count);
    pthread_rwlock_rdlock(&grants->lock);
    bool found = covered(grants, mix(hash ^ context), inner, now_us) || covered(grants, hash, inner, now_us);
    pthread_rwlock_unlock(&grants->lock);
    return found;
}

kms_err kms_grants_each(kms_grants *grants, kms_grants_visit *visit, void *user)
{
    kms_err err = KMS_OK;
    if (grants == NULL) return KMS_OK;
    pthread_rwlock_rdlock(&grants->lock);
    for (size_t i = 0; i < grants->buckets && !kms_failed(err); i++)
        for (const struct kms_granted *granted = grants->by_id[i]; granted != NULL && !kms_failed(err);
             granted = granted->next_id)
            err = visit(user, granted);
    pthread_rwlock_unlock(&grants->lock);
    return err;
}

static bool due(const kms_grants *grants, uint64_t now_us)
{
    return grants->first_expiry_us != 0 && grants->first_expiry_us <= now_us;
}

bool kms_grants_due(kms_grants *grants, uint64_t now_us)
{
    if (grants == NULL) return false;
    pthread_rwlock_rdlock(&grants->lock);
    bool is_due = due(grants, now_us);
    pthread_rwlock_unlock(&grants->lock);
    return is_due;
}

size_t kms_grants_expired(kms_grants *grants, uint64_t now_us, struct kms_granted **expired, size_t cap)
{
    size_t count = 0;
    uint64_t first_us = 0;
    if (grants == NULL) return 0;
    pthread_rwlock_wrlock(&grants->lock);
    bool look = due(grants, now_us);
    for (size_t i = 0; i < grants->buckets && look; i++)
        for (struct kms_granted *granted = grants->by_id[i]; granted != NULL; granted = granted->next_id) {
            first_us = sooner(first_us, granted->grant.expires_us);
            if (kms_grant_expired(&granted->grant, now_us) && count < cap)
                expired[count++] = kms_granted_ref(granted);
        }
    if (look) grants->first_expiry_us = first_us;
    pthread_rwlock_unlock(&grants->lock);
    return count;
}
