/* What a sweep looks for and finds, of one role or of one after the other. */
#ifndef KMS_SERVICE_LEASE_SWEEP_H
#define KMS_SERVICE_LEASE_SWEEP_H

#include "kmsd/service/lease.h"

enum { KMS_SWEEP_FINDINGS_MOST = 1000 }; /* of each kind; the rest comes with the next sweep */

struct kms_sweep_away; /* a database that did not answer: it is waited for once */

struct kms_sweep {
    const struct kms_role *role;
    bool report_only;
    /* What was found, in the arena: users without a lease, ids of leases without a user, what could not be
     * looked at or removed. */
    char **orphans, **lost, **failures;
    size_t orphan_count, lost_count, failure_count;
    struct kms_lease_list lost_leases; /* as they were looked at; the caller's to free */
    uint64_t began_us;                 /* of a turn (kms_lease_turn_over); 0: however long it takes */
    bool unfinished;                   /* the turn was over first */
    struct kms_sweep_away *away;
};
/* Compares the users of one role with its leases: in the database that the role names, and in those that its
 * leases are in. Orphans are removed there, unless report_only; lost leases are collected. A database that
 * cannot be looked at is one of the failures, or the error if there is no other. */
KMS_MUST_USE kms_err kms_sweep_role(struct kms_call *call, struct kms_sweep *sweep);
/* One more failure: "WHAT: REASON: why". Left out when there is no room. */
void kms_sweep_put_failure(struct kms_call *call, struct kms_sweep *sweep, const char *what, kms_err err,
                           const struct kms_why *why);
void kms_sweep_end(struct kms_sweep *sweep);

#endif
