/*
 * Signed heads: what is signed, how it is written (chain.h says it for everybody), and the check with a
 * public key. Needs no daemon. Thread-safe: values only.
 */
#ifndef KMS_AUDIT_HEAD_H
#define KMS_AUDIT_HEAD_H

#include "base/bytes.h"
#include "base/digest.h"

#define KMS_AUDIT_HEAD_DOMAIN "kms-audit-head-v1\n"

enum {
    /* A head record stands at most so many records behind the one whose hash it signs. */
    KMS_AUDIT_HEAD_BEHIND = 65536,
    KMS_AUDIT_SIGNATURE_BYTES = 72,            /* ECDSA P-256 in DER */
    KMS_AUDIT_SIGNATURE_TEXT = 4 * 72 / 3 + 1, /* in base64, and NUL */
    KMS_AUDIT_HEAD_TEXT = 256,                 /* longest text that is signed */
    KMS_AUDIT_HEAD_INSTANCE = 33,              /* name of an instance and NUL */
    KMS_AUDIT_ANCHOR_BYTES = 640,              /* longest line of an anchor file, with LF and NUL */
};

struct kms_audit_signed_head {
    uint64_t sequence;                     /* of the record whose hash was signed */
    char hash[2 * KMS_DIGEST_BYTES + 1];   /* its hash, lower-case hex */
    char key_id[2 * KMS_DIGEST_BYTES + 1]; /* SHA-256 of the SubjectPublicKeyInfo of the signing key */
    char signature[KMS_AUDIT_SIGNATURE_TEXT];
    uint64_t time_us; /* when it was signed; not covered by the signature, nor read back */
};

/* "INSTANCE\nSEQUENCE\nHASH\n": with KMS_AUDIT_HEAD_DOMAIN before it, what is signed. */
struct kms_bytes kms_audit_head_text(const char *instance, const struct kms_audit_signed_head *head,
                                     char text[KMS_AUDIT_HEAD_TEXT]);

/* One line of an anchor file, with its LF and NUL; returns its length without NUL. */
size_t kms_audit_anchor_line(const char *instance, const struct kms_audit_signed_head *head,
                             char line[KMS_AUDIT_ANCHOR_BYTES]);
/* The same from such a line, or from a record of kind head, both without LF. False: neither. */
bool kms_audit_head_read(struct kms_bytes line, char instance[KMS_AUDIT_HEAD_INSTANCE],
                         struct kms_audit_signed_head *ret_head);

/* SHA-256 of a SubjectPublicKeyInfo, in hex. INTERNAL. */
KMS_MUST_USE kms_err kms_audit_key_id(struct kms_bytes spki, char ret_key_id[2 * KMS_DIGEST_BYTES + 1]);

/* The public keys that heads may be signed with. */
typedef struct kms_audit_keys kms_audit_keys;
/* One or several of PEM ("BEGIN PUBLIC KEY"), one after the other. INVALID_ARGUMENT: none, too many (16), or
 * another kind of key than P-256. */
KMS_MUST_USE kms_err kms_audit_keys_from_pem(struct kms_bytes pem, kms_audit_keys **ret_keys);
KMS_MUST_USE kms_err kms_audit_keys_from_der(struct kms_bytes spki, kms_audit_keys **ret_keys);
void kms_audit_keys_free(kms_audit_keys *keys);
void kms_audit_keys_drop(kms_audit_keys **keys);

enum kms_audit_signature { KMS_AUDIT_SIGNATURE_GOOD, KMS_AUDIT_SIGNATURE_BAD, KMS_AUDIT_SIGNATURE_OTHER_KEY };
enum kms_audit_signature kms_audit_keys_check(const kms_audit_keys *keys, const char *instance,
                                              const struct kms_audit_signed_head *head);

#endif
