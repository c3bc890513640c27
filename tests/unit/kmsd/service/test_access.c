/* Accesses: a name finds its key or none, and a context becomes sorted pairs and canonical bytes. */
#include "kmsd/service/access.h"

#include <stdio.h>

#include "base/ciphertext.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/unit/kmsd/service/world.h"

#define KEY1 "abcd0000-0000-4000-8000-000000000001"

static void names_and_keys(void)
{
    static const struct {
        const char *named;
        enum kms_code code;
        bool found;
        const char *alias;
    } cases[] = {
        {KEY1, KMS_E_OK, true, ""},
        {WORLD_ARN "key/" KEY1, KMS_E_OK, true, ""},
        {"alias/a", KMS_E_OK, true, "alias/a"},
        {WORLD_ARN "alias/a", KMS_E_OK, true, "alias/a"},
        {"alias/gone", KMS_E_OK, false, "alias/gone"},
        {"alias/never", KMS_E_OK, false, "alias/never"},
        {"alias/dangling", KMS_E_OK, false, "alias/dangling"},
        {"abcd0000-0000-4000-8000-000000000002", KMS_E_OK, false, ""},
        {"", KMS_E_INVALID_ARGUMENT, false, ""},
        {"alias/", KMS_E_INVALID_ALIAS_NAME, false, ""},
        {"arn:aws:kms:x", KMS_E_INVALID_ARN, false, ""},
    };
    struct world world;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    world_alias(&world, "alias/a", 1, false);
    world_alias(&world, "alias/gone", 1, true);
    world_alias(&world, "alias/dangling", 9, false);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        struct kms_access *access = NULL;
        world_call(&world, &call, NULL);
        kms_err err = kms_access_named(&call, KMS_ACT_ENCRYPT, cases[i].named, &access);
        CU_ASSERT(kms_code_is(err, cases[i].code, __FILE__, __LINE__));
        CU_ASSERT_EQUAL(access != NULL, cases[i].code == KMS_E_OK);
        CU_ASSERT_EQUAL(call.why.text[0] != '\0', cases[i].code != KMS_E_OK);
        if (access != NULL) {
            CU_ASSERT_PTR_EQUAL(access->key, cases[i].found ? key : NULL);
            CU_ASSERT(kms_bytes_equal(access->alias, kms_bytes_text(cases[i].alias)));
            CU_ASSERT(kms_bytes_equal(access->named, kms_bytes_text(cases[i].named)));
        }
        kms_call_end(&call); /* gives the references back: AddressSanitizer watches */
    }
    world_close(&world);
}

static void at_most_four(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access *access;
    struct kms_id id = world_id(1);
    world_open(&world, NULL);
    world_call(&world, &call, NULL);
    for (int i = 0; i < KMS_CALL_ACCESSES; i++)
        KMS_ASSERT_OK(kms_access_id(&call, KMS_ACT_DECRYPT, &id, &access));
    KMS_ASSERT_CODE(kms_access_id(&call, KMS_ACT_DECRYPT, &id, &access), INTERNAL);
    KMS_ASSERT_CODE(kms_access_service(&call, KMS_ACT_LIST_KEYS), INTERNAL);
    KMS_ASSERT_CODE(kms_access_named(&call, KMS_ACT_DECRYPT, KEY1, &access), INTERNAL);
    kms_call_end(&call);
    world_close(&world);
}

typedef Kms__V1__EncryptRequest__EncryptionContextEntry entry;

static void contexts(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access access = {.action = KMS_ACT_ENCRYPT};
    char names[70][8], value[] = "v";
    entry entries[70], *list[70];
    world_open(&world, NULL);
    world_call(&world, &call, NULL);
    for (size_t i = 0; i < 70; i++) {
        snprintf(names[i], sizeof names[i], "n%02zu", 69 - i);
        entries[i] = (entry){.key = names[i], .value = value};
        list[i] = &entries[i];
    }
    KMS_ASSERT_OK(kms_access_context(&call, &access, 0, NULL));
    CU_ASSERT_EQUAL(access.canonical.len, 4);
    KMS_ASSERT_OK(kms_access_context(&call, &access, 64, list));
    CU_ASSERT_EQUAL(access.context_count, 64);
    CU_ASSERT_EQUAL(access.canonical.len, 4 + 64 * (4 + 3 + 4 + 1));
    for (size_t i = 1; i < 64; i++)
        CU_ASSERT(memcmp(access.context[i - 1].name.ptr, access.context[i].name.ptr, 3) < 0);
    KMS_ASSERT_CODE(kms_access_context(&call, &access, 65, list), INVALID_ARGUMENT);
    entries[1].key = entries[0].key;
    KMS_ASSERT_CODE(kms_access_context(&call, &access, 2, list), INVALID_ARGUMENT);
    kms_call_end(&call);
    world_close(&world);
}

KMS_TEST_MAIN("service/access", {"names and keys", names_and_keys}, {"at most four", at_most_four},
              {"contexts", contexts})
