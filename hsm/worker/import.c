/*
 * Material from outside: opened in locked memory, checked, and wrapped or sealed like a key that was made
 * here; at HSM level it enters the token for that (material.c). Whatever is wrong with it has one error; so
 * that the time does not tell either whether the padding was right, an AES key that could not be opened is
 * replaced by zeros and the unwrapping done all the same.
 */
#include "base/secret.h"
#include "hsm/worker/worker.h"

enum {
    MODULUS = 4096 / 8,
    AES_BYTES = 32,
    WRAP_BLOCK = 8,
    LONGEST_SECRET = 64, /* HMAC_512 */
    LONGEST = KMS_HSM_PRIVATE_BYTES,
    OPENED = 0, /* places in the scratch memory */
    UNWRAPPED = MODULUS,
    WRITTEN = UNWRAPPED + LONGEST + WRAP_BLOCK,
    ALL = WRITTEN + LONGEST
};
_Static_assert((int)ALL <= (int)KMS_SCRATCH_BYTES, "room");

/* RFC 5649. out has wrapped.len bytes. */
static bool unwrap(const uint8_t *key, struct kms_bytes wrapped, uint8_t *out, size_t *ret_len)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;
    if (ctx != NULL) EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool ok = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, key, NULL) == 1 &&
              EVP_DecryptUpdate(ctx, out, &len, wrapped.ptr, (int)wrapped.len) == 1 && len > 0;
    EVP_CIPHER_CTX_free(ctx);
    *ret_len = ok ? (size_t)len : 0;
    return ok;
}

static kms_err recover(struct kms_worker *w, EVP_PKEY *key, struct kms_bytes input,
                       struct kms_bytes *ret_secret)
{
    uint8_t *opened = w->scratch + OPENED, *unwrapped = w->scratch + UNWRAPPED;
    const struct kms_bytes no_label = {NULL, 0}, rest = {input.ptr + MODULUS, input.len - MODULUS};
    size_t len = 0, unwrapped_len;
    kms_err err = kms_rsa_open(key, no_label, kms_bytes_of(input.ptr, MODULUS), opened, MODULUS, &len);
    if (kms_failed(err) && !kms_is(err, KMS_E_INVALID_CIPHERTEXT)) return err;
    bool ok = !kms_failed(err);
    if (rest.len == 0) {
        *ret_secret = kms_bytes_of(opened, len);
        return ok ? KMS_OK : KMS_FAIL(INCORRECT_KEY_MATERIAL);
    }
    ok &= len == AES_BYTES;
    if (!ok) kms_wipe(opened, MODULUS);
    ok &= unwrap(opened, rest, unwrapped, &unwrapped_len);
    *ret_secret = kms_bytes_of(unwrapped, unwrapped_len);
    return ok ? KMS_OK : KMS_FAIL(INCORRECT_KEY_MATERIAL);
}

/* A digest of an HMAC under the material: whoever sees the mark learns nothing of a random key of 256 bits or
 * more, nor a MAC that an HMAC key could have made; and it stays the same under every generation of root
 * keys. */
static kms_err mark_of_secret(struct kms_bytes secret, const struct kms_id *key_id, uint8_t *mark)
{
    KMS_OWN(kms_digest) keyed = NULL;
    KMS_OWN(kms_digest) plain = NULL;
    uint8_t inner[KMS_DIGEST_BYTES];
    const struct kms_bytes part = {inner, sizeof inner};
    const struct kms_bytes parts[] = {kms_bytes_text("kmsd.import.mark.v1"),
                                      kms_bytes_of(key_id->bytes, sizeof key_id->bytes)};
    KMS_TRY(kms_digest_new_keyed(secret, &keyed));
    KMS_TRY(kms_digest_run(keyed, parts, 2, inner));
    KMS_TRY(kms_digest_new(&plain));
    kms_err err = kms_digest_run(plain, &part, 1, mark);
    kms_wipe(inner, sizeof inner);
    return err;
}

/* A private key may be written in several ways; its public half, as it is written here, in one. */
static kms_err mark_of_pair(struct kms_bytes public_key, const struct kms_id *key_id, uint8_t *mark)
{
    KMS_OWN(kms_digest) plain = NULL;
    const struct kms_bytes parts[] = {kms_bytes_text("kmsd.import.mark.pair.v1"),
                                      kms_bytes_of(key_id->bytes, sizeof key_id->bytes), public_key};
    KMS_TRY(kms_digest_new(&plain));
    return kms_digest_run(plain, parts, 3, mark);
}

/* PKCS#8 as it came; read, vetted, and written again without what else stood in it. der has
 * KMS_HSM_PUBLIC_BYTES. */
static kms_err take_pair(struct kms_worker *w, unsigned spec, struct kms_bytes came, uint8_t *der,
                         struct kms_material *ret_material)
{
    KMS_OWN_PAIR pair = NULL;
    uint8_t *written = w->scratch + WRITTEN;
    size_t len, public_len;
    kms_err err = kms_pair_from_private(spec, came, &pair);
    if (kms_is(err, KMS_E_CORRUPT)) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
    KMS_TRY(err);
    KMS_TRY(kms_pair_vet(pair, spec, der, &public_len));
    KMS_TRY(kms_pair_private_der(pair, written, LONGEST, &len));
    *ret_material = (struct kms_material){kms_bytes_of(written, len), kms_bytes_of(der, public_len)};
    return KMS_OK;
}

static kms_err take(struct kms_worker *w, struct kms_hsm_job *job, const struct kms_open_key *key)
{
    const struct kms_key_ref *to = &job->to.ref;
    const struct kms_spec *spec = kms_spec_of(to->spec);
    const bool pair = kms_family_has_public(spec->family);
    struct kms_material material = {.public_key = {0}};
    uint8_t der[KMS_HSM_PUBLIC_BYTES];
    size_t len;
    KMS_TRY(recover(w, key->private_key, job->input, &material.secret));
    if (pair) {
        KMS_TRY(take_pair(w, to->spec, material.secret, der, &material));
        KMS_TRY(mark_of_pair(material.public_key, &to->key_id, job->output));
    } else {
        if (material.secret.len != spec->bits / 8U) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
        KMS_TRY(mark_of_secret(material.secret, &to->key_id, job->output));
    }
    KMS_TRY(kms_keyring_take(w->keyring, to, &material, job->output + KMS_HSM_MARK_BYTES, &len));
    job->output_len = KMS_HSM_MARK_BYTES + len;
    return KMS_OK;
}

static bool length_fits(const struct kms_hsm_job *job)
{
    const bool pair = kms_family_has_public(kms_spec_of(job->to.ref.spec)->family);
    const size_t longest = pair ? LONGEST : LONGEST_SECRET, len = job->input.len;
    if (len == MODULUS) return !pair;
    return len >= MODULUS + 2 * WRAP_BLOCK && len <= MODULUS + WRAP_BLOCK + longest;
}

kms_err kms_op_import(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    if (kms_spec_import_missing(&w->hello.status, &job->to.ref) != NULL) return KMS_FAIL(UNSUPPORTED);
    if (!length_fits(job)) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    kms_err err = take(w, job, key);
    kms_wipe(w->scratch, ALL);
    return err;
}
