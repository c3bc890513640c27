/*
 * Secrets that are read more often than they change: fewer calls to kmsd, and values also while it is away.
 *
 * A cache is made for one client and asked in place of kms_client_get_secret_value. It keeps one value for
 * each secret id, stage and version id, in locked memory, and gives out copies. What that costs: for ttl_ms,
 * a rotation, a lost right and a deletion do not show here; while kmsd does not answer, for stale_ms more.
 *
 * A value is asked for again before its time is over: jitter_percent earlier at random, so that many
 * processes do not ask together, and ahead_ms before that. The thread that comes first then asks, the others
 * are given the old value meanwhile. When kmsd does not answer (retryable of the error, or DEADLINE_EXCEEDED)
 * the old value is given, and the next try waits, 1 s at first and up to a minute; any other error ends the
 * value and is the answer.
 *
 * Threads: any number may use a cache at once; those that find no value at the same time each ask for it. It
 * does not outlive fork(): the child is refused (UNSUPPORTED) and makes its own client and cache.
 */
#ifndef KMS_SECRET_CACHE_H
#define KMS_SECRET_CACHE_H

#include <kms/secrets.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KMS_SECRET_CACHE_TIME_MAX_MS = 24 * 60 * 60 * 1000,
    KMS_SECRET_CACHE_JITTER_MAX = 50,
    KMS_SECRET_CACHE_ENTRIES_MAX = 1024
};

struct kms_secret_cache_options {
    uint32_t ttl_ms;         /* how long a value is good, since it was asked for; at most a day; 0: 300,000 */
    uint32_t ahead_ms;       /* how long before that it is asked for again; below ttl_ms; 0: a tenth of it */
    uint32_t jitter_percent; /* of ttl_ms, at most 50; 0: 10 */
    uint32_t stale_ms;       /* how long beyond ttl_ms when kmsd is away; at most a day; 0: 3,600,000 */
    uint32_t refresh_ms;     /* the longest that asking again for what is there takes; 0: 2,000 */
    uint32_t max_entries;    /* values at a time, at most 1,024; the one unused for longest goes; 0: 100 */
};

typedef struct kms_secret_cache kms_secret_cache;

/* options may be NULL. Borrows client until it is freed. Reasons: INVALID_ARGUMENT (a limit above its own),
 * NO_MEMORY. */
KMS_CHECK bool kms_secret_cache_new(kms_client *client, const struct kms_secret_cache_options *options,
                                    kms_secret_cache **ret_cache, struct kms_error *error);
/* The result is the caller's; reasons: those of kms_client_get_secret_value, and UNSUPPORTED (after fork).
 * options are those of a first call; asking again has refresh_ms. */
KMS_CHECK bool kms_secret_cache_get(kms_secret_cache *cache, const struct kms_get_secret_request *request,
                                    const struct kms_call_options *options,
                                    struct kms_secret_value **ret_value, struct kms_error *error);
/* Forgets the values of a secret, by the id they were asked by, so that the next call asks: for who learns
 * that a value is no longer good, as by a login that fails. NULL: of all. */
void kms_secret_cache_forget(kms_secret_cache *cache, const char *secret_id);
void kms_secret_cache_free(kms_secret_cache *cache); /* wipes; before its client; NULL is a no-op */

#ifdef __cplusplus
}
#endif

#endif
