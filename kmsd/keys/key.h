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
};
enum { KMS_BUDGET_BLOCK_LOG2 = 16, KMS_BUDGET_BLOCK_LOG2_MAX = 22 };
#define KMS_KEY_BUDGET (UINT64_C(1) << 32)

struct kms_key_version {
    uint32_t version, root_id;
    uint64_t created_us;
    struct kms_bytes wrapped;  /* owned by the key */
    struct kms_budget *budget; /* reference held */
};

struct kms_key {
    atomic_uint refs;
    struct kms_id id;
    char id_text[KMS_ID_TEXT];
    uint64_t revision; /* of the row */
    uint64_t created_us;
    uint8_t spec, usage, level;
    bool enabled;
    kms_policy *policy;               /* compiled; reference held */
    char *policy_json;                /* as it was written; owned */
    char *description, *creator;      /* owned */
    uint32_t version_count;           /* versions 1 .. count; the last one encrypts */
    struct kms_key_version *versions; /* owned */
};

/* An empty key with one reference and room for version_count versions, each with a fresh budget; the caller
 * fills it before it is shared. */
KMS_MUST_USE kms_err kms_key_new(uint32_t version_count, struct kms_key **ret_key);
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
/* Puts wrapped into a version; copied. */
KMS_MUST_USE kms_err kms_key_set_wrapped(struct kms_key_version *version, struct kms_bytes wrapped);
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
