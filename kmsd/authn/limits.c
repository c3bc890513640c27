/* Rate, concurrency and refusals, counted for each principal. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/authn/internal.h"

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>

#define MICRO UINT64_C(1000000)

struct kms_principal {
    char name[KMS_PRINCIPAL_BYTES];
    unsigned refs; /* identities; under the table's lock */
    struct kms_limits *table;
    pthread_mutex_t lock;         /* for what follows */
    unsigned in_flight, rsa_keys; /* calls; RSA keys in the making */
    int64_t tokens_micro; /* token bucket, in millionths of a call: calls/s times us, no rounding; below zero
                             after a batch of more than the burst */
    uint64_t refilled_us;
    uint64_t second;     /* which second the counts are of */
    uint32_t refused;    /* refused calls of that second */
    uint64_t suppressed; /* those of that second without a record */
    uint64_t due;        /* those of earlier seconds, for the next summary */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct kms_limits {
    pthread_mutex_t lock;
    struct kms_authn_options options;
    struct kms_principal *entries;
};

kms_err kms_limits_new(const struct kms_authn_options *options, struct kms_limits **ret_limits)
{
    struct kms_limits *limits = calloc(1, sizeof *limits);
    if (limits == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&limits->lock, NULL);
    limits->options = *options;
    *ret_limits = limits;
    return KMS_OK;
}

/* The table's lock is held. */
static struct kms_principal *add(struct kms_limits *limits, const char *principal)
{
    struct kms_principal *entry = calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    memcpy(entry->name, principal, strlen(principal));
    entry->table = limits;
    entry->tokens_micro = (int64_t)(limits->options.rate_burst * MICRO);
    pthread_mutex_init(&entry->lock, NULL);
    HASH_ADD(hh, limits->entries, name, strlen(entry->name), entry);
    if (!entry->out_of_memory) return entry;
    free(entry);
    return NULL;
}

struct kms_principal *kms_limits_find(struct kms_limits *limits, const char *principal)
{
    struct kms_principal *entry = NULL;
    size_t len = strlen(principal);
    if (len >= KMS_PRINCIPAL_BYTES) return NULL;
    pthread_mutex_lock(&limits->lock);
    HASH_FIND(hh, limits->entries, principal, len, entry);
    if (entry == NULL) entry = add(limits, principal);
    if (entry != NULL) entry->refs++;
    pthread_mutex_unlock(&limits->lock);
    return entry;
}

/* An entry without identities stays until it would be as new: its last summary is written, its second over
 * and its bucket full. Hanging up must not make a principal's past forgotten. The table's lock is held. */
static bool as_new(const struct kms_limits *limits, const struct kms_principal *entry, uint64_t now_us)
{
    if (entry->refs > 0 || entry->suppressed > 0 || entry->second >= now_us / MICRO) return false;
    uint64_t passed_us = now_us > entry->refilled_us ? now_us - entry->refilled_us : 0;
    if (passed_us > 3600 * MICRO) return true;
    uint64_t owed_micro = (uint64_t)((int64_t)(limits->options.rate_burst * MICRO) - entry->tokens_micro);
    return limits->options.rate_per_principal == 0 ||
           passed_us * limits->options.rate_per_principal >= owed_micro;
}

static void forget(struct kms_limits *limits, struct kms_principal *entry)
{
    HASH_DEL(limits->entries, entry);
    pthread_mutex_destroy(&entry->lock);
    free(entry);
}

void kms_limits_free(struct kms_limits *limits)
{
    if (limits == NULL) return;
    struct kms_principal *entry, *next;
    HASH_ITER(hh, limits->entries, entry, next)
    {
        forget(limits, entry);
    }
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

void kms_limits_release(struct kms_principal *entry)
{
    if (entry == NULL) return;
    struct kms_limits *limits = entry->table;
    pthread_mutex_lock(&limits->lock);
    entry->refs--;
    pthread_mutex_unlock(&limits->lock);
}

/* A batch of more calls than the burst needs a full bucket, and leaves it in debt. */
static bool take_tokens(const struct kms_authn_options *options, struct kms_principal *entry, unsigned calls,
                        uint64_t now_us)
{
    if (options->rate_per_principal == 0) return true;
    int64_t most = (int64_t)(options->rate_burst * MICRO), needed = (int64_t)(calls * MICRO);
    uint64_t passed_us = now_us > entry->refilled_us ? now_us - entry->refilled_us : 0;
    if (passed_us > 3600 * MICRO) passed_us = 3600 * MICRO; /* no overflow after a long silence */
    entry->tokens_micro += (int64_t)(passed_us * options->rate_per_principal);
    entry->refilled_us = now_us;
    if (entry->tokens_micro > most) entry->tokens_micro = most;
    if (entry->tokens_micro < (needed < most ? needed : most)) return false;
    entry->tokens_micro -= needed;
    return true;
}

static bool has_room(const struct kms_authn_options *options, const struct kms_principal *entry,
                     unsigned calls)
{
    uint32_t most = options->in_flight_per_principal;
    return entry->in_flight < most && (calls < most ? calls : most) <= most - entry->in_flight;
}

kms_err kms_limits_enter(struct kms_limits *limits, struct kms_principal *entry, unsigned calls,
                         uint64_t now_us, struct kms_why *why)
{
    const struct kms_authn_options *options = &limits->options;
    const char *limit = NULL;
    pthread_mutex_lock(&entry->lock);
    if (!has_room(options, entry, calls))
        limit = "limits.in_flight_per_principal";
    else if (!take_tokens(options, entry, calls, now_us))
        limit = "limits.rate_per_principal";
    else
        entry->in_flight += calls;
    pthread_mutex_unlock(&entry->lock);
    if (limit == NULL) return KMS_OK;
    kms_why_set(why, "%s is reached for this principal", limit);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

void kms_limits_leave(struct kms_principal *entry, unsigned calls)
{
    pthread_mutex_lock(&entry->lock);
    entry->in_flight -= calls;
    pthread_mutex_unlock(&entry->lock);
}

kms_err kms_limits_begin_rsa(struct kms_limits *limits, struct kms_principal *entry, struct kms_why *why)
{
    const uint32_t most = limits->options.rsa_keys_per_principal;
    pthread_mutex_lock(&entry->lock);
    bool taken = most == 0 || entry->rsa_keys < most;
    if (taken) entry->rsa_keys++;
    pthread_mutex_unlock(&entry->lock);
    if (taken) return KMS_OK;
    kms_why_set(why, "limits.rsa_keys_per_principal: %u RSA keys of this principal are in the making", most);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

void kms_limits_end_rsa(struct kms_principal *entry)
{
    pthread_mutex_lock(&entry->lock);
    entry->rsa_keys--;
    pthread_mutex_unlock(&entry->lock);
}

bool kms_limits_refused(struct kms_limits *limits, struct kms_principal *entry, unsigned calls,
                        uint64_t now_us)
{
    uint64_t second = now_us / 1000000;
    pthread_mutex_lock(&entry->lock);
    if (entry->second != second) {
        entry->second = second;
        entry->refused = 0;
        entry->due += entry->suppressed;
        entry->suppressed = 0;
    }
    bool record = entry->refused < limits->options.refused_per_second;
    if (record)
        entry->refused += calls < UINT32_MAX - entry->refused ? calls : UINT32_MAX - entry->refused;
    else
        entry->suppressed += calls;
    pthread_mutex_unlock(&entry->lock);
    return record;
}

void kms_limits_suppressed(struct kms_limits *limits, uint64_t now_us, kms_suppressed_visit *visit,
                           void *user)
{
    struct kms_principal *entry, *next;
    uint64_t second = now_us / 1000000;
    pthread_mutex_lock(&limits->lock);
    HASH_ITER(hh, limits->entries, entry, next)
    {
        pthread_mutex_lock(&entry->lock);
        uint64_t over = entry->second < second ? entry->suppressed : 0, count = entry->due + over;
        entry->suppressed -= over;
        entry->due = 0;
        pthread_mutex_unlock(&entry->lock);
        if (count > 0) visit(user, entry->name, count);
        if (as_new(limits, entry, now_us)) forget(limits, entry);
    }
    pthread_mutex_unlock(&limits->lock);
}

size_t kms_limits_entries(struct kms_limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    size_t count = HASH_COUNT(limits->entries);
    pthread_mutex_unlock(&limits->lock);
    return count;
}
