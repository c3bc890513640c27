/* The operations of hsm.h, one function and one row each. */
#include "base/secret.h"
#include "hsm/worker/worker.h"

/* input.len + overhead bytes into out: IV or N and IV, ciphertext, tag. */
static kms_err seal(struct kms_worker *w, const struct kms_hsm_key *key, struct kms_bytes aad,
                    struct kms_bytes input, uint8_t *out, size_t *ret_len)
{
    const struct kms_open_key *opened;
    KMS_TRY(kms_keyring_open(w->keyring, key, &opened));
    if (opened->level == KMS_LEVEL_SOFTWARE) {
        KMS_TRY(kms_software_seal(w->software, opened->backing, aad, input, out));
        *ret_len = input.len + KMS_SEAL_OVERHEAD_SOFTWARE;
        return KMS_OK;
    }
    struct kms_gcm gcm = {.key = opened->object, .aad = aad, .input = input};
    size_t len;
    KMS_TRY(kms_nonces_take(&w->ivs, w->token, gcm.iv, sizeof gcm.iv));
    KMS_TRY(kms_token_encrypt(w->token, &gcm, out + sizeof gcm.iv, input.len + KMS_GCM_TAG_BYTES, &len));
    kms_copy(out, gcm.iv, sizeof gcm.iv);
    *ret_len = sizeof gcm.iv + len;
    return KMS_OK;
}

/* out has input.len bytes. */
static kms_err open_sealed(struct kms_worker *w, const struct kms_hsm_job *job, uint8_t *out, size_t *ret_len)
{
    const struct kms_open_key *opened;
    const struct kms_bytes input = job->input;
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &opened));
    if (opened->level == KMS_LEVEL_SOFTWARE) {
        KMS_TRY(kms_software_open(w->software, opened->backing, job->aad, input, out));
        *ret_len = input.len - KMS_SEAL_OVERHEAD_SOFTWARE;
        return KMS_OK;
    }
    struct kms_gcm gcm = {.key = opened->object, .aad = job->aad};
    if (input.len < KMS_SEAL_OVERHEAD_HSM) return KMS_FAIL(INVALID_CIPHERTEXT);
    kms_copy(gcm.iv, input.ptr, sizeof gcm.iv);
    gcm.input = kms_bytes_of(input.ptr + sizeof gcm.iv, input.len - sizeof gcm.iv);
    return kms_token_decrypt(w->token, &gcm, out, input.len, ret_len);
}

static kms_err encrypt(struct kms_worker *w, struct kms_hsm_job *job)
{
    return seal(w, &job->key, job->aad, job->input, job->output, &job->output_len);
}

static kms_err decrypt(struct kms_worker *w, struct kms_hsm_job *job)
{
    return open_sealed(w, job, job->output, &job->output_len);
}

static kms_err reencrypt(struct kms_worker *w, struct kms_hsm_job *job)
{
    size_t len = 0;
    kms_err err = open_sealed(w, job, w->scratch, &len);
    if (!kms_failed(err))
        err = seal(w, &job->to, job->to_aad, kms_bytes_of(w->scratch, len), job->output, &job->output_len);
    kms_wipe(w->scratch, job->input.len);
    return err;
}

static kms_err random_bytes(struct kms_worker *w, struct kms_hsm_job *job)
{
    KMS_TRY(kms_token_random(w->token, job->output, job->count));
    job->output_len = job->count;
    return KMS_OK;
}

/* At both levels from the token: a data key outlives the level of the key that seals it. */
static kms_err data_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    size_t sealed;
    KMS_TRY(kms_token_random(w->token, job->output, job->count));
    KMS_TRY(seal(w, &job->key, job->aad, kms_bytes_of(job->output, job->count), job->output + job->count,
                 &sealed));
    job->output_len = job->count + sealed;
    return KMS_OK;
}

static kms_err data_key_sealed(struct kms_worker *w, struct kms_hsm_job *job)
{
    kms_err err = kms_token_random(w->token, w->scratch, job->count);
    if (!kms_failed(err))
        err =
            seal(w, &job->key, job->aad, kms_bytes_of(w->scratch, job->count), job->output, &job->output_len);
    kms_wipe(w->scratch, job->count);
    return err;
}

static kms_err new_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    if (kms_spec_missing(&w->hello.status, &job->key.ref) != NULL) return KMS_FAIL(UNSUPPORTED);
    return kms_keyring_make(w->keyring, &job->key.ref, job->output, &job->output_len);
}

static kms_err rewrap(struct kms_worker *w, struct kms_hsm_job *job)
{
    return kms_keyring_rewrap(w->keyring, &job->key, job->output, &job->output_len);
}

/* Public half, private half, and that sealed, one after the other. */
static kms_err put_pair(struct kms_worker *w, struct kms_hsm_job *job, struct kms_bytes public_key,
                        struct kms_bytes private_key, bool plain)
{
    size_t sealed;
    struct kms_writer out =
        kms_writer_over(job->output, 4 + KMS_HSM_PUBLIC_BYTES + 4 + KMS_HSM_PRIVATE_BYTES);
    kms_put_blob(&out, public_key);
    kms_put_blob(&out, plain ? private_key : kms_bytes_of(NULL, 0));
    if (out.overflow) return KMS_FAIL(INTERNAL);
    KMS_TRY(seal(w, &job->key, job->aad, private_key, out.at, &sealed));
    job->output_len = (size_t)(out.at - job->output) + sealed;
    return KMS_OK;
}

static kms_err make_pair(struct kms_worker *w, struct kms_hsm_job *job, bool plain)
{
    KMS_OWN_PAIR pair = NULL;
    uint8_t der[KMS_HSM_PUBLIC_BYTES];
    size_t len, public_len;
    KMS_TRY(kms_pair_generate(job->pair, &pair));
    KMS_TRY(kms_pair_public_der(pair, der, &public_len));
    KMS_TRY(kms_pair_private_der(pair, w->scratch, KMS_HSM_PRIVATE_BYTES, &len));
    kms_err err = put_pair(w, job, kms_bytes_of(der, public_len), kms_bytes_of(w->scratch, len), plain);
    kms_wipe(w->scratch, len);
    return err;
}

static kms_err data_key_pair(struct kms_worker *w, struct kms_hsm_job *job)
{
    return make_pair(w, job, true);
}

static kms_err data_key_pair_sealed(struct kms_worker *w, struct kms_hsm_job *job)
{
    return make_pair(w, job, false);
}

/* Opened first: what the keystore has is believed only with its binding. */
static kms_err public_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    return kms_pair_public_der(key->public_key, job->output, &job->output_len);
}

enum { STORE_KEY_BYTES = 32, SEALED_STORE_KEY_BYTES = STORE_KEY_BYTES + KMS_SEALED_OVERHEAD };

/* What is in scratch, sealed under the newest root: u32 root id, then the sealed key. */
static kms_err seal_store_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_root *root = kms_roots_get(&w->roots, w->roots.newest);
    const struct kms_sealing sealing = {root->seal, KMS_SEAL_STORE_KEY, job->aad};
    struct kms_writer out = kms_writer_over(job->output, 4);
    kms_put_u32(&out, root->id);
    KMS_TRY(kms_seal_key(w->token, &sealing, kms_bytes_of(w->scratch, STORE_KEY_BYTES), job->output + 4));
    job->output_len = 4 + SEALED_STORE_KEY_BYTES;
    return KMS_OK;
}

static kms_err new_store_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    kms_err err = kms_token_random(w->token, w->scratch, STORE_KEY_BYTES);
    if (!kms_failed(err)) err = seal_store_key(w, job);
    kms_wipe(w->scratch, STORE_KEY_BYTES);
    return err;
}

/* key is locked memory of SEALED_STORE_KEY_BYTES, of which STORE_KEY_BYTES are used. */
static kms_err unseal_store_key(struct kms_worker *w, const struct kms_hsm_job *job, uint8_t *key)
{
    size_t len;
    struct kms_reader in = kms_reader_over(job->input);
    const struct kms_root *root = kms_roots_seek(w->token, &w->roots, kms_get_u32(&in));
    if (in.short_) return KMS_FAIL(CORRUPT);
    if (root == NULL) return KMS_FAIL(ROOT_KEYS_MISSING);
    const struct kms_sealing sealing = {root->seal, KMS_SEAL_STORE_KEY, job->aad};
    struct kms_bytes sealed = {in.at, (size_t)(in.end - in.at)};
    if (sealed.len != SEALED_STORE_KEY_BYTES) return KMS_FAIL(CORRUPT);
    return kms_unseal_key(w->token, &sealing, sealed, key, &len);
}

static kms_err open_store_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    KMS_TRY(unseal_store_key(w, job, job->output));
    job->output_len = STORE_KEY_BYTES;
    return KMS_OK;
}

static kms_err rewrap_store_key(struct kms_worker *w, struct kms_hsm_job *job)
{
    kms_err err = unseal_store_key(w, job, w->scratch);
    if (!kms_failed(err)) err = seal_store_key(w, job);
    kms_wipe(w->scratch, SEALED_STORE_KEY_BYTES);
    return err;
}

static kms_err new_root(struct kms_worker *w, struct kms_hsm_job *job)
{
    return kms_roots_add(w->token, &w->roots, job->count);
}

static kms_err destroy_root(struct kms_worker *w, struct kms_hsm_job *job)
{
    return kms_roots_destroy(w->token, &w->roots, job->count);
}

void kms_worker_note_roots(struct kms_worker *worker)
{
    struct kms_hsm_status *s = &worker->hello.status;
    s->root_id = worker->roots.newest;
    s->root_count = worker->roots.count;
    for (unsigned i = 0; i < s->root_count; i++) s->roots[i] = worker->roots.generations[i].id;
}

static kms_err put_status(struct kms_worker *w, struct kms_hsm_job *job)
{
    kms_worker_note_roots(w);
    struct kms_writer out = kms_writer_over(job->output, KMS_HELLO_BYTES);
    kms_hello_put(&out, &w->hello);
    if (out.overflow) return KMS_FAIL(INTERNAL);
    job->output_len = (size_t)(out.at - job->output);
    return KMS_OK;
}

static kms_err status(struct kms_worker *w, struct kms_hsm_job *job)
{
    KMS_TRY(kms_token_self_test(w->token));
    return put_status(w, job);
}

static kms_err read_roots(struct kms_worker *w, struct kms_hsm_job *job)
{
    struct kms_why why = {{0}};
    KMS_TRY(kms_roots_load(w->token, &w->roots, &why));
    kms_keyring_keep_to_roots(w->keyring);
    return put_status(w, job);
}

static kms_err forget(struct kms_worker *w, struct kms_hsm_job *job)
{
    struct kms_id key_id;
    kms_copy(key_id.bytes, job->input.ptr, sizeof key_id.bytes);
    kms_keyring_forget(w->keyring, &key_id);
    return KMS_OK;
}

static kms_operation *const operations[KMS_HSM_OP_COUNT] = {
    [KMS_HSM_ENCRYPT] = encrypt,
    [KMS_HSM_DECRYPT] = decrypt,
    [KMS_HSM_REENCRYPT] = reencrypt,
    [KMS_HSM_DATA_KEY] = data_key,
    [KMS_HSM_DATA_KEY_SEALED] = data_key_sealed,
    [KMS_HSM_RANDOM] = random_bytes,
    [KMS_HSM_NEW_KEY] = new_key,
    [KMS_HSM_NEW_STORE_KEY] = new_store_key,
    [KMS_HSM_OPEN_STORE_KEY] = open_store_key,
    [KMS_HSM_STATUS] = status,
    [KMS_HSM_FORGET] = forget,
    [KMS_HSM_REWRAP] = rewrap,
    [KMS_HSM_REWRAP_STORE_KEY] = rewrap_store_key,
    [KMS_HSM_NEW_ROOT] = new_root,
    [KMS_HSM_DESTROY_ROOT] = destroy_root,
    [KMS_HSM_READ_ROOTS] = read_roots,
    [KMS_HSM_SIGN] = kms_op_sign,
    [KMS_HSM_VERIFY] = kms_op_verify,
    [KMS_HSM_MAC] = kms_op_mac,
    [KMS_HSM_VERIFY_MAC] = kms_op_verify_mac,
    [KMS_HSM_PUBLIC_KEY] = public_key,
    [KMS_HSM_RSA_ENCRYPT] = kms_op_rsa_encrypt,
    [KMS_HSM_RSA_DECRYPT] = kms_op_rsa_decrypt,
    [KMS_HSM_DATA_KEY_PAIR] = data_key_pair,
    [KMS_HSM_DATA_KEY_PAIR_SEALED] = data_key_pair_sealed,
    [KMS_HSM_IMPORT] = kms_op_import,
    [KMS_HSM_AUDIT_SIGN] = kms_op_audit_sign,
    [KMS_HSM_CERTIFY] = kms_op_certify,
};

kms_err kms_ops_run(struct kms_worker *worker, struct kms_hsm_job *job)
{
    return operations[job->op](worker, job);
}
