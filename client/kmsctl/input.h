/* What a user hands over: files, standard input, NAME=VALUE pairs, durations. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_INPUT_H
#define KMS_CLIENT_KMSCTL_INPUT_H

#include <kms/types.h>

#include "base/secret.h"
#include "client/kmsctl/ctl.h"

/* All of a file, or of standard input when path is NULL or "-", into locked memory. INVALID_ARGUMENT: empty,
 * or longer than max_len bytes; IO; why names it. */
KMS_MUST_USE kms_err ctl_read_secret(const char *path, size_t max_len, kms_secret **ret_secret,
                                     struct kms_why *why);
/* The same where it may be longer than a kms_secret: *ret_memory is locked, max_len + 1 bytes of which
 * *ret_len are used, and the caller's (kms_locked_free). */
KMS_MUST_USE kms_err ctl_read_locked(const char *path, size_t max_len, void **ret_memory, size_t *ret_len,
                                     struct kms_why *why);
/* The same for what is no secret. out must be empty. */
KMS_MUST_USE kms_err ctl_read_text(const char *path, size_t max_len, kms_buf *out, struct kms_why *why);

/* The longest policy of a secret or a database role. */
enum { CTL_RESOURCE_POLICY_BYTES = 20480 };

/* Pairs of an encryption context. The texts are cut in place, as argv may be; entries are borrowed from
 * pairs. INVALID_ARGUMENT: no "=", no name, a name twice; why says which pair. */
struct ctl_pairs {
    struct kms_context_entry entries[CTL_LIST_MAX];
    size_t count;
};
KMS_MUST_USE kms_err ctl_parse_pairs(const struct ctl_texts *texts, struct ctl_pairs *ret_pairs,
                                     struct kms_why *why);
struct kms_context ctl_context_of(const struct ctl_pairs *pairs); /* borrowed */

/* The name of an alias as the service wants it: "my-app" is short for "alias/my-app". */
enum { CTL_ALIAS_BYTES = 512 };
const char *ctl_alias_name(const char *given, char name[CTL_ALIAS_BYTES]); /* NULL stays NULL */

/* A number of bytes, from 0. */
bool ctl_byte_count(const char *text, uint64_t *ret_bytes);

/* "500ms", "10s", "2m", "1h"; 1 ms to 24 h. */
bool ctl_duration(const char *text, uint32_t *ret_ms);
/* "90s", "30m", "12h", "7d" in seconds. */
bool ctl_seconds(const char *text, uint64_t *ret_seconds);
/* A point in time as policies write it: 2026-11-22, 2026-11-22T12:00:00Z, or seconds since 1970. */
bool ctl_time(const char *text, uint64_t *ret_us);
/* The same, or how long ago: 90s, 30m, 12h, 7d. */
bool ctl_past(const char *text, uint64_t *ret_us);
/* "90d", "12h" from now, or a moment as 2027-01-31T12:00:00Z; 0: neither. */
uint64_t ctl_moment_us(const char *text);

#endif
