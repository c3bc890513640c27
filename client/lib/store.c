/* One block list for each result, headed by the public struct; and kms_plaintext. */
#include "client/lib/store.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/secret.h"

struct block {
    struct block *next;
    alignas(max_align_t) uint8_t data[];
};

struct store {
    struct block *blocks;
    bool failed;
    alignas(max_align_t) uint8_t result[];
};

static struct store *store_of(const void *result)
{
    return (struct store *)((uintptr_t)result - offsetof(struct store, result));
}

void *kms_store_new(size_t bytes)
{
    struct store *store = calloc(1, sizeof *store + bytes);
    return store != NULL ? store->result : NULL;
}

void *kms_store_add(void *result, size_t count, size_t size)
{
    struct store *store = store_of(result);
    size_t bytes;
    struct block *block = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= SIZE_MAX - sizeof *block)
        block = calloc(1, sizeof *block + bytes);
    if (block == NULL) {
        store->failed = true;
        return NULL;
    }
    block->next = store->blocks;
    store->blocks = block;
    return block->data;
}

const char *kms_store_text(void *result, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    char *copy = kms_store_add(result, len + 1, 1);
    if (copy == NULL) return "";
    kms_copy(copy, text, len);
    return copy;
}

struct kms_blob kms_store_blob(void *result, ProtobufCBinaryData data)
{
    uint8_t *copy = kms_store_add(result, data.len, 1);
    if (copy == NULL) return (struct kms_blob){0};
    kms_copy(copy, data.data, data.len);
    return (struct kms_blob){.data = copy, .len = data.len};
}

void kms_store_free(void *result)
{
    if (result == NULL) return;
    struct store *store = store_of(result);
    while (store->blocks != NULL) {
        struct block *block = store->blocks;
        store->blocks = block->next;
        free(block);
    }
    free(store);
}

void kms_store_drop(kms_store **result)
{
    kms_store_free(*result);
}

kms_err kms_store_check(const void *result)
{
    return result == NULL || store_of(result)->failed ? KMS_FAIL(NO_MEMORY) : KMS_OK;
}

struct kms_plaintext {
    size_t len;
    uint8_t data[];
};

kms_plaintext *kms_plaintext_of(ProtobufCBinaryData data)
{
    kms_plaintext *plaintext = kms_locked_alloc(sizeof *plaintext + data.len);
    if (plaintext == NULL) return NULL;
    plaintext->len = data.len;
    kms_copy(plaintext->data, data.data, data.len);
    return plaintext;
}

const uint8_t *kms_plaintext_data(const kms_plaintext *plaintext)
{
    return plaintext->data;
}
size_t kms_plaintext_len(const kms_plaintext *plaintext)
{
    return plaintext->len;
}

void kms_plaintext_free(kms_plaintext *plaintext)
{
    if (plaintext != NULL) kms_locked_free(plaintext, sizeof *plaintext + plaintext->len);
}

void kms_plaintext_drop(kms_plaintext **plaintext)
{
    kms_plaintext_free(*plaintext);
}
