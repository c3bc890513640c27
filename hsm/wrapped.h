/*
 * The wrapped key as the keystore keeps it, opaque to everyone but kms-hsm:
 *
 *   u8 format version | u32 root id | 32 binding | blob (u32 length, bytes) | public key (the same)
 *
 * Version 1 is of keys without a public half and ends after the blob; version 2 is of key pairs, whose
 * public key (SubjectPublicKeyInfo, DER) stands under the binding too, so that nobody can exchange it in
 * the keystore. The worker takes it from the pair that it makes.
 *
 * The binding is HMAC-SHA-256 under root-bind of that generation over kms_binding_message. The blob is,
 * at HSM level, the key under root-wrap (CKM_AES_KEY_WRAP_PAD, RFC 5649), which authenticates nothing but
 * itself; at SOFTWARE level 12 IV, ciphertext, 16 tag under root-seal (AES-256-GCM) with kms_ref_put as AAD.
 * What is wrapped or sealed: the bytes of a symmetric key, or the private key as PKCS#8 in DER. Thread-safe:
 * values only.
 */
#ifndef KMS_HSM_WRAPPED_H
#define KMS_HSM_WRAPPED_H

#include "base/wire.h"
#include "hsm/hsm.h"

enum {
    KMS_WRAPPED_VERSION = 1,
    KMS_WRAPPED_PAIR_VERSION = 2,
    KMS_BINDING_BYTES = 32,
    KMS_WRAPPED_OVERHEAD = 1 + 4 + KMS_BINDING_BYTES + 4,
    KMS_BINDING_MESSAGE_BYTES = 64 + KMS_HSM_WRAPPED_BYTES, /* longest message under the binding */
    KMS_REF_BYTES = KMS_ID_BYTES + 4 + 3 + 4,
};

struct kms_wrapped {
    uint32_t root_id;
    uint8_t binding[KMS_BINDING_BYTES];
    struct kms_bytes blob;       /* borrowed */
    struct kms_bytes public_key; /* borrowed; empty: no key pair, version 1 */
};

void kms_wrapped_put(struct kms_writer *w, const struct kms_wrapped *wrapped);
/* CORRUPT: another format version, short, or bytes left over. */
KMS_MUST_USE kms_err kms_wrapped_get(struct kms_bytes stored, struct kms_wrapped *ret_wrapped);

/* id, version, spec, usage, level, root id: KMS_REF_BYTES. Part of the binding and the AAD of a SOFTWARE
 * level blob. */
void kms_ref_put(struct kms_writer *w, const struct kms_key_ref *ref, uint32_t root_id);
/* What the binding is computed over: "kmsd.binding.v1", the ref, the blob with its length; for a key pair
 * "kmsd.binding.v2", the same, the public key with its length. */
void kms_binding_message(struct kms_writer *w, const struct kms_key_ref *ref,
                         const struct kms_wrapped *wrapped);
bool kms_ref_equal(const struct kms_key_ref *a, const struct kms_key_ref *b);

#endif
