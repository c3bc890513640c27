/* What the methods of LeaseService share: roles and leases of a call, their rows, their databases. */
#ifndef KMS_SERVICE_LEASE_H
#define KMS_SERVICE_LEASE_H

#include "kms/v1/leases.pb-c.h"
#include "kmsd/rotators/database.h"
#include "kmsd/service/change.h"

/* The role of the call's first access; after the decision it is there. */
struct kms_role *kms_call_role(const struct kms_call *call);
/* Adds the access to the role of the caller's own lease, which the call then holds. A lease of somebody
 * else's is none: policy denies. */
KMS_MUST_USE kms_err kms_lease_gather_own(struct kms_call *call, enum kms_action action,
                                          const char *lease_id);
/* The leases that the call is about, from the book. */
KMS_MUST_USE kms_err kms_lease_gather(struct kms_call *call, const char *after, size_t limit,
                                      kms_lease_wanted *wanted, const void *user);
/* One that the call is about; it takes a reference of its own. */
KMS_MUST_USE kms_err kms_lease_hold(struct kms_call *call, struct kms_lease *lease);
/* Puts their ids on record: without the role's name, which stands there, too. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_say(struct kms_call *call, const char *name,
                                   const struct kms_lease_list *leases);

/* What the statements of a role are, borrowed from it; in the arena. NO_MEMORY. */
KMS_MUST_USE kms_err kms_role_statements(struct kms_call *call, char *const *items, size_t count,
                                         struct kms_statements *ret_statements);
/* A connection of the administrator that the configuration names for the database: policy is not asked, the
 * operator has said so. Takes one HSM job. Errors as kms_database_open; NOT_FOUND: no such secret. */
KMS_MUST_USE kms_err kms_lease_database(struct kms_call *call, const char *name, kms_database **ret_database);

/* What the service does by itself with a role in one go, and began then (monotonic), is enough: others have
 * their turn (leases.turn), or kmsd stops. */
bool kms_lease_turn_over(const struct kms_call *call, uint64_t began_us);

KMS_MUST_USE kms_err kms_change_role(struct kms_change_set *changes, struct kms_role *role);
KMS_MUST_USE kms_err kms_change_lease(struct kms_change_set *changes, struct kms_lease *lease);
KMS_MUST_USE kms_err kms_change_lease_gone(struct kms_change_set *changes, const struct kms_lease *lease);
/* All of the call's leases that are not ending yet are, from now on, whatever has become of them since the
 * call found them; those that are being made will be. The book shows it. */
KMS_MUST_USE kms_err kms_lease_end_all(struct kms_call *call, size_t *ret_count);

#endif
