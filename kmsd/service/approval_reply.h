/* An approval in the replies that carry it. */
#ifndef KMS_SERVICE_APPROVAL_REPLY_H
#define KMS_SERVICE_APPROVAL_REPLY_H

#include "kms/v1/approvals.pb-c.h"
#include "kmsd/service/approval.h"

/* In the call's arena; NULL: NO_MEMORY. whole: with the request. */
Kms__V1__Approval *kms_approval_reply(struct kms_call *call, const struct kms_approval *approval, bool whole);
/* Why it is no longer open, or who is missing: "key ... has changed: it was at revision 3 and is at 4". In
 * the arena; NULL: NO_MEMORY. */
char *kms_approval_words(struct kms_call *call, const kms_stored_approval *stored);
/* NULL for a key without a rule, too: look at key->rule first. */
Kms__V1__ApprovalRule *kms_approval_rule_reply(struct kms_call *call, const struct kms_rule *rule);

#endif
