/*
 * kms-hsm inside: one thread, one token, the roots, the opened keys, and the table of operations.
 * Nothing here is thread-safe.
 */
#ifndef KMS_HSM_WORKER_WORKER_H
#define KMS_HSM_WORKER_WORKER_H

#include "base/digest.h"
#include "hsm/job.h"
#include "hsm/worker/roots.h"

/* seal.c: root-seal. The first byte of the AAD says what the sealed data is, so that nothing opens as
 * something else. */
enum kms_seal_purpose { KMS_SEAL_BACKING_KEY = 1, KMS_SEAL_STORE_KEY = 2 };
enum { KMS_SEALED_KEY_BYTES = KMS_GCM_IV_BYTES + 32 + KMS_GCM_TAG_BYTES };
KMS_MUST_USE kms_err kms_seal_key(kms_token *token, kms_object seal, enum kms_seal_purpose purpose,
                                  struct kms_bytes aad, const uint8_t key[32],
                                  uint8_t ret_sealed[KMS_SEALED_KEY_BYTES]);
/* key is locked memory of 64 bytes, of which 32 are used. CORRUPT: was not sealed so. */
KMS_MUST_USE kms_err kms_unseal_key(kms_token *token, kms_object seal, enum kms_seal_purpose purpose,
                                    struct kms_bytes aad, struct kms_bytes sealed, uint8_t key[64]);

/* nonces.c: random bytes fetched many at a time. They become public with the message that uses them; the
 * worker never forks, so none is used twice. */
struct kms_nonces {
    kms_err (*fill)(void *source, uint8_t *to, size_t len);
    size_t left; /* bytes at the end of the store that are not used yet */
    uint8_t bytes[1024];
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

/* keyring.c: keys that were verified and opened, least recently used ones closed first. */
typedef struct kms_keyring kms_keyring;
struct kms_open_key {
    uint8_t level;       /* enum kms_level */
    kms_object object;   /* HSM level */
    kms_digest *backing; /* SOFTWARE level: HMAC-SHA-256 keyed with the backing key */
};
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

/* probe.c: capabilities, found by trying. wrapping is root-wrap, or 0 to make one for the occasion. */
void kms_probe(kms_token *token, kms_object wrapping, struct kms_hsm_status *status);
bool kms_probe_has(const struct kms_hsm_status *status, const char *name);

struct kms_worker {
    kms_token *token;
    struct kms_roots roots;
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
