/* Which references share a fetch. */
#include "client/kms-env/fetch.h"

#include "tests/harness/faults.h"
#include "tests/unit/client/kms-env/fake_service.h"

static size_t added(kms_env_fetches *fetches, const char *text)
{
    struct kms_env_reference reference;
    size_t index = SIZE_MAX;
    KMS_ASSERT_OK_FATAL(kms_env_reference_parse(kms_bytes_text(text), &reference, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_fetches_add(fetches, &reference, &index));
    return index;
}

static void a_version_is_asked_for_once(void)
{
    KMS_OWN(kms_env_fetches) fetches = NULL;
    KMS_ASSERT_OK_FATAL(kms_env_fetches_new(&fetches));
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://a"), 0);
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://a#x"), 0);
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://a#y?stage=AWSCURRENT"), 0);
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://a?stage=AWSPENDING"), 1);
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://a?version=AWSPENDING"), 2);
    CU_ASSERT_EQUAL(added(fetches, "kms-secret://A"), 3);
    CU_ASSERT_EQUAL(added(fetches, "kms-db://a#username"), 4);
    CU_ASSERT_EQUAL(added(fetches, "kms-db://a#password"), 4);
    CU_ASSERT_EQUAL(kms_env_fetches_count(fetches), 5);
    const struct kms_env_fetch *f = kms_env_fetches_at(fetches, 2);
    CU_ASSERT_STRING_EQUAL(f->name, "a");
    CU_ASSERT_STRING_EQUAL(f->version, "AWSPENDING");
    CU_ASSERT_PTR_NULL(f->stage);
}

static void without_references_nobody_is_asked(void)
{
    struct fake_service service = {.down = true};
    KMS_OWN(kms_env_fetches) fetches = NULL;
    KMS_ASSERT_OK_FATAL(kms_env_fetches_new(&fetches));
    KMS_ASSERT_OK(kms_env_fetches_run(fetches, fake_providers(&service).fetcher, NULL));
    CU_ASSERT_EQUAL(service.fetched, 0);
}

static void wiping_leaves_the_names(void)
{
    struct fake_service service = {0};
    KMS_OWN(kms_env_fetches) fetches = NULL;
    KMS_ASSERT_OK_FATAL(kms_env_fetches_new(&fetches));
    CU_ASSERT_EQUAL(added(fetches, "kms-db://ro#username"), 0);
    KMS_ASSERT_OK(kms_env_fetches_run(fetches, fake_providers(&service).fetcher, NULL));
    struct kms_env_fetch *f = kms_env_fetches_at(fetches, 0);
    CU_ASSERT_PTR_NOT_NULL(f->value);
    kms_env_fetches_wipe(fetches);
    CU_ASSERT_PTR_NULL(f->value);
    CU_ASSERT_PTR_NULL(f->username);
    CU_ASSERT_STRING_EQUAL(f->name, "ro");
}

static kms_err make(kms_env_fetches **ret_fetches)
{
    static const struct kms_env_reference reference = {.name = {(const uint8_t *)"a", 1},
                                                       .stage = {(const uint8_t *)"s", 1}};
    size_t index;
    KMS_OWN(kms_env_fetches) fetches = NULL;
    KMS_TRY(kms_env_fetches_new(&fetches));
    KMS_TRY(kms_env_fetches_add(fetches, &reference, &index));
    *ret_fetches = KMS_GIVE(fetches);
    return KMS_OK;
}

static void memory_may_end_anywhere(void)
{
    FAULTS_EACH () {
        KMS_OWN(kms_env_fetches) fetches = NULL;
        kms_err err = make(&fetches);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(fetches == NULL, faults_hit());
    }
}

KMS_TEST_MAIN("client/kms-env/fetch", {"a version is asked for once", a_version_is_asked_for_once},
              {"without references nobody is asked", without_references_nobody_is_asked},
              {"wiping leaves the names", wiping_leaves_the_names},
              {"memory may end anywhere", memory_may_end_anywhere})
