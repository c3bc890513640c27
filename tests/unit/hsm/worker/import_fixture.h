/*
 * A worker on a token of its own that imports, and what the owner of material does: makes a key, writes it
 * down, wraps it. For test_import.c and test_import_refused.c; ends the program's test when anything but the
 * import itself fails.
 */
#ifndef KMS_TESTS_UNIT_HSM_WORKER_IMPORT_FIXTURE_H
#define KMS_TESTS_UNIT_HSM_WORKER_IMPORT_FIXTURE_H

#include "hsm/worker/worker.h"

enum {
    IMPORT_MODULUS = 512, /* of the wrapping key, in bytes */
    IMPORT_AES_BYTES = 32,
    IMPORT_INPUT_BYTES = IMPORT_MODULUS + KMS_HSM_PRIVATE_BYTES + 64
};

extern struct kms_worker import_worker;
void import_opens(void);
void import_closes(void);

/* RSA-AES-KWP of the material, or direct: bare OAEP. */
struct kms_bytes import_wrap(struct kms_bytes material, bool direct, uint8_t out[IMPORT_INPUT_BYTES]);
/* The caller frees what is generated; pair_of gives the one of that spec, the fixture's. */
EVP_PKEY *import_generate_ec(const char *curve);
EVP_PKEY *import_generate_rsa(const char *type, unsigned bits, unsigned exponent, unsigned primes);
EVP_PKEY *import_pair_of(unsigned spec);
/* PKCS#8 in DER. */
struct kms_bytes import_written(EVP_PKEY *pair, uint8_t der[KMS_HSM_PRIVATE_BYTES]);

/* Version 1 of a key of that spec; an RSA key signs. */
struct kms_key_ref import_ref_of(unsigned spec, uint8_t level);
struct imported {
    struct kms_hsm_key key;                                     /* its wrapped key is in output */
    uint8_t output[KMS_HSM_MARK_BYTES + KMS_HSM_WRAPPED_BYTES]; /* the mark is first */
};
/* Whatever comes of it, nothing of it stays behind: neither in the memory of the worker nor on the token. */
kms_err import_input(struct kms_key_ref ref, struct kms_bytes input, struct imported *imported);
kms_err import_material(struct kms_key_ref ref, struct kms_bytes material, bool direct,
                        struct imported *imported);
/* In memory that the next one uses again. */
struct kms_bytes import_operate(enum kms_hsm_op op, const struct imported *imported, unsigned algorithm,
                                struct kms_bytes input);
/* An object of the token is as closed as that of a key that was made there. */
void import_is_closed(const struct imported *imported);

#endif
