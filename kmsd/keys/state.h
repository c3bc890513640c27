/*
 * What a key may do in which state: one table, the states of AWS KMS (its developer guide, "key states").
 * Dispatch asks it for every access of a call; no method does. Thread-safe: values only.
 */
#ifndef KMS_KEYS_STATE_H
#define KMS_KEYS_STATE_H

#include "kmsd/keys/key.h"

/* Stored: append only. */
enum kms_key_state {
    KMS_STATE_ENABLED = 1,
    KMS_STATE_DISABLED,
    KMS_STATE_PENDING_DELETION,
    KMS_STATE_PENDING_IMPORT,
    KMS_STATE_UNAVAILABLE, /* never stored: the root key of its current version is not on the token */
    KMS_STATE_DELETED,     /* never stored nor told: a tombstone, asked only about its aliases */
    KMS_STATE_COUNT
};

const char *kms_key_state_name(enum kms_key_state state); /* "PendingDeletion" */
/* The state at a moment: one version whose material expired is as good as none. */
enum kms_key_state kms_key_state_at(const struct kms_key *key, uint64_t now_us);

/* OK, or why not: KEY_DISABLED, INVALID_KEY_STATE, KEY_UNAVAILABLE. INTERNAL: the action has no row. */
KMS_MUST_USE kms_err kms_state_answer(enum kms_key_state state, enum kms_action action);
/* The same for a key in a state that it may have now, in words. */
KMS_MUST_USE kms_err kms_key_state_check(const struct kms_key *key, enum kms_key_state state,
                                         enum kms_action action, struct kms_why *why);

#endif
