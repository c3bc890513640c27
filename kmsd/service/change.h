/* A change of stored state: rows collected one by one, applied in one transaction, then shown to the keyring.
 */
#ifndef KMS_SERVICE_CHANGE_H
#define KMS_SERVICE_CHANGE_H

#include "kmsd/keys/record.h"
#include "kmsd/service/core.h"

enum { KMS_CHANGE_STEPS = 4 };

struct kms_change_set {
    struct kms_change steps[KMS_CHANGE_STEPS];
    char ids[KMS_CHANGE_STEPS][KMS_ROW_ID_BYTES];
    kms_buf bodies[KMS_CHANGE_STEPS];
    size_t count;
};
void kms_change_set_free(struct kms_change_set *set);
#define KMS_OWN_CHANGES __attribute__((cleanup(kms_change_set_free))) struct kms_change_set

/* Each adds one row; key->revision and alias->revision are the revisions before (0: new). */
KMS_MUST_USE kms_err kms_change_key(struct kms_change_set *set, const struct kms_key *key);
KMS_MUST_USE kms_err kms_change_version(struct kms_change_set *set, const struct kms_key *key,
                                        uint32_t version);
KMS_MUST_USE kms_err kms_change_alias(struct kms_change_set *set, const struct kms_alias *alias);

/* Idempotency: what a client_request_token of this principal made before. An empty token finds nothing.
 * CONFLICT: the token came with another request. */
struct kms_made {
    bool found;
    struct kms_id key_id;
    uint32_t version;
};
KMS_MUST_USE kms_err kms_made_before(struct kms_call *call, const char *token, struct kms_made *ret_made);
/* Remembers what this call makes. Nothing for an empty token. */
KMS_MUST_USE kms_err kms_change_token(struct kms_change_set *set, struct kms_call *call, const char *token,
                                      const struct kms_made *made);

/* All rows or none; the call remembers the keystore's mark for its outcome record. */
KMS_MUST_USE kms_err kms_change_apply(struct kms_change_set *set, struct kms_call *call);
/* The same, then the key (or alias) as it is now goes into the keyring with its new revision. */
KMS_MUST_USE kms_err kms_change_apply_key(struct kms_change_set *set, struct kms_call *call,
                                          struct kms_key *key);

#endif
