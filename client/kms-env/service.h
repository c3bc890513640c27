/* The service as kms-env needs it; besides connection.h, nothing knows libkms. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_SERVICE_H
#define KMS_CLIENT_KMS_ENV_SERVICE_H

#include "client/kms-env/seal.h"
#include "client/kms-env/settings.h"

typedef struct kms_env_service kms_env_service;

/* Errors: those of kms_env_connection_find and kms_client_open. The connection is made by the first call. */
KMS_MUST_USE kms_err kms_env_service_open(const struct kms_env_settings *settings,
                                          kms_env_service **ret_service, struct kms_why *why);
void kms_env_service_close(kms_env_service *service); /* NULL is a no-op */
void kms_env_service_drop(kms_env_service **service);

/* For seal.h; borrows service. */
struct kms_env_encrypter kms_env_service_encrypter(kms_env_service *service);
/* For resolve.h: opens a connection when there is something to decrypt, and closes it before it returns.
 * Borrows settings. */
struct kms_env_decrypter kms_env_service_decrypter(const struct kms_env_settings *settings);

#endif
