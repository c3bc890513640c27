/* Generations of root keys: one worker changes the token, then all look at it again. */
#include <unistd.h>

#include "hsm/pool.h"
#include "hsm/wrapped.h"

static kms_err change(kms_hsm *hsm, enum kms_hsm_op op, uint32_t root_id)
{
    const struct kms_hsm_job read = {.op = KMS_HSM_READ_ROOTS};
    struct kms_hsm_job job = {.op = op, .count = root_id};
    kms_err changed = kms_hsm_call(hsm, &job);
    kms_err told = kms_pool_broadcast(hsm, &read); /* a failure may have come after the deed */
    return kms_failed(changed) ? changed : told;
}

kms_err kms_hsm_new_root(kms_hsm *hsm, uint32_t root_id)
{
    return change(hsm, KMS_HSM_NEW_ROOT, root_id);
}

kms_err kms_hsm_destroy_root(kms_hsm *hsm, uint32_t root_id)
{
    usleep(hsm->options.deadline_ms * 1000); /* jobs that still carry what it wraps have been begun by then */
    return change(hsm, KMS_HSM_DESTROY_ROOT, root_id);
}

uint32_t kms_hsm_root_of(struct kms_bytes wrapped)
{
    struct kms_wrapped parsed;
    return kms_failed(kms_wrapped_get(wrapped, &parsed)) ? 0 : parsed.root_id;
}

uint32_t kms_hsm_root_of_store_key(struct kms_bytes sealed)
{
    struct kms_reader r = kms_reader_over(sealed);
    return kms_get_u32(&r);
}
