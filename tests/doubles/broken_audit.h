/*
 * An audit log in memory that breaks on demand, in place of kmsd/audit: it counts, and keeps the order in
 * which records became durable. Appending and committing as in audit.h; any thread may set the switches.
 */
#ifndef KMS_TESTS_DOUBLES_BROKEN_AUDIT_H
#define KMS_TESTS_DOUBLES_BROKEN_AUDIT_H

#include <stdatomic.h>

#include "kmsd/audit/audit.h"

enum { BROKEN_AUDIT_RECORDS = 2048 };

struct broken_audit_record {
    enum kms_audit_kind kind;
    enum kms_code outcome;
    struct kms_id request_id;
    char principal[64];
    uint64_t count;
    unsigned commit; /* which commit made it durable, from 1 */
};

struct broken_audit {
    atomic_bool commit_fails, append_fails; /* every one, until cleared */
    atomic_uint append_fails_after;         /* the nth from now fails, once; 0: none */
    atomic_uint commits, appends;           /* tried; commits of nothing do not count */
    atomic_uint durable;                    /* records */
    struct broken_audit_record records[BROKEN_AUDIT_RECORDS];

    struct broken_audit_record pending[BROKEN_AUDIT_RECORDS]; /* the one writer's own */
    unsigned pending_count;
};
/* One for the program: kms_audit * is not looked at. */
extern struct broken_audit broken_audit;
void broken_audit_reset(void);

#endif
