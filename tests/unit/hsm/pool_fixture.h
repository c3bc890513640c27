/* A token, a spawner, a pool and the thread that polls it. */
#ifndef KMS_TESTS_UNIT_HSM_POOL_FIXTURE_H
#define KMS_TESTS_UNIT_HSM_POOL_FIXTURE_H

#include <pthread.h>
#include <sys/types.h>

#include "hsm/hsm.h"
#include "tests/harness/softhsm.h"

struct pool_fixture {
    struct softhsm token;
    struct kms_hsm_options options;
    kms_spawner *spawner;
    kms_hsm *hsm;
    pthread_t poller;
    bool polling;
    _Atomic bool stop;
    struct kms_why why;
};

/* A token in dir/name and options for it: through the shim, 2 workers, 2 lanes, short deadlines. */
bool pool_prepare(struct pool_fixture *f, const char *dir, const char *name);
kms_err pool_init(struct pool_fixture *f);      /* makes the root keys */
kms_err pool_open(struct pool_fixture *f);      /* starts spawner, pool and polling thread */
void pool_stop_polling(struct pool_fixture *f); /* the caller polls from now on */
void pool_close(struct pool_fixture *f);        /* a pool that was not opened is fine */
/* The workers of this pool alive now; at most cap are written. */
size_t pool_workers(const struct pool_fixture *f, pid_t *pids, size_t cap);
void pool_wait_healthy(struct pool_fixture *f, unsigned workers);

/* A key version with its wrapped key. */
struct pool_key {
    struct kms_hsm_key key;
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
};
kms_err pool_new_key(struct pool_fixture *f, uint8_t number, uint8_t level, struct pool_key *ret_key);
kms_err pool_new_key_of(struct pool_fixture *f, const struct kms_key_ref *ref, struct pool_key *ret_key);

/* One operation with its output, by kms_hsm_call. */
struct pool_call {
    struct kms_hsm_job job;
    uint8_t out[70 * 1024];
};
kms_err pool_encrypt(struct pool_fixture *f, const struct pool_key *key, const char *aad,
                     struct kms_bytes plaintext, struct pool_call *call);
kms_err pool_decrypt(struct pool_fixture *f, const struct kms_hsm_key *key, const char *aad,
                     struct kms_bytes sealed, struct pool_call *call);

#endif
