/* Encoding and checking of jobs, results and hellos: one table says which fields an operation carries. */
#include "hsm/job.h"

#include <string.h>

#include "base/text.h"
#include "hsm/spec.h"

enum fields { KEY = 1, AAD = 2, INPUT = 4, TO = 8, COUNT = 16, ALGORITHM = 32, PROOF = 64, PAIR = 128 };

static const uint8_t fields_of[KMS_HSM_OP_COUNT] = {
    [KMS_HSM_ENCRYPT] = KEY | AAD | INPUT,
    [KMS_HSM_DECRYPT] = KEY | AAD | INPUT,
    [KMS_HSM_REENCRYPT] = KEY | AAD | INPUT | TO,
    [KMS_HSM_DATA_KEY] = KEY | AAD | COUNT,
    [KMS_HSM_DATA_KEY_SEALED] = KEY | AAD | COUNT,
    [KMS_HSM_RANDOM] = COUNT,
    [KMS_HSM_NEW_KEY] = KEY,
    [KMS_HSM_NEW_STORE_KEY] = AAD,
    [KMS_HSM_OPEN_STORE_KEY] = AAD | INPUT,
    [KMS_HSM_STATUS] = 0,
    [KMS_HSM_FORGET] = INPUT,
    [KMS_HSM_REWRAP] = KEY,
    [KMS_HSM_REWRAP_STORE_KEY] = AAD | INPUT,
    [KMS_HSM_NEW_ROOT] = COUNT,
    [KMS_HSM_DESTROY_ROOT] = COUNT,
    [KMS_HSM_READ_ROOTS] = 0,
    [KMS_HSM_SIGN] = KEY | ALGORITHM | INPUT,
    [KMS_HSM_VERIFY] = KEY | ALGORITHM | INPUT | PROOF,
    [KMS_HSM_MAC] = KEY | ALGORITHM | INPUT,
    [KMS_HSM_VERIFY_MAC] = KEY | ALGORITHM | INPUT | PROOF,
    [KMS_HSM_PUBLIC_KEY] = KEY,
    [KMS_HSM_RSA_ENCRYPT] = KEY | AAD | ALGORITHM | INPUT,
    [KMS_HSM_RSA_DECRYPT] = KEY | AAD | ALGORITHM | INPUT,
    [KMS_HSM_DATA_KEY_PAIR] = KEY | AAD | PAIR,
    [KMS_HSM_DATA_KEY_PAIR_SEALED] = KEY | AAD | PAIR,
    [KMS_HSM_IMPORT] = KEY | INPUT | TO,
    [KMS_HSM_AUDIT_SIGN] = INPUT,
    [KMS_HSM_CERTIFY] = KEY | INPUT,
};

enum { HEAD_BYTES = 8 + 8 + 1, KEY_BYTES = KMS_ID_BYTES + 4 + 3 + 4, STORE_KEY_BYTES = 128 };

static size_t overhead(uint8_t level)
{
    return level == KMS_LEVEL_HSM ? KMS_SEAL_OVERHEAD_HSM : KMS_SEAL_OVERHEAD_SOFTWARE;
}

size_t kms_hsm_output_bound(const struct kms_hsm_job *job)
{
    switch (job->op) {
    case KMS_HSM_ENCRYPT:
        return job->input.len + overhead(job->key.ref.level);
    case KMS_HSM_DECRYPT:
        return job->input.len;
    case KMS_HSM_REENCRYPT:
        return job->input.len + overhead(job->to.ref.level);
    case KMS_HSM_DATA_KEY:
        return 2 * (size_t)job->count + overhead(job->key.ref.level);
    case KMS_HSM_DATA_KEY_SEALED:
        return job->count + overhead(job->key.ref.level);
    case KMS_HSM_RANDOM:
        return job->count;
    case KMS_HSM_NEW_KEY:
    case KMS_HSM_REWRAP:
        return KMS_HSM_WRAPPED_BYTES;
    case KMS_HSM_NEW_STORE_KEY:
    case KMS_HSM_OPEN_STORE_KEY:
    case KMS_HSM_REWRAP_STORE_KEY:
        return STORE_KEY_BYTES;
    case KMS_HSM_STATUS:
    case KMS_HSM_READ_ROOTS:
        return KMS_HELLO_BYTES;
    case KMS_HSM_SIGN:
    case KMS_HSM_AUDIT_SIGN:
    case KMS_HSM_RSA_ENCRYPT:
    case KMS_HSM_RSA_DECRYPT:
        return KMS_HSM_SIGNATURE_BYTES; /* a modulus at most */
    case KMS_HSM_VERIFY:
    case KMS_HSM_VERIFY_MAC:
    case KMS_HSM_FORGET:
    case KMS_HSM_NEW_ROOT:
    case KMS_HSM_DESTROY_ROOT:
        return 0;
    case KMS_HSM_MAC:
        return KMS_HSM_MAC_BYTES;
    case KMS_HSM_PUBLIC_KEY:
        return KMS_HSM_PUBLIC_BYTES;
    case KMS_HSM_DATA_KEY_PAIR:
    case KMS_HSM_DATA_KEY_PAIR_SEALED:
        return 4 + KMS_HSM_PUBLIC_BYTES + 4 + 2 * KMS_HSM_PRIVATE_BYTES + overhead(job->key.ref.level);
    case KMS_HSM_IMPORT:
        return KMS_HSM_MARK_BYTES + KMS_HSM_WRAPPED_BYTES;
    case KMS_HSM_CERTIFY:
        return KMS_HSM_CERTIFICATE_BYTES;
    case KMS_HSM_OP_COUNT:
        break;
    }
    return 0;
}

static bool known(unsigned op)
{
    return op >= KMS_HSM_ENCRYPT && op < KMS_HSM_OP_COUNT;
}

static bool key_valid(const struct kms_hsm_key *key)
{
    bool level = key->ref.level == KMS_LEVEL_HSM || key->ref.level == KMS_LEVEL_SOFTWARE;
    return level && kms_spec_usage_fits(key->ref.spec, key->ref.usage) && key->ref.version > 0 &&
           key->wrapped.len <= KMS_HSM_WRAPPED_BYTES;
}

static bool algorithm_valid(const struct kms_hsm_job *job)
{
    static const uint8_t usage_of[KMS_HSM_OP_COUNT] = {[KMS_HSM_SIGN] = KMS_USAGE_SIGN_VERIFY,
                                                       [KMS_HSM_VERIFY] = KMS_USAGE_SIGN_VERIFY,
                                                       [KMS_HSM_MAC] = KMS_USAGE_GENERATE_VERIFY_MAC,
                                                       [KMS_HSM_VERIFY_MAC] = KMS_USAGE_GENERATE_VERIFY_MAC,
                                                       [KMS_HSM_RSA_ENCRYPT] = KMS_USAGE_ENCRYPT_DECRYPT,
                                                       [KMS_HSM_RSA_DECRYPT] = KMS_USAGE_ENCRYPT_DECRYPT};
    const struct kms_key_ref *ref = &job->key.ref;
    if (ref->usage != usage_of[job->op] || !kms_algorithm_fits(job->algorithm, ref->spec, ref->usage))
        return false;
    const struct kms_algorithm_row *a = kms_algorithm_of(job->algorithm);
    if (!job->digested) return true;
    bool hashes = a->usage == KMS_USAGE_SIGN_VERIFY && a->family != KMS_FAMILY_ED;
    return hashes && job->input.len == a->hash / 8U;
}

static bool import_suits(const struct kms_key_ref *from)
{
    return from->spec == KMS_SPEC_RSA_4096 && from->usage == KMS_USAGE_ENCRYPT_DECRYPT &&
           from->level == KMS_LEVEL_SOFTWARE;
}

/* What seals and opens takes AES keys; what takes an algorithm, keys that it fits. */
static bool suits(const struct kms_hsm_job *job)
{
    const struct kms_spec *spec = kms_spec_of(job->key.ref.spec);
    if (fields_of[job->op] & ALGORITHM) return algorithm_valid(job);
    if (job->op == KMS_HSM_NEW_KEY || job->op == KMS_HSM_REWRAP) return true;
    if (job->op == KMS_HSM_IMPORT) return import_suits(&job->key.ref);
    if (job->op == KMS_HSM_PUBLIC_KEY) return kms_family_has_public(spec->family);
    if (job->op == KMS_HSM_CERTIFY)
        return spec->family == KMS_FAMILY_RSA && job->key.ref.usage == KMS_USAGE_ENCRYPT_DECRYPT;
    return spec->family == KMS_FAMILY_AES &&
           (!(fields_of[job->op] & TO) || job->to.ref.spec == KMS_SPEC_AES_256);
}

static bool pair_valid(const struct kms_hsm_job *job)
{
    const struct kms_spec *spec = kms_spec_of(job->pair);
    return spec != NULL && kms_family_has_public(spec->family);
}

static bool input_valid(const struct kms_hsm_job *job)
{
    if (job->op == KMS_HSM_FORGET) return job->input.len == KMS_ID_BYTES;
    return job->input.len <= (job->op == KMS_HSM_AUDIT_SIGN ? KMS_HSM_AUDIT_HEAD_BYTES : KMS_HSM_INPUT_BYTES);
}

static bool lengths_valid(const struct kms_hsm_job *job, uint8_t fields)
{
    if ((fields & TO) && job->to_aad.len > KMS_HSM_AAD_BYTES) return false;
    if ((fields & AAD) && job->aad.len > KMS_HSM_AAD_BYTES) return false;
    if ((fields & INPUT) && !input_valid(job)) return false;
    if ((fields & PROOF) && job->proof.len > KMS_HSM_PROOF_BYTES) return false;
    return !(fields & COUNT) || (job->count > 0 && job->count <= KMS_HSM_RANDOM_BYTES);
}

bool kms_job_valid(const struct kms_hsm_job *job)
{
    if (!known(job->op)) return false;
    uint8_t fields = fields_of[job->op];
    if ((fields & KEY) && !key_valid(&job->key)) return false;
    if ((fields & TO) && !key_valid(&job->to)) return false;
    if ((fields & KEY) && !suits(job)) return false;
    if ((fields & PAIR) && !pair_valid(job)) return false;
    return lengths_valid(job, fields);
}

static size_t body_bytes(const struct kms_hsm_job *job)
{
    uint8_t fields = fields_of[job->op];
    size_t len = HEAD_BYTES;
    if (fields & KEY) len += KEY_BYTES + job->key.wrapped.len;
    if (fields & AAD) len += 4 + job->aad.len;
    if (fields & INPUT) len += 4 + job->input.len;
    if (fields & TO) len += KEY_BYTES + job->to.wrapped.len + 4 + job->to_aad.len;
    if (fields & COUNT) len += 4;
    if (fields & ALGORITHM) len += 2;
    if (fields & PROOF) len += 4 + job->proof.len;
    if (fields & PAIR) len += 1;
    return len;
}

size_t kms_job_frame_bytes(const struct kms_hsm_job *job)
{
    return 4 + body_bytes(job);
}

static void put_key(struct kms_writer *w, const struct kms_hsm_key *key)
{
    kms_put_raw(w, key->ref.key_id.bytes, KMS_ID_BYTES);
    kms_put_u32(w, key->ref.version);
    kms_put_raw(w, (uint8_t[]){key->ref.spec, key->ref.usage, key->ref.level}, 3);
    kms_put_blob(w, key->wrapped);
}

static void get_key(struct kms_reader *r, struct kms_hsm_key *key)
{
    kms_get_raw(r, key->ref.key_id.bytes, KMS_ID_BYTES);
    key->ref.version = kms_get_u32(r);
    key->ref.spec = kms_get_u8(r);
    key->ref.usage = kms_get_u8(r);
    key->ref.level = kms_get_u8(r);
    key->wrapped = kms_get_blob(r);
}

static void get_algorithm(struct kms_reader *r, struct kms_hsm_job *job)
{
    uint8_t algorithm = kms_get_u8(r), digested = kms_get_u8(r);
    job->algorithm = digested <= 1 ? algorithm : 0; /* there is no 0 */
    job->digested = digested == 1;
}

void kms_job_put(struct kms_writer *w, const struct kms_hsm_job *job, uint64_t id, uint64_t deadline_us)
{
    uint8_t fields = fields_of[job->op];
    kms_put_u32(w, (uint32_t)body_bytes(job));
    kms_put_u64(w, id);
    kms_put_u64(w, deadline_us);
    kms_put_u8(w, (uint8_t)job->op);
    if (fields & KEY) put_key(w, &job->key);
    if (fields & AAD) kms_put_blob(w, job->aad);
    if (fields & INPUT) kms_put_blob(w, job->input);
    if (fields & TO) {
        put_key(w, &job->to);
        kms_put_blob(w, job->to_aad);
    }
    if (fields & COUNT) kms_put_u32(w, job->count);
    if (fields & ALGORITHM) kms_put_raw(w, (uint8_t[]){job->algorithm, job->digested}, 2);
    if (fields & PROOF) kms_put_blob(w, job->proof);
    if (fields & PAIR) kms_put_u8(w, job->pair);
}

kms_err kms_job_get(struct kms_reader *r, struct kms_hsm_job *ret_job)
{
    struct kms_hsm_job job = {0};
    struct kms_reader body = kms_reader_over(kms_get_blob(r));
    job.pool.id = kms_get_u64(&body);
    job.deadline_us = kms_get_u64(&body);
    uint8_t op = kms_get_u8(&body);
    if (r->short_ || body.short_ || !known(op)) return KMS_FAIL(INVALID_ARGUMENT);
    job.op = (enum kms_hsm_op)op;
    uint8_t fields = fields_of[op];
    if (fields & KEY) get_key(&body, &job.key);
    if (fields & AAD) job.aad = kms_get_blob(&body);
    if (fields & INPUT) job.input = kms_get_blob(&body);
    if (fields & TO) {
        get_key(&body, &job.to);
        job.to_aad = kms_get_blob(&body);
    }
    if (fields & COUNT) job.count = kms_get_u32(&body);
    if (fields & ALGORITHM) get_algorithm(&body, &job);
    if (fields & PROOF) job.proof = kms_get_blob(&body);
    if (fields & PAIR) job.pair = kms_get_u8(&body);
    if (!kms_reader_done(&body) || job.pool.id == KMS_HELLO_ID || !kms_job_valid(&job))
        return KMS_FAIL(INVALID_ARGUMENT);
    *ret_job = job;
    return KMS_OK;
}

void kms_result_put(struct kms_writer *w, uint64_t id, kms_err err, size_t output_len)
{
    kms_put_u64(w, id);
    kms_put_u8(w, (uint8_t)err.code);
    kms_put_u32(w, (uint32_t)output_len);
    if (w->overflow || output_len > (size_t)(w->end - w->at))
        w->overflow = true;
    else
        w->at += output_len;
}

kms_err kms_result_get(struct kms_reader *r, struct kms_result *ret_result)
{
    uint64_t id = kms_get_u64(r);
    uint8_t code = kms_get_u8(r);
    struct kms_bytes output = kms_get_blob(r);
    if (r->short_ || code >= KMS_E_COUNT) return KMS_FAIL(INVALID_ARGUMENT);
    *ret_result = (struct kms_result){.id = id, .err = {(enum kms_code)code}, .output = output};
    return KMS_OK;
}

static void put_text(struct kms_writer *w, const char *text, size_t cap)
{
    kms_put_blob(w, kms_bytes_of(text, strnlen(text, cap)));
}

/* Text from a worker ends up in logs: anything but printable ASCII becomes '?'. */
static bool get_text(struct kms_reader *r, char *text, size_t cap)
{
    struct kms_bytes b = kms_get_blob(r);
    if (b.len >= cap) return false;
    kms_printable(b, text, cap);
    return true;
}

static bool get_audit_key(struct kms_reader *r, struct kms_hsm_status *status)
{
    struct kms_bytes key = kms_get_blob(r);
    if (key.len > sizeof status->audit_key) return false;
    kms_copy(status->audit_key, key.ptr, key.len);
    status->audit_key_len = key.len;
    return true;
}

void kms_hello_put(struct kms_writer *w, const struct kms_hello *hello)
{
    const struct kms_hsm_status *s = &hello->status;
    kms_put_u8(w, (uint8_t)hello->err.code);
    put_text(w, hello->why.text, sizeof hello->why.text);
    put_text(w, hello->refused_pin.text, sizeof hello->refused_pin.text);
    kms_put_u32(w, s->root_id);
    kms_put_u8(w, (uint8_t)s->root_count);
    for (unsigned i = 0; i < s->root_count; i++) kms_put_u32(w, s->roots[i]);
    put_text(w, s->token_label, sizeof s->token_label);
    put_text(w, s->token_serial, sizeof s->token_serial);
    kms_put_u8(w, (uint8_t)s->capability_count);
    for (unsigned i = 0; i < s->capability_count; i++) {
        put_text(w, s->capabilities[i].name, sizeof s->capabilities[i].name);
        put_text(w, s->capabilities[i].reason, sizeof s->capabilities[i].reason);
        kms_put_u8(w, s->capabilities[i].available);
    }
    kms_put_blob(w, kms_bytes_of(s->audit_key, s->audit_key_len));
}

kms_err kms_hello_get(struct kms_bytes output, struct kms_hello *ret_hello)
{
    struct kms_reader r = kms_reader_over(output);
    struct kms_hello hello = {0};
    struct kms_hsm_status *s = &hello.status;
    uint8_t code = kms_get_u8(&r);
    bool ok = code < KMS_E_COUNT;
    ok &= get_text(&r, hello.why.text, sizeof hello.why.text);
    ok &= get_text(&r, hello.refused_pin.text, sizeof hello.refused_pin.text);
    s->root_id = kms_get_u32(&r);
    s->root_count = kms_get_u8(&r);
    ok &= s->root_count <= KMS_HSM_ROOTS;
    for (unsigned i = 0; ok && i < s->root_count; i++) s->roots[i] = kms_get_u32(&r);
    ok &= get_text(&r, s->token_label, sizeof s->token_label);
    ok &= get_text(&r, s->token_serial, sizeof s->token_serial);
    s->capability_count = kms_get_u8(&r);
    ok &= s->capability_count <= KMS_HSM_CAPABILITIES;
    for (unsigned i = 0; ok && i < s->capability_count; i++) {
        ok &= get_text(&r, s->capabilities[i].name, sizeof s->capabilities[i].name);
        ok &= get_text(&r, s->capabilities[i].reason, sizeof s->capabilities[i].reason);
        s->capabilities[i].available = kms_get_u8(&r) != 0;
    }
    ok &= get_audit_key(&r, s);
    if (!ok || !kms_reader_done(&r)) return KMS_FAIL(INVALID_ARGUMENT);
    hello.err.code = (enum kms_code)code;
    *ret_hello = hello;
    return KMS_OK;
}
