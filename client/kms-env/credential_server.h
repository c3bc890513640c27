/* Accepts connections and has each answered in a thread of its own, a bounded number at once. */
#ifndef KMS_CLIENT_KMS_ENV_CREDENTIAL_SERVER_H
#define KMS_CLIENT_KMS_ENV_CREDENTIAL_SERVER_H

#include "client/kms-env/credential_answer.h"

/*
 * Until signal_fd is readable; then those that are being answered are waited for, without further patience
 * for a kmsd that is away, and the rest stays in the queue of listen_fd. source->stop_fd is an eventfd, which
 * is set then. Not thread-safe. Errors: IO.
 */
KMS_MUST_USE kms_err kms_env_credential_serve(const struct kms_env_credential_source *source, int listen_fd,
                                              int signal_fd, struct kms_why *why);

#endif
