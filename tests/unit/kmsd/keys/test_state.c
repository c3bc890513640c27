/* States: the whole product of states and actions has a named answer. */
#include "kmsd/keys/state.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/suite.h"
#include "tests/unit/kmsd/keys/world.h"

/* Actions of the service, of secrets and of roles, which no key is asked about. */
static bool about_no_key(enum kms_action action)
{
    return strncmp(kms_action_name(action), "kms:", 4) != 0 || action == KMS_ACT_CREATE_KEY ||
           action == KMS_ACT_LIST_KEYS || action == KMS_ACT_LIST_ALIASES ||
           action == KMS_ACT_LIST_RETIRABLE_GRANTS || action == KMS_ACT_GENERATE_RANDOM ||
           action == KMS_ACT_GET_STATUS || action == KMS_ACT_GET_METRICS || action == KMS_ACT_ROTATE_ROOT ||
           action == KMS_ACT_GET_ROOT_STATUS || action == KMS_ACT_DESTROY_ROOT ||
           action == KMS_ACT_GET_AUDIT_HEAD || action == KMS_ACT_GET_AUDIT_KEY ||
           action == KMS_ACT_LIST_AUDIT_RECORDS;
}

static void every_state_answers_every_action(void)
{
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        for (enum kms_key_state state = KMS_STATE_ENABLED; state <= KMS_STATE_UNAVAILABLE; state++) {
            kms_err err = kms_state_answer(state, action);
            bool named = !kms_failed(err) || kms_is(err, KMS_E_KEY_DISABLED) ||
                         kms_is(err, KMS_E_INVALID_KEY_STATE) || kms_is(err, KMS_E_KEY_UNAVAILABLE);
            CU_ASSERT_EQUAL(named, !about_no_key(action));
            if (named == about_no_key(action))
                printf("\n%s in %s: %s", kms_action_name(action), kms_key_state_name(state),
                       kms_err_reason(err));
        }
    }
}

static void usage_needs_an_enabled_key(void)
{
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        if (kms_action_class_of(action) != KMS_CLASS_USAGE || about_no_key(action)) continue;
        KMS_ASSERT_OK(kms_state_answer(KMS_STATE_ENABLED, action));
        KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_DISABLED, action), KEY_DISABLED);
        KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_PENDING_DELETION, action), INVALID_KEY_STATE);
        KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_PENDING_IMPORT, action), INVALID_KEY_STATE);
        KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_UNAVAILABLE, action), KEY_UNAVAILABLE);
    }
}

static void deletion_can_be_cancelled_and_nothing_else(void)
{
    KMS_ASSERT_OK(kms_state_answer(KMS_STATE_PENDING_DELETION, KMS_ACT_CANCEL_KEY_DELETION));
    KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_PENDING_DELETION, KMS_ACT_ENABLE_KEY), INVALID_KEY_STATE);
    KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_PENDING_DELETION, KMS_ACT_SCHEDULE_KEY_DELETION),
                    INVALID_KEY_STATE);
    KMS_ASSERT_CODE(kms_state_answer(KMS_STATE_ENABLED, KMS_ACT_CANCEL_KEY_DELETION), INVALID_KEY_STATE);
}

static void expired_material_is_none(void)
{
    KMS_OWN_KEY key = key_of(1, 2);
    key->versions[0].expires_us = 1000;
    CU_ASSERT_EQUAL(kms_key_state_at(key, 1000),
                    KMS_STATE_ENABLED); /* material that was made here does not */
    key->origin = KMS_ORIGIN_EXTERNAL;
    CU_ASSERT_EQUAL(kms_key_state_at(key, 999), KMS_STATE_ENABLED);
    CU_ASSERT_EQUAL(kms_key_state_at(key, 1000), KMS_STATE_PENDING_IMPORT);
    key->state = KMS_STATE_PENDING_DELETION;
    CU_ASSERT_EQUAL(kms_key_state_at(key, 1000), KMS_STATE_PENDING_DELETION);
}

static void the_words_say_state_and_action(void)
{
    KMS_OWN_KEY key = key_of(1, 1);
    struct kms_why why = {{0}};
    key->state = KMS_STATE_PENDING_DELETION;
    KMS_ASSERT_CODE(kms_key_state_check(key, kms_key_state_at(key, 1), KMS_ACT_ENCRYPT, &why),
                    INVALID_KEY_STATE);
    CU_ASSERT_STRING_EQUAL(why.text,
                           "key abcd0000-0000-4000-8000-000000000001 is PendingDeletion, which does "
                           "not allow kms:Encrypt");
}

KMS_TEST_MAIN("keys/state", {"every state answers every action", every_state_answers_every_action},
              {"usage needs an enabled key", usage_needs_an_enabled_key},
              {"deletion can be cancelled and nothing else", deletion_can_be_cancelled_and_nothing_else},
              {"expired material is none", expired_material_is_none},
              {"the words say state and action", the_words_say_state_and_action})
