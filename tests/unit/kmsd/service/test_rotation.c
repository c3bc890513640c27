/* Rotation for the budget: asked again when it is to be done, since it may have been found due twice. */
#include "kmsd/service/rotation.h"

#include "kmsd/keys/record.h"
#include "tests/unit/kmsd/service/world.h"

static const struct kms_method rotate = {
    .rpc = "RotateKeyForBudget", .action = KMS_ACT_ROTATE_KEY_ON_DEMAND, .lane = KMS_LANE_ADMIN};

static kms_err run(struct world *world, struct kms_key *key, char why[KMS_WHY_BYTES])
{
    struct kms_call call;
    struct kms_access *access;
    world_call(world, &call, &rotate);
    KMS_ASSERT_OK_FATAL(kms_access_id(&call, KMS_ACT_ROTATE_KEY_ON_DEMAND, &key->id, &access));
    kms_err err = kms_rotate_for_budget(&call);
    memcpy(why, call.why.text, sizeof call.why.text);
    kms_call_end(&call);
    return err;
}

/* Where it is due, the key has all the versions that a key can have, so it goes no further than that. */
static void for_the_budget_of_the_current_version(void)
{
    static const struct {
        bool low, enabled, imported;
        enum kms_code code;
        const char *why;
    } cases[] = {
        {false, true, false, KMS_E_CONFLICT, "not due any more"}, /* rotated meanwhile */
        {true, false, false, KMS_E_CONFLICT, "not due any more"},
        {true, true, true, KMS_E_CONFLICT, "not due any more"},
        {true, true, false, KMS_E_LIMIT_EXCEEDED, "a key has at most"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct world world;
        char why[KMS_WHY_BYTES];
        world_open(&world, NULL);
        KMS_OWN_KEY first = world_key(&world, 1, KMS_LEVEL_HSM, "RotateKeyOnDemand");
        atomic_store(&first->versions[0].budget->low, true);
        const bool due = cases[i].code != KMS_E_CONFLICT;
        KMS_OWN_KEY key = world_change(&world, first, cases[i].enabled, due ? KMS_KEY_VERSIONS - 1 : 1);
        atomic_store(&kms_key_current(key)->budget->low, cases[i].low);
        if (cases[i].imported) key->origin = KMS_ORIGIN_EXTERNAL;
        CU_ASSERT_EQUAL(kms_rotation_due_for_budget(key), due);
        CU_ASSERT(kms_code_is(run(&world, key, why), cases[i].code, __FILE__, __LINE__));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, cases[i].why));
        world_close(&world);
    }
}

KMS_TEST_MAIN("service/rotation",
              {"for the budget of the current version", for_the_budget_of_the_current_version})
