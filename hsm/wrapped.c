/* The wrapped key's bytes and the message its binding covers. */
#include "hsm/wrapped.h"

static const char label_single[] = "kmsd.binding.v1", label_pair[] = "kmsd.binding.v2"; /* the NUL ends it */

void kms_wrapped_put(struct kms_writer *w, const struct kms_wrapped *wrapped)
{
    bool pair = wrapped->public_key.len > 0;
    kms_put_u8(w, pair ? KMS_WRAPPED_PAIR_VERSION : KMS_WRAPPED_VERSION);
    kms_put_u32(w, wrapped->root_id);
    kms_put_raw(w, wrapped->binding, KMS_BINDING_BYTES);
    kms_put_blob(w, wrapped->blob);
    if (pair) kms_put_blob(w, wrapped->public_key);
}

kms_err kms_wrapped_get(struct kms_bytes stored, struct kms_wrapped *ret_wrapped)
{
    struct kms_reader r = kms_reader_over(stored);
    struct kms_wrapped wrapped = {0};
    uint8_t version = kms_get_u8(&r);
    if (version != KMS_WRAPPED_VERSION && version != KMS_WRAPPED_PAIR_VERSION) return KMS_FAIL(CORRUPT);
    wrapped.root_id = kms_get_u32(&r);
    kms_get_raw(&r, wrapped.binding, sizeof wrapped.binding);
    wrapped.blob = kms_get_blob(&r);
    if (version == KMS_WRAPPED_PAIR_VERSION) {
        wrapped.public_key = kms_get_blob(&r);
        if (wrapped.public_key.len == 0 || wrapped.public_key.len > KMS_HSM_PUBLIC_BYTES)
            return KMS_FAIL(CORRUPT);
    }
    if (!kms_reader_done(&r) || stored.len > KMS_HSM_WRAPPED_BYTES) return KMS_FAIL(CORRUPT);
    *ret_wrapped = wrapped;
    return KMS_OK;
}

void kms_ref_put(struct kms_writer *w, const struct kms_key_ref *ref, uint32_t root_id)
{
    kms_put_raw(w, ref->key_id.bytes, KMS_ID_BYTES);
    kms_put_u32(w, ref->version);
    kms_put_raw(w, (uint8_t[]){ref->spec, ref->usage, ref->level}, 3);
    kms_put_u32(w, root_id);
}

void kms_binding_message(struct kms_writer *w, const struct kms_key_ref *ref,
                         const struct kms_wrapped *wrapped)
{
    bool pair = wrapped->public_key.len > 0;
    kms_put_raw(w, pair ? label_pair : label_single, sizeof label_pair);
    kms_ref_put(w, ref, wrapped->root_id);
    kms_put_blob(w, wrapped->blob);
    if (pair) kms_put_blob(w, wrapped->public_key);
}

bool kms_ref_equal(const struct kms_key_ref *a, const struct kms_key_ref *b)
{
    return kms_id_equal(&a->key_id, &b->key_id) && a->version == b->version && a->spec == b->spec &&
           a->usage == b->usage && a->level == b->level;
}
