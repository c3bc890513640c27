/*
 * A document with its JSON and its compiled statements side by side, and statements in words: what lint
 * and diff stand on. Not thread-safe: one reading, one thread.
 */
#ifndef KMS_POLICY_WORDS_H
#define KMS_POLICY_WORDS_H

#include <jansson.h>

#include "kmsd/policy/compiled.h"

typedef struct kms_reading kms_reading;
struct kms_reading {
    json_t *json;       /* owned */
    kms_policy *policy; /* reference held */
    size_t count;
    const struct kms_statement *statements[KMS_POLICY_STATEMENTS]; /* in the order of the document */
    json_t *texts[KMS_POLICY_STATEMENTS];                          /* the same in JSON; borrowed */
};

/* MALFORMED_POLICY, NO_MEMORY, as kms_policy_parse. The caller frees it. */
KMS_MUST_USE kms_err kms_reading_new(enum kms_policy_kind kind, struct kms_bytes document,
                                     struct kms_reading **ret_reading, struct kms_why *why);
void kms_reading_free(struct kms_reading *reading);
void kms_reading_drop(struct kms_reading **reading);

/* Each appends: 'kms:EncryptionContext:app is "shop" or "web" and aws:SecureTransport is true'; nothing when
 * there are no conditions. NO_MEMORY. */
KMS_MUST_USE kms_err kms_words_conditions(json_t *statement, kms_buf *out);
/* "Allows spiffe://x/app: kms:Encrypt and kms:Decrypt, when ..." for a statement of the document. */
KMS_MUST_USE kms_err kms_words_statement(const kms_policy *policy, json_t *statement, kms_buf *out);
/* "kms:Encrypt, kms:Decrypt and 3 more" for a set of actions, at most `most` names. */
KMS_MUST_USE kms_err kms_words_actions(kms_actions actions, size_t most, kms_buf *out);

#endif
