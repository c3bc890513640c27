/* The clock of a secret cache, for tests of its times. Threads: before the cache is used. */
#ifndef KMS_CLIENT_SECRET_CACHE_H
#define KMS_CLIENT_SECRET_CACHE_H

#include <kms/secret_cache.h>

/* now_us: as kms_monotonic_us, which it replaces. */
void kms_secret_cache_set_clock(kms_secret_cache *cache, uint64_t (*now_us)(void));

#endif
