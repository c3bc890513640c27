/* SOPS: its messages to ours and back. The hex below is from protoc, not from this code. */
#include "kmsd/dialect/sops.h"

#include <stdio.h>
#include <stdlib.h>

#include "kms/v1/crypto.pb-c.h"
#include "sops/keyservice.pb-c.h"
#include "tests/unit/kmsd/dialect/foreign.h"

#define ID    "abcd0000-0000-4000-8000-000000000001"
#define VAULT "https://kms.local:8200/v1/transit/keys/app"
#define PLAIN "0123456789abcdef0123456789abcdef"
/* KmsKey arn:aws:kms:us-east-1:111122223333:key/app, context env=prod; PLAIN */
#define ENCRYPT_AWS                                                                                          \
    "0a3b0a390a2a61726e3a6177733a6b6d733a75732d656173742d313a3131313132323232333333333a6b65792f6170701a0b0a" \
    "03656e76120470726f6412203031323334353637383961626364656630313233343536373839616263646566"
/* VaultKey https://kms.local:8200, transit, app; PLAIN */
#define ENCRYPT_VAULT                                                                                        \
    "0a282a260a1668747470733a2f2f6b6d732e6c6f63616c3a3832303012077472616e7369741a03617070122030313233343536" \
    "37383961626364656630313233343536373839616263646566"
#define ENCRYPTED "0a0c6b6d73643a76313a41414141" /* ciphertext "kmsd:v1:AAAA" */
/* the ARN above, ciphertext "kmsd:v1:AAAA" */
#define DECRYPT_AWS                                                                                          \
    "0a2e0a2c0a2a61726e3a6177733a6b6d733a75732d656173742d313a3131313132323232333333333a6b65792f617070120c6b" \
    "6d73643a76313a41414141"

static const struct kms_sops_key keys[] = {
    {KMS_SOPS_KMS, "arn:aws:kms:us-east-1:111122223333:key/app", "alias/app"},
    {KMS_SOPS_HC_VAULT, VAULT, "alias/vault"},
    {KMS_SOPS_PGP, "FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4", "alias/pgp"},
    {KMS_SOPS_GCP_KMS, "projects/p/locations/global/keyRings/r/cryptoKeys/k", "alias/gcp"},
    {KMS_SOPS_AZURE_KV, "https://v.vault.azure.net/keys/k/1", "alias/azure"},
    {KMS_SOPS_AGE, "age1yt3", ID},
    {KMS_SOPS_HCKMS, "tr-west-1:" ID, "alias/hckms"},
};
static const struct kms_door door = {
    .protocol = KMS_PROTOCOL_SOPS, .sops_keys = keys, .sops_key_count = KMS_COUNT(keys)};

static void encrypt_of_aws(void)
{
    struct kms_call call = begin();
    EncryptRequest *asked = unpack(&encrypt_request__descriptor, ENCRYPT_AWS);
    KMS_ASSERT_OK_FATAL(kms_sops_encrypt_from(&call, &door, &asked->base));
    const Kms__V1__EncryptRequest *request = (const void *)call.request;
    CU_ASSERT_PTR_EQUAL(call.request->descriptor, &kms__v1__encrypt_request__descriptor);
    CU_ASSERT_STRING_EQUAL(request->key_id, "alias/app");
    CU_ASSERT(is(request->plaintext, PLAIN));
    CU_ASSERT_EQUAL_FATAL(request->n_encryption_context, 1);
    CU_ASSERT_STRING_EQUAL(request->encryption_context[0]->key, "env");
    CU_ASSERT_STRING_EQUAL(request->encryption_context[0]->value, "prod");
    CU_ASSERT(protobuf_c_message_check(call.request));
    CU_ASSERT_EQUAL_FATAL(call.extra_count, 1);
    CU_ASSERT_STRING_EQUAL(call.extra[0].name, "foreign_key");
    CU_ASSERT_STRING_EQUAL(call.extra[0].value, "kms arn:aws:kms:us-east-1:111122223333:key/app");
    kms_call_end(&call);
    encrypt_request__free_unpacked(asked, NULL);
}

static void encrypt_of_vault(void)
{
    struct kms_call call = begin();
    EncryptRequest *asked = unpack(&encrypt_request__descriptor, ENCRYPT_VAULT);
    KMS_ASSERT_OK_FATAL(kms_sops_encrypt_from(&call, &door, &asked->base));
    const Kms__V1__EncryptRequest *request = (const void *)call.request;
    CU_ASSERT_STRING_EQUAL(request->key_id, "alias/vault");
    CU_ASSERT(is(request->plaintext, PLAIN) && request->n_encryption_context == 0);
    CU_ASSERT_STRING_EQUAL(call.extra[0].value, "hc_vault " VAULT);
    kms_call_end(&call);
    encrypt_request__free_unpacked(asked, NULL);
}

/* One line of ASCII, and it says what the ciphertext was. */
static void encrypted_text(void)
{
    EncryptResponse *vector = unpack(&encrypt_response__descriptor, ENCRYPTED);
    CU_ASSERT(is(vector->ciphertext, "kmsd:v1:AAAA"));
    encrypt_response__free_unpacked(vector, NULL);

    struct kms_call call = begin();
    uint8_t blob[256];
    Kms__V1__EncryptResponse reply;
    kms__v1__encrypt_response__init(&reply);
    for (size_t i = 0; i < sizeof blob; i++) blob[i] = (uint8_t)i;
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = blob, .len = 6};
    call.reply = &reply.base;
    const ProtobufCMessage *foreign = NULL;
    KMS_ASSERT_OK_FATAL(kms_sops_encrypt_to(&call, &door, &foreign));
    CU_ASSERT_PTR_EQUAL(foreign->descriptor, &encrypt_response__descriptor);
    CU_ASSERT(is(((const EncryptResponse *)(const void *)foreign)->ciphertext, "AAECAwQF"));
    reply.ciphertext_blob.len = sizeof blob;
    KMS_ASSERT_OK_FATAL(kms_sops_encrypt_to(&call, &door, &foreign));
    ProtobufCBinaryData text = ((const EncryptResponse *)(const void *)foreign)->ciphertext;
    for (size_t i = 0; i < text.len; i++) CU_ASSERT(text.data[i] > ' ' && text.data[i] < 127);
    kms_call_end(&call);
}

static kms_err decrypt(struct kms_call *call, const char *ciphertext)
{
    DecryptRequest *asked = unpack(&decrypt_request__descriptor, DECRYPT_AWS);
    CU_ASSERT(is(asked->ciphertext, "kmsd:v1:AAAA"));
    struct kms_bytes text =
        kms_arena_copy(&call->arena, kms_bytes_text(ciphertext != NULL ? ciphertext : "kmsd:v1:AAAA"));
    free(asked->ciphertext.data);
    asked->ciphertext = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text.ptr, .len = text.len};
    kms_err err = kms_sops_decrypt_from(call, &door, &asked->base);
    asked->ciphertext = (ProtobufCBinaryData){0};
    decrypt_request__free_unpacked(asked, NULL);
    return err;
}

static void decrypt_texts(void)
{
    static const struct {
        const char *text, *blob; /* blob NULL: refused */
    } cases[] = {
        {"a2V5", "key"},    {"kms:v1:a2V5", "key"}, {"QUI=", "AB"},          {NULL, NULL},
        {"", NULL},         {"kms:v1:", NULL},      {"a2V5\n", NULL},        {" a2V5", NULL},
        {"a2V", NULL},      {"a2V_", NULL},         {"vault:v1:a2V5", NULL}, {"KMS:v1:a2V5", NULL},
        {"QUI=QUI=", NULL}, {"a2V5a2V5=", NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call = begin();
        kms_err err = decrypt(&call, cases[i].text);
        if (cases[i].blob == NULL) {
            KMS_ASSERT_CODE(err, INVALID_CIPHERTEXT);
            CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "ciphertext: not one line of standard base64"));
            CU_ASSERT_PTR_NULL(call.request);
        } else {
            KMS_ASSERT_OK_FATAL(err);
            const Kms__V1__DecryptRequest *request = (const void *)call.request;
            CU_ASSERT_STRING_EQUAL(request->key_id, "alias/app");
            CU_ASSERT(is(request->ciphertext_blob, cases[i].blob));
            CU_ASSERT_PTR_EQUAL(call.request->descriptor, &kms__v1__decrypt_request__descriptor);
        }
        kms_call_end(&call);
    }
}

static void decrypted(void)
{
    struct kms_call call = begin();
    uint8_t plain[33] = {0, 255};
    Kms__V1__DecryptResponse reply;
    kms__v1__decrypt_response__init(&reply);
    reply.plaintext = (ProtobufCBinaryData){.data = plain, .len = sizeof plain};
    call.reply = &reply.base;
    const ProtobufCMessage *foreign = NULL;
    KMS_ASSERT_OK_FATAL(kms_sops_decrypt_to(&call, &door, &foreign));
    CU_ASSERT_PTR_EQUAL(foreign->descriptor, &decrypt_response__descriptor);
    const DecryptResponse *answer = (const void *)foreign;
    CU_ASSERT(answer->plaintext.len == 33 && answer->plaintext.data == plain);
    kms_call_end(&call);
}

/* What names a key of ours: NULL, none. */
static void check_arn(const char *arn, const char *want)
{
    struct kms_call call = begin();
    char text[200];
    snprintf(text, sizeof text, "%s", arn);
    KmsKey aws;
    kms_key__init(&aws);
    Key key;
    key__init(&key);
    EncryptRequest asked;
    encrypt_request__init(&asked);
    aws.arn = text;
    key.key_type_case = KEY__KEY_TYPE_KMS_KEY;
    key.kms_key = &aws;
    asked.key = &key;
    kms_err err = kms_sops_encrypt_from(&call, &door, &asked.base);
    if (want == NULL) {
        KMS_ASSERT_CODE(err, NOT_FOUND);
        CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "sops.keys"));
    } else {
        KMS_ASSERT_OK_FATAL(err);
        CU_ASSERT_STRING_EQUAL(((const Kms__V1__EncryptRequest *)(const void *)call.request)->key_id, want);
        CU_ASSERT_EQUAL(call.extra_count, strcmp(arn, want) != 0);
    }
    kms_call_end(&call);
}

static void arns(void)
{
    static const struct {
        const char *arn, *want;
    } cases[] = {
        {ID, ID},
        {"alias/x", "alias/x"},
        {"arn:aws:kms:us-east-1:000000000000:key/" ID, ID},
        {"arn:aws:kms:eu-central-1:999999999999:key/" ID, ID}, /* region and account are anybody's */
        {"arn:aws-us-gov:kms:r:1:alias/a/b", "alias/a/b"},
        {"arn:aws:kms:::alias/x", "alias/x"},
        {"arn:aws:kms:us-east-1:111122223333:key/app", "alias/app"}, /* mapped */
        {"arn:aws:kms:us-east-1:111122223334:key/app", NULL},        /* not mapped, and no id */
        {"arn:aws:kms:us-east-1:1:secret/" ID, NULL},
        {"arn:aws:s3:us-east-1:1:key/" ID, NULL},
        {"arn:aws:kms:us-east-1:1", NULL},
        {"arn:aws:kms:us-east-1", NULL},
        {"arn:aws:kms", NULL},
        {"arn:", NULL},
        {"app", NULL},
        {"", NULL},
        {VAULT, NULL}, /* of another type */
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) check_arn(cases[i].arn, cases[i].want);
}

static kms_err ask(struct kms_call *call, Key *key, const struct kms_door *at)
{
    EncryptRequest asked;
    encrypt_request__init(&asked);
    asked.key = key;
    return kms_sops_encrypt_from(call, at, &asked.base);
}

static void check_type(Key *key, Key__KeyTypeCase type, const char *want, const char *called)
{
    static const struct kms_door bare = {.protocol = KMS_PROTOCOL_SOPS};
    key->key_type_case = type;
    struct kms_call call = begin();
    KMS_ASSERT_OK_FATAL(ask(&call, key, &door));
    CU_ASSERT_STRING_EQUAL(((const Kms__V1__EncryptRequest *)(const void *)call.request)->key_id, want);
    CU_ASSERT_STRING_EQUAL(call.extra[0].value, called);
    kms_call_end(&call);
    call = begin();
    KMS_ASSERT_CODE(ask(&call, key, &bare), NOT_FOUND);
    char words[300];
    snprintf(words, sizeof words, "no key stands for %s: name one in sops.keys", called);
    CU_ASSERT_STRING_EQUAL(call.why.text, words);
    CU_ASSERT_STRING_EQUAL(call.extra[0].value, called); /* a refusal says it, too */
    kms_call_end(&call);
}

static void other_types(void)
{
    char text[6][80] = {"FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4",
                        "projects/p/locations/global/keyRings/r/cryptoKeys/k",
                        "https://v.vault.azure.net",
                        "k",
                        "1",
                        "age1yt3"};
    char region[] = "tr-west-1:" ID;
    PgpKey pgp;
    pgp_key__init(&pgp);
    GcpKmsKey gcp;
    gcp_kms_key__init(&gcp);
    AzureKeyVaultKey azure;
    azure_key_vault_key__init(&azure);
    AgeKey age;
    age_key__init(&age);
    HckmsKey hckms;
    hckms_key__init(&hckms);
    Key key;
    key__init(&key);
    pgp.fingerprint = text[0];
    gcp.resource_id = text[1];
    azure.vault_url = text[2], azure.name = text[3], azure.version = text[4];
    age.recipient = text[5];
    hckms.key_id = region;
    key.pgp_key = &pgp;
    check_type(&key, KEY__KEY_TYPE_PGP_KEY, "alias/pgp", "pgp FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4");
    key.gcp_kms_key = &gcp;
    check_type(&key, KEY__KEY_TYPE_GCP_KMS_KEY, "alias/gcp",
               "gcp_kms projects/p/locations/global/keyRings/r/cryptoKeys/k");
    key.azure_keyvault_key = &azure;
    check_type(&key, KEY__KEY_TYPE_AZURE_KEYVAULT_KEY, "alias/azure",
               "azure_kv https://v.vault.azure.net/keys/k/1");
    key.age_key = &age;
    check_type(&key, KEY__KEY_TYPE_AGE_KEY, ID, "age age1yt3");
    key.hckms_key = &hckms;
    check_type(&key, KEY__KEY_TYPE_HCKMS_KEY, "alias/hckms", "hckms tr-west-1:" ID);
}

static void no_key(void)
{
    Key none;
    key__init(&none);
    struct kms_call call = begin();
    KMS_ASSERT_CODE(ask(&call, NULL, &door), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(call.why.text, "Must provide a key");
    KMS_ASSERT_CODE(ask(&call, &none, &door), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(call.why.text, "Unknown key type");
    CU_ASSERT(call.extra_count == 0 && call.request == NULL);
    kms_call_end(&call);
}

/* The arena is full at each place in turn. */
static void every_want_of_memory(void)
{
    EncryptRequest *encrypt_aws = unpack(&encrypt_request__descriptor, ENCRYPT_AWS);
    EncryptRequest *encrypt_vault = unpack(&encrypt_request__descriptor, ENCRYPT_VAULT);
    DecryptRequest *decrypt_aws = unpack(&decrypt_request__descriptor, DECRYPT_AWS);
    uint8_t blob[100] = {0};
    Kms__V1__EncryptResponse sealed;
    kms__v1__encrypt_response__init(&sealed);
    Kms__V1__DecryptResponse opened;
    kms__v1__decrypt_response__init(&opened);
    sealed.ciphertext_blob = (ProtobufCBinaryData){.data = blob, .len = sizeof blob};
    kms_copy(decrypt_aws->ciphertext.data, "a2V5a2V5a2V5", 12);
    unsigned full[5] = {0}, fine[5] = {0};
    for (size_t left = 0; left < 1200; left += 16) {
        for (size_t i = 0; i < 5; i++) {
            struct kms_call call = begin();
            kms_arena_init(&call.arena, KMS_ARENA_FIRST_BYTES);
            CU_ASSERT_PTR_NOT_NULL_FATAL(kms_call_alloc(&call, KMS_ARENA_FIRST_BYTES - 64 - left));
            const ProtobufCMessage *foreign;
            call.reply = i == 3 ? &sealed.base : &opened.base;
            kms_err err = i == 0   ? kms_sops_encrypt_from(&call, &door, &encrypt_aws->base)
                          : i == 1 ? kms_sops_encrypt_from(&call, &door, &encrypt_vault->base)
                          : i == 2 ? kms_sops_decrypt_from(&call, &door, &decrypt_aws->base)
                          : i == 3 ? kms_sops_encrypt_to(&call, &door, &foreign)
                                   : kms_sops_decrypt_to(&call, &door, &foreign);
            if (kms_failed(err)) KMS_ASSERT_CODE(err, NO_MEMORY);
            full[i] += kms_failed(err);
            fine[i] += !kms_failed(err);
            kms_call_end(&call);
        }
    }
    for (size_t i = 0; i < 5; i++) CU_ASSERT(full[i] > 0 && fine[i] > 0);
    encrypt_request__free_unpacked(encrypt_aws, NULL);
    encrypt_request__free_unpacked(encrypt_vault, NULL);
    decrypt_request__free_unpacked(decrypt_aws, NULL);
}

KMS_TEST_MAIN("dialect/sops", {"Encrypt under an ARN", encrypt_of_aws},
              {"Encrypt under Vault", encrypt_of_vault}, {"the ciphertext is one line", encrypted_text},
              {"texts that Decrypt takes", decrypt_texts}, {"Decrypt's answer", decrypted},
              {"what names a key of ours", arns}, {"other key types", other_types}, {"no key", no_key},
              {"every want of memory", every_want_of_memory})
