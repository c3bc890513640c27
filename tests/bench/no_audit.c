/*
 * The audit log switched off, to see what it costs: records of the crypto lane are counted, not made and not
 * written. All others are written, since start-up reads them back. Linked into kmsd-no-audit alone, with
 * --wrap; no installed program has this.
 */
#include <stdio.h>

#include "kmsd/audit/audit.h"
#include "kmsd/service/method.h"
#include "kmsd/service/record.h"

static const struct kms_audit_event counted = {.kind = KMS_AUDIT_CALL};
static bool written; /* the finish thread's: something real waits for the commit */
static unsigned long long count;

const struct kms_audit_event *__real_kms_record_of(const struct kms_call *call, struct kms_record *space);
const struct kms_audit_event *__wrap_kms_record_of(const struct kms_call *call, struct kms_record *space);
kms_err __real_kms_audit_append(kms_audit *audit, const struct kms_audit_event *event);
kms_err __wrap_kms_audit_append(kms_audit *audit, const struct kms_audit_event *event);
kms_err __real_kms_audit_commit(kms_audit *audit);
kms_err __wrap_kms_audit_commit(kms_audit *audit);
void __real_kms_audit_close(kms_audit *audit);
void __wrap_kms_audit_close(kms_audit *audit);

const struct kms_audit_event *__wrap_kms_record_of(const struct kms_call *call, struct kms_record *space)
{
    return call->method->lane == KMS_LANE_CRYPTO ? &counted : __real_kms_record_of(call, space);
}

kms_err __wrap_kms_audit_append(kms_audit *audit, const struct kms_audit_event *event)
{
    if (event == &counted) {
        count++;
        return KMS_OK;
    }
    written = true;
    return __real_kms_audit_append(audit, event);
}

kms_err __wrap_kms_audit_commit(kms_audit *audit)
{
    if (!written) return KMS_OK;
    written = false;
    return __real_kms_audit_commit(audit);
}

void __wrap_kms_audit_close(kms_audit *audit)
{
    fprintf(stderr, "audit log off: %llu calls were not recorded\n", count);
    __real_kms_audit_close(audit);
}
