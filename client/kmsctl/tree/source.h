/* One file, read whole, and put back with new values in the same places. Not thread-safe. */
#ifndef KMS_CLIENT_KMSCTL_TREE_SOURCE_H
#define KMS_CLIENT_KMSCTL_TREE_SOURCE_H

#include <sys/stat.h>

#include "client/kmsctl/tree/outcome.h"

typedef struct ctl_source {
    uint8_t *memory; /* wiped when freed: beside ciphertext there may be anything */
    size_t cap, len; /* bytes */
    struct stat status;
    enum ctl_skip skip; /* CTL_SKIP_COUNT: none */
} ctl_source;

/* follow: a symbolic link. With a reason to skip it nothing is read. Errors: NOT_FOUND, IO (why has the words
 * of the system), NO_MEMORY. */
KMS_MUST_USE kms_err ctl_source_read(const char *path, bool follow, size_t max_bytes, ctl_source *source,
                                     struct kms_why *why);
struct kms_bytes ctl_source_text(const ctl_source *source);
void ctl_source_free(ctl_source *source); /* the struct itself is the caller's */
#define KMS_OWN_SOURCE __attribute__((cleanup(ctl_source_free))) ctl_source

/* Whether it could be replaced now. IO, or INVALID_ARGUMENT for a file with several names: why says what. */
KMS_MUST_USE kms_err ctl_source_check(const char *path, const ctl_source *source, struct kms_why *why);

/* The file as it is to be: texts[i] stands where values->items[i] was, an empty one leaves it. values are
 * those of source. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_source_with(const ctl_source *source, const ctl_values *values, const kms_buf *texts,
                                     ctl_source *ret_source);

/* Replaces the file in one step, by what ctl_source_with made of what was read. IO, CONFLICT (changed since
 * it was read), NO_MEMORY. */
KMS_MUST_USE kms_err ctl_source_replace(const char *path, const ctl_source *source, struct kms_why *why);

#endif
