/*
 * The approval rule of a key: which administrators are named, and how many of them must agree before certain
 * changes are made. Immutable and reference-counted, so that all generations of a key share it. Thread-safe.
 */
#ifndef KMS_KEYS_RULE_H
#define KMS_KEYS_RULE_H

#include <stdatomic.h>

#include "base/bytes.h"

enum { KMS_RULE_PRINCIPALS = 32, KMS_RULE_NAME_BYTES = 511 };

struct kms_rule {
    atomic_uint refs;
    uint32_t required; /* M: 1 .. count */
    uint32_t count;    /* N: 1 .. KMS_RULE_PRINCIPALS */
    char *principals[KMS_RULE_PRINCIPALS];
};

/* A rule with one reference; names are copied. INVALID_ARGUMENT (why says what): required is 0 or more than
 * there are names, a name is empty, too long, "*", or there twice, there are too many. */
KMS_MUST_USE kms_err kms_rule_new(uint32_t required, char *const *names, size_t count,
                                  struct kms_rule **ret_rule, struct kms_why *why);
struct kms_rule *kms_rule_ref(struct kms_rule *rule); /* NULL stays NULL */
void kms_rule_unref(struct kms_rule *rule);           /* NULL is a no-op */
static inline void kms_rule_drop(struct kms_rule **rule)
{
    kms_rule_unref(*rule);
}

/* NULL names nobody. */
bool kms_rule_names(const struct kms_rule *rule, const char *principal);
/* The same number of the same principals, in any order; NULL equals NULL. */
bool kms_rule_equal(const struct kms_rule *a, const struct kms_rule *b);

#endif
