/* What the methods of keys that sign, verify, make MACs or are RSA keys share (hsm/spec.def). */
#ifndef KMS_SERVICE_ASYMMETRIC_H
#define KMS_SERVICE_ASYMMETRIC_H

#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/core.h"

enum {
    KMS_MESSAGE_BYTES = 4096,  /* longest message to sign (AWS's limit) */
    KMS_OAEP_LABEL_BYTES = 512 /* longest label of RSAES-OAEP: two names of Kubernetes have 317 */
};

/* Enum values of the protocol as enum kms_algorithm; 0: no such algorithm. */
unsigned kms_algorithm_of_signing(Kms__V1__SigningAlgorithm algorithm);
unsigned kms_algorithm_of_mac(Kms__V1__MacAlgorithm algorithm);
/* UNSPECIFIED is SYMMETRIC_DEFAULT. UNSUPPORTED: RSAES_OAEP_SHA_1; INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_encryption_algorithm(struct kms_call *call, Kms__V1__EncryptionAlgorithm given,
                                              unsigned *ret_algorithm);
/* Of an access, for kms:EncryptionAlgorithm, kms:SigningAlgorithm, kms:MacAlgorithm and kms:MessageType.
 * NO_MEMORY. */
KMS_MUST_USE kms_err kms_access_algorithm(struct kms_call *call, struct kms_access *access,
                                          unsigned algorithm, bool digested);

/* An access to a key with what every such method is given: the key's name, a message within its limits, an
 * algorithm of the right kind. */
struct kms_use {
    const char *key_id;
    ProtobufCBinaryData message;
    unsigned algorithm; /* 0: none was given, or no such one */
    bool digested;
};
KMS_MUST_USE kms_err kms_use_gather(struct kms_call *call, enum kms_action action, const struct kms_use *use);
/* After the decision: the job of access 0 under its current version. INVALID_KEY_USAGE: the key is not for
 * this, or not with this algorithm. */
KMS_MUST_USE kms_err kms_use_plan(struct kms_call *call, enum kms_hsm_op op, const struct kms_use *use);
/* The key of access 0 must be usable so: INVALID_KEY_USAGE. */
KMS_MUST_USE kms_err kms_use_check(struct kms_call *call, unsigned algorithm);

/* The label of an access, for kms:OaepLabel and the record: as it is, or "base64:..." when it is not UTF-8
 * or begins so itself. INVALID_ARGUMENT: too long, or not of this algorithm. NO_MEMORY. */
KMS_MUST_USE kms_err kms_access_label(struct kms_call *call, struct kms_access *access, unsigned algorithm,
                                      ProtobufCBinaryData label);
/* Encrypt and Decrypt with an RSA key, which takes no encryption context. INVALID_ARGUMENT: it has one, or
 * the plaintext is longer than the key takes. */
KMS_MUST_USE kms_err kms_rsa_plan(struct kms_call *call, enum kms_hsm_op op, ProtobufCBinaryData message,
                                  ProtobufCBinaryData label);

/* What a key works with, as the repeated fields of the protocol want it; in the arena. False: NO_MEMORY. */
struct kms_algorithms {
    size_t encryption_count, signing_count, mac_count;
    Kms__V1__EncryptionAlgorithm *encryption;
    Kms__V1__SigningAlgorithm *signing;
    Kms__V1__MacAlgorithm *mac;
};
bool kms_algorithms_of_key(struct kms_call *call, const struct kms_key *key,
                           struct kms_algorithms *ret_algorithms);

/* PEM (RFC 7468) of what the label says, such as "PUBLIC KEY"; in the arena. NULL: NO_MEMORY. */
char *kms_pem_of(struct kms_call *call, const char *label, struct kms_bytes der);

/* For a call that makes an RSA key, which takes seconds: counts it against limits.rsa_keys_per_principal
 * until the call ends. LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_begin_rsa(struct kms_call *call, unsigned spec);

#endif
