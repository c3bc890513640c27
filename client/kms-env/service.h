/* The service as kms-env needs it; besides connection.h, nothing knows libkms. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_SERVICE_H
#define KMS_CLIENT_KMS_ENV_SERVICE_H

#include "client/kms-env/import.h"
#include "client/kms-env/leases.h"
#include "client/kms-env/seal.h"
#include "client/kms-env/settings.h"

typedef struct kms_env_service kms_env_service;

/* Finds the service and opens the connection when it is needed first, so that who needs none needs no
 * settings either. Borrows settings. NO_MEMORY. */
KMS_MUST_USE kms_err kms_env_service_new(const struct kms_env_settings *settings,
                                         kms_env_service **ret_service);
/* The same at once. Errors: those of kms_env_connection_find and kms_client_open, which the calls of a new
 * one may answer too. */
KMS_MUST_USE kms_err kms_env_service_open(const struct kms_env_settings *settings,
                                          kms_env_service **ret_service, struct kms_why *why);
void kms_env_service_close(kms_env_service *service); /* NULL is a no-op */
void kms_env_service_drop(kms_env_service **service);

/* For seal.h; borrows service, which is open. */
struct kms_env_encrypter kms_env_service_encrypter(kms_env_service *service);
/* For resolve.h and inspect.h; borrows service. */
struct kms_env_providers kms_env_service_providers(kms_env_service *service);

/* Which version of a secret has the stage now; NOT_FOUND: none. Asks for no value. Errors: the service's. */
KMS_MUST_USE kms_err kms_env_service_version(kms_env_service *service, const char *name, const char *stage,
                                             char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1],
                                             struct kms_why *why);

/* For leases.h; borrows service. All but `make` need one that is open. */
struct kms_env_lessor kms_env_service_lessor(kms_env_service *service);
/* Roles that are fetched have their users from there; without it they are refused (UNSUPPORTED). Borrowed. */
void kms_env_service_lease(kms_env_service *service, kms_env_leases *leases);

/* For import.h; borrows store. */
struct kms_env_service_store {
    kms_env_service *service;
    const char *key, *policy; /* of secrets that are created; NULL: the service's defaults */
};
struct kms_env_store kms_env_service_keeper(struct kms_env_service_store *store);

#endif
