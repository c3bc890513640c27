/*
 * Records of the audit log as the questions that policy answered: the inverse of kmsd/service/record.c, over
 * the table of inputs (input.def). One replay reads one record at a time. Not thread-safe.
 */
#ifndef KMS_POLICY_REPLAY_H
#define KMS_POLICY_REPLAY_H

#include "kmsd/policy/policy.h"
#include "kmsd/policy/pool.h"

/* How records spell what policy said: "allow", "deny", "no-match". */
const char *kms_effect_word(enum kms_effect effect);

/* One decision of a call. Borrowed from the replay until the next record. */
struct kms_replayed {
    struct kms_access_request request;
    bool beside_policy; /* allowed although policy said nothing: by a grant */
    bool service;       /* the service policy was asked */
    /* Whose policy was asked: a key's, by its id, or by its ARN a secret's or a database role's. Both NULL
     * and not of the service: there was none. */
    const char *key_id, *secret;
    struct kms_decision recorded; /* what policy said */
};

struct kms_replay {
    uint64_t sequence;
    uint64_t started_us;             /* of the call: aws:CurrentTime */
    const char *operation, *outcome; /* as recorded; outcome NULL: an attempt */
    bool shortened;                  /* texts of the record were cut: the answer may differ */
    const struct kms_replayed *accesses;
    size_t count; /* 0: not a record of decisions */

    void *json; /* the record, a json_t */
    struct kms_pool pool;
};

/* Each decision stands once: attempts and the calls that changed nothing are read, outcomes and the service's
 * own records are passed over (count 0), and so are calls that were refused before policy was asked. Replay
 * begins as zeros. CORRUPT: not a record, or one with a decision that this program does not know; why says
 * what. NO_MEMORY. */
KMS_MUST_USE kms_err kms_replay_read(struct kms_replay *replay, struct kms_bytes line, struct kms_why *why);
void kms_replay_free(struct kms_replay *replay);
#define KMS_OWN_REPLAY __attribute__((cleanup(kms_replay_free))) struct kms_replay

#endif
