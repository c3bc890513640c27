/* What the files of authn share. */
#ifndef KMS_AUTHN_INTERNAL_H
#define KMS_AUTHN_INTERNAL_H

#include <pthread.h>

#include "kmsd/authn/authn.h"

/* ---- limits.c: one entry per principal, made when it first calls, kept until it would be as new ---- */

struct kms_limits; /* the table */

KMS_MUST_USE kms_err kms_limits_new(const struct kms_authn_options *options, struct kms_limits **ret_limits);
void kms_limits_free(struct kms_limits *limits);
/* A reference to the entry of a principal. NULL: NO_MEMORY. */
struct kms_principal *kms_limits_find(struct kms_limits *limits, const char *principal);
void kms_limits_release(struct kms_principal *entry);
KMS_MUST_USE kms_err kms_limits_enter(struct kms_limits *limits, struct kms_principal *entry, unsigned calls,
                                      uint64_t now_us, struct kms_why *why);
void kms_limits_leave(struct kms_principal *entry, unsigned calls);
KMS_MUST_USE kms_err kms_limits_begin_rsa(struct kms_limits *limits, struct kms_principal *entry,
                                          struct kms_why *why);
void kms_limits_end_rsa(struct kms_principal *entry);
bool kms_limits_refused(struct kms_limits *limits, struct kms_principal *entry, unsigned calls,
                        uint64_t now_us);
void kms_limits_suppressed(struct kms_limits *limits, uint64_t now_us, kms_suppressed_visit *visit,
                           void *user);
size_t kms_limits_entries(struct kms_limits *limits);

/* ---- deny.c: the deny list, immutable once read ---- */

struct kms_deny_list;
/* path "": an empty list. CONFIG_INVALID names file and line. */
KMS_MUST_USE kms_err kms_deny_read(const char *path, struct kms_deny_list **ret_list, struct kms_why *why);
void kms_deny_free(struct kms_deny_list *list);
bool kms_deny_match(const struct kms_deny_list *list, const kms_identity *identity);

struct kms_authn {
    struct kms_authn_options options;
    char *deny_path;
    struct kms_limits *limits;
    struct kms_principal *anonymous; /* calls whose identity could not be established share this entry */
    pthread_rwlock_t deny_lock;
    struct kms_deny_list *deny;
};

/* A new identity of this principal, with limits. INVALID names are refused: NUL, control bytes, too long, not
 * UTF-8. */
KMS_MUST_USE kms_err kms_identity_new(kms_authn *authn, struct kms_bytes principal, const char *source,
                                      kms_identity **ret_identity, struct kms_why *why);

#endif
