/* A change of stored state: rows collected one by one, applied in one transaction, then shown to the keyring.
 */
#ifndef KMS_SERVICE_CHANGE_H
#define KMS_SERVICE_CHANGE_H

#include "kmsd/keys/record.h"
#include "kmsd/service/core.h"

struct kms_change_step {
    enum kms_table table;
    char id[KMS_ROW_ID_BYTES];
    uint64_t *revision; /* of the row before (0: new); counted up when applied. NULL: new, and nobody asks */
    bool erase;
    uint64_t erased_revision;
    uint32_t root_id; /* generation of root keys that wraps what the row holds; 0: nothing wrapped */
    kms_buf body;
};
struct kms_change_set {
    struct kms_change_step **steps;
    size_t count;
};
void kms_change_set_free(struct kms_change_set *set);
#define KMS_OWN_CHANGES __attribute__((cleanup(kms_change_set_free))) struct kms_change_set

/* Adds a row to write: its body is the caller's to fill before apply. revision is borrowed until then. */
KMS_MUST_USE kms_err kms_change_row(struct kms_change_set *set, enum kms_table table, const char *id,
                                    uint64_t *revision, kms_buf **ret_body);
KMS_MUST_USE kms_err kms_change_remove(struct kms_change_set *set, enum kms_table table, const char *id,
                                       uint64_t revision);
/* The same for what the keyring knows; key->revision and the like are the revisions before (0: new), and
 * those after when it is applied. */
KMS_MUST_USE kms_err kms_change_key(struct kms_change_set *set, struct kms_key *key);
KMS_MUST_USE kms_err kms_change_version(struct kms_change_set *set, struct kms_key *key, uint32_t version);
/* What stays when the key's own rows go. */
KMS_MUST_USE kms_err kms_change_tombstone(struct kms_change_set *set, struct kms_key *key);
KMS_MUST_USE kms_err kms_change_alias(struct kms_change_set *set, struct kms_alias *alias);

/* Idempotency: what a client_request_token of this principal made before. An empty token finds nothing.
 * CONFLICT: the token came with another request. */
struct kms_made {
    bool found;
    struct kms_id key_id;
    uint32_t version;
    struct kms_id grant_id; /* CreateGrant's only */
};
KMS_MUST_USE kms_err kms_made_before(struct kms_call *call, const char *token, struct kms_made *ret_made);
/* Remembers what this call makes. Nothing for an empty token. */
KMS_MUST_USE kms_err kms_change_token(struct kms_change_set *set, struct kms_call *call, const char *token,
                                      const struct kms_made *made);

/* All rows or none; the call remembers the keystore's mark for its outcome record. APPROVAL_NEEDED: the rule
 * of a key wants the approval of others first (approval.h); nothing of the set was stored, but what the call
 * asks for. */
KMS_MUST_USE kms_err kms_change_apply(struct kms_change_set *set, struct kms_call *call);
/* The same without asking whether anybody must approve: for approvals themselves. */
KMS_MUST_USE kms_err kms_change_commit(struct kms_change_set *set, struct kms_call *call);
/* The same, then the key as it is now goes into the keyring. */
KMS_MUST_USE kms_err kms_change_apply_key(struct kms_change_set *set, struct kms_call *call,
                                          struct kms_key *key);

#endif
