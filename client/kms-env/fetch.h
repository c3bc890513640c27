/*
 * What references lead to, gathered so that each secret version is asked for once, however many variables
 * take a field of it. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_FETCH_H
#define KMS_CLIENT_KMS_ENV_FETCH_H

#include "base/secret.h"
#include "client/kms-env/jobs.h"
#include "client/kms-env/reference.h"

enum { KMS_ENV_LEASE_BYTES = KMS_ENV_REFERENCE_NAME_BYTES + 64 }; /* longest id of a lease: ROLE/letters */

/* One version of a secret, or the credentials of one role. */
struct kms_env_fetch {
    enum kms_env_reference_kind kind;
    const char *name;                                     /* of the secret or role; owned by the fetches */
    const char *stage, *version;                          /* of a secret: one of them, the other is NULL */
    kms_secret *value;                                    /* out: the secret, or the password */
    kms_secret *username;                                 /* out: of a role */
    char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1]; /* out: of the secret that came */
    char lease_id[KMS_ENV_LEASE_BYTES + 1];               /* out: of a role */
    kms_err err;                                          /* out */
    char reason[KMS_ENV_REASON_BYTES];                    /* out: as in a kms_env_job */
    struct kms_why why;                                   /* out */
};

/* Fetches all of them; value and username become the fetches'. Fails only when none could be tried. */
struct kms_env_fetcher {
    kms_err (*fetch)(void *self, struct kms_env_fetch *fetches, size_t count, struct kms_why *why);
    void *self;
};

typedef struct kms_env_fetches kms_env_fetches;

KMS_MUST_USE kms_err kms_env_fetches_new(kms_env_fetches **ret_fetches); /* NO_MEMORY */
void kms_env_fetches_free(kms_env_fetches *fetches);                     /* wipes; NULL is a no-op */
void kms_env_fetches_drop(kms_env_fetches **fetches);

/* *ret_index is of the one that is there already when there is one. Copies what it needs. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_fetches_add(kms_env_fetches *fetches, const struct kms_env_reference *reference,
                                         size_t *ret_index);
/* Does not call the fetcher when there are none. Errors: its. */
KMS_MUST_USE kms_err kms_env_fetches_run(kms_env_fetches *fetches, struct kms_env_fetcher fetcher,
                                         struct kms_why *why);
/* What the reference means of a fetch that went well: *ret_value is the caller's; NULL: the empty string.
 * Errors: that of the fetch, those of kms_field; why names secret and field. */
KMS_MUST_USE kms_err kms_env_fetch_value(const struct kms_env_fetch *fetch,
                                         const struct kms_env_reference *reference, kms_secret **ret_value,
                                         struct kms_why *why);
/* The values are no longer needed; names, version ids and lease ids stay. */
void kms_env_fetches_wipe(kms_env_fetches *fetches);

size_t kms_env_fetches_count(const kms_env_fetches *fetches);
struct kms_env_fetch *kms_env_fetches_at(kms_env_fetches *fetches, size_t index);
const struct kms_env_fetch *kms_env_fetches_look(const kms_env_fetches *fetches, size_t index);

#endif
