/* Values by what they were asked for. */
#include "client/lib/secret_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "client/lib/failure.h"
#include "client/lib/secrets.h"
#include "client/lib/shelf.h"

enum { FIRST_PAUSE_MS = 1000, LONGEST_PAUSE_MS = 60 * 1000, DEADLINE_EXCEEDED = 4 };

struct entry {
    struct kms_shelf_entry on; /* first; under secret id, stage and version id, a NUL behind each */
    struct kms_secret_value *value;
    uint64_t due_us;   /* from here on it is asked for again */
    uint64_t retry_us; /* not before this, after a try that failed */
    uint32_t pause_ms; /* until the try behind the next that fails */
    bool asked;        /* a thread is asking again */
};

struct kms_secret_cache {
    struct kms_shelf shelf; /* first */
    kms_client *client;
    struct kms_secret_cache_options limits;
    uint64_t forgotten; /* how often something was: what was asked for before is not kept behind it */
};

static void wipe(struct kms_shelf_entry *on)
{
    kms_secret_value_free(((struct entry *)on)->value);
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
    const struct kms_secret_cache_options limits = with_defaults(options);
    const struct kms_shelf_limit rows[] = {
        {"ttl_ms", limits.ttl_ms, KMS_SECRET_CACHE_TIME_MAX_MS},
        {"ahead_ms", limits.ahead_ms, limits.ttl_ms - 1},
        {"jitter_percent", limits.jitter_percent, KMS_SECRET_CACHE_JITTER_MAX},
        {"stale_ms", limits.stale_ms, KMS_SECRET_CACHE_TIME_MAX_MS},
        {"max_entries", limits.max_entries, KMS_SECRET_CACHE_ENTRIES_MAX}};
    static const struct kms_shelf_kind kind = {.cache = "secret", .wipe = wipe};
    kms_secret_cache *cache = kms_shelf_new(sizeof *cache, &kind, rows, sizeof rows / sizeof rows[0], error);
    if (cache == NULL) return false;
    cache->client = client;
    cache->limits = limits;
    *ret_cache = cache;
    return true;
}

void kms_secret_cache_set_clock(kms_secret_cache *cache, uint64_t (*now_us)(void))
{
    cache->shelf.now_us = now_us;
}

static bool is_of(const struct kms_shelf_entry *on, const void *secret_id)
{
    return strcmp((const char *)on->name.data, secret_id) == 0;
}

void kms_secret_cache_forget(kms_secret_cache *cache, const char *secret_id)
{
    if (!kms_shelf_ours(&cache->shelf, NULL)) return;
    pthread_mutex_lock(&cache->shelf.lock);
    cache->forgotten++;
    kms_shelf_drop_if(&cache->shelf, secret_id != NULL ? is_of : NULL, secret_id);
    pthread_mutex_unlock(&cache->shelf.lock);
}

void kms_secret_cache_free(kms_secret_cache *cache)
{
    if (cache != NULL) kms_shelf_free(&cache->shelf);
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
    entry->on.dead_us = now_us + ttl_us + (uint64_t)limits->stale_ms * 1000;
    entry->retry_us = 0;
    entry->pause_ms = FIRST_PAUSE_MS;
}

/* Locked. A copy of what is kept; NULL: ask. *ret_again: there is a value, and this thread asks anew. */
static struct kms_secret_value *serve(kms_secret_cache *cache, const kms_buf *name, uint64_t now_us,
                                      bool *ret_again)
{
    struct entry *entry = (struct entry *)kms_shelf_find(&cache->shelf, name);
    if (entry == NULL) return NULL;
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
    entry->on.name = *name;
    *name = (kms_buf){0};
    set_times(cache, entry, now_us);
    return entry;
}

/* Keeps a copy of value for those to come, in the place of the old one; without memory there is none then,
 * which costs a call later. */
static void remember(kms_secret_cache *cache, kms_buf *name, const struct kms_secret_value *value,
                     const struct asked *asked)
{
    struct entry *fresh = NULL;
    pthread_mutex_lock(&cache->shelf.lock);
    struct kms_shelf_entry *old = kms_shelf_find(&cache->shelf, name);
    if (old != NULL) kms_shelf_drop(&cache->shelf, old);
    if (cache->forgotten == asked->forgotten) fresh = entry_of(cache, name, value, asked->now_us);
    if (fresh != NULL) kms_shelf_put(&cache->shelf, &fresh->on);
    pthread_mutex_unlock(&cache->shelf.lock);
}

/* Asking again failed: the old value, where it may still be given; NULL: the error is the answer. */
static struct kms_secret_value *fall_back(kms_secret_cache *cache, const kms_buf *name,
                                          const struct kms_error *error)
{
    const bool away = error->retryable || error->code == DEADLINE_EXCEEDED;
    struct kms_secret_value *old = NULL;
    pthread_mutex_lock(&cache->shelf.lock);
    const uint64_t now_us = cache->shelf.now_us();
    struct entry *entry = (struct entry *)kms_shelf_find(&cache->shelf, name);
    if (entry != NULL && away && now_us < entry->on.dead_us) {
        entry->asked = false;
        entry->retry_us = now_us + entry->pause_ms * UINT64_C(1000);
        entry->pause_ms =
            entry->pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * entry->pause_ms : (uint32_t)LONGEST_PAUSE_MS;
        old = kms_secret_value_copy(entry->value);
    } else if (entry != NULL) {
        kms_shelf_drop(&cache->shelf, &entry->on);
    }
    pthread_mutex_unlock(&cache->shelf.lock);
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

bool kms_secret_cache_get(kms_secret_cache *cache, const struct kms_get_secret_request *request,
                          const struct kms_call_options *options, struct kms_secret_value **ret_value,
                          struct kms_error *error)
{
    struct query query = {.request = request};
    bool again = false, ok = true;
    if (!kms_shelf_ours(&cache->shelf, error)) return false;
    if (kms_failed(name_of(request, &query.name))) {
        kms_buf_free(&query.name);
        kms_error_local(error, KMS_FAIL(NO_MEMORY), NULL);
        return false;
    }
    pthread_mutex_lock(&cache->shelf.lock);
    query.asked = (struct asked){.now_us = cache->shelf.now_us(), .forgotten = cache->forgotten};
    kms_shelf_sweep(&cache->shelf, query.asked.now_us);
    struct kms_secret_value *served = serve(cache, &query.name, query.asked.now_us, &again);
    pthread_mutex_unlock(&cache->shelf.lock);
    if (served != NULL)
        *ret_value = served;
    else
        ok = again ? ask_again(cache, &query, ret_value, error)
                   : ask(cache, &query, options, ret_value, error);
    kms_buf_free(&query.name);
    if (ok) kms_error_clear(error);
    return ok;
}
