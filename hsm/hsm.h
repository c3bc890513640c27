/*
 * kms_hsm: the daemon's side of the security module. kmsd never loads PKCS#11: this room starts kms-hsm
 * worker processes, hands them jobs, watches deadlines, replaces what dies, and gives results back.
 *
 * Threads: any number of threads submit, each on a lane of its own (0 .. lanes-1) that packs jobs into
 * datagrams; exactly one thread polls, and every `done` runs on it. kms_hsm_call blocks and may be used
 * by any thread but the polling one.
 *
 * A worker that dies, or gives no result for deadline_ms while it has jobs, is replaced. Workers publish
 * which job they are working on (hsm/job.h, kms_worker_page): that one is to blame, gets one more try,
 * and after a second death fails with HSM_UNAVAILABLE while its operation on its key is quarantined. The
 * others in the queue only move on. While a replacement starts, jobs wait; once a start has failed and no
 * worker is healthy they fail at once, until one is healthy again.
 *
 * Two kinds of jobs have one more worker each, which does nothing else and is started when the first such job
 * comes, so that the quick do not wait behind the slow:
 *   making RSA keys, which takes seconds;
 *   SOFTWARE level while the token is slow, that is, the quickest of eight jobs in the token took 300 us. It
 *     is all that needs the token to open a key at most; data keys, whose bytes are the token's, are not of
 *     these. Until that worker is there, and when it has died, the others do its jobs.
 */
#ifndef KMS_HSM_HSM_H
#define KMS_HSM_HSM_H

#include "base/bytes.h"
#include "base/id.h"

/* Values are stored and travel in frames: append only. */
enum kms_key_spec {
#define KMS_SPEC(symbol, number, ...) KMS_SPEC_##symbol = (number),
#include "hsm/spec.def"
#undef KMS_SPEC
};
enum kms_algorithm {
#define KMS_ALGORITHM(symbol, number, ...) KMS_ALGORITHM_##symbol = (number),
#include "hsm/spec.def"
#undef KMS_ALGORITHM
};
enum kms_key_usage {
    KMS_USAGE_ENCRYPT_DECRYPT = 1,
    KMS_USAGE_SIGN_VERIFY = 2,
    KMS_USAGE_GENERATE_VERIFY_MAC = 3
};
enum kms_level { KMS_LEVEL_HSM = 1, KMS_LEVEL_SOFTWARE = 2 };

enum {
    KMS_HSM_FRAME_BYTES = 128 * 1024, /* longest frame: SEQPACKET sockets hold about 208 KiB by default */
    KMS_HSM_INPUT_BYTES = 66 * 1024,  /* longest plaintext or ciphertext in a job */
    KMS_HSM_AAD_BYTES = 10 * 1024,    /* longest additional authenticated data */
    KMS_HSM_WRAPPED_BYTES = 4096,     /* longest wrapped key, its public key included */
    KMS_HSM_PUBLIC_BYTES = 800,       /* longest SubjectPublicKeyInfo: RSA-4096 has 550 */
    KMS_HSM_PRIVATE_BYTES = 2560,     /* longest PKCS#8 private key: RSA-4096 has about 2,375 */
    KMS_HSM_PROOF_BYTES = 6144,       /* longest signature or MAC that is compared (AWS's limit) */
    KMS_HSM_SIGNATURE_BYTES = 512,    /* longest signature that is made: RSA-4096 */
    KMS_HSM_MARK_BYTES = 32,          /* mark of imported material */
    KMS_HSM_AUDIT_HEAD_BYTES = 256,   /* longest text about a head of the audit log */
    KMS_HSM_AUDIT_KEY_BYTES = 128,    /* longest SubjectPublicKeyInfo of a P-256 key: 91 */
    KMS_HSM_NAME_BYTES = 64,          /* longest common name (RFC 5280, ub-common-name) */
    KMS_HSM_CERTIFICATE_BYTES = 2048, /* longest certificate that is made: RSA-4096 has about 1,350 */
    KMS_HSM_MAC_BYTES = 64,           /* HMAC-SHA-512 */
    KMS_HSM_RANDOM_BYTES = 1024,
};

/* What a key version is believed to be. The worker checks it against the binding of the wrapped key. */
struct kms_key_ref {
    struct kms_id key_id;
    uint32_t version; /* from 1 */
    uint8_t spec, usage, level;
};

/*
 * Sealed data as it leaves and enters a worker, the same layout in both directions:
 *   HSM level:       12-byte IV, ciphertext, 16-byte tag (AES-256-GCM, NIST SP 800-38D, random IV)
 *   SOFTWARE level:  16-byte N, 12-byte IV, ciphertext, 16-byte tag (key per message, SP 800-108r1)
 */
enum { KMS_SEAL_OVERHEAD_HSM = 12 + 16, KMS_SEAL_OVERHEAD_SOFTWARE = 16 + 12 + 16 };

enum kms_hsm_op {
    KMS_HSM_ENCRYPT = 1,     /* key, aad, input=plaintext            -> sealed */
    KMS_HSM_DECRYPT,         /* key, aad, input=sealed               -> plaintext; INVALID_CIPHERTEXT */
    KMS_HSM_REENCRYPT,       /* key, aad, input=sealed, to, to_aad   -> sealed under `to`, all of it inside */
    KMS_HSM_DATA_KEY,        /* key, aad, count                      -> random bytes, then the same sealed */
    KMS_HSM_DATA_KEY_SEALED, /* key, aad, count                      -> sealed only */
    KMS_HSM_RANDOM,          /* count                                -> count random bytes */
    KMS_HSM_NEW_KEY,         /* key.ref                              -> wrapped key of a fresh backing key */
    KMS_HSM_NEW_STORE_KEY,   /* aad                                  -> sealed 32-byte key of the keystore */
    KMS_HSM_OPEN_STORE_KEY,  /* aad, input=sealed store key          -> the 32 bytes; opens nothing else */
    KMS_HSM_STATUS,          /*                                      -> see kms_hsm_status */
    KMS_HSM_FORGET,          /* input=key id; kms_hsm_forget sends it to every worker */
    KMS_HSM_REWRAP,          /* key                                  -> the same key under the newest root */
    KMS_HSM_REWRAP_STORE_KEY, /* aad, input=sealed store key         -> the same under the newest root */
    KMS_HSM_NEW_ROOT,         /* count=generation; kms_hsm_new_root */
    KMS_HSM_DESTROY_ROOT,     /* count=generation; kms_hsm_destroy_root */
    KMS_HSM_READ_ROOTS,  /*                                      -> as STATUS, after a look at the token */
    KMS_HSM_SIGN,        /* key, algorithm, digested, input      -> signature; ECDSA's in DER */
    KMS_HSM_VERIFY,      /* the same and proof                   -> nothing; INVALID_SIGNATURE */
    KMS_HSM_MAC,         /* key, algorithm, input                -> MAC */
    KMS_HSM_VERIFY_MAC,  /* the same and proof                   -> nothing; INVALID_MAC */
    KMS_HSM_PUBLIC_KEY,  /* key                                  -> SubjectPublicKeyInfo, DER */
    KMS_HSM_RSA_ENCRYPT, /* key, algorithm, aad=OAEP label, input=plaintext -> RSA ciphertext */
    /* key, algorithm, aad=OAEP label, input=RSA ciphertext -> plaintext; INVALID_CIPHERTEXT */
    KMS_HSM_RSA_DECRYPT,
    /* key, aad, pair -> blobs (u32 length, bytes): public key (SubjectPublicKeyInfo), private key (PKCS#8);
     * then the private key sealed. Made with OpenSSL in the worker. */
    KMS_HSM_DATA_KEY_PAIR,
    KMS_HSM_DATA_KEY_PAIR_SEALED, /* the same with an empty private key */
    /* key=RSA wrapping key, input=wrapped material, to.ref -> KMS_HSM_MARK_BYTES that tell the same material
     * of that key again, then the wrapped key; INCORRECT_KEY_MATERIAL. Input of a modulus: RSA-OAEP-SHA-256
     * of the material; a longer one: that of an AES-256 key, then the material under it (RFC 5649). The
     * material of a key pair is its private key (PKCS#8, DER) and comes in the longer way. */
    KMS_HSM_IMPORT,
    /* input=instance LF sequence LF hash LF -> ECDSA P-256 SHA-256 signature, DER, by audit-sign-1 over
     * KMS_HSM_AUDIT_DOMAIN and the input: that key signs nothing else. ROOT_KEYS_MISSING: it is not there. */
    KMS_HSM_AUDIT_SIGN,
    /* key=RSA key that decrypts, input=not before, not after (u64 each, seconds since 1970), common name
     * (blob) -> X.509 certificate of that key, signed by it, DER. All else in it is the worker's. */
    KMS_HSM_CERTIFY,
    KMS_HSM_OP_COUNT
};

#define KMS_HSM_AUDIT_DOMAIN "kms-audit-head-v1\n"

/* A key version as the keystore keeps it: what it should be, and the opaque wrapped key with its binding. */
struct kms_hsm_key {
    struct kms_key_ref ref;
    struct kms_bytes wrapped; /* borrowed until done: root id, binding, blob (hsm/wrapped.h) */
};

struct kms_hsm_job {
    enum kms_hsm_op op;
    struct kms_hsm_key key, to;
    struct kms_bytes aad, to_aad, input; /* borrowed until done */
    uint32_t count;                      /* bytes */
    struct kms_bytes proof;              /* signature or MAC to verify; borrowed until done */
    uint8_t algorithm;                   /* enum kms_algorithm; INVALID_ARGUMENT unless it fits the key */
    uint8_t pair;                        /* enum kms_key_spec of a data key pair */
    bool digested;                       /* input is the message's digest, not the message */
    /* To be begun by then, monotonic (clock.h); 0: the configured default from now; else DEADLINE_EXCEEDED.
     * What a worker has begun is answered, or ends with its worker. */
    uint64_t deadline_us;
    uint64_t
        wanted_until_us; /* monotonic; later a job that waits is not begun: DEADLINE_EXCEEDED; 0: always */
    uint64_t payer;      /* any number: jobs of different ones take turns where they wait for a worker */

    uint8_t *output;   /* the caller's, in locked memory when it can be plaintext; filled before done */
    size_t output_cap; /* bytes; too small: INTERNAL */
    size_t output_len;
    kms_err err;

    void (*done)(struct kms_hsm_job *job); /* exactly once, on the polling thread */
    void *user;

    struct kms_hsm_job *next;     /* for lists of whoever owns the job now */
    struct {                      /* the pool's own */
        uint64_t id, deadline_us; /* the deadline in force: moving to another worker extends it */
        uint64_t turn;            /* in the line for a worker; 0: it never stood there */
        uint32_t frame_len;
        uint16_t deaths, moves; /* workers that died doing it; workers that died with it in their queue */
        bool broadcast;         /* for one worker, and done when that one is gone */
    } pool;
};

/* Largest output of an operation for an input of input_len bytes (for NEW_KEY KMS_HSM_WRAPPED_BYTES). */
size_t kms_hsm_output_bound(const struct kms_hsm_job *job);

struct kms_hsm_options {
    const char *worker_path; /* the kms-hsm program */
    const char *uri; /* RFC 7512: pkcs11:token=LABEL?module-path=/abs/module.so&pin-source=file:/abs/pin */
    const char *state_dir;   /* where the mark of a refused PIN is kept */
    const char *worker_user; /* NULL or "": the daemon's own user */
    unsigned workers;        /* 0: one per core */
    unsigned lanes;          /* submitting threads */
    uint32_t deadline_ms, keygen_deadline_ms, quarantine_ms, start_timeout_ms;
    uint32_t cached_keys; /* opened keys each worker keeps */
    /* 0 in a number: 2000, 15000, 60000, 10000 ms; 1024 keys */
};

typedef struct kms_hsm kms_hsm;
typedef struct kms_spawner kms_spawner;

/* Forks the minimal process that will start workers. Call first in main, before threads, sockets and
 * grpc_init. */
KMS_MUST_USE kms_err kms_spawner_start(kms_spawner **ret_spawner);
void kms_spawner_stop(kms_spawner *spawner); /* ends every worker */

/* Starts the first worker, then the others; returns when the first one has proved the token (probe, root
 * keys). Errors: MODULE_UNAVAILABLE, TOKEN_NOT_FOUND, PIN_REFUSED, ROOT_KEYS_MISSING, CONFIG_INVALID
 * (uri, PIN file), NO_MEMORY (RLIMIT_MEMLOCK), HSM_UNAVAILABLE; why says which file or token. The options
 * are copied. */
KMS_MUST_USE kms_err kms_hsm_open(kms_spawner *spawner, const struct kms_hsm_options *options,
                                  kms_hsm **ret_hsm, struct kms_why *why);
void kms_hsm_close(kms_hsm *hsm); /* after the last poll; NULL is a no-op */
void kms_hsm_drop(kms_hsm **hsm);

/* Puts a job on the lane; it travels at the next flush. Never blocks. The job belongs to the pool until
 * done, which also reports every failure: arguments, full queues (LIMIT_EXCEEDED), no healthy worker
 * (HSM_UNAVAILABLE). */
void kms_hsm_submit(kms_hsm *hsm, unsigned lane, struct kms_hsm_job *job);
void kms_hsm_flush(kms_hsm *hsm, unsigned lane);

int kms_hsm_poll_fd(kms_hsm *hsm);         /* readable when kms_hsm_poll has something to do; pool-owned */
int kms_hsm_poll_timeout_ms(kms_hsm *hsm); /* until the next deadline or restart, at most half a deadline */
void kms_hsm_poll(kms_hsm *hsm);           /* never blocks: results, deadlines, replacements */

/* Submits and waits until done (deadline included). Returns job->err. */
KMS_MUST_USE kms_err kms_hsm_call(kms_hsm *hsm, struct kms_hsm_job *job);

enum { KMS_HSM_CAPABILITIES = 24, KMS_HSM_ROOTS = 16 /* generations on the token at once */ };
struct kms_hsm_capability {
    char name[32], reason[64];
    bool available;
};
struct kms_hsm_status {
    unsigned workers_healthy, workers_configured; /* of those that do all jobs */
    unsigned jobs_waiting;                        /* for a worker that has room for them */
    uint32_t root_id;                             /* generation of root keys that wraps new versions */
    uint32_t roots[KMS_HSM_ROOTS];                /* all that are on the token, ascending */
    unsigned root_count;
    char token_label[33], token_serial[17];
    struct kms_hsm_capability capabilities[KMS_HSM_CAPABILITIES];
    unsigned capability_count;
    uint8_t audit_key[KMS_HSM_AUDIT_KEY_BYTES]; /* public half of audit-sign-1, SubjectPublicKeyInfo */
    size_t audit_key_len;                       /* 0: that key is not on the token */
    uint64_t workers_replaced;                  /* since open, those for some jobs only included */
    bool software_apart;         /* the token is slow, and jobs of SOFTWARE level have their own worker */
    char trouble[KMS_WHY_BYTES]; /* why the last worker could not start; "" when it could */
};
/* A copy of what the workers reported last. Thread-safe. */
void kms_hsm_status(kms_hsm *hsm, struct kms_hsm_status *ret_status);

/* Closes every opened version of a key in every worker, and waits until that is so; a worker that does not
 * answer is replaced. For ten minutes jobs on the key, those under way too, fail with INVALID_KEY_STATE
 * before they reach a worker: call it when nothing hands out the key any more. Not on the polling thread.
 * NO_MEMORY: nothing happened. */
KMS_MUST_USE kms_err kms_hsm_forget(kms_hsm *hsm, const struct kms_id *key_id);
/* The key has material again: its jobs are taken at once. Thread-safe. */
void kms_hsm_readmit(kms_hsm *hsm, const struct kms_id *key_id);

/*
 * Generations of root keys. Both return when every worker has looked at the token again, and may be repeated
 * after any failure: what is done already is left as it is. Not on the polling thread.
 */
/* Makes generation root_id, one above the newest: it wraps from now on. INVALID_ARGUMENT: another number;
 * LIMIT_EXCEEDED: destroy an old one first. */
KMS_MUST_USE kms_err kms_hsm_new_root(kms_hsm *hsm, uint32_t root_id);
/* For ever: what it wraps cannot be opened again. Waits deadline_ms first, for jobs with keys that were
 * re-wrapped a moment ago. INVALID_ARGUMENT: the newest. */
KMS_MUST_USE kms_err kms_hsm_destroy_root(kms_hsm *hsm, uint32_t root_id);
/* Under which generation a wrapped key, or a sealed store key, lies; 0: neither. */
uint32_t kms_hsm_root_of(struct kms_bytes wrapped);
uint32_t kms_hsm_root_of_store_key(struct kms_bytes sealed);

/* Makes the first generation of root keys on the token, in a worker process of its own (kmsd init).
 * Errors: as kms_hsm_open; ROOT_KEYS_EXIST when the token has any, which is then left alone. */
KMS_MUST_USE kms_err kms_hsm_init_token(kms_spawner *spawner, const struct kms_hsm_options *options,
                                        struct kms_why *why);

#endif
