/* From a Secret to a SealedSecret (v1alpha1). Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_SEALED_SECRET_H
#define KMS_CLIENT_KMSCTL_SEALED_SECRET_H

#include <jansson.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "client/kmsctl/sealed/text.h"

/* What the command line says beside the manifest; NULL: nothing. */
struct ctl_sealing {
    EVP_PKEY *to; /* public key, RSA; borrowed */
    const char *scope, *namespace, *name;
};
/* A new reference. INVALID_ARGUMENT: not a Secret, or not one that can be sealed; NO_MEMORY; why never has
 * a value. */
KMS_MUST_USE kms_err ctl_seal_secret(const struct ctl_sealing *sealing, const json_t *secret,
                                     json_t **ret_sealed, struct kms_why *why);
/* One value alone, in base64 into out, which must be empty. */
KMS_MUST_USE kms_err ctl_seal_value(const struct ctl_sealing *sealing, struct kms_bytes plaintext,
                                    kms_buf *out, struct kms_why *why);

/* The bytes of a member of "data": base64, line breaks allowed, null for none. INVALID_ARGUMENT: no text,
 * or no base64; NO_MEMORY. */
KMS_MUST_USE kms_err ctl_data_read(const json_t *value, struct ctl_data *ret_data);

#endif
