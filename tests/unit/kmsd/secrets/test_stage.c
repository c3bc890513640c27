/* Stages: where they go, and what follows them. */
#include "kmsd/secrets/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/suite.h"
#include "tests/unit/kmsd/secrets/world.h"

/* "0:AWSPREVIOUS 1:AWSCURRENT" */
static const char *shown(const kms_stored_secret *secret)
{
    static char text[512];
    text[0] = '\0';
    for (size_t i = 0; i < secret->n_versions; i++)
        for (size_t k = 0; k < secret->versions[i]->n_stages; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%zu:%s", text[0] != '\0' ? " " : "",
                     i, secret->versions[i]->stages[k]);
    return text;
}

static void move(kms_stored_secret *secret, const char *stage, size_t to)
{
    struct kms_why why;
    KMS_ASSERT_OK(kms_stage_move(secret, stage, to, &why));
}

static void previous_follows_current(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 3);
    kms_stored_secret *secret = entry->stored;
    move(secret, KMS_STAGE_CURRENT, 0);
    CU_ASSERT_STRING_EQUAL(shown(secret), "0:AWSCURRENT");
    move(secret, KMS_STAGE_CURRENT, 1);
    CU_ASSERT_STRING_EQUAL(shown(secret), "0:AWSPREVIOUS 1:AWSCURRENT");
    move(secret, KMS_STAGE_PENDING, 2);
    move(secret, KMS_STAGE_CURRENT, 2);
    CU_ASSERT_STRING_EQUAL(shown(secret), "1:AWSPREVIOUS 2:AWSPENDING 2:AWSCURRENT");
    move(secret, KMS_STAGE_CURRENT, 2); /* it is there */
    CU_ASSERT_STRING_EQUAL(shown(secret), "1:AWSPREVIOUS 2:AWSPENDING 2:AWSCURRENT");
    move(secret, KMS_STAGE_CURRENT, 1); /* back: the two change places */
    CU_ASSERT_STRING_EQUAL(shown(secret), "1:AWSCURRENT 2:AWSPENDING 2:AWSPREVIOUS");
}

static void other_stages_move_alone(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 2);
    kms_stored_secret *secret = entry->stored;
    move(secret, "mine", 0);
    move(secret, "mine", 1);
    CU_ASSERT_STRING_EQUAL(shown(secret), "1:mine");
    kms_stage_take(secret->versions[0], "mine");
    CU_ASSERT_STRING_EQUAL(shown(secret), "1:mine");
    kms_stage_take(secret->versions[1], "mine");
    CU_ASSERT_STRING_EQUAL(shown(secret), "");
}

static void bounds(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 1);
    struct kms_why why;
    char stage[300];
    for (int i = 0; i < KMS_SECRET_STAGES; i++) {
        snprintf(stage, sizeof stage, "stage %d", i);
        move(entry->stored, stage, 0);
    }
    KMS_ASSERT_CODE(kms_stage_move(entry->stored, "one more", 0, &why), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "has 20 stages"));
    memset(stage, 'x', sizeof stage);
    stage[257] = '\0';
    KMS_ASSERT_CODE(kms_stage_check(stage, &why), INVALID_ARGUMENT);
    stage[256] = '\0';
    KMS_ASSERT_OK(kms_stage_check(stage, &why));
    KMS_ASSERT_CODE(kms_stage_check("", &why), INVALID_ARGUMENT);
}

static void which_version_goes(void)
{
    const uint64_t day_us = UINT64_C(86400000000);
    KMS_OWN_ENTRY entry = secret_of("db", 5);
    kms_stored_secret *secret = entry->stored;
    move(secret, "kept", 0);
    CU_ASSERT_EQUAL(kms_stage_deprecated(secret, 5, 2 * day_us), SIZE_MAX); /* not too many */
    CU_ASSERT_EQUAL(kms_stage_deprecated(secret, 4, 2 * day_us), 1);        /* the oldest without a stage */
    CU_ASSERT_EQUAL(kms_stage_deprecated(secret, 4, day_us), SIZE_MAX);     /* too young */
    CU_ASSERT_EQUAL(kms_stage_deprecated(secret, 2, day_us), 1); /* but there are too many by far */
    for (size_t i = 1; i < 5; i++) {
        char stage[24];
        snprintf(stage, sizeof stage, "%zu", i);
        move(secret, stage, i);
    }
    CU_ASSERT_EQUAL(kms_stage_deprecated(secret, 2, 2 * day_us), SIZE_MAX);
}

static void versions_come_and_go(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 3);
    KMS_OWN_ENTRY copy = NULL;
    move(entry->stored, KMS_STAGE_CURRENT, 1);
    KMS_ASSERT_OK_FATAL(kms_secret_entry_copy(entry, &copy));
    kms_secret_entry_remove(copy, 0);
    CU_ASSERT_EQUAL(copy->stored->n_versions, 2);
    CU_ASSERT_EQUAL(entry->stored->n_versions, 3); /* the first generation is as it was */
    CU_ASSERT_PTR_EQUAL(copy->values[0], entry->values[1]);
    CU_ASSERT_EQUAL(kms_secret_version_at(copy->stored, entry->stored->versions[1]->id), 0);
    CU_ASSERT_EQUAL(kms_secret_stage_at(copy->stored, KMS_STAGE_CURRENT), 0);
    CU_ASSERT_EQUAL(kms_secret_version_at(copy->stored, entry->stored->versions[0]->id), SIZE_MAX);
}

static void tags_and_texts(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 0);
    kms_stored_secret *secret = entry->stored;
    char key[16];
    for (int i = 0; i < KMS_SECRET_TAGS; i++) {
        snprintf(key, sizeof key, "%d", i);
        KMS_ASSERT_OK(kms_secret_set_tag(secret, key, "v"));
    }
    KMS_ASSERT_CODE(kms_secret_set_tag(secret, "one more", "v"), LIMIT_EXCEEDED);
    KMS_ASSERT_OK(kms_secret_set_tag(secret, "7", "other"));
    CU_ASSERT_STRING_EQUAL(secret->tags[7]->value, "other");
    kms_secret_drop_tag(secret, "7");
    kms_secret_drop_tag(secret, "absent");
    CU_ASSERT_EQUAL(secret->n_tags, KMS_SECRET_TAGS - 1);
    KMS_ASSERT_OK(kms_secret_set_text(&secret->description, "one"));
    KMS_ASSERT_OK(kms_secret_set_text(&secret->description, ""));
    CU_ASSERT_STRING_EQUAL(secret->description, "");
    CU_ASSERT_PTR_EQUAL(kms_secret_need_rotation(secret), kms_secret_need_rotation(secret));
}

static void marked_for_deletion(void)
{
    KMS_OWN_ENTRY entry = secret_of("db", 0);
    struct kms_why why;
    KMS_ASSERT_OK(kms_secret_entry_check(entry, KMS_ACT_GET_SECRET_VALUE, &why));
    entry->stored->deletion_us = 1;
    KMS_ASSERT_CODE(kms_secret_entry_check(entry, KMS_ACT_GET_SECRET_VALUE, &why), INVALID_SECRET_STATE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "kmsctl secret restore"));
    KMS_ASSERT_OK(kms_secret_entry_check(entry, KMS_ACT_RESTORE_SECRET, &why));
    KMS_ASSERT_OK(kms_secret_entry_check(entry, KMS_ACT_DESCRIBE_SECRET, &why));
}

KMS_TEST_MAIN("secrets/stage", {"previous follows current", previous_follows_current},
              {"other stages move alone", other_stages_move_alone}, {"bounds", bounds},
              {"which version goes", which_version_goes}, {"versions come and go", versions_come_and_go},
              {"tags and texts", tags_and_texts}, {"marked for deletion", marked_for_deletion})
