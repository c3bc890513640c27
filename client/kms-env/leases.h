/*
 * The database users that a run has, one for each role: made when they are first asked for, renewed while the
 * run lasts, and given back at its end. Where the run can take new ones, a user whose lease ends for good is
 * replaced in time. Knows no service: that is handed in. Thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_LEASES_H
#define KMS_CLIENT_KMS_ENV_LEASES_H

#include "client/kms-env/fetch.h"

/* What the service makes of a role; the secrets are the caller's. */
struct kms_env_user {
    char lease_id[KMS_ENV_LEASE_BYTES + 1];
    kms_secret *username, *password;
    uint64_t ttl_s, expires_us; /* from now; by the wall clock of the service */
};

/* Who makes users; called by one thread at a time. reason: as in a kms_env_job. */
struct kms_env_lessor {
    kms_err (*make)(void *self, const char *role, struct kms_env_user *ret_user,
                    char reason[KMS_ENV_REASON_BYTES], struct kms_why *why);
    /* For ttl_s from now, which ret_ttl_s falls short of when the lease cannot last that long. NOT_FOUND: it
     * has ended. */
    kms_err (*renew)(void *self, const char *lease_id, uint64_t ttl_s, uint64_t *ret_ttl_s,
                     uint64_t *ret_expires_us, struct kms_why *why);
    /* NOT_FOUND: it has ended. */
    kms_err (*give_back)(void *self, const char *lease_id, uint32_t timeout_ms, struct kms_why *why);
    uint64_t (*now_us)(void); /* monotonic */
    void *self;
};

/* Who has the users. */
struct kms_env_tenant {
    /* There is a new user for a role: asks for all of them again, and says when they are in use by
     * kms_env_leases_settle. Fails: is called again. Called by the thread. NULL: it cannot take new ones. */
    kms_err (*replaced)(void *self, struct kms_why *why);
    void (*say)(void *self, const char *words); /* a line for people */
    void *self;
};

typedef struct kms_env_leases kms_env_leases;

KMS_MUST_USE kms_err kms_env_leases_new(struct kms_env_lessor lessor, struct kms_env_tenant tenant,
                                        kms_env_leases **ret_leases); /* NO_MEMORY */
void kms_env_leases_free(kms_env_leases *leases); /* after the end; wipes; NULL is a no-op */
void kms_env_leases_drop(kms_env_leases **leases);

/* Fills in what came of a fetch of a role, with a new user unless there is one that lives. */
void kms_env_leases_take(kms_env_leases *leases, struct kms_env_fetch *fetch);
/* These alone are in use: those that were replaced, and are not among them, are given back by the thread. */
void kms_env_leases_settle(kms_env_leases *leases, const kms_env_fetches *in_use);

/* Renews, replaces and gives back what is due; when it wants to be called again, by now_us. */
uint64_t kms_env_leases_tend(kms_env_leases *leases);
#define KMS_ENV_LEASES_NEVER UINT64_MAX
/* A thread tends from now on. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_leases_start(kms_env_leases *leases);

/* Ends the thread and gives back all, within ten seconds; what cannot be is said, and expires by itself. No
 * user is made any more. False: the thread is in `replaced`, and what it works on must stay: end the process.
 */
bool kms_env_leases_end(kms_env_leases *leases);

#endif
