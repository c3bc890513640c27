/*
 * Pages of the audit log, as ListAuditRecords and StreamAuditRecords give them: a stretch that is bounded in
 * records, bytes, and in what is looked at for it. Where a page ended is named by its marker,
 * INSTANCE.FILE.OFFSET.SEQUENCE.FROM, which is checked against the log before it is believed. Not
 * thread-safe.
 */
#ifndef KMS_SERVICE_AUDIT_PAGE_H
#define KMS_SERVICE_AUDIT_PAGE_H

#include "kms/v1/audit.pb-c.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/reader.h"
#include "kmsd/service/call.h"

/* Where a page begins, and the first record that is wanted. */
struct kms_audit_start {
    struct kms_audit_place place;
    uint64_t from; /* sequence; records before it are passed over */
};

/* The log as one call reads it, page after page. */
struct kms_audit_source {
    kms_audit_query *query;
    kms_audit_reader *reader;
    struct kms_audit_start next;
    struct kms_bytes pending; /* a record that found no room: the next page begins with it; the reader's */
    bool from_beginning;      /* the next page begins at the beginning of the log */
};

/* What is asked for; texts borrowed, empty: any. */
struct kms_audit_question {
    const Kms__V1__AuditFilter *filter; /* NULL: everything */
    const char *marker;                 /* "": at the beginning, or: */
    uint64_t last;                      /* where the last so many records begin */
};

/* What is looked for, into the record of the call: who looks at the log stands in the log. */
void kms_audit_source_say(struct kms_call *call, const Kms__V1__AuditFilter *filter);
/* INVALID_ARGUMENT, INVALID_MARKER, AUDIT_UNAVAILABLE (a file cannot be read), NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_source_open(struct kms_call *call, const struct kms_audit_question *question,
                                           struct kms_audit_source *ret_source);
void kms_audit_source_close(struct kms_audit_source *source);

/* In the arena of the call. */
struct kms_audit_page {
    char **records;
    size_t count;
    bool truncated, from_beginning;
    uint64_t damaged, missing, bytes_left; /* lines; records; bytes */
    char *next_marker;
};
/* limit: as the request has it. INVALID_ARGUMENT (limit), DEADLINE_EXCEEDED, AUDIT_UNAVAILABLE, CORRUPT,
 * NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_source_page(struct kms_call *call, struct kms_audit_source *source,
                                           uint32_t limit, struct kms_audit_page *ret_page);

#endif
