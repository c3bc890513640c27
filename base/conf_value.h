/* One option's value: from text, to text, its range in words. Private to base/conf*.c. Thread-safe: no state.
 */
#ifndef KMS_BASE_CONF_VALUE_H
#define KMS_BASE_CONF_VALUE_H

#include "base/conf.h"

static inline bool kms_conf_is_list(const struct kms_conf_row *row)
{
    return row->kind == KMS_CONF_LIST || row->kind == KMS_CONF_STRINGS;
}

/* What is written for one option, and the folder that relative paths start from. */
struct kms_conf_input {
    struct kms_bytes text;
    const char *folder; /* "" or ends with a slash */
};

/* Stores a single value (not a list) at its place in values. CONFIG_INVALID: *ret_cause says what is wrong
 * (static); NO_MEMORY. Nothing is stored then. */
KMS_MUST_USE kms_err kms_conf_value_set(const struct kms_conf_row *row, const struct kms_conf_input *input,
                                        void *values, const char **ret_cause);
/* The same for one string outside a table, as in a list of strings. */
KMS_MUST_USE kms_err kms_conf_string_new(struct kms_bytes text, uint64_t min, uint64_t max, char **ret_string,
                                         const char **ret_cause);

KMS_MUST_USE kms_err kms_conf_value_print(const struct kms_conf_row *row, const void *values, kms_buf *out);
KMS_MUST_USE kms_err kms_conf_string_print(const char *text, kms_buf *out); /* quoted */
/* "10ms to 1m", "one of: a, b", "text of 1 to 255 bytes" */
KMS_MUST_USE kms_err kms_conf_range_print(const struct kms_conf_row *row, kms_buf *out);

/* A pointer kept at a place whose type only the table knows. */
void *kms_conf_pointer(const void *values, size_t offset);
void kms_conf_pointer_set(void *values, size_t offset, void *pointer);
size_t kms_conf_count(const struct kms_conf_row *row, const void *values);

#endif
