/* What is due for a secret, by the time and by whether the time is believed. */
#include "kmsd/secrets/stage.h"
#include "kmsd/service/secret_acts.h"
#include "tests/harness/suite.h"
#include "tests/unit/kmsd/secrets/world.h"

#define HOUR_US    (UINT64_C(3600) * 1000000)
#define BACKOFF_US (UINT64_C(60) * 1000000)

static struct kms_secret_entry *entry_new(void)
{
    struct kms_secret_entry *entry = secret_of("db", 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(kms_secret_need_rotation(entry->stored));
    return entry;
}

static void deletion(void)
{
    KMS_OWN_ENTRY entry = entry_new();
    CU_ASSERT_FALSE(kms_secret_deletion_due(entry, UINT64_MAX));
    entry->stored->deletion_us = 1000;
    CU_ASSERT_FALSE(kms_secret_deletion_due(entry, 999));
    CU_ASSERT_TRUE(kms_secret_deletion_due(entry, 1000));
}

/* A window that opens by a clock that has just jumped is not believed. */
static void a_schedule(void)
{
    KMS_OWN_ENTRY entry = entry_new();
    kms_stored_rotation *rotation = entry->stored->rotation;
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, false));
    rotation->next_us = HOUR_US;
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, false)); /* not automatic */
    rotation->automatic = true;
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, false));
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US - 1, false));
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, true));
    /* Set by a clock that was wrong: the schedule is reckoned again. */
    rotation->next_us = 90 * HOUR_US;
    rotation->since_us = 2 * HOUR_US;
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, false));
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US - 1, false));
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US - 1, true));
    rotation->since_us = 0;
    rotation->next_us = HOUR_US;
    entry->stored->deletion_us = 1;
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, HOUR_US, false)); /* it is about to go */
}

/* What is under way goes on whatever the clock says: a step back does not make it wait for ever. */
static void under_way(void)
{
    KMS_OWN_ENTRY entry = entry_new();
    kms_stored_rotation *rotation = entry->stored->rotation;
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&rotation->version_id, "0123456789abcdef0123456789abcdef"));
    rotation->next_try_us = 10 * HOUR_US;
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US, false));
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US, true));
    rotation->failures = 3; /* four minutes */
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US - 1, false));
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US - 4 * BACKOFF_US, false));
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US - 4 * BACKOFF_US - 1, false));
    rotation->failures = 1000; /* no wait is longer than an hour */
    CU_ASSERT_FALSE(kms_secret_rotation_due(entry, BACKOFF_US, 9 * HOUR_US, false));
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, 9 * HOUR_US - 1, false));
    rotation->failures = 0; /* a step that was never tried waits for nothing */
    CU_ASSERT_TRUE(kms_secret_rotation_due(entry, BACKOFF_US, 10 * HOUR_US - 1, false));
}

/* Until somebody has been there: alerts stand on it. */
static void fails(void)
{
    KMS_OWN_ENTRY entry = entry_new();
    KMS_OWN_ENTRY pending = secret_of("two", 2);
    KMS_OWN_ENTRY none = secret_of("none", 1);
    kms_stored_rotation *rotation = entry->stored->rotation;
    CU_ASSERT_FALSE(kms_secret_rotation_fails(none));
    rotation->automatic = true;
    CU_ASSERT_FALSE(kms_secret_rotation_fails(entry));
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&rotation->last_error, "DATABASE_REFUSED: no"));
    CU_ASSERT_TRUE(kms_secret_rotation_fails(entry)); /* given up, and the next window comes */
    rotation->automatic = false;
    CU_ASSERT_FALSE(kms_secret_rotation_fails(entry));
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&rotation->version_id, "0123456789abcdef0123456789abcdef"));
    CU_ASSERT_TRUE(kms_secret_rotation_fails(entry)); /* it goes on */
    entry->stored->deletion_us = 1;
    CU_ASSERT_FALSE(kms_secret_rotation_fails(entry));

    CU_ASSERT_PTR_NOT_NULL_FATAL(kms_secret_need_rotation(pending->stored));
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&pending->stored->rotation->last_error, "x"));
    CU_ASSERT_FALSE(kms_secret_rotation_fails(pending));
    KMS_ASSERT_OK_FATAL(kms_stage_move(pending->stored, KMS_STAGE_PENDING, 1, NULL));
    CU_ASSERT_TRUE(kms_secret_rotation_fails(pending)); /* what was given up lies there still */
}

KMS_TEST_MAIN("service/secret_due", {"fails", fails}, {"deletion", deletion}, {"a schedule", a_schedule},
              {"under way", under_way})
