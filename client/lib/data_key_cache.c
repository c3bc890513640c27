/* Data keys by what they were asked for, the one used last in front. */
#include "client/lib/data_key_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ciphertext.h"
#include "base/clock.h"
#include "base/wire.h"
#include "client/lib/failure.h"
#include "client/lib/store.h"

struct entry {
    struct entry *next;
    kms_buf name; /* what was asked for */
    struct kms_data_key_result *made;
    uint64_t asked_us, messages, bytes; /* what it has served */
};

struct kms_data_key_cache {
    kms_client *client;
    struct kms_data_key_cache_options limits;
    uint64_t (*now_us)(void);
    pid_t owner;
    pthread_mutex_t lock; /* of what follows */
    struct entry *entries;
    uint32_t count;
};

static void entry_free(struct entry *entry)
{
    kms_data_key_result_free(entry->made);
    kms_buf_free(&entry->name);
    free(entry);
}

/* Takes the entry that *at points to out of the list. */
static struct entry *unlink_at(kms_data_key_cache *cache, struct entry **at)
{
    struct entry *entry = *at;
    *at = entry->next;
    cache->count--;
    return entry;
}

static kms_err check_limits(const struct kms_data_key_cache_options *limits, struct kms_why *why)
{
    const struct {
        const char *name;
        uint64_t value, most;
    } rows[] = {{"max_age_ms", limits->max_age_ms, KMS_CACHE_AGE_MAX_MS},
                {"max_messages", limits->max_messages, KMS_CACHE_MESSAGES_MAX},
                {"max_bytes", limits->max_bytes, KMS_CACHE_BYTES_MAX},
                {"max_entries", limits->max_entries, KMS_CACHE_ENTRIES_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value <= rows[i].most) continue;
        kms_why_set(why, "data-key cache: %s is at most %llu", rows[i].name,
                    (unsigned long long)rows[i].most);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static struct kms_data_key_cache_options with_defaults(const struct kms_data_key_cache_options *options)
{
    struct kms_data_key_cache_options limits = {0};
    if (options != NULL) limits = *options;
    if (limits.max_age_ms == 0) limits.max_age_ms = 300 * 1000;
    if (limits.max_messages == 0) limits.max_messages = 1000;
    if (limits.max_bytes == 0) limits.max_bytes = UINT64_C(1) << 36;
    if (limits.max_entries == 0) limits.max_entries = 100;
    return limits;
}

bool kms_data_key_cache_new(kms_client *client, const struct kms_data_key_cache_options *options,
                            kms_data_key_cache **ret_cache, struct kms_error *error)
{
    struct kms_why why = {{0}};
    const struct kms_data_key_cache_options limits = with_defaults(options);
    kms_err err = check_limits(&limits, &why);
    kms_data_key_cache *cache = !kms_failed(err) ? calloc(1, sizeof *cache) : NULL;
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

void kms_data_key_cache_set_clock(kms_data_key_cache *cache, uint64_t (*now_us)(void))
{
    cache->now_us = now_us;
}

void kms_data_key_cache_clear(kms_data_key_cache *cache)
{
    if (cache->owner != getpid()) return; /* its locked memory is zeros here */
    pthread_mutex_lock(&cache->lock);
    while (cache->entries != NULL) entry_free(unlink_at(cache, &cache->entries));
    pthread_mutex_unlock(&cache->lock);
}

void kms_data_key_cache_free(kms_data_key_cache *cache)
{
    if (cache == NULL || cache->owner != getpid()) return;
    kms_data_key_cache_clear(cache);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Appends the context in canonical form: order does not matter. */
static kms_err name_context(const struct kms_context *context, kms_buf *name, struct kms_why *why)
{
    struct kms_context_pair pairs[KMS_CONTEXT_PAIRS_MAX];
    if (context->count > KMS_CONTEXT_PAIRS_MAX) return kms_context_canonical(NULL, context->count, name, why);
    for (size_t i = 0; i < context->count; i++) {
        const struct kms_context_entry *entry = &context->entries[i];
        if (entry->name == NULL || entry->value == NULL) {
            kms_why_set(why, "an entry of the encryption context has no name or no value");
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        pairs[i] = (struct kms_context_pair){kms_bytes_text(entry->name), kms_bytes_text(entry->value)};
    }
    return kms_context_canonical(pairs, context->count, name, why);
}

/* What the data key of a request is kept under. */
static kms_err name_of(const struct kms_data_key_request *request, kms_buf *name, struct kms_why *why)
{
    uint8_t numbers[3 * sizeof(uint32_t)];
    const struct kms_bytes key = kms_bytes_text(request->key_id != NULL ? request->key_id : "");
    struct kms_writer w = kms_writer_over(numbers, sizeof numbers);
    kms_put_u32(&w, (uint32_t)request->spec);
    kms_put_u32(&w, request->number_of_bytes);
    kms_put_u32(&w, (uint32_t)key.len);
    KMS_TRY(kms_buf_append(name, numbers, sizeof numbers));
    KMS_TRY(kms_buf_append(name, key.ptr, key.len));
    return name_context(&request->context, name, why);
}

/* Locked. Where it stands in the list; *NULL: it is not there. */
static struct entry **find(kms_data_key_cache *cache, const kms_buf *name)
{
    struct entry **at = &cache->entries;
    while (*at != NULL && !kms_bytes_equal(kms_buf_view(&(*at)->name), kms_buf_view(name))) at = &(*at)->next;
    return at;
}

/* Locked. Wipes what is too old. */
static void sweep(kms_data_key_cache *cache, uint64_t now_us)
{
    const uint64_t age_us = (uint64_t)cache->limits.max_age_ms * 1000;
    for (struct entry **at = &cache->entries; *at != NULL;) {
        if (now_us - (*at)->asked_us >= age_us)
            entry_free(unlink_at(cache, at));
        else
            at = &(*at)->next;
    }
}

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = len};
}

/* NULL: no memory. */
static struct kms_data_key_result *copy_of(const struct kms_data_key_result *made)
{
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_data_key_result));
    KMS_OWN(kms_plaintext)
    key = kms_plaintext_of(binary(kms_plaintext_data(made->plaintext), kms_plaintext_len(made->plaintext)));
    struct kms_data_key_result *copy = store;
    if (copy == NULL || key == NULL) return NULL;
    copy->ciphertext = kms_store_blob(store, binary(made->ciphertext.data, made->ciphertext.len));
    copy->key_arn = kms_store_text(store, made->key_arn);
    copy->key_version = made->key_version;
    if (kms_failed(kms_store_check(store))) return NULL;
    copy->plaintext = KMS_GIVE(key);
    return KMS_GIVE(store);
}

/* Locked. One more message with a data key that is there and has room for it; NULL: there is none. What has
 * reached a limit goes. */
static struct kms_data_key_result *serve(kms_data_key_cache *cache, const kms_buf *name, uint64_t bytes)
{
    struct entry **at = find(cache, name);
    if (*at == NULL || bytes > cache->limits.max_bytes - (*at)->bytes) return NULL;
    struct kms_data_key_result *copy = copy_of((*at)->made);
    if (copy == NULL) return NULL;
    struct entry *entry = unlink_at(cache, at);
    entry->messages++;
    entry->bytes += bytes;
    if (entry->messages >= cache->limits.max_messages) {
        entry_free(entry);
        return copy;
    }
    entry->next = cache->entries;
    cache->entries = entry;
    cache->count++;
    return copy;
}

/* Locked. Takes entry, which has served one message; the one of the same name goes, or the one unused for
 * longest. */
static void keep(kms_data_key_cache *cache, struct entry *entry)
{
    struct entry **at = find(cache, &entry->name);
    if (*at == NULL && cache->count >= cache->limits.max_entries) {
        at = &cache->entries;
        while ((*at)->next != NULL) at = &(*at)->next;
    }
    if (*at != NULL) entry_free(unlink_at(cache, at));
    entry->next = cache->entries;
    cache->entries = entry;
    cache->count++;
}

/* Keeps a copy of made for the messages to come; without memory it does not, which costs a call later. */
static void remember(kms_data_key_cache *cache, kms_buf *name, const struct kms_data_key_result *made,
                     struct entry first)
{
    struct entry *entry = malloc(sizeof *entry);
    if (entry == NULL) return;
    *entry = first;
    entry->made = copy_of(made);
    if (entry->made == NULL) {
        free(entry);
        return;
    }
    entry->name = *name;
    *name = (kms_buf){0};
    pthread_mutex_lock(&cache->lock);
    keep(cache, entry);
    pthread_mutex_unlock(&cache->lock);
}

static bool fail(kms_err err, const struct kms_why *why, struct kms_error *error)
{
    kms_error_local(error, err, why);
    return false;
}

bool kms_data_key_cache_get(kms_data_key_cache *cache, const struct kms_data_key_request *request,
                            uint64_t bytes, const struct kms_call_options *options,
                            struct kms_data_key_result **ret_result, struct kms_error *error)
{
    KMS_OWN_BUF name = {0};
    struct kms_why why = {"a data-key cache does not outlive fork(): make a client and a cache in the child"};
    if (cache->owner != getpid()) return fail(KMS_FAIL(UNSUPPORTED), &why, error);
    why.text[0] = '\0';
    kms_err err = name_of(request, &name, &why);
    if (kms_failed(err)) return fail(err, &why, error);
    const bool alone = bytes > cache->limits.max_bytes;
    pthread_mutex_lock(&cache->lock);
    const uint64_t now_us = cache->now_us(); /* not before any that the entries have */
    sweep(cache, now_us);
    struct kms_data_key_result *served = alone ? NULL : serve(cache, &name, bytes);
    pthread_mutex_unlock(&cache->lock);
    if (served == NULL && !kms_client_generate_data_key(cache->client, request, options, ret_result, error))
        return false;
    if (served != NULL)
        *ret_result = served;
    else if (!alone && cache->limits.max_messages > 1)
        remember(cache, &name, *ret_result,
                 (struct entry){.asked_us = now_us, .messages = 1, .bytes = bytes});
    kms_error_clear(error);
    return true;
}
