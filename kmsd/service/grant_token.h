/*
 * Grant tokens: text that names a grant and proves to have come from CreateGrant. Grants count without
 * them, so that a token permits nothing; one that is not (or no more) that of a grant is refused.
 */
#ifndef KMS_SERVICE_GRANT_TOKEN_H
#define KMS_SERVICE_GRANT_TOKEN_H

#include "kmsd/keys/key.h"
#include "kmsd/service/call.h"

enum {
    KMS_GRANT_TOKENS_MAX = 10,   /* of one request (AWS's limit) */
    KMS_GRANT_TOKEN_FIELD = 20,  /* number of grant_tokens in every request that has it */
    KMS_GRANT_TOKEN_BYTES = 100, /* of its text, with the NUL */
};

void kms_grant_token(const struct kms_id *key_id, const struct kms_grant *grant,
                     char text[KMS_GRANT_TOKEN_BYTES]);
/* The key that a token says it is of. INVALID_GRANT_TOKEN. */
KMS_MUST_USE kms_err kms_grant_token_key(const char *text, struct kms_id *ret_key_id);
/* The grant of this key (NULL: no such key) that a token is of: a reference. INVALID_GRANT_TOKEN, one answer
 * for all causes. */
KMS_MUST_USE kms_err kms_grant_token_find(const char *text, const struct kms_key *key,
                                          struct kms_granted **ret_granted);
/* After gather: every token of the request must be of a grant in force on a key that it is about. */
KMS_MUST_USE kms_err kms_grant_tokens_check(struct kms_call *call);

#endif
