/*
 * Database users that live as long as a lease; proto/kms/v1/leases.proto. What the holder of a lease does is
 * here; database roles, lists of leases and their ends by administrators go by kms_client_call_json. Threads,
 * time and answers as in kms/client.h.
 */
#ifndef KMS_LEASES_H
#define KMS_LEASES_H

#include <kms/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kms_generate_credentials_request {
    const char *role_name; /* of the database role, or its ARN */
    uint64_t ttl_s;        /* at most the role's max_ttl; 0: its default_ttl */
};
/* A user that nobody else has. Nothing can read its password again. */
struct kms_database_credentials {
    const char *lease_id, *username;
    kms_plaintext *password;   /* UTF-8 without NUL; may be taken out: set the member to NULL and free it */
    uint64_t lease_duration_s; /* from the answer on */
    uint64_t expires_us;       /* the server's wall clock: microseconds since 1970-01-01 UTC */
};

struct kms_renew_lease_request {
    const char *lease_id; /* the caller's own */
    uint64_t increment_s; /* from now; 0: the role's default_ttl */
};
struct kms_lease_end {
    uint64_t lease_duration_s; /* from the answer on; less than asked for where max_ttl bounds it */
    uint64_t expires_us;       /* as above */
};

/* Takes as long as the database. Not repeated: the lease of an answer that is lost expires by itself.
 * Reasons: NOT_FOUND, ACCESS_DENIED, LIMIT_EXCEEDED, DATABASE_UNAVAILABLE, DATABASE_REFUSED,
 * DATABASE_FAILED, ROTATOR_UNKNOWN. */
KMS_CHECK bool kms_client_generate_credentials(kms_client *client,
                                               const struct kms_generate_credentials_request *request,
                                               const struct kms_call_options *options,
                                               struct kms_database_credentials **ret_credentials,
                                               struct kms_error *error);
/* A lease never becomes shorter. The same reasons; NOT_FOUND: it has ended, or is somebody else's. */
KMS_CHECK bool kms_client_renew_lease(kms_client *client, const struct kms_renew_lease_request *request,
                                      const struct kms_call_options *options, struct kms_lease_end *ret_end,
                                      struct kms_error *error);
/* Stored when this returns; the user is gone soon after. A lease that is ending already is no error until it
 * is gone (NOT_FOUND). */
KMS_CHECK bool kms_client_revoke_lease(kms_client *client, const char *lease_id,
                                       const struct kms_call_options *options, struct kms_error *error);

void kms_database_credentials_free(struct kms_database_credentials *credentials); /* wipes; NULL: no-op */

#ifdef __cplusplus
}
#endif

#endif
