/*
 * SQL of the operator's for database users, with places for values, as HashiCorp Vault's database engine
 * has it: {{name}} (or {{username}}), {{password}}, {{expiration}}. Other braces are SQL's own.
 * Thread-safe: values only.
 */
#ifndef KMS_ROTATORS_STATEMENTS_H
#define KMS_ROTATORS_STATEMENTS_H

#include "base/secret.h"

enum { KMS_STATEMENTS_MAX = 32, KMS_STATEMENT_BYTES_MAX = 16384, KMS_EXPIRATION_TEXT = 32 };

/* Each item may hold several statements, with semicolons between them. */
struct kms_statements {
    const struct kms_bytes *items;
    size_t count;
};

struct kms_statement_values {
    const char *name, *password, *expiration; /* NUL-terminated; password may be in locked memory */
};

/* Number, length, UTF-8 without NUL, and, if names, {{name}} or {{username}} in one of them.
 * INVALID_ARGUMENT; what ("creation statements") is for why. */
KMS_MUST_USE kms_err kms_statements_check(const struct kms_statements *statements, const char *what,
                                          bool names, struct kms_why *why);
/* One with its places filled in, NUL-terminated. INVALID_ARGUMENT: a value has a character that could end a
 * quotation around it; NO_MEMORY. The caller owns it. */
KMS_MUST_USE kms_err kms_statement_fill(struct kms_bytes statement, const struct kms_statement_values *values,
                                        kms_secret **ret_sql);

void kms_expiration_text(uint64_t us, char text[KMS_EXPIRATION_TEXT]); /* "2026-11-22 12:00:00+0000" */

#endif
