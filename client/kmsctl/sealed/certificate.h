/* The certificate of a sealing key, as kubeseal --cert takes it. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_SEALED_CERTIFICATE_H
#define KMS_CLIENT_KMSCTL_SEALED_CERTIFICATE_H

#include <openssl/evp.h>

#include "base/bytes.h"

enum { CTL_CERTIFICATE_BYTES = 64 * 1024 }; /* longest file */

/* The key of the first certificate of a PEM text; the caller frees it. INVALID_ARGUMENT: none, not one of
 * an RSA key of 2048 bits or more, or not valid any more (at now_s, seconds since 1970); why says which. */
KMS_MUST_USE kms_err ctl_certificate_key(struct kms_bytes pem, uint64_t now_s, EVP_PKEY **ret_key,
                                         struct kms_why *why);

#endif
