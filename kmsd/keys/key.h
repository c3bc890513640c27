/*
 * struct kms_key: what calls need to know of one KMS key, in memory, immutable and reference-counted. A
 * change makes a new one and puts it in the keyring; calls under way keep the one that they began with.
 * Thread-safe.
 */
#ifndef KMS_KEYS_KEY_H
#define KMS_KEYS_KEY_H

#include <stdatomic.h>

#include "base/id.h"
#include "hsm/hsm.h"
#include "kmsd/keys/grants.h"
#include "kmsd/keys/rule.h"
#include "kmsd/policy/policy.h"

/*
 * Encryptions that a version may still do from the block reserved in the keystore; shared by all generations
 * of the key. HSM level only: a random 96-bit IV is good for 2^32 encryptions (NIST SP 800-38D, section 8.3).
 */
struct kms_budget {
    atomic_uint refs;
    atomic_llong left;      /* negative: somebody must reserve first */
    atomic_bool reserving;  /* a refill is under way */
    atomic_uint block_log2; /* size of the next block; grows with demand */
    atomic_bool low;        /* little is left to reserve: time for a new version */
};
enum { KMS_BUDGET_BLOCK_LOG2 = 16, KMS_BUDGET_BLOCK_LOG2_MAX = 22 };
#define KMS_KEY_BUDGET (UINT64_C(1) << 32)
enum { KMS_BUDGET_LOW = 16 }; /* little: less than this part of the budget */

/* Why a version was made. Stored: append only. */
enum kms_version_cause {
    KMS_CAUSE_CREATION = 1,
    KMS_CAUSE_ON_DEMAND,
    KMS_CAUSE_SCHEDULE,
    KMS_CAUSE_BUDGET,
    KMS_CAUSE_IMPORT,
    KMS_CAUSE_COUNT
};
/* Where the first material came from. Stored: append only. */
enum kms_key_origin { KMS_ORIGIN_KMS = 1, KMS_ORIGIN_EXTERNAL };

/* There may be a million of these and of kms_key: no member that few of them need. */
struct kms_key_version {
    uint32_t version : 24, cause : 8; /* enum kms_version_cause */
    uint32_t root_id;
    uint64_t revision; /* of the row; 0: not stored yet */
    uint64_t created_us;
    uint64_t retired_us;       /* opens nothing since then; 0: it does */
    uint64_t expires_us;       /* imported material: usable until then; 0: for ever */
    struct kms_bytes wrapped;  /* owned by the key; empty: no material (yet, or any more) */
    struct kms_budget *budget; /* reference held; NULL: no HSM level, no limit */
    uint8_t *mark; /* KMS_HSM_MARK_BYTES that tell imported material again, owned; NULL: none was imported */
};

struct kms_tag {
    char *key, *value;
};
enum { KMS_TAGS_MAX = 50 }; /* of one key (AWS quota) */

struct kms_key {
    struct kms_id id; /* entry of a kms_id_table */
    char id_text[KMS_ID_TEXT];
    uint8_t spec, usage, level;
    uint8_t state;  /* enum kms_key_state (state.h) as stored: kms_key_state_at tells today's */
    uint8_t origin; /* enum kms_key_origin */
    atomic_uint refs;
    uint64_t revision; /* of the row */
    uint64_t created_us;
    uint64_t deletion_us; /* KMS_STATE_PENDING_DELETION: when it goes */
    uint64_t rotation_next_us;
    uint32_t rotation_period_days; /* automatic rotation; 0: none */
    uint32_t tag_count;
    struct kms_tag *tags;   /* owned, sorted by key */
    kms_policy *policy;     /* compiled; keys with the same one share it (documents.h); reference held */
    struct kms_rule *rule;  /* whose approval changes need; reference held; NULL: nobody's */
    kms_grants *grants;     /* shared by all generations; NULL: never had one; reference held */
    char *description;      /* owned; NULL: none (kms_key_description) */
    char *creator;          /* owned */
    uint32_t version_count; /* versions 1 .. count; the last one encrypts */
    struct kms_key_version versions[];
};

/* An empty key with one reference and room for version_count versions, at HSM level each with a fresh budget;
 * the caller fills it before it is shared. */
KMS_MUST_USE kms_err kms_key_new(enum kms_level level, uint32_t version_count, struct kms_key **ret_key);
struct kms_key *kms_key_ref(struct kms_key *key);
void kms_key_unref(struct kms_key *key); /* NULL is a no-op */
static inline void kms_key_drop(struct kms_key **key)
{
    kms_key_unref(*key);
}
#define KMS_OWN_KEY __attribute__((cleanup(kms_key_drop))) struct kms_key *

/* A copy to change, with one reference and room for `more` more versions; strings, policy and budgets are
 * shared or copied. */
KMS_MUST_USE kms_err kms_key_copy(const struct kms_key *key, uint32_t more, struct kms_key **ret_copy);
/* Gives a key that nobody else sees yet a book of grants, if it has none. */
KMS_MUST_USE kms_err kms_key_need_grants(struct kms_key *key);
/* What its grants can permit follows from this. */
enum kms_grant_kind kms_key_grant_kind(const struct kms_key *key);
static inline const char *kms_key_description(const struct kms_key *key)
{
    return key->description != NULL ? key->description : "";
}
KMS_MUST_USE kms_err kms_key_set_description(struct kms_key *key, const char *description); /* copied */
/* The texts of a key that nobody else sees yet; copied. */
KMS_MUST_USE kms_err kms_key_set_texts(struct kms_key *key, const char *description, const char *creator);
/* What tells imported material again; copied. */
KMS_MUST_USE kms_err kms_version_set_mark(struct kms_key_version *version,
                                          const uint8_t mark[KMS_HSM_MARK_BYTES]);
/* Puts wrapped into a version; copied. */
KMS_MUST_USE kms_err kms_key_set_wrapped(struct kms_key_version *version, struct kms_bytes wrapped);
/* Adds a tag or replaces its value; copied. LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_key_set_tag(struct kms_key *key, const char *name, const char *value);
void kms_key_drop_tag(struct kms_key *key, const char *name); /* no such tag: a no-op */
/* Wipes the wrapped keys of all versions: of a key that is no more. */
void kms_key_drop_wrapped(struct kms_key *key);
/* Every version has its material. */
bool kms_key_complete(const struct kms_key *key);
/* Wipes the wrapped key of one version. */
void kms_version_drop_wrapped(struct kms_key_version *version);
/* NULL: no such version. */
const struct kms_key_version *kms_key_version_find(const struct kms_key *key, uint32_t version);
static inline const struct kms_key_version *kms_key_current(const struct kms_key *key)
{
    return &key->versions[key->version_count - 1];
}
struct kms_hsm_key kms_key_for_hsm(const struct kms_key *key, const struct kms_key_version *version);

/* Takes one encryption from the budget. False: reserve a block first (kms_budget_reserve). */
bool kms_budget_take(struct kms_budget *budget);
/* The block is nearly used up and nobody else is refilling: the caller does (and clears `reserving`
 * afterwards). */
bool kms_budget_claim_refill(struct kms_budget *budget);

#endif
