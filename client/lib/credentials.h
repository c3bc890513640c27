/* TLS credentials from PEM files, checked before they are used: core would only say that no address can be
 * reached. Thread-safe: no state. */
#ifndef KMS_CLIENT_CREDENTIALS_H
#define KMS_CLIENT_CREDENTIALS_H

#include <grpc/grpc_security.h>
#include <kms/client.h>

#include "base/err.h"

/* From ca_file, cert_file and key_file. The caller releases *ret_credentials. CONFIG_INVALID: a file is
 * missing, no PEM, not a certificate or key, the certificate has expired, or the key is another's; why names
 * the file. */
KMS_MUST_USE kms_err kms_credentials_new(const struct kms_client_options *options,
                                         grpc_channel_credentials **ret_credentials, struct kms_why *why);

#endif
