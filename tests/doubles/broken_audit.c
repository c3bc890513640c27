/* An audit log in memory that breaks on demand. */
#include "tests/doubles/broken_audit.h"

#include <stdio.h>
#include <string.h>

struct broken_audit broken_audit;

void broken_audit_reset(void)
{
    memset(&broken_audit, 0, sizeof broken_audit);
}

kms_err kms_audit_append(kms_audit *audit, const struct kms_audit_event *event)
{
    (void)audit;
    atomic_fetch_add(&broken_audit.appends, 1);
    unsigned after = atomic_load(&broken_audit.append_fails_after);
    if (after > 0) atomic_store(&broken_audit.append_fails_after, after - 1);
    if (after == 1) return KMS_FAIL(LIMIT_EXCEEDED);
    if (atomic_load(&broken_audit.append_fails)) return KMS_FAIL(AUDIT_UNAVAILABLE);
    if (broken_audit.pending_count == BROKEN_AUDIT_RECORDS) return KMS_FAIL(INTERNAL);
    struct broken_audit_record *record = &broken_audit.pending[broken_audit.pending_count++];
    *record = (struct broken_audit_record){.kind = event->kind,
                                           .outcome = event->outcome.code,
                                           .request_id = event->request_id,
                                           .count = event->count};
    snprintf(record->principal, sizeof record->principal, "%s",
             event->principal != NULL ? event->principal : "");
    return KMS_OK;
}

kms_err kms_audit_commit(kms_audit *audit)
{
    (void)audit;
    unsigned pending = broken_audit.pending_count, durable = atomic_load(&broken_audit.durable);
    broken_audit.pending_count = 0;
    if (atomic_load(&broken_audit.commit_fails)) return KMS_FAIL(AUDIT_UNAVAILABLE);
    if (pending == 0) return KMS_OK;
    unsigned commit = atomic_fetch_add(&broken_audit.commits, 1) + 1;
    for (unsigned i = 0; i < pending && durable < BROKEN_AUDIT_RECORDS; i++) {
        broken_audit.records[durable] = broken_audit.pending[i];
        broken_audit.records[durable++].commit = commit;
    }
    atomic_store(&broken_audit.durable, durable);
    return KMS_OK;
}

void kms_audit_trouble(const kms_audit *audit, struct kms_why *ret_why)
{
    (void)audit;
    kms_why_set(ret_why, "broken on demand");
}

void kms_audit_troubles(const kms_audit *audit, struct kms_why ret_whys[KMS_AUDIT_TROUBLES])
{
    (void)audit;
    memset(ret_whys, 0, KMS_AUDIT_TROUBLES * sizeof *ret_whys);
}

void kms_audit_tend(kms_audit *audit)
{
    (void)audit;
}

void kms_audit_head(const kms_audit *audit, uint64_t *ret_sequence,
                    char ret_hash_hex[2 * KMS_DIGEST_BYTES + 1])
{
    (void)audit;
    *ret_sequence = 1;
    ret_hash_hex[0] = '\0';
}

uint32_t kms_audit_file(const kms_audit *audit)
{
    (void)audit;
    return 1;
}
