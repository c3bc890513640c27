/*
 * Which records somebody asks for: a filter that is data, and whether a line passes it. Pure: no files. A
 * query may be used by several threads at once.
 */
#ifndef KMS_AUDIT_QUERY_H
#define KMS_AUDIT_QUERY_H

#include "base/bytes.h"
#include "base/clock.h"

enum kms_audit_term {
#define KMS_AUDIT_TERM(symbol, name, star) KMS_AUDIT_BY_##symbol,
#include "kmsd/audit/filter.def"
#undef KMS_AUDIT_TERM
    KMS_AUDIT_TERM_COUNT
};
enum { KMS_AUDIT_TERM_BYTES = 2048 }; /* longest term */

/* All that is given must hold. */
struct kms_audit_filter {
    uint64_t since_us, until_us;             /* of the record's time: from, and before; 0: any */
    const char *terms[KMS_AUDIT_TERM_COUNT]; /* borrowed; NULL: any */
};

typedef struct kms_audit_query kms_audit_query;

/* Copies what it needs. INVALID_ARGUMENT: why names the term (too long, not UTF-8, no kind or outcome of that
 * name). NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_query_new(const struct kms_audit_filter *filter, kms_audit_query **ret_query,
                                         struct kms_why *why);
void kms_audit_query_free(kms_audit_query *query);
void kms_audit_query_drop(kms_audit_query **query);

enum kms_audit_match {
    KMS_AUDIT_OTHER,
    KMS_AUDIT_MATCH,
    KMS_AUDIT_NO_RECORD, /* a line that no writer wrote: verify tells more */
};
/* A line without its LF. Hashes are not checked. */
enum kms_audit_match kms_audit_query_match(const kms_audit_query *query, struct kms_bytes line);

/* The range as texts of records, for kms_audit_reader_between; "": open. */
const char *kms_audit_query_since(const kms_audit_query *query);
const char *kms_audit_query_until(const kms_audit_query *query);

#endif
