/* Policy documents that kmsctl writes and looks at. The server has the last word on every policy. */
#ifndef KMS_CLIENT_KMSCTL_POLICY_DOCUMENT_H
#define KMS_CLIENT_KMSCTL_POLICY_DOCUMENT_H

#include "client/kmsctl/ctl.h"
#include "kmsd/policy/policy.h"

enum { CTL_POLICY_BYTES = 32768 }; /* longest document (proto/kms/v1/keys.proto) */

/* A policy with a statement KeyAdministration for admins and KeyUsage for users; without one of them its
 * statement is left out, without both nothing is written. Appends the JSON to out. INVALID_ARGUMENT: a
 * principal is empty, named twice, or stands on both sides; LIMIT_EXCEEDED: longer than CTL_POLICY_BYTES;
 * NO_MEMORY. */
KMS_MUST_USE kms_err ctl_policy_build(const struct ctl_texts *admins, const struct ctl_texts *users,
                                      kms_buf *out, struct kms_why *why);

/* The policy of a new key: --policy, or that of --admin and --user; empty without any. False: ctl->error. */
bool ctl_policy_given(struct ctl *ctl, kms_buf *policy);

/* What the server checks of a document alone: its grammar and separation. Lock-out depends on who writes
 * it. MALFORMED_POLICY, POLICY_NOT_SEPARATED: why has the place. */
KMS_MUST_USE kms_err ctl_policy_check(enum kms_policy_kind kind, struct kms_bytes text, struct kms_why *why);
/* The kind that --kind says, or that the actions of the document tell. */
bool ctl_only_keys(struct ctl *ctl); /* --key goes with --kind key; false: ctl->error */
enum kms_policy_kind ctl_policy_kind(const struct ctl *ctl, struct kms_bytes document);

/* Actions of the two statements, ended by NULL. */
extern const char *const ctl_admin_actions[], *const ctl_usage_actions[];

#endif
