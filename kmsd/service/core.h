/* struct kms_core: what every call may ask. Made by boot before the first call, gone after the last.
 * Thread-safe. */
#ifndef KMS_SERVICE_CORE_H
#define KMS_SERVICE_CORE_H

#include <pthread.h>
#include <semaphore.h>

#include "hsm/hsm.h"
#include "keystore/keystore.h"
#include "kmsd/audit/audit.h"
#include "kmsd/audit/ship.h"
#include "kmsd/authn/authn.h"
#include "kmsd/keys/keyring.h"
#include "kmsd/keys/ledger.h"
#include "kmsd/keys/name.h"
#include "kmsd/keys/state.h"
#include "kmsd/leases/book.h"
#include "kmsd/policy/policy.h"
#include "kmsd/rotators/rotator.h"
#include "kmsd/secrets/book.h"
#include "kmsd/service/call.h"

enum { KMS_CORE_WARNINGS = 8 };

/* The store key is sealed for this purpose and no other. */
#define KMS_STORE_KEY_PURPOSE "kmsd keystore v1"

/* What GetStatus says of a listener. Borrowed. */
struct kms_listening {
    const char *address;   /* or path */
    const char *transport; /* "tls", "unix", "tcp" */
    const char *protocol;
    const char *principal; /* of everybody who has none of his own; "": of nobody */
};

struct kms_core {
    kms_hsm *hsm;
    kms_keystore *store;
    kms_keyring *keys;
    kms_ledger *ledger;
    kms_rotators *rotators;
    uint64_t used_lately_us; /* a version used less than this ago is in use (keys.used_lately) */
    kms_audit *audit;
    kms_ship *ship;                           /* NULL: records go nowhere else */
    struct kms_streams *streams;              /* stream.h */
    struct kms_heads *_Atomic heads;          /* NULL: heads are not signed (yet); service/heads.h */
    uint64_t audit_keep_us, audit_keep_bytes; /* audit.keep_age, audit.keep_bytes; 0: no bound */
    kms_authn *authn;
    const struct kms_listening *listening;
    size_t listening_count;
    struct kms_arn_prefix arn, secret_arn;
    /* kms:ViaService of what SecretService does: "secretsmanager.REGION.amazonaws.com" */
    char via_secrets[48];
    kms_secret_book *secrets;
    kms_lease_book *leases;
    uint32_t roles_most;           /* limits.database_roles */
    uint32_t leases_most;          /* limits.leases */
    uint32_t leases_per_principal; /* limits.leases_per_principal */
    uint64_t ttl_least_us;         /* leases.min_ttl */
    uint64_t ttl_most_us;          /* leases.max_ttl */
    uint64_t lease_backoff_us;     /* leases.backoff */
    uint64_t sweep_interval_us;    /* leases.sweep_interval; 0: never */
    uint64_t lease_turn_us;        /* leases.turn */
    /* Nobody waits for a database any more (monotonic; 0: not yet): when jobs stop, when calls are to end. */
    atomic_ullong lease_jobs_until_us, lease_calls_until_us;
    sem_t leases_wake;              /* posted when a lease has something due (kmsd/jobs) */
    struct kms_pipeline *pipeline;  /* once it runs */
    const char *default_secret_key; /* secrets.default_key: an alias */
    uint32_t secrets_most;          /* limits.secrets */
    uint32_t secret_versions;     /* limits.secret_versions: kept of one secret, those with stages included */
    uint64_t rotation_backoff_us; /* secrets.rotation_backoff: after the first failure of a step */
    uint32_t rotation_attempts;   /* secrets.rotation_attempts */
    sem_t secrets_wake;           /* posted when a secret has something due (kmsd/jobs) */
    atomic_bool clock_doubted;    /* the wall clock has jumped forward (kmsd/jobs) */
    uint64_t secret_bytes;        /* limits.secret_memory: of sealed values in memory */
    bool separation_warn;         /* policy.separation = warn: what is not separated is let in and said */
    size_t grants_per_key;        /* limits.grants_per_key */
    uint64_t key_budget;          /* encryptions of a key version at HSM level: KMS_KEY_BUDGET, or fewer */
    uint64_t import_window_us;    /* how long import parameters are good */
    uint64_t approvals_lifetime_us;
    uint32_t approvals_per_key; /* that may be open at once */
    unsigned batch_items;       /* limits.batch_items */
    size_t batch_bytes;         /* limits.batch_bytes */
    uint64_t started_us;
    atomic_ullong latest_us; /* latest wall clock that is believed: see kms_core_now_us */
    const char *instance;
    const char *audit_dir;     /* where the log of this instance is */
    size_t audit_page_bytes;   /* audit.page: of records in one answer */
    uint64_t audit_scan_bytes; /* audit.page_scan: of the log that one call looks at */
    const char
        *warnings[KMS_CORE_WARNINGS]; /* settings that weaken the defaults, for GetStatus; static or boot's */
    size_t warning_count;
    uint8_t request_prefix[8]; /* random: with a counter it makes request ids (RFC 9562, version 8) */
    atomic_ullong request_counter;

    pthread_rwlock_t doomed_root_lock; /* held for reading while rows are stored */
    uint32_t doomed_root; /* generation of root keys that is being destroyed, or was last; 0: none */

    pthread_mutex_t service_policy_lock;
    kms_policy *service_policy; /* reference held; NULL grants nothing */
    char service_policy_sha256[2 * KMS_DIGEST_BYTES + 1];
};

#define KMS_DAY_US (UINT64_C(24) * 3600 * 1000000)
/* The wall clock, never earlier than what the log or the scheduler has seen: a date that is computed while
 * the clock is back would come too early. */
uint64_t kms_core_now_us(const struct kms_core *core);
void kms_core_seen_us(struct kms_core *core, uint64_t wall_us);

/* The state of a key now: Unavailable when the token lost the root key that wraps its current version. Asks
 * the HSM's status: not on the crypto lane, where the worker itself finds out. */
enum kms_key_state kms_core_key_state(const struct kms_core *core, const struct kms_key *key,
                                      uint64_t now_us);

/* Puts a service policy in force; takes over the reference. */
void kms_core_set_service_policy(struct kms_core *core, kms_policy *policy, const char *sha256_hex);
/* The one in force: a reference, or NULL. */
kms_policy *kms_core_service_policy(const struct kms_core *core);
void kms_core_service_policy_sha256(const struct kms_core *core, char hex[2 * KMS_DIGEST_BYTES + 1]);
/* Dooms a generation: when this returns, what was being stored under it is in the keystore, and nothing more
 * will be. Returns the one before. */
uint32_t kms_core_doom_root(const struct kms_core *core, uint32_t root_id);
/* Which it is does not change between the two. */
uint32_t kms_core_hold_doomed_root(const struct kms_core *core);
void kms_core_release_doomed_root(const struct kms_core *core);
/* A secret has something due: now, not at the next look. */
void kms_core_wake_secrets(const struct kms_core *core);
/* A lease has something due: now, not at the next look. */
void kms_core_wake_leases(const struct kms_core *core);
void kms_core_request_id(struct kms_core *core, struct kms_id *ret_id);

#endif
