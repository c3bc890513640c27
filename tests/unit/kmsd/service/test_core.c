/* What the core says of a key now: Unavailable when its root key is not on the token. */
#include "kmsd/service/core.h"

#include "tests/harness/suite.h"

static struct kms_hsm_status token; /* what the workers reported */

/* In place of the pool's. */
void kms_hsm_status(kms_hsm *hsm, struct kms_hsm_status *ret_status)
{
    (void)hsm;
    *ret_status = token;
}

static enum kms_key_state state_of(uint8_t stored, uint32_t root_id)
{
    uint8_t blob = 1;
    KMS_OWN_KEY key = NULL;
    static struct kms_core core;
    KMS_ASSERT_OK_FATAL(kms_key_new(KMS_LEVEL_SOFTWARE, 1, &key));
    key->state = stored;
    key->versions[0].root_id = root_id;
    if (root_id != 0) KMS_ASSERT_OK_FATAL(kms_key_set_wrapped(&key->versions[0], kms_bytes_of(&blob, 1)));
    core.hsm = (kms_hsm *)(void *)&core; /* never looked into */
    return kms_core_key_state(&core, key, 1);
}

static void unavailable_without_its_root(void)
{
    token = (struct kms_hsm_status){.root_count = 2, .roots = {2, 3}};
    CU_ASSERT_EQUAL(state_of(KMS_STATE_ENABLED, 3), KMS_STATE_ENABLED);
    CU_ASSERT_EQUAL(state_of(KMS_STATE_ENABLED, 1), KMS_STATE_UNAVAILABLE);
    CU_ASSERT_EQUAL(state_of(KMS_STATE_DISABLED, 1), KMS_STATE_UNAVAILABLE);
    CU_ASSERT_EQUAL(state_of(KMS_STATE_PENDING_DELETION, 1), KMS_STATE_PENDING_DELETION);
    CU_ASSERT_EQUAL(state_of(KMS_STATE_ENABLED, 0), KMS_STATE_ENABLED); /* no material, no root */
    token.root_count = 0;                                               /* no worker has answered yet */
    CU_ASSERT_EQUAL(state_of(KMS_STATE_ENABLED, 1), KMS_STATE_ENABLED);
}

static void time_does_not_go_back(void)
{
    static struct kms_core core;
    uint64_t first_us = kms_core_now_us(&core);
    kms_core_seen_us(&core, first_us + 1000 * KMS_DAY_US);
    CU_ASSERT_EQUAL(kms_core_now_us(&core), first_us + 1000 * KMS_DAY_US);
    kms_core_seen_us(&core, first_us);
    CU_ASSERT_EQUAL(kms_core_now_us(&core), first_us + 1000 * KMS_DAY_US);
}

KMS_TEST_MAIN("service/core", {"unavailable without its root", unavailable_without_its_root},
              {"time does not go back", time_does_not_go_back})
