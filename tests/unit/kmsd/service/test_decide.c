/* The one place where policy is asked: all accesses must allow, and a refusal tells nothing else. */
#include "kmsd/service/decide.h"

#include <stdio.h>

#include "tests/unit/kmsd/service/world.h"

#define KEY(n) "abcd0000-0000-4000-8000-00000000000" #n

static void ask(struct kms_call *call, enum kms_action action, const char *named)
{
    struct kms_access *access;
    KMS_ASSERT_OK_FATAL(kms_access_named(call, action, named, &access));
}

static void all_must_allow(void)
{
    static const struct {
        struct {
            enum kms_action action;
            const char *named;
        } ask[3];
        enum kms_code code;
        const char *word;
    } cases[] = {
        {{{KMS_ACT_ENCRYPT, KEY(1)}}, KMS_E_OK, ""},
        {{{KMS_ACT_REENCRYPT_FROM, KEY(1)}, {KMS_ACT_REENCRYPT_TO, KEY(2)}}, KMS_E_OK, ""},
        {{{KMS_ACT_REENCRYPT_FROM, KEY(2)}, {KMS_ACT_REENCRYPT_TO, KEY(2)}},
         KMS_E_ACCESS_DENIED,
         "kms:ReEncryptFrom"},
        {{{KMS_ACT_REENCRYPT_FROM, KEY(1)}, {KMS_ACT_REENCRYPT_TO, KEY(1)}},
         KMS_E_ACCESS_DENIED,
         "kms:ReEncryptTo"},
        {{{KMS_ACT_ENCRYPT, KEY(1)}, {KMS_ACT_ENCRYPT, KEY(9)}}, KMS_E_ACCESS_DENIED, KEY(9)},
        {{{KMS_ACT_ENCRYPT, KEY(1)}, {KMS_ACT_DECRYPT, KEY(1)}, {KMS_ACT_ENCRYPT, KEY(1)}},
         KMS_E_ACCESS_DENIED,
         "kms:Decrypt"},
        {{{KMS_ACT_ENCRYPT, NULL}}, KMS_E_INTERNAL, ""}, /* nothing was asked */
    };
    struct world world;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_HSM, "Encrypt,ReEncryptFrom");
    world_add_key(&world, 2, KMS_LEVEL_HSM, "ReEncryptTo");
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        world_call(&world, &call, NULL);
        for (size_t k = 0; k < 3 && cases[i].ask[k].named != NULL; k++)
            ask(&call, cases[i].ask[k].action, cases[i].ask[k].named);
        CU_ASSERT(kms_code_is(kms_decide(&call), cases[i].code, __FILE__, __LINE__));
        CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, cases[i].word));
        for (size_t k = 0; k < call.access_count; k++) /* each is answered, so that the record can say it */
            CU_ASSERT_EQUAL(call.access[k].decision.statement != NULL,
                            call.access[k].decision.effect != KMS_DENY_IMPLICIT);
        kms_call_end(&call);
    }
    world_close(&world);
}

/* The answer to `who` about a name. */
static kms_err answer(struct world *world, const char *who, const char *named, char text[KMS_WHY_BYTES])
{
    struct kms_call call;
    world_call_of(world, &call, NULL, who);
    ask(&call, KMS_ACT_ENCRYPT, named);
    kms_err err = kms_decide(&call);
    memcpy(text, call.why.text, KMS_WHY_BYTES);
    kms_call_end(&call);
    return err;
}

/* The text with the name of the key taken out. */
static void without(char text[KMS_WHY_BYTES], const char *name)
{
    char *at = strstr(text, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memset(at, '*', strlen(name));
}

static void a_stranger_learns_nothing(void)
{
    static const char *const names[][2] = {{KEY(1), KEY(9)},
                                           {"alias/one", "alias/two"},
                                           {"alias/one", "alias/old"},
                                           {WORLD_ARN "key/" KEY(1), WORLD_ARN "key/" KEY(9)}};
    struct world world;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    world_alias(&world, "alias/one", 1, false);
    world_alias(&world, "alias/old", 1, true);
    for (size_t i = 0; i < KMS_COUNT(names); i++) {
        char there[KMS_WHY_BYTES], missing[KMS_WHY_BYTES];
        KMS_ASSERT_CODE(answer(&world, "stranger", names[i][0], there), ACCESS_DENIED);
        KMS_ASSERT_CODE(answer(&world, "stranger", names[i][1], missing), ACCESS_DENIED);
        without(there, names[i][0]);
        without(missing, names[i][1]);
        CU_ASSERT_STRING_EQUAL(there, missing);
    }
    world_close(&world);
}

static void not_found_for_who_may_list(void)
{
    char text[KMS_WHY_BYTES];
    struct world world;
    world_open(&world, NULL);
    world_service_policy(&world, "lister", "ListKeys");
    world_add_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    KMS_ASSERT_CODE(answer(&world, "lister", KEY(9), text), NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, KEY(9)));
    KMS_ASSERT_CODE(answer(&world, "lister", "alias/none", text), NOT_FOUND);
    KMS_ASSERT_CODE(answer(&world, "lister", KEY(1), text), ACCESS_DENIED);
    KMS_ASSERT_CODE(answer(&world, "app", KEY(9), text), ACCESS_DENIED);
    world_close(&world);
}

static void the_service_policy_answers_for_the_service(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK_FATAL(kms_access_service(&call, KMS_ACT_GENERATE_RANDOM));
    KMS_ASSERT_CODE(kms_decide(&call), ACCESS_DENIED); /* none in force: nobody */
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "service policy"));
    world_service_policy(&world, "app", "GenerateRandom");
    KMS_ASSERT_OK(kms_decide(&call));
    CU_ASSERT_STRING_EQUAL(call.access[0].decision.statement, "Sid1");
    kms_call_end(&call);
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK_FATAL(kms_access_service(&call, KMS_ACT_GET_STATUS));
    KMS_ASSERT_CODE(kms_decide(&call), ACCESS_DENIED);
    kms_call_end(&call);
    world_close(&world);
}

/* A document that is about to be (CreateKey with an alias) answers instead of the key's. */
static void a_candidate_document(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    for (int allowed = 0; allowed < 2; allowed++) {
        world_call(&world, &call, NULL);
        call.access[call.access_count++] = (struct kms_access){
            .action = KMS_ACT_CREATE_ALIAS,
            .policy = world_policy("app", allowed ? "CreateAlias" : "PutKeyPolicy", false)};
        CU_ASSERT_EQUAL(kms_decide(&call).code, allowed ? KMS_E_OK : KMS_E_ACCESS_DENIED);
        kms_call_end(&call);
    }
    world_close(&world);
}

static kms_policy *same_key_only(void)
{
    kms_policy *policy = NULL;
    KMS_ASSERT_OK_FATAL(kms_policy_parse(
        KMS_POLICY_KEY,
        kms_bytes_text(
            "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app\"},\"Action\":\"kms:"
            "ReEncrypt*\","
            "\"Resource\":\"*\",\"Condition\":{\"Bool\":{\"kms:ReEncryptOnSameKey\":\"true\"}}}]}"),
        &policy, NULL));
    return policy;
}

/* kms:ReEncryptOnSameKey compares keys, not the moments at which they were found. */
static void reencrypt_on_the_same_key(void)
{
    struct world world;
    world_open(&world, NULL);
    KMS_OWN_KEY one = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    KMS_OWN_KEY changed = world_change(&world, one, true, 1);
    KMS_OWN_KEY two = world_key(&world, 2, KMS_LEVEL_HSM, "Encrypt");
    const struct {
        struct kms_key *from, *to;
        enum kms_code code;
    } cases[] = {{one, one, KMS_E_OK}, {one, changed, KMS_E_OK}, {one, two, KMS_E_ACCESS_DENIED}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        world_call(&world, &call, NULL);
        call.reencrypt = true;
        call.access_count = 2;
        call.access[0] = (struct kms_access){
            .action = KMS_ACT_REENCRYPT_FROM, .key = kms_key_ref(cases[i].from), .policy = same_key_only()};
        call.access[1] = (struct kms_access){
            .action = KMS_ACT_REENCRYPT_TO, .key = kms_key_ref(cases[i].to), .policy = same_key_only()};
        CU_ASSERT(kms_code_is(kms_decide(&call), cases[i].code, __FILE__, __LINE__));
        kms_call_end(&call);
    }
    world_close(&world);
}

static bool is(struct kms_bytes value, const char *text)
{
    return text == NULL ? value.ptr == NULL : kms_bytes_equal(value, kms_bytes_text(text));
}

/* What policy is told of the key and of how it is to be used. */
static void inputs_of_the_key_and_its_use(void)
{
    static const struct {
        enum kms_action action;
        uint8_t spec, usage;
        const char *asked; /* of the access */
        const char *key_spec, *key_usage, *encryption;
    } cases[] = {
        {KMS_ACT_ENCRYPT, KMS_SPEC_AES_256, 1, NULL, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT",
         "SYMMETRIC_DEFAULT"},
        {KMS_ACT_DECRYPT, KMS_SPEC_RSA_2048, 1, "RSAES_OAEP_SHA_256", "RSA_2048", "ENCRYPT_DECRYPT",
         "RSAES_OAEP_SHA_256"},
        {KMS_ACT_SIGN, KMS_SPEC_EC_P521, 2, NULL, "ECC_NIST_P521", "SIGN_VERIFY", NULL},
        {KMS_ACT_VERIFY_MAC, KMS_SPEC_HMAC_384, 3, NULL, "HMAC_384", "GENERATE_VERIFY_MAC", NULL},
        {KMS_ACT_GET_PUBLIC_KEY, KMS_SPEC_ED25519, 2, NULL, "ECC_NIST_EDWARDS25519", "SIGN_VERIFY", NULL},
    };
    struct world world;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Sign");
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        static struct kms_question question;
        world_call(&world, &call, NULL);
        key->spec = cases[i].spec;
        key->usage = cases[i].usage;
        const struct kms_access access = {
            .action = cases[i].action, .key = key, .encryption_algorithm = cases[i].asked};
        kms_question_of(&call, &access, &question);
        CU_ASSERT_TRUE(is(question.request.key_spec, cases[i].key_spec));
        CU_ASSERT_TRUE(is(question.request.key_usage, cases[i].key_usage));
        CU_ASSERT_TRUE(is(question.request.encryption_algorithm, cases[i].encryption));
        kms_call_end(&call);
    }
    struct kms_call create; /* CreateKey asks the service about a key that is not there yet */
    static struct kms_question question;
    world_call(&world, &create, NULL);
    create.new_spec = KMS_SPEC_RSA_4096;
    create.new_usage = KMS_USAGE_SIGN_VERIFY;
    kms_question_of(&create, &(struct kms_access){.action = KMS_ACT_CREATE_KEY, .service = true}, &question);
    CU_ASSERT_TRUE(is(question.request.key_spec, "RSA_4096") &&
                   is(question.request.key_usage, "SIGN_VERIFY"));
    kms_call_end(&create);
    world_close(&world);
}

KMS_TEST_MAIN("service/decide", {"all must allow", all_must_allow},
              {"a stranger learns nothing", a_stranger_learns_nothing},
              {"NOT_FOUND for who may list", not_found_for_who_may_list},
              {"the service policy answers for the service", the_service_policy_answers_for_the_service},
              {"a candidate document", a_candidate_document},
              {"re-encryption on the same key", reencrypt_on_the_same_key},
              {"inputs of the key and its use", inputs_of_the_key_and_its_use})
