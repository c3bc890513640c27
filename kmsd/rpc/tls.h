/*
 * TLS 1.3 with client certificates: the server's credentials, and how they are read again while it runs.
 * Thread-safe after kms_tls_new.
 */
#ifndef KMS_RPC_TLS_H
#define KMS_RPC_TLS_H

#include <grpc/grpc_security.h>

#include "base/bytes.h"

typedef struct kms_tls kms_tls;

/* gRPC 1.51 has no call that forbids TLS 1.2, so OpenSSL's defaults for the whole process do. Before
 * grpc_init. */
KMS_MUST_USE kms_err kms_tls_only_13(void);
/* How many TLS connections of this process may be open or shake hands at once (kms_tls_only_13 counts them);
 * one more fails its handshake. Until called: no limit. Thread-safe. */
void kms_tls_limit_connections(uint32_t most);
unsigned kms_tls_connections(void); /* such that there are now */

/* Paths are borrowed. Reads and checks the files: the key fits the certificate, which has not expired, the CA
 * file holds a certificate, the key file is not readable by others. Errors: CONFIG_INVALID, IO, NO_MEMORY. */
KMS_MUST_USE kms_err kms_tls_new(const char *certificate, const char *key, const char *client_ca,
                                 kms_tls **ret_tls, struct kms_why *why);
/* The same again, for handshakes from now on. On an error nothing changes. */
KMS_MUST_USE kms_err kms_tls_reload(kms_tls *tls, struct kms_why *why);
/* For one listener, whose server must be gone before kms_tls_free. The caller releases them. NULL: INTERNAL.
 */
grpc_server_credentials *kms_tls_credentials(kms_tls *tls);
void kms_tls_free(kms_tls *tls); /* NULL is a no-op */

#endif
