/* Records of the service itself, of whatever stage. */
#include "base/clock.h"
#include "kmsd/boot.h"

kms_err kms_boot_note(struct kms_boot *boot, const char *what, const struct kms_audit_pair *pairs,
                      size_t count)
{
    struct kms_audit_event event = {.kind = KMS_AUDIT_SERVICE, .operation = what, .started_us = kms_now_us()};
    for (size_t i = 0; i < count && i < KMS_AUDIT_EXTRAS; i++) event.extra[event.extra_count++] = pairs[i];
    return kms_pipeline_record(boot->pipeline, &event);
}
