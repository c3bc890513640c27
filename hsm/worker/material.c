/* Key material by family and level: how it is made, what is wrapped or sealed of it, and how it is opened. */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

/* What the object of an HSM level key may do, and nothing else. */
static struct kms_key_shape shape_of(const struct kms_key_ref *ref, bool extractable)
{
    const struct kms_spec *spec = kms_spec_of(ref->spec);
    struct kms_key_shape shape = {.use = KMS_USE_CIPHER, .bits = spec->bits, .extractable = extractable};
    if (spec->family == KMS_FAMILY_HMAC) shape.use = KMS_USE_MAC;
    if (spec->family == KMS_FAMILY_EC) shape.use = KMS_USE_EC_SIGN;
    if (spec->family == KMS_FAMILY_RSA)
        shape.use = ref->usage == KMS_USAGE_SIGN_VERIFY ? KMS_USE_RSA_SIGN : KMS_USE_RSA_DECRYPT;
    return shape;
}

static struct kms_bytes ref_aad(const struct kms_key_ref *ref, uint32_t root_id,
                                uint8_t memory[KMS_REF_BYTES])
{
    struct kms_writer w = kms_writer_over(memory, KMS_REF_BYTES);
    kms_ref_put(&w, ref, root_id);
    return kms_bytes_of(memory, KMS_REF_BYTES);
}

const EVP_MD *kms_hash_of(unsigned bits)
{
    return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : bits == 512 ? EVP_sha512() : NULL;
}

static kms_err open_mac(struct kms_bytes secret, unsigned bits, EVP_MAC_CTX **ret_mac)
{
    char name[8] = "SHA256";
    if (bits == 384) kms_copy(name, "SHA384", sizeof "SHA384");
    if (bits == 512) kms_copy(name, "SHA512", sizeof "SHA512");
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds it */
    if (ctx == NULL || EVP_MAC_init(ctx, secret.ptr, secret.len, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_mac = ctx;
    return KMS_OK;
}

/* The secret as it was unsealed. */
static kms_err open_software(struct kms_bytes secret, struct kms_open_key *key)
{
    const struct kms_spec *spec = kms_spec_of(key->spec);
    if (kms_family_has_public(spec->family))
        return kms_pair_from_private(key->spec, secret, &key->private_key);
    if (secret.len != spec->bits / 8U) return KMS_FAIL(CORRUPT);
    return spec->family == KMS_FAMILY_HMAC ? open_mac(secret, spec->bits, &key->mac)
                                           : kms_digest_new_keyed(secret, &key->backing);
}

static kms_err open_sealed(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                           const struct kms_wrapped *wrapped, uint8_t *secret, struct kms_open_key *key)
{
    uint8_t memory[KMS_REF_BYTES];
    const struct kms_sealing sealing = {root->seal, KMS_SEAL_BACKING_KEY,
                                        ref_aad(ref, wrapped->root_id, memory)};
    size_t len = 0;
    if (wrapped->blob.len > KMS_MATERIAL_BYTES) return KMS_FAIL(CORRUPT);
    kms_err err = kms_unseal_key(token, &sealing, wrapped->blob, secret, &len);
    if (!kms_failed(err)) err = open_software(kms_bytes_of(secret, len), key);
    kms_wipe(secret, KMS_MATERIAL_BYTES);
    return err;
}

kms_err kms_material_open(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                          const struct kms_wrapped *wrapped, uint8_t *secret, struct kms_open_key *ret_key)
{
    struct kms_open_key key = {.spec = ref->spec, .usage = ref->usage, .level = ref->level};
    bool pair = kms_family_has_public(kms_spec_of(ref->spec)->family);
    if (pair != (wrapped->public_key.len > 0)) return KMS_FAIL(CORRUPT);
    if (pair) KMS_TRY(kms_pair_from_public(ref->spec, wrapped->public_key, &key.public_key));
    const struct kms_key_shape shape = shape_of(ref, false);
    kms_err err = ref->level == KMS_LEVEL_HSM
                      ? kms_token_unwrap(token, root->wrap, wrapped->blob, &shape, &key.object)
                      : open_sealed(token, root, ref, wrapped, secret, &key);
    if (kms_failed(err)) {
        kms_material_close(&key);
        return err;
    }
    *ret_key = key;
    return KMS_OK;
}

void kms_material_close(struct kms_open_key *key)
{
    kms_digest_free(key->backing);
    EVP_MAC_CTX_free(key->mac);
    EVP_PKEY_free(key->private_key);
    EVP_PKEY_free(key->public_key);
    *key = (struct kms_open_key){0};
}

/* The public half of a pair that the token made, in DER. */
static kms_err read_public(kms_token *token, kms_object public_key, const struct kms_key_shape *shape,
                           unsigned spec, uint8_t *der, size_t *ret_len)
{
    struct kms_public_parts parts;
    KMS_OWN_PAIR pair = NULL;
    KMS_TRY(kms_token_public_parts(token, public_key, shape->use, &parts));
    KMS_TRY(kms_pair_from_parts(spec, &parts, &pair));
    return kms_pair_public_der(pair, der, ret_len);
}

enum { BLOB_ROOM = KMS_HSM_WRAPPED_BYTES - KMS_WRAPPED_OVERHEAD - 4 - KMS_HSM_PUBLIC_BYTES };

/* Extractable for this one wrapping. */
static kms_err make_in_token(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                             uint8_t *room, struct kms_wrapped *made)
{
    const struct kms_key_shape shape = shape_of(ref, true);
    const bool pair = kms_family_has_public(kms_spec_of(ref->spec)->family);
    kms_object key = 0, public_key = 0;
    KMS_TRY(pair ? kms_token_generate_pair(token, &shape, &public_key, &key)
                 : kms_token_generate(token, &shape, &key));
    kms_err err = kms_token_wrap(token, root->wrap, key, room, BLOB_ROOM, &made->blob.len);
    if (pair && !kms_failed(err))
        err = read_public(token, public_key, &shape, ref->spec, room + BLOB_ROOM, &made->public_key.len);
    kms_token_destroy(token, key);
    kms_token_destroy(token, public_key);
    return err;
}

/* A symmetric key's bytes come from the token's generator, a pair from OpenSSL's. */
static kms_err make_secret(kms_token *token, unsigned spec, uint8_t *secret, size_t *ret_len, uint8_t *der,
                           size_t *ret_public_len)
{
    const struct kms_spec *row = kms_spec_of(spec);
    if (!kms_family_has_public(row->family)) {
        *ret_len = row->bits / 8U;
        return kms_token_random(token, secret, *ret_len);
    }
    KMS_OWN_PAIR pair = NULL;
    KMS_TRY(kms_pair_generate(spec, &pair));
    KMS_TRY(kms_pair_public_der(pair, der, ret_public_len));
    return kms_pair_private_der(pair, secret, KMS_HSM_PRIVATE_BYTES, ret_len);
}

static kms_err seal_secret(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                           struct kms_bytes secret, uint8_t *room, struct kms_wrapped *made)
{
    uint8_t memory[KMS_REF_BYTES];
    const struct kms_sealing sealing = {root->seal, KMS_SEAL_BACKING_KEY,
                                        ref_aad(ref, made->root_id, memory)};
    made->blob.len = secret.len + KMS_SEALED_OVERHEAD;
    return kms_seal_key(token, &sealing, secret, room);
}

static kms_err make_outside(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                            uint8_t *secret, uint8_t *room, struct kms_wrapped *made)
{
    size_t len = 0;
    kms_err err = make_secret(token, ref->spec, secret, &len, room + BLOB_ROOM, &made->public_key.len);
    if (!kms_failed(err)) err = seal_secret(token, root, ref, kms_bytes_of(secret, len), room, made);
    kms_wipe(secret, KMS_MATERIAL_BYTES);
    return err;
}

/* RFC 5649. out has secret.len + 2 * WRAP_BLOCK bytes. */
enum { WRAP_BLOCK = 8, ONCE_BYTES = 32 };
static kms_err wrap_outside(const uint8_t *key, struct kms_bytes secret, uint8_t *out, size_t *ret_len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    if (ctx != NULL) EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool ok = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, key, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, out, &len, secret.ptr, (int)secret.len) == 1 && len > 0;
    EVP_CIPHER_CTX_free(ctx);
    *ret_len = (size_t)len;
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

static kms_err unwrap_inside(kms_token *token, const struct kms_key_ref *ref, const uint8_t *once,
                             struct kms_bytes wrapped, kms_object *ret_key)
{
    const struct kms_key_shape shape = shape_of(ref, true); /* extractable for the one wrapping to come */
    kms_object unwrapping;
    KMS_TRY(kms_token_put_unwrapping(token, once, &unwrapping));
    kms_err err = kms_token_unwrap(token, unwrapping, wrapped, &shape, ret_key);
    kms_token_destroy(token, unwrapping);
    return err;
}

/* An object of the token, by way of a key that both sides know for this long. */
static kms_err bring_in(kms_token *token, const struct kms_key_ref *ref, struct kms_bytes secret,
                        kms_object *ret_key)
{
    uint8_t wrapped[KMS_HSM_PRIVATE_BYTES + 2 * WRAP_BLOCK];
    size_t len = 0;
    if (secret.len > KMS_HSM_PRIVATE_BYTES) return KMS_FAIL(INTERNAL);
    uint8_t *once = kms_locked_alloc(ONCE_BYTES);
    if (once == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_token_random(token, once, ONCE_BYTES);
    if (!kms_failed(err)) err = wrap_outside(once, secret, wrapped, &len);
    if (!kms_failed(err)) err = unwrap_inside(token, ref, once, kms_bytes_of(wrapped, len), ret_key);
    kms_locked_free(once, ONCE_BYTES);
    return err;
}

static kms_err take_into_token(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                               struct kms_bytes secret, uint8_t *room, struct kms_wrapped *made)
{
    kms_object key;
    KMS_TRY(bring_in(token, ref, secret, &key));
    kms_err err = kms_token_wrap(token, root->wrap, key, room, BLOB_ROOM, &made->blob.len);
    kms_token_destroy(token, key);
    return err;
}

kms_err kms_material_take(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                          const struct kms_material *material, uint8_t *room, struct kms_wrapped *made)
{
    made->blob = kms_bytes_of(room, 0);
    made->public_key = material->public_key;
    return ref->level == KMS_LEVEL_HSM ? take_into_token(token, root, ref, material->secret, room, made)
                                       : seal_secret(token, root, ref, material->secret, room, made);
}

kms_err kms_material_make(kms_token *token, const struct kms_root *root, const struct kms_key_ref *ref,
                          uint8_t *secret, uint8_t *room, struct kms_wrapped *made)
{
    made->blob = kms_bytes_of(room, 0);
    made->public_key = kms_bytes_of(room + BLOB_ROOM, 0);
    return ref->level == KMS_LEVEL_HSM ? make_in_token(token, root, ref, room, made)
                                       : make_outside(token, root, ref, secret, room, made);
}

static kms_err move_in_token(kms_token *token, const struct kms_material_move *move, uint8_t *room,
                             size_t *ret_len)
{
    const struct kms_key_shape shape = shape_of(move->ref, true); /* extractable for this one wrapping */
    kms_object key;
    KMS_TRY(kms_token_unwrap(token, move->from->wrap, move->old->blob, &shape, &key));
    kms_err err = kms_token_wrap(token, move->to->wrap, key, room, BLOB_ROOM, ret_len);
    kms_token_destroy(token, key);
    return err;
}

static kms_err move_outside(kms_token *token, const struct kms_material_move *move, uint8_t *secret,
                            uint8_t *room, size_t *ret_len)
{
    uint8_t old_memory[KMS_REF_BYTES], new_memory[KMS_REF_BYTES];
    const struct kms_sealing from = {move->from->seal, KMS_SEAL_BACKING_KEY,
                                     ref_aad(move->ref, move->from->id, old_memory)};
    const struct kms_sealing to = {move->to->seal, KMS_SEAL_BACKING_KEY,
                                   ref_aad(move->ref, move->to->id, new_memory)};
    size_t len = 0;
    if (move->old->blob.len > KMS_MATERIAL_BYTES) return KMS_FAIL(CORRUPT);
    kms_err err = kms_unseal_key(token, &from, move->old->blob, secret, &len);
    if (!kms_failed(err)) err = kms_seal_key(token, &to, kms_bytes_of(secret, len), room);
    kms_wipe(secret, KMS_MATERIAL_BYTES);
    *ret_len = len + KMS_SEALED_OVERHEAD;
    return err;
}

kms_err kms_material_move(kms_token *token, const struct kms_material_move *move, uint8_t *secret,
                          uint8_t *room, struct kms_wrapped *made)
{
    made->blob = kms_bytes_of(room, 0);
    made->public_key = move->old->public_key;
    return move->ref->level == KMS_LEVEL_HSM ? move_in_token(token, move, room, &made->blob.len)
                                             : move_outside(token, move, secret, room, &made->blob.len);
}

unsigned kms_material_objects(const struct kms_key_ref *ref)
{
    if (ref->level != KMS_LEVEL_HSM) return 0;
    return kms_family_has_public(kms_spec_of(ref->spec)->family) ? 2 : 1;
}
