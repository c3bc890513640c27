/*
 * A record taken apart for those who look for something in it: the members of a JSON object one by one, as
 * they stand in the line. Nothing is built or copied, so that it goes at the speed of reading. For lines that
 * this room wrote (json.h); thread-safe.
 */
#ifndef KMS_AUDIT_FIELDS_H
#define KMS_AUDIT_FIELDS_H

#include "base/bytes.h"

/* A place in a JSON object or array; borrows the text. */
struct kms_audit_walk {
    const char *at, *end;
    bool object, failed; /* failed: not the form of JSON that is written here; no more members come */
};
/* value: an object or array with its brackets. Anything else has no members. */
struct kms_audit_walk kms_audit_walk(struct kms_bytes value);
/* The next member or element; false: no more, or failed. ret_name is empty in arrays; ret_value is as it
 * stands, a text with its quotes. */
bool kms_audit_walk_next(struct kms_audit_walk *walk, struct kms_bytes *ret_name,
                         struct kms_bytes *ret_value);
/* A member of an object; empty: none. */
struct kms_bytes kms_audit_member(struct kms_bytes object, const char *name);
/* What stands between the quotes of a text, still escaped; empty for anything else. */
struct kms_bytes kms_audit_inside(struct kms_bytes text);
/* 0 for what is no number. */
uint64_t kms_audit_number(struct kms_bytes value);

/* The top-level members that people ask about, escaped and without quotes; empty: not in this record. */
struct kms_audit_fields {
    struct kms_bytes time, kind, request_id, principal, operation, outcome, correlation_id, protocol;
    struct kms_bytes access, items; /* arrays, with their brackets */
    uint64_t latency_us, count;     /* 0: not said */
};
/* False: the line is no record. Fields are borrowed from it. */
bool kms_audit_fields_read(struct kms_bytes line, struct kms_audit_fields *ret_fields);

#endif
