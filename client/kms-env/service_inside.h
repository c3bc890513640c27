/* What the files of service.h share: the connection, and errors. Private to them. */
#ifndef KMS_CLIENT_KMS_ENV_SERVICE_INSIDE_H
#define KMS_CLIENT_KMS_ENV_SERVICE_INSIDE_H

#include <kms/client.h>

#include "client/kms-env/service.h"

enum {
    KMS_ENV_IN_FLIGHT = 64
}; /* calls at a time on the one connection: beyond it the service gains nothing */

struct kms_env_service {
    const struct kms_env_settings *settings;
    kms_client *client;     /* NULL: not opened yet */
    kms_env_leases *leases; /* NULL: there are no database users */
};

/* Opens the connection unless it is open. */
KMS_MUST_USE kms_err kms_env_service_need(kms_env_service *service, struct kms_why *why);
/* Reasons are names of the error table, but for those that a newer server invents and those that no server
 * gave. */
kms_err kms_env_service_error(const struct kms_error *error, struct kms_why *why);

kms_err kms_env_service_fetch(void *self, struct kms_env_fetch *fetches, size_t count, struct kms_why *why);

#endif
