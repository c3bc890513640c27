/* Data keys by what they were asked for. */
#include "client/lib/data_key_cache.h"

#include <stdlib.h>

#include "base/ciphertext.h"
#include "base/wire.h"
#include "client/lib/failure.h"
#include "client/lib/shelf.h"
#include "client/lib/store.h"

struct entry {
    struct kms_shelf_entry on; /* first; under what was asked for */
    struct kms_data_key_result *made;
    uint64_t messages, bytes; /* what it has served */
};

struct kms_data_key_cache {
    struct kms_shelf shelf; /* first */
    kms_client *client;
    struct kms_data_key_cache_options limits;
};

static void wipe(struct kms_shelf_entry *on)
{
    kms_data_key_result_free(((struct entry *)on)->made);
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
    const struct kms_data_key_cache_options limits = with_defaults(options);
    const struct kms_shelf_limit rows[] = {{"max_age_ms", limits.max_age_ms, KMS_CACHE_AGE_MAX_MS},
                                           {"max_messages", limits.max_messages, KMS_CACHE_MESSAGES_MAX},
                                           {"max_bytes", limits.max_bytes, KMS_CACHE_BYTES_MAX},
                                           {"max_entries", limits.max_entries, KMS_CACHE_ENTRIES_MAX}};
    static const struct kms_shelf_kind kind = {.cache = "data-key", .wipe = wipe};
    kms_data_key_cache *cache =
        kms_shelf_new(sizeof *cache, &kind, rows, sizeof rows / sizeof rows[0], error);
    if (cache == NULL) return false;
    cache->client = client;
    cache->limits = limits;
    *ret_cache = cache;
    return true;
}

void kms_data_key_cache_set_clock(kms_data_key_cache *cache, uint64_t (*now_us)(void))
{
    cache->shelf.now_us = now_us;
}

void kms_data_key_cache_clear(kms_data_key_cache *cache)
{
    if (!kms_shelf_ours(&cache->shelf, NULL)) return;
    pthread_mutex_lock(&cache->shelf.lock);
    kms_shelf_drop_if(&cache->shelf, NULL, NULL);
    pthread_mutex_unlock(&cache->shelf.lock);
}

void kms_data_key_cache_free(kms_data_key_cache *cache)
{
    if (cache != NULL) kms_shelf_free(&cache->shelf);
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
    struct entry *entry = (struct entry *)kms_shelf_find(&cache->shelf, name);
    if (entry == NULL || bytes > cache->limits.max_bytes - entry->bytes) return NULL;
    struct kms_data_key_result *copy = copy_of(entry->made);
    if (copy == NULL) return NULL;
    entry->messages++;
    entry->bytes += bytes;
    if (entry->messages >= cache->limits.max_messages) kms_shelf_drop(&cache->shelf, &entry->on);
    return copy;
}

/* Keeps a copy of made, which has served one message, for those to come; without memory it does not, which
 * costs a call later. */
static void remember(kms_data_key_cache *cache, kms_buf *name, const struct kms_data_key_result *made,
                     uint64_t asked_us, uint64_t bytes)
{
    struct entry *entry = malloc(sizeof *entry);
    if (entry == NULL) return;
    *entry = (struct entry){.on.dead_us = asked_us + cache->limits.max_age_ms * UINT64_C(1000),
                            .made = copy_of(made),
                            .messages = 1,
                            .bytes = bytes};
    if (entry->made == NULL) {
        free(entry);
        return;
    }
    entry->on.name = *name;
    *name = (kms_buf){0};
    pthread_mutex_lock(&cache->shelf.lock);
    kms_shelf_put(&cache->shelf, &entry->on);
    pthread_mutex_unlock(&cache->shelf.lock);
}

bool kms_data_key_cache_get(kms_data_key_cache *cache, const struct kms_data_key_request *request,
                            uint64_t bytes, const struct kms_call_options *options,
                            struct kms_data_key_result **ret_result, struct kms_error *error)
{
    KMS_OWN_BUF name = {0};
    struct kms_why why = {{0}};
    if (!kms_shelf_ours(&cache->shelf, error)) return false;
    kms_err err = name_of(request, &name, &why);
    if (kms_failed(err)) {
        kms_error_local(error, err, &why);
        return false;
    }
    const bool alone = bytes > cache->limits.max_bytes;
    pthread_mutex_lock(&cache->shelf.lock);
    const uint64_t now_us = cache->shelf.now_us();
    kms_shelf_sweep(&cache->shelf, now_us);
    struct kms_data_key_result *served = alone ? NULL : serve(cache, &name, bytes);
    pthread_mutex_unlock(&cache->shelf.lock);
    if (served == NULL && !kms_client_generate_data_key(cache->client, request, options, ret_result, error))
        return false;
    if (served != NULL)
        *ret_result = served;
    else if (!alone && cache->limits.max_messages > 1)
        remember(cache, &name, *ret_result, now_us, bytes);
    kms_error_clear(error);
    return true;
}
