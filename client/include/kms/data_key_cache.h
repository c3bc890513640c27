/*
 * Data keys that serve more than one message: fewer calls to kmsd, bounded in time, messages and bytes.
 *
 * A cache is made for one client and asked in place of kms_client_generate_data_key. It keeps one data key
 * for each key name, data key spec and encryption context, in locked memory, and gives out copies until a
 * limit is reached; then it asks kmsd for the next. What that costs: until max_age_ms has passed, who lost
 * the right to use the key, a disabled key and a rotated one do not show here, and the audit log has one
 * record where many messages were encrypted. Grant tokens go with the calls that are made, and are not asked
 * about when none is.
 *
 * Threads: any number may use a cache at once; those that find no data key at the same time each ask for one.
 * It does not outlive fork(): the child is refused (UNSUPPORTED) and makes its own client and cache.
 */
#ifndef KMS_DATA_KEY_CACHE_H
#define KMS_DATA_KEY_CACHE_H

#include <kms/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KMS_CACHE_MESSAGES_MAX (UINT64_C(1) << 32)
#define KMS_CACHE_BYTES_MAX    (UINT64_C(1) << 44)
enum { KMS_CACHE_AGE_MAX_MS = 24 * 60 * 60 * 1000, KMS_CACHE_ENTRIES_MAX = 1024 };

struct kms_data_key_cache_options {
    uint32_t max_age_ms;   /* of a data key, since it was asked for; at most a day; 0: 300,000 */
    uint64_t max_messages; /* for one data key, at most 2^32; 0: 1,000 */
    uint64_t max_bytes;    /* for one data key, at most 2^44; 0: 2^36 (64 GiB) */
    uint32_t max_entries;  /* data keys at a time, at most 1,024; the one unused for longest goes; 0: 100 */
};

typedef struct kms_data_key_cache kms_data_key_cache;

/* options may be NULL. Borrows client until it is freed. Reasons: INVALID_ARGUMENT (a limit above its own),
 * NO_MEMORY. */
KMS_CHECK bool kms_data_key_cache_new(kms_client *client, const struct kms_data_key_cache_options *options,
                                      kms_data_key_cache **ret_cache, struct kms_error *error);
/* A data key for one more message of bytes bytes, which count against its limits. A message above max_bytes
 * has a data key of its own. The result is the caller's; reasons: those of kms_client_generate_data_key, and
 * UNSUPPORTED (after fork). */
KMS_CHECK bool kms_data_key_cache_get(kms_data_key_cache *cache, const struct kms_data_key_request *request,
                                      uint64_t bytes, const struct kms_call_options *options,
                                      struct kms_data_key_result **ret_result, struct kms_error *error);
/* Wipes all data keys. What is too old is wiped by the next call of any of these functions, not earlier. */
void kms_data_key_cache_clear(kms_data_key_cache *cache);
void kms_data_key_cache_free(kms_data_key_cache *cache); /* wipes, too; before its client; NULL is a no-op */

#ifdef __cplusplus
}
#endif

#endif
