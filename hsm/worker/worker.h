/*
 * kms-hsm inside: one thread, one token, the roots, the opened keys, and the table of operations.
 * Nothing here is thread-safe.
 */
#ifndef KMS_HSM_WORKER_WORKER_H
#define KMS_HSM_WORKER_WORKER_H

#include <openssl/evp.h>

#include "base/digest.h"
#include "hsm/job.h"
#include "hsm/pkcs11/token.h"
#include "hsm/spec.h"
#include "hsm/worker/roots.h"
#include "hsm/wrapped.h"

/* seal.c: root-seal. The first byte of the AAD says what the sealed data is, so that nothing opens as
 * something else. */
enum kms_seal_purpose { KMS_SEAL_BACKING_KEY = 1, KMS_SEAL_STORE_KEY = 2 };
enum { KMS_SEALED_OVERHEAD = KMS_GCM_IV_BYTES + KMS_GCM_TAG_BYTES };
struct kms_sealing {
    kms_object root; /* root-seal */
    enum kms_seal_purpose purpose;
    struct kms_bytes aad;
};
/* key.len + KMS_SEALED_OVERHEAD bytes into ret_sealed: IV, ciphertext, tag. */
KMS_MUST_USE kms_err kms_seal_key(kms_token *token, const struct kms_sealing *sealing, struct kms_bytes key,
                                  uint8_t *ret_sealed);
/* key is locked memory of at least sealed.len bytes, of which *ret_len are filled. CORRUPT: was not sealed
 * so. */
KMS_MUST_USE kms_err kms_unseal_key(kms_token *token, const struct kms_sealing *sealing,
                                    struct kms_bytes sealed, uint8_t *key, size_t *ret_len);

/* nonces.c: random bytes fetched many at a time. They become public with the message that uses them; the
 * worker never forks, so none is used twice. */
/* 168 IVs: with a token that is slow, fewer than 1 of 100 calls wait for them. Some tokens give no 2 KiB at
 * once. */
enum { KMS_NONCE_STORE_BYTES = 168 * KMS_GCM_IV_BYTES };
struct kms_nonces {
    kms_err (*fill)(void *source, uint8_t *to, size_t len);
    size_t left; /* bytes at the end of the store that are not used yet */
    uint8_t bytes[KMS_NONCE_STORE_BYTES];
};
KMS_MUST_USE kms_err kms_nonces_take(struct kms_nonces *nonces, void *source, uint8_t *out, size_t len);

/* software.c: AES-256-GCM by OpenSSL under a key derived for each message (SP 800-108r1). */
typedef struct kms_software kms_software;
KMS_MUST_USE kms_err kms_software_new(kms_software **ret_software);
void kms_software_free(kms_software *software);
/* N, IV, ciphertext, tag into out, which has input.len + KMS_SEAL_OVERHEAD_SOFTWARE bytes. */
KMS_MUST_USE kms_err kms_software_seal(kms_software *software, kms_digest *backing, struct kms_bytes aad,
                                       struct kms_bytes input, uint8_t *out);
/* out has input.len - KMS_SEAL_OVERHEAD_SOFTWARE bytes, wiped when INVALID_CIPHERTEXT. */
KMS_MUST_USE kms_err kms_software_open(kms_software *software, kms_digest *backing, struct kms_bytes aad,
                                       struct kms_bytes input, uint8_t *out);

/* pair.c: key pairs with OpenSSL. */
void kms_pair_drop(EVP_PKEY **pair); /* for KMS_OWN_PAIR */
#define KMS_OWN_PAIR __attribute__((cleanup(kms_pair_drop))) EVP_PKEY *
KMS_MUST_USE kms_err kms_pair_generate(unsigned spec, EVP_PKEY **ret_pair);
/* PKCS#8 in DER, without encryption. der has cap bytes of locked memory. */
KMS_MUST_USE kms_err kms_pair_private_der(const EVP_PKEY *pair, uint8_t *der, size_t cap, size_t *ret_len);
/* SubjectPublicKeyInfo in DER; der has KMS_HSM_PUBLIC_BYTES. */
KMS_MUST_USE kms_err kms_pair_public_der(const EVP_PKEY *pair, uint8_t *der, size_t *ret_len);
/* CORRUPT: no such key, or of another spec. */
KMS_MUST_USE kms_err kms_pair_from_private(unsigned spec, struct kms_bytes der, EVP_PKEY **ret_pair);
KMS_MUST_USE kms_err kms_pair_from_public(unsigned spec, struct kms_bytes der, EVP_PKEY **ret_pair);
/* The canonical SubjectPublicKeyInfo of a private key that was made elsewhere, after a close look at its
 * numbers (seconds for a long RSA key); der has KMS_HSM_PUBLIC_BYTES. INCORRECT_KEY_MATERIAL: they do not
 * belong together, are too weak, or are spelled out where a curve has a name. */
KMS_MUST_USE kms_err kms_pair_vet(EVP_PKEY *pair, unsigned spec, uint8_t *der, size_t *ret_len);
/* HSM_UNAVAILABLE: the token gave what is no public key of that spec. */
KMS_MUST_USE kms_err kms_pair_from_parts(unsigned spec, const struct kms_public_parts *parts,
                                         EVP_PKEY **ret_pair);

/* material.c: the key material of one version, by family and level. */
struct kms_open_key {
    uint8_t spec, usage, level;
    kms_object object;     /* HSM level */
    kms_digest *backing;   /* SOFTWARE level, AES: HMAC-SHA-256 keyed with the backing key */
    EVP_MAC_CTX *mac;      /* SOFTWARE level, HMAC */
    EVP_PKEY *private_key; /* SOFTWARE level, key pairs */
    EVP_PKEY *public_key;  /* key pairs */
};
enum { KMS_MATERIAL_BYTES = KMS_HSM_PRIVATE_BYTES + KMS_SEALED_OVERHEAD }; /* locked memory to work in */
/* The binding was verified. secret has KMS_MATERIAL_BYTES of locked memory, wiped afterwards. CORRUPT. */
KMS_MUST_USE kms_err kms_material_open(kms_token *token, const struct kms_root *root,
                                       const struct kms_key_ref *ref, const struct kms_wrapped *wrapped,
                                       uint8_t *secret, struct kms_open_key *ret_key);
/* Fresh material under this root. made->root_id is set; blob and public_key are filled and point into room,
 * which has KMS_HSM_WRAPPED_BYTES. UNSUPPORTED: the token refused. */
KMS_MUST_USE kms_err kms_material_make(kms_token *token, const struct kms_root *root,
                                       const struct kms_key_ref *ref, uint8_t *secret, uint8_t *room,
                                       struct kms_wrapped *made);
/* Session objects that making such a key leaves closed: each costs a token a little memory for ever. */
unsigned kms_material_objects(const struct kms_key_ref *ref);
/* Material that came from outside; it is still the caller's to wipe. At HSM level it enters the token under a
 * key that is used this once. As kms_material_make. */
struct kms_material {
    struct kms_bytes secret;     /* the bytes of a symmetric key, or the private key (PKCS#8) */
    struct kms_bytes public_key; /* SubjectPublicKeyInfo of a key pair */
};
KMS_MUST_USE kms_err kms_material_take(kms_token *token, const struct kms_root *root,
                                       const struct kms_key_ref *ref, const struct kms_material *material,
                                       uint8_t *room, struct kms_wrapped *made);
/* The same material under another root. As kms_material_make; made->public_key is the old one. */
struct kms_material_move {
    const struct kms_key_ref *ref;
    const struct kms_root *from, *to;
    const struct kms_wrapped *old; /* its binding was verified */
};
KMS_MUST_USE kms_err kms_material_move(kms_token *token, const struct kms_material_move *move,
                                       uint8_t *secret, uint8_t *room, struct kms_wrapped *made);
/* All but the object, which its owner destroys. */
void kms_material_close(struct kms_open_key *key);

/* keyring.c: keys that were verified and opened, least recently used ones closed first. */
typedef struct kms_keyring kms_keyring;
struct kms_key_budget;
KMS_MUST_USE kms_err kms_keyring_new(kms_token *token, struct kms_roots *roots,
                                     const struct kms_key_budget *budget, kms_keyring **ret_keyring);
/* So many keys were closed that the process should end and be replaced. */
bool kms_keyring_worn(const kms_keyring *keyring);
void kms_keyring_free(kms_keyring *keyring);
/* Verifies the binding against every field of the ref, then opens. Borrowed until the next call. CORRUPT:
 * the wrapped key is not the one of this ref, or damaged. ROOT_KEYS_MISSING: its root is not on the
 * token. */
KMS_MUST_USE kms_err kms_keyring_open(kms_keyring *keyring, const struct kms_hsm_key *key,
                                      const struct kms_open_key **ret_key);
/* Closes every version of the key. */
void kms_keyring_forget(kms_keyring *keyring, const struct kms_id *key_id);
/* Closes what was opened under a root that is not on the token any more. */
void kms_keyring_keep_to_roots(kms_keyring *keyring);
/* The same key under the newest root, verified as kms_keyring_open does, with a binding of its own; wrapped
 * has KMS_HSM_WRAPPED_BYTES. */
KMS_MUST_USE kms_err kms_keyring_rewrap(kms_keyring *keyring, const struct kms_hsm_key *key, uint8_t *wrapped,
                                        size_t *ret_len);
/* A fresh key for the ref, under the newest root; wrapped has KMS_HSM_WRAPPED_BYTES. */
KMS_MUST_USE kms_err kms_keyring_make(kms_keyring *keyring, const struct kms_key_ref *ref, uint8_t *wrapped,
                                      size_t *ret_len);
/* Material that came from outside, likewise. */
KMS_MUST_USE kms_err kms_keyring_take(kms_keyring *keyring, const struct kms_key_ref *ref,
                                      const struct kms_material *material, uint8_t *wrapped, size_t *ret_len);

/* probe.c: capabilities, found by trying. wrapping is root-wrap, or 0 to make one for the occasion. */
void kms_probe(kms_token *token, kms_object wrapping, struct kms_hsm_status *status);
bool kms_probe_has(const struct kms_hsm_status *status, const char *name);

struct kms_worker {
    kms_token *token;
    struct kms_roots roots;
    kms_object audit_key; /* audit-sign-1, private half; 0: not on the token */
    kms_keyring *keyring;
    kms_software *software;
    struct kms_nonces ivs; /* of the token, for HSM level */
    uint8_t *scratch;      /* KMS_SCRATCH_BYTES of locked memory: plaintext between two keys, key material */
    struct kms_hello hello;
    struct kms_worker_page *page;
    int socket;
};
enum { KMS_SCRATCH_BYTES = KMS_HSM_INPUT_BYTES + 64 };

/* ops.c: what the hello says of the roots. */
void kms_worker_note_roots(struct kms_worker *worker);
/* sign.c, mac.c, rsa.c, import.c, audit.c: the operations of keys that do not seal, as rows of ops.c. */
typedef kms_err kms_operation(struct kms_worker *worker, struct kms_hsm_job *job);
kms_operation kms_op_sign, kms_op_verify, kms_op_mac, kms_op_verify_mac, kms_op_rsa_encrypt,
    kms_op_rsa_decrypt, kms_op_import, kms_op_audit_sign, kms_op_certify;
/* DigestInfo (RFC 8017, 9.2, note 1) of a digest with SHA-256, SHA-384 or SHA-512; borrows memory. */
enum { KMS_DIGEST_INFO_BYTES = 19 + 64 };
struct kms_bytes kms_digest_info(struct kms_bytes digest, uint8_t memory[KMS_DIGEST_INFO_BYTES]);
/* r and s, each half of raw, into the job's output as Ecdsa-Sig-Value (RFC 3279, 2.2.3). */
KMS_MUST_USE kms_err kms_ecdsa_der(struct kms_bytes raw, struct kms_hsm_job *job);
/* audit.c: finds audit-sign-1; its public half goes into the hello. No error when it is not there. CORRUPT:
 * there are several; UNSUPPORTED: it can be read, or is of another kind. */
KMS_MUST_USE kms_err kms_audit_key_load(struct kms_worker *worker, struct kms_why *why);
/* Opens RSAES-OAEP with a private key that is here. out has room for a modulus. INVALID_CIPHERTEXT, in the
 * same time whatever is wrong. */
KMS_MUST_USE kms_err kms_rsa_open(EVP_PKEY *key, struct kms_bytes label, struct kms_bytes input, uint8_t *out,
                                  size_t cap, size_t *ret_len);
/* SHA-256, SHA-384 or SHA-512 of OpenSSL; NULL: bits of no hash. */
const EVP_MD *kms_hash_of(unsigned bits);

/* ops.c: does the job; output into job->output (at least kms_hsm_output_bound), length into
 * job->output_len. */
KMS_MUST_USE kms_err kms_ops_run(struct kms_worker *worker, struct kms_hsm_job *job);

/* loop.c: until the socket ends or the token is lost. Returns the exit status of the process. */
enum { KMS_EXIT_OK = 0, KMS_EXIT_START = 1, KMS_EXIT_TOKEN_LOST = 2, KMS_EXIT_PEER = 3, KMS_EXIT_WORN = 4 };
int kms_loop_run(struct kms_worker *worker);
bool kms_loop_hello(int fd, const struct kms_hello *hello);

/* sandbox.c: INTERNAL or NO_MEMORY; why says what to allow. Before the module is loaded. */
KMS_MUST_USE kms_err kms_sandbox_enter(struct kms_why *why);

/* headroom.c: how many keys may be open, of those wanted, and how many may be closed again, before
 * lockable memory ends: SoftHSM keeps a little of each session object for ever. */
struct kms_key_budget {
    uint32_t keys, closings;
};
struct kms_key_budget kms_headroom_keys(uint32_t wanted);

#endif
