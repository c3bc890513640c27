/* Opened keys: a fixed table, found by the binding, the least recently used one closed when it is full. */
#include "base/secret.h"
#include "hsm/worker/worker.h"
#include "hsm/wrapped.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = UINT32_MAX };

struct entry {
    uint8_t binding[KMS_BINDING_BYTES];
    struct kms_key_ref ref;
    uint32_t root_id;
    kms_buf blob; /* compared too, so that damage is refused whether the key is open already or not */
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
    uint8_t *secret;                                         /* 64 bytes of locked memory */
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
    k->secret = kms_locked_alloc(64);
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
    kms_digest_free(key->backing);
    *key = (struct kms_open_key){0};
}

static void close_entry(kms_keyring *k, struct entry *e)
{
    close_key(k, &e->key);
    kms_buf_free(&e->blob);
}

void kms_keyring_free(kms_keyring *keyring)
{
    if (keyring == NULL) return;
    for (uint32_t i = 0; i < keyring->used; i++) close_entry(keyring, &keyring->entries[i]);
    free(keyring->entries);
    free(keyring->heads);
    free(keyring->message);
    kms_locked_free(keyring->secret, 64);
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
    return kms_token_hmac(k->token, root->bind, message, ret_binding);
}

static struct kms_bytes ref_aad(const struct kms_key_ref *ref, uint32_t root_id,
                                uint8_t memory[KMS_REF_BYTES])
{
    struct kms_writer w = kms_writer_over(memory, KMS_REF_BYTES);
    kms_ref_put(&w, ref, root_id);
    return kms_bytes_of(memory, KMS_REF_BYTES);
}

static const struct kms_key_shape opened_shape = {
    .use = KMS_USE_CIPHER}; /* AES-256, encrypt and decrypt, stays inside */

static kms_err open_key(kms_keyring *k, const struct kms_root *root, const struct kms_key_ref *ref,
                        const struct kms_wrapped *wrapped, struct kms_open_key *ret_key)
{
    struct kms_open_key key = {.level = ref->level};
    if (ref->level == KMS_LEVEL_HSM) {
        KMS_TRY(kms_token_unwrap(k->token, root->wrap, wrapped->blob, &opened_shape, &key.object));
    } else {
        uint8_t memory[KMS_REF_BYTES];
        struct kms_bytes aad = ref_aad(ref, wrapped->root_id, memory);
        KMS_TRY(kms_unseal_key(k->token, root->seal, KMS_SEAL_BACKING_KEY, aad, wrapped->blob, k->secret));
        kms_err err = kms_digest_new_keyed(kms_bytes_of(k->secret, 32), &key.backing);
        kms_wipe(k->secret, 64);
        KMS_TRY(err);
    }
    *ret_key = key;
    return KMS_OK;
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
    KMS_TRY(open_key(k, root, ref, wrapped, &fresh.key));
    kms_err err = kms_buf_append(&fresh.blob, wrapped->blob.ptr, wrapped->blob.len);
    if (kms_failed(err)) {
        close_key(k, &fresh.key);
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
            !kms_bytes_equal(kms_buf_view(&e->blob), wrapped.blob))
            return KMS_FAIL(CORRUPT);
        unlink_use(keyring, i);
    }
    link_newest(keyring, i);
    *ret_key = &keyring->entries[i].key;
    return KMS_OK;
}

static kms_err make_hsm_blob(kms_keyring *k, const struct kms_root *root, uint8_t *blob, size_t cap,
                             size_t *ret_len)
{
    const struct kms_key_shape shape = {.use = KMS_USE_CIPHER,
                                        .extractable = true}; /* for this one wrapping */
    kms_object key;
    KMS_TRY(kms_token_generate(k->token, &shape, &key));
    kms_err err = kms_token_wrap(k->token, root->wrap, key, blob, cap, ret_len);
    close_object(k, key);
    return err;
}

static kms_err make_software_blob(kms_keyring *k, const struct kms_root *root, const struct kms_key_ref *ref,
                                  uint8_t *blob, size_t *ret_len)
{
    uint8_t memory[KMS_REF_BYTES];
    struct kms_bytes aad = ref_aad(ref, root->id, memory);
    kms_err err = kms_token_random(k->token, k->secret, 32);
    if (!kms_failed(err))
        err = kms_seal_key(k->token, root->seal, KMS_SEAL_BACKING_KEY, aad, k->secret, blob);
    kms_wipe(k->secret, 64);
    KMS_TRY(err);
    *ret_len = KMS_SEALED_KEY_BYTES;
    return KMS_OK;
}

/* Binds the blob to the ref and writes the wrapped key. */
static kms_err bind(kms_keyring *k, const struct kms_root *root, const struct kms_key_ref *ref,
                    struct kms_bytes blob, uint8_t *wrapped, size_t *ret_len)
{
    struct kms_wrapped made = {.root_id = root->id, .blob = blob};
    KMS_TRY(binding_of(k, root, ref, &made, made.binding));
    struct kms_writer w = kms_writer_over(wrapped, KMS_HSM_WRAPPED_BYTES);
    kms_wrapped_put(&w, &made);
    if (w.overflow) return KMS_FAIL(INTERNAL);
    *ret_len = (size_t)(w.at - wrapped);
    return KMS_OK;
}

kms_err kms_keyring_make(kms_keyring *keyring, const struct kms_key_ref *ref, uint8_t *wrapped,
                         size_t *ret_len)
{
    const struct kms_root *root = kms_roots_get(keyring->roots, keyring->roots->newest);
    uint8_t blob[256];
    size_t len;
    if (root == NULL) return KMS_FAIL(ROOT_KEYS_MISSING);
    KMS_TRY(ref->level == KMS_LEVEL_HSM ? make_hsm_blob(keyring, root, blob, sizeof blob, &len)
                                        : make_software_blob(keyring, root, ref, blob, &len));
    return bind(keyring, root, ref, kms_bytes_of(blob, len), wrapped, ret_len);
}

struct move {
    const struct kms_key_ref *ref;
    const struct kms_root *from, *to;
    struct kms_bytes old; /* the blob */
};

static kms_err move_hsm(kms_keyring *k, const struct move *m, uint8_t *blob, size_t cap, size_t *ret_len)
{
    const struct kms_key_shape shape = {.use = KMS_USE_CIPHER, .extractable = true}; /* for this wrapping */
    kms_object key;
    KMS_TRY(kms_token_unwrap(k->token, m->from->wrap, m->old, &shape, &key));
    kms_err err = kms_token_wrap(k->token, m->to->wrap, key, blob, cap, ret_len);
    close_object(k, key);
    return err;
}

static kms_err move_software(kms_keyring *k, const struct move *m, uint8_t *blob, size_t *ret_len)
{
    uint8_t memory[KMS_REF_BYTES];
    struct kms_bytes aad = ref_aad(m->ref, m->from->id, memory);
    kms_err err = kms_unseal_key(k->token, m->from->seal, KMS_SEAL_BACKING_KEY, aad, m->old, k->secret);
    aad = ref_aad(m->ref, m->to->id, memory);
    if (!kms_failed(err))
        err = kms_seal_key(k->token, m->to->seal, KMS_SEAL_BACKING_KEY, aad, k->secret, blob);
    kms_wipe(k->secret, 64);
    KMS_TRY(err);
    *ret_len = KMS_SEALED_KEY_BYTES;
    return KMS_OK;
}

kms_err kms_keyring_rewrap(kms_keyring *keyring, const struct kms_hsm_key *key, uint8_t *wrapped,
                           size_t *ret_len)
{
    struct kms_wrapped old;
    uint8_t blob[256];
    size_t len;
    KMS_TRY(kms_wrapped_get(key->wrapped, &old));
    struct move m = {.ref = &key->ref, .old = old.blob};
    KMS_TRY(verify(keyring, &key->ref, &old, &m.from));
    m.to = kms_roots_get(keyring->roots, keyring->roots->newest); /* after verify, which may look again */
    KMS_TRY(key->ref.level == KMS_LEVEL_HSM ? move_hsm(keyring, &m, blob, sizeof blob, &len)
                                            : move_software(keyring, &m, blob, &len));
    return bind(keyring, m.to, &key->ref, kms_bytes_of(blob, len), wrapped, ret_len);
}
