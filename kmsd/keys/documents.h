/*
 * Key policies, each document once: keys made from one template share its text and its compiled form. What
 * no key has any more goes now and then. Thread-safe.
 */
#ifndef KMS_KEYS_DOCUMENTS_H
#define KMS_KEYS_DOCUMENTS_H

#include "kmsd/policy/policy.h"

typedef struct kms_documents kms_documents;

KMS_MUST_USE kms_err kms_documents_new(kms_documents **ret_documents);
void kms_documents_free(kms_documents *documents); /* NULL is a no-op */
void kms_documents_drop(kms_documents **documents);
/* The compiled policy of a document: the one that others have, or a new one. Errors: as kms_policy_parse. The
 * caller owns a reference. */
KMS_MUST_USE kms_err kms_documents_policy(kms_documents *documents, const char *json, kms_policy **ret_policy,
                                          struct kms_why *why);
/* How many there are: at most 64, or twice as many as keys have. */
size_t kms_documents_count(kms_documents *documents);

#endif
