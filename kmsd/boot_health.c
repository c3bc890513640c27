/* How the service is, as grpc.health.v1 tells it. */
#include "kmsd/boot.h"

/* The sealed store key is read from the database itself: one row, no HSM. */
static bool keystore_answers(kms_keystore *store)
{
    KMS_OWN_BUF sealed = {0};
    struct kms_why why;
    return store != NULL && !kms_failed(kms_keystore_sealed_key(store, &sealed, &why));
}

unsigned kms_boot_well(void *boot)
{
    const struct kms_core *core = &((const struct kms_boot *)boot)->core;
    struct kms_hsm_status hsm;
    kms_hsm_status(core->hsm, &hsm);
    unsigned well = 0;
    if (hsm.workers_healthy > 0) well |= KMS_RPC_HSM;
    if (keystore_answers(core->store)) well |= KMS_RPC_KEYSTORE;
    if (kms_audit_writable(core->audit)) well |= KMS_RPC_AUDIT;
    return well;
}
