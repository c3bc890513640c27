/* Opened keys: a fixed table, found by the binding, the least recently used one closed when it is full. */
#include "base/secret.h"
#include "hsm/worker/worker.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX };

struct entry {
    uint8_t binding[KMS_BINDING_BYTES];
    struct kms_key_ref ref;
    uint32_t root_id;
    kms_buf blob, public_key; /* compared too: damage is refused whether the key is open already or not */
    struct kms_open_key key;
    uint32_t chain;        /* next with the same hash */
    uint32_t older, newer; /* in order of use */
};

struct kms_keyring {
    kms_token *token;
    struct kms_roots *roots; /* the worker's */
    struct entry *entries;
    uint32_t *heads;                                         /* as many as entries, a power of two */
    uint32_t cap, used, free, oldest, newest, closings_left; /* free: linked by chain */
    uint8_t *secret;                                         /* KMS_MATERIAL_BYTES of locked memory */
    uint8_t *message;                                        /* KMS_BINDING_MESSAGE_BYTES */
};

kms_err kms_keyring_new(kms_token *token, struct kms_roots *roots, const struct kms_key_budget *budget,
                        kms_keyring **ret_keyring)
{
    uint32_t size = 16;
    while (size * 2 <= budget->keys && size < 1u << 20)
        size *= 2; /* rounded down: the cap is a matter of memory */
    kms_keyring *k = calloc(1, sizeof *k);
    if (k == NULL) return KMS_FAIL(NO_MEMORY);
    *k = (kms_keyring){.closings_left = budget->closings,
                       .token = token,
                       .roots = roots,
                       .cap = size,
                       .free = NONE,
                       .oldest = NONE,
                       .newest = NONE};
    k->entries = calloc(size, sizeof *k->entries);
    k->heads = malloc(size * sizeof *k->heads);
    k->secret = kms_locked_alloc(KMS_MATERIAL_BYTES);
    k->message = malloc(KMS_BINDING_MESSAGE_BYTES);
    if (k->entries == NULL || k->heads == NULL || k->secret == NULL || k->message == NULL) {
        kms_keyring_free(k);
        return KMS_FAIL(NO_MEMORY);
    }
    memset(k->heads, 0xff, size * sizeof *k->heads); /* NONE */
    *ret_keyring = k;
    return KMS_OK;
}

static void close_object(kms_keyring *k, kms_object object)
{
    kms_token_destroy(k->token, object);
    if (object != 0 && k->closings_left > 0) k->closings_left--;
}

bool kms_keyring_worn(const kms_keyring *keyring)
{
    return keyring->closings_left == 0;
}

static void close_key(kms_keyring *k, struct kms_open_key *key)
{
    close_object(k, key->object);
    kms_material_close(key);
}

static void close_entry(kms_keyring *k, struct entry *e)
{
    close_key(k, &e->key);
    kms_buf_free(&e->blob);
    kms_buf_free(&e->public_key);
}

void kms_keyring_free(kms_keyring *keyring)
{
    if (keyring == NULL) return;
    for (uint32_t i = 0; i < keyring->used; i++) close_entry(keyring, &keyring->entries[i]);
    free(keyring->entries);
    free(keyring->heads);
    free(keyring->message);
    kms_locked_free(keyring->secret, KMS_MATERIAL_BYTES);
    free(keyring);
}

static uint32_t *head_of(kms_keyring *k, const uint8_t *binding)
{
    uint32_t hash;
    memcpy(&hash, binding, sizeof hash);
    return &k->heads[hash & (k->cap - 1)];
}

static void unlink_use(kms_keyring *k, uint32_t i)
{
    struct entry *e = &k->entries[i];
    *(e->older != NONE ? &k->entries[e->older].newer : &k->oldest) = e->newer;
    *(e->newer != NONE ? &k->entries[e->newer].older : &k->newest) = e->older;
}

static void link_newest(kms_keyring *k, uint32_t i)
{
    k->entries[i].older = k->newest;
    k->entries[i].newer = NONE;
    *(k->newest != NONE ? &k->entries[k->newest].newer : &k->oldest) = i;
    k->newest = i;
}

static uint32_t find(kms_keyring *k, const struct kms_wrapped *wrapped)
{
    uint32_t i = *head_of(k, wrapped->binding);
    while (i != NONE && memcmp(k->entries[i].binding, wrapped->binding, KMS_BINDING_BYTES) != 0)
        i = k->entries[i].chain; /* the binding is public: it stands in the keystore */
    return i;
}

static void drop(kms_keyring *k, uint32_t i)
{
    unlink_use(k, i);
    uint32_t *at = head_of(k, k->entries[i].binding);
    while (*at != i) at = &k->entries[*at].chain;
    *at = k->entries[i].chain;
    close_entry(k, &k->entries[i]);
    k->entries[i].chain = k->free;
    k->free = i;
}

/* A free place; when there is none, that of the key used longest ago. */
static uint32_t take_place(kms_keyring *k)
{
    if (k->free == NONE && k->used < k->cap) return k->used++;
    if (k->free == NONE) drop(k, k->oldest);
    uint32_t i = k->free;
    k->free = k->entries[i].chain;
    return i;
}

void kms_keyring_keep_to_roots(kms_keyring *keyring)
{
    for (uint32_t i = 0; i < keyring->used; i++) {
        const struct entry *e = &keyring->entries[i];
        bool open = e->key.level != 0;
        if (open && kms_roots_get(keyring->roots, e->root_id) == NULL) drop(keyring, i);
    }
}

void kms_keyring_forget(kms_keyring *keyring, const struct kms_id *key_id)
{
    for (uint32_t i = 0; i < keyring->used; i++) {
        const struct entry *e = &keyring->entries[i];
        bool open = e->key.level != 0; /* else the place is free */
        if (open && kms_id_equal(&e->ref.key_id, key_id)) drop(keyring, i);
    }
}

static kms_err binding_of(kms_keyring *k, const struct kms_root *root, const struct kms_key_ref *ref,
                          const struct kms_wrapped *wrapped, uint8_t ret_binding[KMS_BINDING_BYTES])
{
    struct kms_writer w = kms_writer_over(k->message, KMS_BINDING_MESSAGE_BYTES);
    kms_binding_message(&w, ref, wrapped);
    if (w.overflow) return KMS_FAIL(CORRUPT);
    struct kms_bytes message = {k->message, (size_t)(w.at - k->message)};
    return kms_token_hmac(k->token, root->bind, 256, message, ret_binding);
}

/* The root of a wrapped key whose binding is right. */
static kms_err verify(kms_keyring *k, const struct kms_key_ref *ref, const struct kms_wrapped *wrapped,
                      const struct kms_root **ret_root)
{
    const struct kms_root *root = kms_roots_seek(k->token, k->roots, wrapped->root_id);
    uint8_t binding[KMS_BINDING_BYTES];
    if (root == NULL) return KMS_FAIL(ROOT_KEYS_MISSING);
    KMS_TRY(binding_of(k, root, ref, wrapped, binding));
    if (!kms_bytes_same(binding, wrapped->binding, sizeof binding)) return KMS_FAIL(CORRUPT);
    *ret_root = root;
    return KMS_OK;
}

/* Verifies, opens and keeps. */
static kms_err admit(kms_keyring *k, const struct kms_key_ref *ref, const struct kms_wrapped *wrapped,
                     uint32_t *ret_i)
{
    const struct kms_root *root;
    struct entry fresh = {.ref = *ref, .root_id = wrapped->root_id};
    KMS_TRY(verify(k, ref, wrapped, &root));
    kms_copy(fresh.binding, wrapped->binding, sizeof fresh.binding);
    KMS_TRY(kms_material_open(k->token, root, ref, wrapped, k->secret, &fresh.key));
    kms_err err = kms_buf_append(&fresh.blob, wrapped->blob.ptr, wrapped->blob.len);
    if (!kms_failed(err))
        err = kms_buf_append(&fresh.public_key, wrapped->public_key.ptr, wrapped->public_key.len);
    if (kms_failed(err)) {
        close_entry(k, &fresh);
        return err;
    }
    uint32_t i = take_place(k), *head = head_of(k, fresh.binding);
    fresh.chain = *head;
    k->entries[i] = fresh;
    *head = i;
    *ret_i = i;
    return KMS_OK;
}

kms_err kms_keyring_open(kms_keyring *keyring, const struct kms_hsm_key *key,
                         const struct kms_open_key **ret_key)
{
    struct kms_wrapped wrapped;
    KMS_TRY(kms_wrapped_get(key->wrapped, &wrapped));
    uint32_t i = find(keyring, &wrapped);
    if (i == NONE) {
        KMS_TRY(admit(keyring, &key->ref, &wrapped, &i));
    } else {
        const struct entry *e = &keyring->entries[i];
        if (!kms_ref_equal(&e->ref, &key->ref) || e->root_id != wrapped.root_id ||
            !kms_bytes_equal(kms_buf_view(&e->blob), wrapped.blob) ||
            !kms_bytes_equal(kms_buf_view(&e->public_key), wrapped.public_key))
            return KMS_FAIL(CORRUPT);
        unlink_use(keyring, i);
    }
    link_newest(keyring, i);
    *ret_key = &keyring->entries[i].key;
    return KMS_OK;
}

/* Binds the material to the ref and writes the wrapped key. */
static kms_err bind(kms_keyring *k, const struct kms_root *root, const struct kms_key_ref *ref,
                    struct kms_wrapped *made, uint8_t *wrapped, size_t *ret_len)
{
    KMS_TRY(binding_of(k, root, ref, made, made->binding));
    struct kms_writer w = kms_writer_over(wrapped, KMS_HSM_WRAPPED_BYTES);
    kms_wrapped_put(&w, made);
    if (w.overflow) return KMS_FAIL(INTERNAL);
    *ret_len = (size_t)(w.at - wrapped);
    return KMS_OK;
}

static void count_closings(kms_keyring *k, unsigned objects)
{
    k->closings_left -= objects < k->closings_left ? objects : k->closings_left;
}

kms_err kms_keyring_make(kms_keyring *keyring, const struct kms_key_ref *ref, uint8_t *wrapped,
                         size_t *ret_len)
{
    const struct kms_root *root = kms_roots_get(keyring->roots, keyring->roots->newest);
    uint8_t room[KMS_HSM_WRAPPED_BYTES];
    if (root == NULL) return KMS_FAIL(ROOT_KEYS_MISSING);
    struct kms_wrapped made = {.root_id = root->id};
    kms_err err = kms_material_make(keyring->token, root, ref, keyring->secret, room, &made);
    count_closings(keyring, kms_material_objects(ref));
    KMS_TRY(err);
    return bind(keyring, root, ref, &made, wrapped, ret_len);
}

kms_err kms_keyring_rewrap(kms_keyring *keyring, const struct kms_hsm_key *key, uint8_t *wrapped,
                           size_t *ret_len)
{
    struct kms_wrapped old;
    uint8_t room[KMS_HSM_WRAPPED_BYTES];
    KMS_TRY(kms_wrapped_get(key->wrapped, &old));
    struct kms_material_move move = {.ref = &key->ref, .old = &old};
    KMS_TRY(verify(keyring, &key->ref, &old, &move.from));
    move.to = kms_roots_get(keyring->roots, keyring->roots->newest); /* after verify, which may look again */
    struct kms_wrapped made = {.root_id = move.to->id};
    kms_err err = kms_material_move(keyring->token, &move, keyring->secret, room, &made);
    count_closings(keyring, kms_material_objects(&key->ref));
    KMS_TRY(err);
    return bind(keyring, move.to, &key->ref, &made, wrapped, ret_len);
}

kms_err kms_keyring_take(kms_keyring *keyring, const struct kms_key_ref *ref,
                         const struct kms_material *material, uint8_t *wrapped, size_t *ret_len)
{
    enum { OBJECTS = 2 }; /* the material, and the key that brought it in */
    const struct kms_root *root = kms_roots_get(keyring->roots, keyring->roots->newest);
    uint8_t room[KMS_HSM_WRAPPED_BYTES];
    if (root == NULL) return KMS_FAIL(ROOT_KEYS_MISSING);
    struct kms_wrapped made = {.root_id = root->id};
    kms_err err = kms_material_take(keyring->token, root, ref, material, room, &made);
    if (ref->level == KMS_LEVEL_HSM) count_closings(keyring, OBJECTS);
    KMS_TRY(err);
    return bind(keyring, root, ref, &made, wrapped, ret_len);
}
