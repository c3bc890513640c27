/* Generations of root keys on a token of the test's own, and what a process that died leaves of them. */
#include <stdio.h>

#include "hsm/worker/worker.h"
#include "tests/harness/softhsm.h"
#include "tests/harness/suite.h"

static struct softhsm files;
static kms_token *token;
static struct kms_roots roots;
static struct kms_why why;

static void opens(void)
{
    const struct kms_pin_mark none = {{0}};
    struct kms_pin_mark refused;
    CU_ASSERT_FATAL(softhsm_make(kms_temp_dir(), "token", &files));
    KMS_ASSERT_OK_FATAL(kms_token_open(files.uri, &none, &token, &refused, &why));
    KMS_ASSERT_CODE(kms_roots_load(token, &roots, &why), ROOT_KEYS_MISSING);
    KMS_ASSERT_OK_FATAL(kms_roots_make(token, &why));
    KMS_ASSERT_CODE(kms_roots_make(token, &why), ROOT_KEYS_EXIST);
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    CU_ASSERT_TRUE(roots.count == 1 && roots.newest == 1 && kms_roots_get(&roots, 1) != NULL);
}

static void labels_are_read_strictly(void)
{
    static const struct {
        const char *label;
        uint32_t number;
    } cases[] = {{"root-wrap-1", 1},  {"root-wrap-12", 12}, {"root-wrap-1000", 1000},   {"root-wrap-1001", 0},
                 {"root-wrap-01", 0}, {"root-wrap-0", 0},   {"root-wrap--1", 0},        {"root-wrap-1x", 0},
                 {"root-wrap-", 0},   {"root-wrap", 0},     {"root-seal-1", 0},         {"", 0},
                 {"root-wrap- 1", 0}, {"root-wrap-+1", 0},  {"root-wrap-4294967297", 0}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++)
        CU_ASSERT_EQUAL(kms_root_number("root-wrap", cases[i].label), cases[i].number);
}

static kms_object find(const char *kind, uint32_t n)
{
    char label[KMS_LABEL_BYTES];
    kms_object key = 0;
    kms_root_label(kind, n, label);
    KMS_ASSERT_OK_FATAL(kms_token_find(token, label, &key));
    return key;
}

static void copies_stand_for_what_is_stored(void)
{
    const struct kms_root old = roots.generations[0], *now = &roots.generations[0];
    CU_ASSERT_TRUE(old.copies[0] != 0 && old.seal == old.copies[0] && old.seal != find("root-seal", old.id));
    CU_ASSERT_TRUE(old.copies[1] != 0 && old.bind == old.copies[1] && old.bind != find("root-bind", old.id));
    KMS_ASSERT_OK(kms_token_check_unreadable(token, old.seal));
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    CU_ASSERT_TRUE(now->seal != old.seal && now->bind != old.bind && now->wrap == find("root-wrap", now->id));
    KMS_ASSERT_CODE(kms_token_check_unreadable(token, old.seal), HSM_UNAVAILABLE); /* those are gone */
    KMS_ASSERT_CODE(kms_token_check_unreadable(token, old.bind), HSM_UNAVAILABLE);
    CU_ASSERT_NOT_EQUAL(find("root-seal", now->id), 0);
}

static void generations_come_and_go(void)
{
    KMS_ASSERT_CODE(kms_roots_add(token, &roots, 3), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_roots_destroy(token, &roots, 1), INVALID_ARGUMENT); /* the newest */
    for (uint32_t n = 2; n <= 5; n++) {
        KMS_ASSERT_OK_FATAL(kms_roots_add(token, &roots, n));
        KMS_ASSERT_OK_FATAL(kms_roots_add(token, &roots, n)); /* again: nothing */
        CU_ASSERT_TRUE(roots.newest == n && roots.count == n);
    }
    KMS_ASSERT_CODE(kms_roots_add(token, &roots, 4), INVALID_ARGUMENT);
    for (uint32_t n = 1; n <= 3; n++) {
        KMS_ASSERT_OK_FATAL(kms_roots_destroy(token, &roots, n));
        KMS_ASSERT_OK_FATAL(kms_roots_destroy(token, &roots, n)); /* again: nothing */
        CU_ASSERT_PTR_NULL(kms_roots_get(&roots, n));
    }
    KMS_ASSERT_OK(kms_roots_load(token, &roots, &why)); /* found though 1, 2 and 3 are gone */
    CU_ASSERT_TRUE(roots.count == 2 && roots.newest == 5 && roots.generations[0].id == 4);
    KMS_ASSERT_CODE(kms_roots_destroy(token, &roots, 6), INVALID_ARGUMENT); /* still to come */
    for (uint32_t n = 6; n < 6 + KMS_HSM_ROOTS - 2; n++) KMS_ASSERT_OK_FATAL(kms_roots_add(token, &roots, n));
    KMS_ASSERT_CODE(kms_roots_add(token, &roots, roots.newest + 1), LIMIT_EXCEEDED);
    for (uint32_t n = 4; n < roots.newest - 1; n++) KMS_ASSERT_OK(kms_roots_destroy(token, &roots, n));
}

static void lose(const char *kind, uint32_t n)
{
    CU_ASSERT_NOT_EQUAL_FATAL(find(kind, n), 0);
    kms_token_destroy(token, find(kind, n));
}

static void plant(const char *kind, uint32_t n, enum kms_key_use use)
{
    char label[KMS_LABEL_BYTES];
    kms_object key;
    kms_root_label(kind, n, label);
    const struct kms_key_shape shape = {.label = label, .use = use};
    KMS_ASSERT_OK_FATAL(kms_token_generate(token, &shape, &key));
}

/* A process died while it made, or destroyed, a generation: the others serve, and both can be repeated. */
static void halves_of_a_generation_count_for_nothing(void)
{
    uint32_t old = roots.generations[0].id, newest = roots.newest;
    CU_ASSERT_FATAL(roots.count == 2 && old == newest - 1);
    plant("root-bind", newest + 1, KMS_USE_MAC);
    plant("root-seal", newest + 1, KMS_USE_CIPHER);
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    CU_ASSERT_TRUE(roots.count == 2 && roots.newest == newest);
    KMS_ASSERT_OK_FATAL(kms_roots_add(token, &roots, newest + 1));
    CU_ASSERT_TRUE(roots.count == 3 && roots.newest == newest + 1);
    lose("root-wrap", old);
    lose("root-seal", old);
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    CU_ASSERT_TRUE(roots.count == 2 && kms_roots_get(&roots, old) == NULL);
    KMS_ASSERT_OK_FATAL(kms_roots_destroy(token, &roots, old));
    CU_ASSERT_EQUAL(find("root-bind", old), 0);
}

/* What kmsd never does itself is damage. */
static void losses_are_named(void)
{
    uint32_t old = roots.generations[0].id, newest = roots.newest;
    plant("root-wrap", newest, KMS_USE_WRAP);
    KMS_ASSERT_CODE(kms_roots_load(token, &roots, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "more than one"));
    struct kms_roots before = roots;
    kms_token_destroy(token, kms_roots_get(&before, newest)->wrap);
    KMS_ASSERT_OK_FATAL(kms_roots_load(token, &roots, &why));
    lose("root-bind", newest);
    KMS_ASSERT_CODE(kms_roots_load(token, &roots, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "root-bind missing"));
    lose("root-wrap", newest);
    lose("root-wrap", old);
    KMS_ASSERT_CODE(kms_roots_load(token, &roots, &why), CORRUPT); /* not: run kmsd init */
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "root-wrap missing"));
}

static void closes(void)
{
    kms_token_free(token);
}

KMS_TEST_MAIN("hsm/worker/roots", {"opens", opens}, {"labels are read strictly", labels_are_read_strictly},
              {"copies stand for what is stored", copies_stand_for_what_is_stored},
              {"generations come and go", generations_come_and_go},
              {"halves of a generation count for nothing", halves_of_a_generation_count_for_nothing},
              {"losses are named", losses_are_named}, {"closes", closes})
