/* The first start of all: makes what every other start expects. */
#include "kmsd/init.h"

#include <poll.h>
#include <stdatomic.h>

/* Results are read by one thread (hsm.h); here that is all there is to do. */
struct poller {
    kms_hsm *hsm;
    pthread_t thread;
    atomic_bool stop;
};

static void *poller_main(void *self)
{
    struct poller *poller = self;
    struct pollfd fd = {.fd = kms_hsm_poll_fd(poller->hsm), .events = POLLIN};
    while (!atomic_load(&poller->stop)) {
        poll(&fd, 1, 20);
        kms_hsm_poll(poller->hsm);
    }
    return NULL;
}

static kms_err seal_store(struct kms_boot *boot, kms_keystore *store, struct kms_why *why)
{
    uint8_t sealed[256];
    struct kms_hsm_job job = {.op = KMS_HSM_NEW_STORE_KEY,
                              .aad = kms_bytes_text(KMS_STORE_KEY_PURPOSE),
                              .output = sealed,
                              .output_cap = sizeof sealed};
    struct poller poller = {.hsm = boot->core.hsm};
    if (pthread_create(&poller.thread, NULL, poller_main, &poller) != 0) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_hsm_call(boot->core.hsm, &job);
    atomic_store(&poller.stop, true);
    pthread_join(poller.thread, NULL);
    if (kms_failed(err)) {
        kms_why_set(why, "the token could not make the keystore's key: %s", kms_err_text(err));
        return err;
    }
    return kms_keystore_set_sealed_key(store, kms_bytes_of(sealed, job.output_len), why);
}

static kms_err read_audit_key(kms_hsm *hsm, char ret_key_id[2 * KMS_DIGEST_BYTES + 1])
{
    struct kms_hsm_status status;
    kms_hsm_status(hsm, &status);
    return kms_audit_key_id(kms_bytes_of(status.audit_key, status.audit_key_len), ret_key_id);
}

static kms_err make_store(struct kms_boot *boot, kms_keystore *store,
                          char ret_key_id[2 * KMS_DIGEST_BYTES + 1], struct kms_why *why)
{
    struct kms_hsm_options options;
    kms_boot_hsm_options(boot, &options);
    KMS_TRY(kms_hsm_init_token(boot->spawner, &options, why));
    options.workers = 1;
    KMS_TRY(kms_hsm_open(boot->spawner, &options, &boot->core.hsm, why));
    kms_err err = read_audit_key(boot->core.hsm, ret_key_id);
    if (!kms_failed(err)) err = seal_store(boot, store, why);
    kms_hsm_close(boot->core.hsm);
    boot->core.hsm = NULL;
    return err;
}

kms_err kms_init(struct kms_boot *boot, char ret_audit_key_id[2 * KMS_DIGEST_BYTES + 1], struct kms_why *why)
{
    KMS_OWN(kms_keystore) store = NULL;
    KMS_OWN_BUF sealed = {0};
    boot->rpc_threads = 1;
    KMS_TRY(kms_boot_lock(boot, why));
    KMS_TRY(kms_keystore_open_sqlite(boot->conf->keystore_path, true, &store, why));
    KMS_TRY(kms_keystore_sealed_key(store, &sealed, why));
    if (sealed.len > 0) { /* before the token is touched: nothing half-done */
        kms_why_set(why, "keystore %s is initialised already", boot->conf->keystore_path);
        return KMS_FAIL(ALREADY_EXISTS);
    }
    return make_store(boot, store, ret_audit_key_id, why);
}
