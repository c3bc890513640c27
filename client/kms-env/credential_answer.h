/*
 * What one connection of a service manager is answered: the value, or more than it takes.
 *
 * The protocol has no word for "no". A connection that is closed without data is an empty credential, and the
 * unit starts with it; so whatever is refused or cannot be had is answered with KMS_ENV_CREDENTIAL_REFUSAL
 * zero bytes, which is more than a credential may have, and the unit fails.
 */
#ifndef KMS_CLIENT_KMS_ENV_CREDENTIAL_ANSWER_H
#define KMS_CLIENT_KMS_ENV_CREDENTIAL_ANSWER_H

#include <sys/types.h>

#include "client/kms-env/credential_map.h"
#include "client/kms-env/fetch.h"

enum { KMS_ENV_CREDENTIAL_MOST = 1024 * 1024, KMS_ENV_CREDENTIAL_REFUSAL = KMS_ENV_CREDENTIAL_MOST + 1 };

struct kms_env_credential_source {
    const struct kms_env_credentials *map;
    struct kms_env_fetcher fetcher; /* thread-safe */
    uid_t manager;                  /* whom the service manager runs as; nobody else is served */
    int stop_fd;                    /* readable: no more waiting for a kmsd that is away */
};

/* Answers and closes fd, a connected socket; logs how it went, never what was sent. Takes at most the time of
 * the map's retry, of one call and of its send_timeout. Any number of threads at once. */
void kms_env_credential_answer(const struct kms_env_credential_source *source, int fd);

#endif
