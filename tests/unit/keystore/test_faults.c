/* The front when memory or the directory fails: clean errors, nothing leaks, nothing half-done. */
#include <stdio.h>

#include "keystore/keystore.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static const uint8_t store_key[32];

static kms_err ignore_row(void *user, const struct kms_row *row)
{
    (void)user;
    (void)row;
    return KMS_OK;
}

static kms_err use_everything(const char *path)
{
    KMS_OWN(kms_keystore) store = NULL;
    KMS_OWN_BUF body = {0};
    struct kms_store_mark mark;
    struct kms_id request;
    uint64_t number;
    const struct kms_change change = {.table = KMS_TABLE_KEY, .id = "a", .body = kms_bytes_text("body")};
    KMS_TRY(kms_keystore_open_sqlite(path, true, &store, NULL));
    KMS_TRY(kms_keystore_sealed_key(store, &body, NULL));
    KMS_TRY(kms_keystore_set_sealed_key(store, kms_bytes_text("sealed"), NULL));
    KMS_TRY(kms_keystore_unlock(store, kms_bytes_of(store_key, sizeof store_key)));
    KMS_TRY(kms_keystore_load(store, ignore_row, NULL, &mark, NULL));
    KMS_TRY(kms_id_new(&request));
    KMS_TRY(kms_keystore_apply(store, &request, &change, 1, &mark, NULL));
    KMS_TRY(kms_keystore_reserve(store, &(struct kms_reservation){&request, 1, 1, 1, NULL}, &number, NULL));
    KMS_TRY(kms_keystore_get(store, KMS_TABLE_KEY, "a", &number, &body, NULL));
    return kms_keystore_scan(store, KMS_TABLE_KEY, "", ignore_row, NULL, NULL);
}

static void every_failure_is_clean(void)
{
    unsigned count = 0, clean_runs = 0;
    FAULTS_EACH_OF (FAULT_MEMORY | FAULT_PAGES | FAULT_RANDOM | FAULT_DISK) {
        char path[200];
        snprintf(path, sizeof path, "%s/%u.db", kms_temp_dir(), ++count);
        kms_err err = use_everything(path);
        bool hit = faults_hit();
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), hit);
        clean_runs += !hit;
        /* whatever failed, the file can be opened and is whole */
        KMS_OWN(kms_keystore) store = NULL;
        struct kms_store_mark mark;
        KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &store, NULL));
        KMS_ASSERT_OK(kms_keystore_unlock(store, kms_bytes_of(store_key, sizeof store_key)));
        KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    }
    CU_ASSERT_EQUAL(clean_runs, 1);
    CU_ASSERT(count > 10);
}

KMS_TEST_MAIN("keystore under faults", {"every failure is clean", every_failure_is_clean})
