/* The clock of a data-key cache, for tests of its age. Threads: before the cache is used. */
#ifndef KMS_CLIENT_DATA_KEY_CACHE_H
#define KMS_CLIENT_DATA_KEY_CACHE_H

#include <kms/data_key_cache.h>

/* now_us: as kms_monotonic_us, which it replaces. */
void kms_data_key_cache_set_clock(kms_data_key_cache *cache, uint64_t (*now_us)(void));

#endif
