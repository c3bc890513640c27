/* The service policy in force, and request ids. */
#include "kmsd/service/core.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

uint64_t kms_core_now_us(const struct kms_core *core)
{
    uint64_t now_us = kms_now_us(), latest_us = atomic_load(&core->latest_us);
    return now_us > latest_us ? now_us : latest_us;
}

void kms_core_seen_us(struct kms_core *core, uint64_t wall_us)
{
    unsigned long long latest_us = atomic_load(&core->latest_us);
    while (wall_us > latest_us && !atomic_compare_exchange_weak(&core->latest_us, &latest_us, wall_us))
        continue;
}

enum kms_key_state kms_core_key_state(const struct kms_core *core, const struct kms_key *key, uint64_t now_us)
{
    enum kms_key_state state = kms_key_state_at(key, now_us);
    const struct kms_key_version *version = kms_key_current(key);
    if ((state != KMS_STATE_ENABLED && state != KMS_STATE_DISABLED) || version->wrapped.len == 0)
        return state;
    struct kms_hsm_status status = {.root_count = 0};
    if (core->hsm != NULL) kms_hsm_status(core->hsm, &status);
    if (status.root_count == 0) return state; /* no worker has answered yet: nothing is known */
    for (unsigned i = 0; i < status.root_count; i++)
        if (status.roots[i] == version->root_id) return state;
    return KMS_STATE_UNAVAILABLE;
}

void kms_core_set_service_policy(struct kms_core *core, kms_policy *policy, const char *sha256_hex)
{
    pthread_mutex_lock(&core->service_policy_lock);
    kms_policy *old = core->service_policy;
    core->service_policy = policy;
    snprintf(core->service_policy_sha256, sizeof core->service_policy_sha256, "%s", sha256_hex);
    pthread_mutex_unlock(&core->service_policy_lock);
    kms_policy_unref(old);
}

/* Locking changes nothing that shows, and what calls see of the core is constant otherwise. */
static struct kms_core *inside(const struct kms_core *core)
{
    return (struct kms_core *)(uintptr_t)core;
}

static pthread_mutex_t *policy_lock(const struct kms_core *core)
{
    return &inside(core)->service_policy_lock;
}

kms_policy *kms_core_service_policy(const struct kms_core *core)
{
    pthread_mutex_lock(policy_lock(core));
    kms_policy *policy = core->service_policy != NULL ? kms_policy_ref(core->service_policy) : NULL;
    pthread_mutex_unlock(policy_lock(core));
    return policy;
}

void kms_core_service_policy_sha256(const struct kms_core *core, char hex[2 * KMS_DIGEST_BYTES + 1])
{
    pthread_mutex_lock(policy_lock(core));
    kms_copy(hex, core->service_policy_sha256, sizeof core->service_policy_sha256);
    pthread_mutex_unlock(policy_lock(core));
}

uint32_t kms_core_doom_root(const struct kms_core *core, uint32_t root_id)
{
    struct kms_core *own = inside(core);
    pthread_rwlock_wrlock(&own->doomed_root_lock);
    uint32_t before = own->doomed_root;
    own->doomed_root = root_id;
    pthread_rwlock_unlock(&own->doomed_root_lock);
    return before;
}

uint32_t kms_core_hold_doomed_root(const struct kms_core *core)
{
    pthread_rwlock_rdlock(&inside(core)->doomed_root_lock);
    return core->doomed_root;
}

void kms_core_release_doomed_root(const struct kms_core *core)
{
    pthread_rwlock_unlock(&inside(core)->doomed_root_lock);
}

void kms_core_wake_secrets(const struct kms_core *core)
{
    sem_post(&inside(core)->secrets_wake);
}

void kms_core_wake_leases(const struct kms_core *core)
{
    sem_post(&inside(core)->leases_wake);
}

void kms_core_request_id(struct kms_core *core, struct kms_id *ret_id)
{
    uint64_t n = atomic_fetch_add_explicit(&core->request_counter, 1, memory_order_relaxed);
    memcpy(ret_id->bytes, core->request_prefix, 8);
    for (size_t i = 0; i < 8; i++) ret_id->bytes[8 + i] = (uint8_t)(n >> (8 * (7 - i)));
    ret_id->bytes[6] = (uint8_t)(0x80 | (ret_id->bytes[6] & 0x0f)); /* version 8 */
    ret_id->bytes[8] = (uint8_t)(0x80 | (ret_id->bytes[8] & 0x3f)); /* variant 10 */
}
