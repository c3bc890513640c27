/* Random nonces by the dozen: one at a time, the generator's own overhead costs more than the encryption
 * of a short message. */
#include "hsm/worker/worker.h"

#include "base/secret.h"

kms_err kms_nonces_take(struct kms_nonces *nonces, void *source, uint8_t *out, size_t len)
{
    if (nonces->left < len) {
        KMS_TRY(nonces->fill(source, nonces->bytes, sizeof nonces->bytes));
        nonces->left = sizeof nonces->bytes;
    }
    uint8_t *at = nonces->bytes + sizeof nonces->bytes - nonces->left;
    kms_copy(out, at, len);
    kms_wipe(at, len); /* never twice */
    nonces->left -= len;
    return KMS_OK;
}
