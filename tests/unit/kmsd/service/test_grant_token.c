/* Grant tokens: what is accepted, and that every request spells the field the same way. */
#include "kmsd/service/grant_token.h"

#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "tests/unit/kmsd/service/world.h"

static struct kms_granted *grant_in(struct kms_key *key, uint64_t expires_us)
{
    struct kms_grant grant = {.grantee = kms_bytes_text("app"), .operations = 4, .expires_us = expires_us};
    struct kms_granted *granted;
    KMS_ASSERT_OK_FATAL(kms_id_new(&grant.id));
    KMS_ASSERT_OK_FATAL(kms_random(grant.check, sizeof grant.check));
    KMS_ASSERT_OK_FATAL(kms_granted_new(&grant, &granted));
    KMS_ASSERT_OK_FATAL(kms_key_need_grants(key));
    kms_grants_add(key->grants, granted);
    return granted;
}

static void names_its_grant(void)
{
    struct world world;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "DescribeKey");
    KMS_OWN_KEY other = world_key(&world, 2, KMS_LEVEL_HSM, "DescribeKey");
    KMS_OWN_GRANTED granted = grant_in(key, 0);
    KMS_OWN_GRANTED another = grant_in(other, 0);
    CU_ASSERT_FALSE(kms_id_equal(&another->grant.id, &granted->grant.id));
    char token[KMS_GRANT_TOKEN_BYTES];
    struct kms_id id;
    kms_grant_token(&key->id, &granted->grant, token);
    KMS_ASSERT_OK(kms_grant_token_key(token, &id));
    CU_ASSERT(kms_id_equal(&id, &key->id));
    KMS_OWN_GRANTED found = NULL;
    KMS_ASSERT_OK(kms_grant_token_find(token, key, &found));
    CU_ASSERT_PTR_EQUAL(found, granted);
    KMS_OWN_GRANTED none = NULL;
    KMS_ASSERT_CODE(kms_grant_token_find(token, other, &none), INVALID_GRANT_TOKEN);
    KMS_ASSERT_CODE(kms_grant_token_find(token, NULL, &none), INVALID_GRANT_TOKEN);
    unsigned refused = 0;
    for (size_t i = 0; i < strlen(token); i++) { /* every character matters */
        char saved = token[i];
        token[i] = saved == 'Q' ? 'R' : 'Q';
        refused += kms_is(kms_grant_token_find(token, key, &none), KMS_E_INVALID_GRANT_TOKEN);
        token[i] = saved;
    }
    CU_ASSERT_EQUAL(refused, strlen(token));
    kms_grants_remove(key->grants, &granted->grant.id);
    KMS_ASSERT_CODE(kms_grant_token_find(token, key, &none), INVALID_GRANT_TOKEN);
    static const char *const bad[] = {"", "kg1.", "kg2.AAAA", "x"};
    for (size_t i = 0; i < KMS_COUNT(bad); i++)
        KMS_ASSERT_CODE(kms_grant_token_key(bad[i], &id), INVALID_GRANT_TOKEN);
    world_close(&world);
}

/* grant_tokens is field 20, and field 20 is grant_tokens: dispatch finds it by its number. */
static void one_number(void)
{
    unsigned with = 0;
    for (size_t i = 0; i < kms_method_count; i++) {
        const ProtobufCMessageDescriptor *request = kms_method_codec(&kms_methods[i])->input;
        for (unsigned f = 0; f < request->n_fields; f++) {
            const ProtobufCFieldDescriptor *field = &request->fields[f];
            bool named = strcmp(field->name, "grant_tokens") == 0;
            CU_ASSERT_EQUAL(named, field->id == KMS_GRANT_TOKEN_FIELD);
            if (!named) continue;
            CU_ASSERT(field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_STRING);
            with++;
        }
    }
    CU_ASSERT(with >= 7);
}

KMS_TEST_MAIN("service/grant_token", {"names its grant", names_its_grant}, {"one number", one_number})
