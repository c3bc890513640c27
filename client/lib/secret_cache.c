/* Values by what they were asked for, the one used last in front. */
#include "client/lib/secret_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "client/lib/failure.h"
#include "client/lib/secrets.h"

enum { FIRST_PAUSE_MS = 1000, LONGEST_PAUSE_MS = 60 * 1000, DEADLINE_EXCEEDED = 4 };

struct entry {
    struct entry *next;
    kms_buf name; /* secret id, stage and version id, a NUL behind each */
    struct kms_secret_value *value;
    uint64_t due_us;   /* from here on it is asked for again */
    uint64_t dead_us;  /* from here on it is given to nobody */
    uint64_t retry_us; /* not before this, after a try that failed */
    uint32_t pause_ms; /* until the try behind the next that fails */
    bool asked;        /* a thread is asking again */
};

struct kms_secret_cache {
    kms_client *client;
    struct kms_secret_cache_options limits;
    uint64_t (*now_us)(void);
    pid_t owner;
    pthread_mutex_t lock; /* of what follows */
    struct entry *entries;
    uint32_t count;
    uint64_t forgotten; /* how often something was: what was asked for before is not kept behind it */
};

static void entry_free(struct entry *entry)
{
    kms_secret_value_free(entry->value);
    kms_buf_free(&entry->name);
    free(entry);
}

/* Takes the entry that *at points to out of the list. */
static struct entry *unlink_at(kms_secret_cache *cache, struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    cache->count--;
    return entry;
}

static kms_err check_limits(const struct kms_secret_cache_options *limits, struct kms_why *why)
{
    const struct {
        const char *name;
        uint32_t value, most;
    } rows[] = {{"ttl_ms", limits->ttl_ms, KMS_SECRET_CACHE_TIME_MAX_MS},
                {"ahead_ms", limits->ahead_ms, limits->ttl_ms - 1},
                {"jitter_percent", limits->jitter_percent, KMS_SECRET_CACHE_JITTER_MAX},
                {"stale_ms", limits->stale_ms, KMS_SECRET_CACHE_TIME_MAX_MS},
                {"max_entries", limits->max_entries, KMS_SECRET_CACHE_ENTRIES_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value <= rows[i].most) continue;
        kms_why_set(why, "secret cache: %s is at most %u", rows[i].name, rows[i].most);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static struct kms_secret_cache_options with_defaults(const struct kms_secret_cache_options *options)
{
    struct kms_secret_cache_options limits = {0};
    if (options != NULL) limits = *options;
    if (limits.ttl_ms == 0) limits.ttl_ms = 300 * 1000;
    if (limits.ahead_ms == 0) limits.ahead_ms = limits.ttl_ms / 10;
    if (limits.jitter_percent == 0) limits.jitter_percent = 10;
    if (limits.stale_ms == 0) limits.stale_ms = 3600 * 1000;
    if (limits.refresh_ms == 0) limits.refresh_ms = 2000;
    if (limits.max_entries == 0) limits.max_entries = 100;
    return limits;
}

bool kms_secret_cache_new(kms_client *client, const struct kms_secret_cache_options *options,
                          kms_secret_cache **ret_cache, struct kms_error *error)
{
    struct kms_why why = {{0}};
    const struct kms_secret_cache_options limits = with_defaults(options);
    kms_err err = check_limits(&limits, &why);
    kms_secret_cache *cache = !kms_failed(err) ? calloc(1, sizeof *cache) : NULL;
    if (!kms_failed(err) && cache == NULL) err = KMS_FAIL(NO_MEMORY);
    if (kms_failed(err)) {
        kms_error_local(error, err, &why);
        return false;
    }
    cache->client = client;
    cache->limits = limits;
    cache->now_us = kms_monotonic_us;
    cache->owner = getpid();
    pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return true;
}

void kms_secret_cache_set_clock(kms_secret_cache *cache, uint64_t (*now_us)(void))
{
    cache->now_us = now_us;
}

void kms_secret_cache_forget(kms_secret_cache *cache, const char *secret_id)
{
    if (cache->owner != getpid()) return; /* its locked memory is zeros here */
    pthread_mutex_lock(&cache->lock);
    cache->forgotten++;
    for (struct entry **at = &cache->entries; *at != NULL;) {
        if (secret_id == NULL || strcmp((const char *)(*at)->name.data, secret_id) == 0)
            entry_free(unlink_at(cache, at));
        else
            at = &(*at)->next;
    }
    pthread_mutex_unlock(&cache->lock);
}

void kms_secret_cache_free(kms_secret_cache *cache)
{
    if (cache == NULL || cache->owner != getpid()) return;
    kms_secret_cache_forget(cache, NULL);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* What the value of a request is kept under: no stage and no version id is AWSCURRENT. */
static kms_err name_of(const struct kms_get_secret_request *request, kms_buf *name)
{
    const bool version = request->version_id != NULL && request->version_id[0] != '\0';
    const bool stage = request->version_stage != NULL && request->version_stage[0] != '\0';
    const char *const parts[] = {request->secret_id != NULL ? request->secret_id : "",
                                 stage     ? request->version_stage
                                 : version ? ""
                                           : "AWSCURRENT",
                                 version ? request->version_id : ""};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        KMS_TRY(kms_buf_append(name, parts[i], strlen(parts[i]) + 1));
    return KMS_OK;
}

/* Locked. Where it stands in the list; *NULL: it is not there. */
static struct entry **find(kms_secret_cache *cache, const kms_buf *name)
{
    struct entry **at = &cache->entries;
    while (*at != NULL && !kms_bytes_equal(kms_buf_view(&(*at)->name), kms_buf_view(name))) at = &(*at)->next;
    return at;
}

/* Locked. */
static void put_in_front(kms_secret_cache *cache, struct entry *entry)
{
    entry->next = cache->entries;
    cache->entries = entry;
    cache->count++;
}

/* Locked. Wipes what nobody may have any more. */
static void sweep(kms_secret_cache *cache, uint64_t now_us)
{
    for (struct entry **at = &cache->entries; *at != NULL;) {
        if (now_us >= (*at)->dead_us)
            entry_free(unlink_at(cache, at));
        else
            at = &(*at)->next;
    }
}

static uint64_t random_below(uint64_t limit)
{
    uint64_t random = 0;
    /* without a random number the time is the longest: nothing is less safe for it */
    if (limit == 0 || kms_failed(kms_random(&random, sizeof random))) return 0;
    return random % limit;
}

/* A value that was asked for at now_us. */
static void set_times(const kms_secret_cache *cache, struct entry *entry, uint64_t now_us)
{
    const struct kms_secret_cache_options *limits = &cache->limits;
    const uint64_t ttl_us = (uint64_t)limits->ttl_ms * 1000, ahead_us = (uint64_t)limits->ahead_ms * 1000;
    const uint64_t jitter_us = random_below(ttl_us * limits->jitter_percent / 100);
    entry->due_us = now_us + (ttl_us > ahead_us + jitter_us ? ttl_us - ahead_us - jitter_us : 0);
    entry->dead_us = now_us + ttl_us + (uint64_t)limits->stale_ms * 1000;
    entry->retry_us = 0;
    entry->pause_ms = FIRST_PAUSE_MS;
}

/* Locked. A copy of what is kept; NULL: ask. *ret_again: there is a value, and this thread asks anew. */
static struct kms_secret_value *serve(kms_secret_cache *cache, const kms_buf *name, uint64_t now_us,
                                      bool *ret_again)
{
    struct entry **at = find(cache, name), *entry = *at;
    if (entry == NULL) return NULL;
    put_in_front(cache, unlink_at(cache, at));
    if (now_us >= entry->due_us && now_us >= entry->retry_us && !entry->asked) {
        entry->asked = *ret_again = true;
        return NULL;
    }
    return kms_secret_value_copy(entry->value);
}

/* When a question was asked. */
struct asked {
    uint64_t now_us, forgotten;
};

static struct entry *entry_of(const kms_secret_cache *cache, kms_buf *name,
                              const struct kms_secret_value *value, uint64_t now_us)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) return NULL;
    entry->value = kms_secret_value_copy(value);
    if (entry->value == NULL) {
        free(entry);
        return NULL;
    }
    entry->name = *name;
    *name = (kms_buf){0};
    set_times(cache, entry, now_us);
    return entry;
}

/* Keeps a copy of value for those to come, in the place of the old one; without memory there is none then,
 * which costs a call later. */
static void remember(kms_secret_cache *cache, kms_buf *name, const struct kms_secret_value *value,
                     const struct asked *asked)
{
    pthread_mutex_lock(&cache->lock);
    struct entry **at = find(cache, name);
    if (*at != NULL) entry_free(unlink_at(cache, at));
    struct entry *fresh = NULL;
    if (cache->forgotten == asked->forgotten) fresh = entry_of(cache, name, value, asked->now_us);
    if (fresh != NULL && cache->count >= cache->limits.max_entries) {
        at = &cache->entries;
        while ((*at)->next != NULL) at = &(*at)->next;
        entry_free(unlink_at(cache, at));
    }
    if (fresh != NULL) put_in_front(cache, fresh);
    pthread_mutex_unlock(&cache->lock);
}

/* Asking again failed: the old value, where it may still be given; NULL: the error is the answer. */
static struct kms_secret_value *fall_back(kms_secret_cache *cache, const kms_buf *name,
                                          const struct kms_error *error)
{
    const bool away = error->retryable || error->code == DEADLINE_EXCEEDED;
    struct kms_secret_value *old = NULL;
    pthread_mutex_lock(&cache->lock);
    const uint64_t now_us = cache->now_us();
    struct entry **at = find(cache, name), *entry = *at;
    if (entry != NULL && away && now_us < entry->dead_us) {
        entry->asked = false;
        entry->retry_us = now_us + entry->pause_ms * UINT64_C(1000);
        entry->pause_ms =
            entry->pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * entry->pause_ms : (uint32_t)LONGEST_PAUSE_MS;
        old = kms_secret_value_copy(entry->value);
    } else if (entry != NULL) {
        entry_free(unlink_at(cache, at));
    }
    pthread_mutex_unlock(&cache->lock);
    return old;
}

/* What one call of the cache is about. */
struct query {
    const struct kms_get_secret_request *request;
    kms_buf name;
    struct asked asked; /* a value is not younger than the question */
};

static bool ask(kms_secret_cache *cache, struct query *query, const struct kms_call_options *options,
                struct kms_secret_value **ret_value, struct kms_error *error)
{
    if (!kms_client_get_secret_value(cache->client, query->request, options, ret_value, error)) return false;
    remember(cache, &query->name, *ret_value, &query->asked);
    return true;
}

/* There is a value, and it is time to have it anew. */
static bool ask_again(kms_secret_cache *cache, struct query *query, struct kms_secret_value **ret_value,
                      struct kms_error *error)
{
    const struct kms_call_options options = {.timeout_ms = cache->limits.refresh_ms};
    struct kms_error failure;
    if (ask(cache, query, &options, ret_value, &failure)) return true;
    struct kms_secret_value *old = fall_back(cache, &query->name, &failure);
    if (old == NULL && error != NULL) *error = failure;
    if (old != NULL) *ret_value = old;
    return old != NULL;
}

static bool fail(kms_err err, const char *words, struct kms_error *error)
{
    struct kms_why why;
    kms_why_set(&why, "%s", words);
    kms_error_local(error, err, &why);
    return false;
}

bool kms_secret_cache_get(kms_secret_cache *cache, const struct kms_get_secret_request *request,
                          const struct kms_call_options *options, struct kms_secret_value **ret_value,
                          struct kms_error *error)
{
    struct query query = {.request = request};
    bool again = false, ok = true;
    if (cache->owner != getpid())
        return fail(KMS_FAIL(UNSUPPORTED),
                    "a secret cache does not outlive fork(): make a client and a cache in the child", error);
    if (kms_failed(name_of(request, &query.name))) {
        kms_buf_free(&query.name);
        return fail(KMS_FAIL(NO_MEMORY), "", error);
    }
    pthread_mutex_lock(&cache->lock);
    query.asked = (struct asked){.now_us = cache->now_us(), .forgotten = cache->forgotten};
    sweep(cache, query.asked.now_us);
    struct kms_secret_value *served = serve(cache, &query.name, query.asked.now_us, &again);
    pthread_mutex_unlock(&cache->lock);
    if (served != NULL)
        *ret_value = served;
    else
        ok = again ? ask_again(cache, &query, ret_value, error)
                   : ask(cache, &query, options, ret_value, error);
    kms_buf_free(&query.name);
    if (ok) kms_error_clear(error);
    return ok;
}
