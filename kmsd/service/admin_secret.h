/* The admin_secret of a database and the statements that run with it: whoever may read the one neither writes
 * the other nor has written it. Decided by documents alone, as separation is, and also with
 * policy.separation: warn. */
#ifndef KMS_SERVICE_ADMIN_SECRET_H
#define KMS_SERVICE_ADMIN_SECRET_H

#include "kmsd/service/call.h"

/* Before a secret of this name gets a policy, in the turn of the book of secrets: would it let somebody read
 * who wrote statements of a role of such a database, may write them by the role's policy, or may make roles
 * by the service policy? Any secret that no database names passes. POLICY_NOT_SEPARATED. */
KMS_MUST_USE kms_err kms_admin_secret_readers(struct kms_call *call, const char *name,
                                              const kms_policy *policy);
/* Before a role of this database gets statements and a policy, in that turn, too: may the caller, or
 * whoever writes them by the policy, read the secret? POLICY_NOT_SEPARATED. */
KMS_MUST_USE kms_err kms_admin_secret_writers(struct kms_call *call, const char *database,
                                              const kms_policy *policy);

#endif
