/* What the service does to leases by itself (internal.h): each is about one role. */
#ifndef KMS_SERVICE_LEASE_ACTS_H
#define KMS_SERVICE_LEASE_ACTS_H

#include "kmsd/service/core.h"
#include "kmsd/service/method.h"

/* Stores the lease that the call holds, before its user is made. */
kms_act_fn kms_lease_begin;
kms_gather_fn kms_lease_begin_gather;
/* Active leases whose time is over are ending. */
kms_act_fn kms_lease_expire;
kms_gather_fn kms_lease_expire_gather;
/* Ending ones are ended: as many as one connection takes in a moment. The error is that of the database as a
 * whole, or of the first user when none could be removed. */
kms_act_fn kms_lease_revoke_due;
kms_gather_fn kms_lease_revoke_due_gather;
/* SweepLeases of one role. */
kms_act_fn kms_lease_sweep_due;

#endif
