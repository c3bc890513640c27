/* Between the files of lint. */
#ifndef KMS_POLICY_LINT_INTERNAL_H
#define KMS_POLICY_LINT_INTERNAL_H

#include "kmsd/policy/words.h"

struct kms_lint {
    const struct kms_reading *reading;
    json_t *findings;
    json_int_t errors, warnings;
    kms_err err; /* NO_MEMORY once: the report is not whole */
};

/* statement NULL: the whole document. */
__attribute__((format(printf, 4, 5))) void kms_lint_warn(struct kms_lint *lint,
                                                         const struct kms_statement *statement,
                                                         const char *code, const char *format, ...);
__attribute__((format(printf, 3, 4))) void kms_lint_error(struct kms_lint *lint, const char *code,
                                                          const char *format, ...);

/* Conditions that never or always hold, and those that a caller can step around. */
void kms_lint_conditions(struct kms_lint *lint, const struct kms_statement *statement);
/* Names that nobody can have. */
void kms_lint_principals(struct kms_lint *lint, const struct kms_statement *statement);

#endif
