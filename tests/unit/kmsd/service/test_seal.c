/* Headers, additional authenticated data and checksums around HSM jobs. */
#include "kmsd/service/seal.h"

#include <stdio.h>

#include "base/ciphertext.h"
#include "base/text.h"
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/decide.h"
#include "kmsd/service/method.h"
#include "tests/unit/kmsd/service/world.h"

#define KEY(n) "abcd0000-0000-4000-8000-00000000000" #n

/* A ciphertext of key `number`, as far as this process can see. */
static ProtobufCBinaryData blob_of(unsigned number, uint8_t algorithm, uint32_t version)
{
    static uint8_t blob[KMS_CIPHERTEXT_HEADER_BYTES + 64];
    const struct kms_ciphertext_header header = {
        .algorithm = algorithm, .key_id = world_id(number), .key_version = version};
    memset(blob, 0x5a, sizeof blob);
    kms_ciphertext_header_put(&header, blob);
    return (ProtobufCBinaryData){.data = blob, .len = sizeof blob};
}

static struct kms_bytes view(ProtobufCBinaryData data)
{
    return kms_bytes_of(data.data, data.len);
}

static void sealing(void)
{
    static const struct {
        enum kms_level level;
        uint8_t algorithm;
        size_t overhead;
    } cases[] = {{KMS_LEVEL_HSM, KMS_ALG_AES_256_GCM, KMS_SEAL_OVERHEAD_HSM},
                 {KMS_LEVEL_SOFTWARE, KMS_ALG_AES_256_GCM_DERIVED, KMS_SEAL_OVERHEAD_SOFTWARE}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct world world;
        struct kms_call call;
        struct kms_access *access;
        struct kms_bytes aad, sealed;
        struct kms_ciphertext_header header;
        world_open(&world, NULL);
        KMS_OWN_KEY key = world_key(&world, 1, cases[i].level, "Encrypt");
        KMS_OWN_KEY rotated = world_change(&world, key, true, 1);
        CU_ASSERT_EQUAL(rotated->versions[1].budget != NULL, cases[i].level == KMS_LEVEL_HSM);
        if (cases[i].level == KMS_LEVEL_HSM) atomic_store(&rotated->versions[1].budget->left, 1);
        world_call(&world, &call, NULL);
        KMS_ASSERT_OK_FATAL(kms_access_named(&call, KMS_ACT_ENCRYPT, KEY(1), &access));
        access->canonical = kms_bytes_text("canonical context");
        KMS_ASSERT_OK(kms_seal_plan(&call, access, &call.job.key, &aad));
        CU_ASSERT(call.job.key.ref.version == 2 && access->version == 2); /* the current one */
        CU_ASSERT_EQUAL(call.spends != NULL, cases[i].level == KMS_LEVEL_HSM);
        CU_ASSERT_FALSE(call.out_of_budget);

        /* AAD = header of the ciphertext, then the canonical context */
        CU_ASSERT_EQUAL_FATAL(aad.len, KMS_CIPHERTEXT_HEADER_BYTES + access->canonical.len);
        CU_ASSERT_EQUAL(
            memcmp(aad.ptr + KMS_CIPHERTEXT_HEADER_BYTES, access->canonical.ptr, access->canonical.len), 0);

        call.job.op = KMS_HSM_ENCRYPT;
        KMS_ASSERT_OK_FATAL(kms_seal_output(&call, access, 10));
        CU_ASSERT_EQUAL(call.job.output_cap, 10 + cases[i].overhead);
        memset(call.job.output, 0x5a, call.job.output_cap);
        call.job.output_len = call.job.output_cap;
        ProtobufCBinaryData blob = kms_seal_blob(&call, access, 0);
        CU_ASSERT_EQUAL(blob.len, KMS_CIPHERTEXT_HEADER_BYTES + 10 + cases[i].overhead);
        CU_ASSERT_EQUAL(memcmp(blob.data, aad.ptr, KMS_CIPHERTEXT_HEADER_BYTES), 0);
        KMS_ASSERT_OK_FATAL(kms_ciphertext_parse(view(blob), &header, &sealed, NULL));
        CU_ASSERT(header.algorithm == cases[i].algorithm && header.key_version == 2);
        CU_ASSERT(kms_id_equal(&header.key_id, &key->id));
        kms_call_end(&call);
        world_close(&world);
    }
}

/* The plain data key stands before the sealed one; the header overwrites its end, not the sealed data. */
static void data_keys(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access *access;
    struct kms_bytes aad;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_SOFTWARE, "GenerateDataKey");
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK_FATAL(kms_access_named(&call, KMS_ACT_GENERATE_DATA_KEY, KEY(1), &access));
    KMS_ASSERT_OK_FATAL(kms_seal_plan(&call, access, &call.job.key, &aad));
    call.job.op = KMS_HSM_DATA_KEY;
    KMS_ASSERT_OK_FATAL(kms_seal_output(&call, access, 32));
    CU_ASSERT_EQUAL_FATAL(call.job.output_cap, 32 + 32 + KMS_SEAL_OVERHEAD_SOFTWARE);
    memset(call.job.output, 0x11, 32);
    memset(call.job.output + 32, 0x22, 32 + KMS_SEAL_OVERHEAD_SOFTWARE);
    call.job.output_len = call.job.output_cap;
    ProtobufCBinaryData blob = kms_seal_blob(&call, access, 32);
    CU_ASSERT_EQUAL(blob.len, KMS_CIPHERTEXT_HEADER_BYTES + 32 + KMS_SEAL_OVERHEAD_SOFTWARE);
    for (size_t i = KMS_CIPHERTEXT_HEADER_BYTES; i < blob.len; i++) CU_ASSERT_FATAL(blob.data[i] == 0x22);
    for (size_t i = 0; i < 32 - KMS_CIPHERTEXT_HEADER_BYTES; i++) CU_ASSERT_FATAL(call.job.output[i] == 0x11);
    kms_call_end(&call);
    world_close(&world);
}

/* A worker that was taken over says that its answer is shorter than the data key: nobody reads behind it. */
static void a_data_key_cut_short(void)
{
    const struct kms_method *method = kms_methods;
    while (strcmp(method->rpc, "GenerateDataKey") != 0) method++;
    Kms__V1__GenerateDataKeyRequest message;
    kms__v1__generate_data_key_request__init(&message);
    char key[] = KEY(1);
    message.key_id = key;
    message.number_of_bytes = 1024;
    struct world world;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_SOFTWARE, "GenerateDataKey");
    for (size_t missing = 0; missing <= 2048 + KMS_SEAL_OVERHEAD_SOFTWARE; missing += 24) {
        struct kms_call call;
        world_call(&world, &call, method);
        call.request = &message.base;
        KMS_ASSERT_OK_FATAL(method->gather(&call));
        KMS_ASSERT_OK_FATAL(method->plan(&call));
        call.job.output_len = call.job.output_cap - missing;
        CU_ASSERT_EQUAL(method->finish(&call).code, missing == 0 ? KMS_E_OK : KMS_E_INTERNAL);
        kms_call_end(&call);
    }
    world_close(&world);
}

static void not_without_budget(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access *access;
    struct kms_bytes aad = {0};
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK_FATAL(kms_access_named(&call, KMS_ACT_ENCRYPT, KEY(1), &access));
    KMS_ASSERT_OK(kms_seal_plan(&call, access, &call.job.key, &aad));
    CU_ASSERT(call.out_of_budget && call.spends == access);
    CU_ASSERT(aad.ptr == NULL && call.job.key.wrapped.ptr == NULL); /* no job */
    kms_call_end(&call);
    world_close(&world);
}

static void retired(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access *access;
    struct kms_bytes aad;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    KMS_OWN_KEY newer = world_change(&world, key, true, 1);
    atomic_store(&newer->versions[1].budget->left, 5);
    newer->versions[0].retired_us = 1;
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK_FATAL(kms_access_named(&call, KMS_ACT_ENCRYPT, KEY(1), &access));
    KMS_ASSERT_CODE(kms_open_plan(&call, access, blob_of(1, KMS_ALG_AES_256_GCM, 1), ""),
                    KEY_VERSION_RETIRED);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "version 1 of key"));
    KMS_ASSERT_OK(kms_open_plan(&call, access, blob_of(1, KMS_ALG_AES_256_GCM, 2), ""));
    KMS_ASSERT_OK(kms_seal_plan(&call, access, &call.job.key, &aad));
    kms_call_end(&call);
    world_close(&world);
}

static void opening(void)
{
    static const struct {
        uint8_t algorithm;
        uint32_t version;
        const char *expected;
        enum kms_code gather, plan;
    } cases[] = {
        {KMS_ALG_AES_256_GCM, 1, "", KMS_E_OK, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 2, KEY(1), KMS_E_OK, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, WORLD_ARN "key/" KEY(1), KMS_E_OK, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, "alias/one", KMS_E_OK, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, WORLD_ARN "alias/one", KMS_E_OK, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 3, "", KMS_E_OK, KMS_E_INVALID_CIPHERTEXT},
        {KMS_ALG_AES_256_GCM, UINT32_MAX, "", KMS_E_OK, KMS_E_INVALID_CIPHERTEXT},
        {KMS_ALG_AES_256_GCM_DERIVED, 1, "", KMS_E_OK, KMS_E_INVALID_CIPHERTEXT},
        {KMS_ALG_AES_256_GCM, 1, KEY(2), KMS_E_OK, KMS_E_INCORRECT_KEY},
        {KMS_ALG_AES_256_GCM, 1, "alias/two", KMS_E_OK, KMS_E_INCORRECT_KEY},
        {KMS_ALG_AES_256_GCM, 1, "alias/gone", KMS_E_OK, KMS_E_INCORRECT_KEY},
        {KMS_ALG_AES_256_GCM, 1, "alias/never", KMS_E_OK, KMS_E_INCORRECT_KEY},
        {KMS_ALG_AES_256_GCM, 1, KEY(9), KMS_E_OK, KMS_E_INCORRECT_KEY},
        {KMS_ALG_AES_256_GCM, 0, "", KMS_E_INVALID_CIPHERTEXT, KMS_E_OK},
        {9, 1, "", KMS_E_INVALID_CIPHERTEXT, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, "nonsense", KMS_E_INVALID_ARGUMENT, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, "alias/", KMS_E_INVALID_ALIAS_NAME, KMS_E_OK},
        {KMS_ALG_AES_256_GCM, 1, "arn:other", KMS_E_INVALID_ARN, KMS_E_OK},
    };
    struct world world;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Decrypt");
    KMS_OWN_KEY one = world_change(&world, key, true, 1);
    world_add_key(&world, 2, KMS_LEVEL_HSM, "Decrypt");
    world_alias(&world, "alias/one", 1, false);
    world_alias(&world, "alias/two", 2, false);
    world_alias(&world, "alias/gone", 1, true);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        struct kms_access *access = NULL;
        ProtobufCBinaryData blob = blob_of(1, cases[i].algorithm, cases[i].version);
        world_call(&world, &call, NULL);
        kms_err err = kms_open_gather(&call, KMS_ACT_DECRYPT, blob, cases[i].expected, &access);
        CU_ASSERT(kms_code_is(err, cases[i].gather, __FILE__, __LINE__));
        if (!kms_failed(err)) {
            CU_ASSERT(access->key == one && access->version == cases[i].version);
            CU_ASSERT(kms_bytes_equal(access->named, kms_bytes_text(cases[i].expected)));
            err = kms_open_plan(&call, access, blob, cases[i].expected);
            CU_ASSERT(kms_code_is(err, cases[i].plan, __FILE__, __LINE__));
        }
        if (cases[i].gather == KMS_E_OK && err.code == KMS_E_OK) {
            CU_ASSERT_EQUAL(call.job.key.ref.version, cases[i].version);
            CU_ASSERT(call.job.input.len == 64 &&
                      call.job.input.ptr == blob.data + KMS_CIPHERTEXT_HEADER_BYTES);
            CU_ASSERT_EQUAL(memcmp(call.job.aad.ptr, blob.data, KMS_CIPHERTEXT_HEADER_BYTES), 0);
        } else
            CU_ASSERT(call.why.text[0] != '\0');
        kms_call_end(&call);
    }
    world_close(&world);
}

/* Whether an alias exists is not told to those who may only decrypt. */
static void aliases_cannot_be_probed(void)
{
    struct world world;
    world_open(&world, NULL);
    world_add_key(&world, 1, KMS_LEVEL_HSM, "Decrypt");
    world_add_key(&world, 2, KMS_LEVEL_HSM, "Decrypt");
    world_alias(&world, "alias/there", 2, false);
    struct kms_why said[2];
    for (int i = 0; i < 2; i++) {
        struct kms_call call;
        struct kms_access *access = NULL;
        const char *name = i == 0 ? "alias/there" : "alias/never";
        ProtobufCBinaryData blob = blob_of(1, KMS_ALG_AES_256_GCM, 1);
        world_call(&world, &call, NULL);
        KMS_ASSERT_OK_FATAL(kms_open_gather(&call, KMS_ACT_DECRYPT, blob, name, &access));
        KMS_ASSERT_CODE(kms_open_plan(&call, access, blob, name), INCORRECT_KEY);
        said[i] = call.why;
        kms_call_end(&call);
    }
    CU_ASSERT_STRING_EQUAL(said[0].text, said[1].text);
    world_close(&world);
}

static void a_key_that_is_not_there(void)
{
    struct world world;
    struct kms_call call;
    struct kms_access *access = NULL;
    world_open(&world, NULL);
    world_call(&world, &call, NULL);
    KMS_ASSERT_OK(kms_open_gather(&call, KMS_ACT_DECRYPT, blob_of(7, KMS_ALG_AES_256_GCM, 1), "", &access));
    CU_ASSERT_PTR_NULL(access->key); /* policy denies it */
    KMS_ASSERT_CODE(kms_decide(&call), ACCESS_DENIED);
    kms_call_end(&call);
    world_close(&world);
}

static void checksums(void)
{
    struct world world;
    struct kms_call call;
    uint8_t text[] = "123456789";
    ProtobufCBinaryData data = {.data = text, .len = 9};
    world_open(&world, NULL);
    world_call(&world, &call, NULL);
    CU_ASSERT_EQUAL(kms_crc32c_of(data), 0xe3069283); /* RFC 3720, appendix B.4 and elsewhere */
    KMS_ASSERT_OK(kms_check_crc32c(&call, "plaintext", data, 0xe3069283));
    KMS_ASSERT_CODE(kms_check_crc32c(&call, "plaintext", data, 0xe3069284), CHECKSUM_MISMATCH);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "plaintext"));
    kms_call_end(&call);
    world_close(&world);
}

static void replies(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    for (size_t i = 0; i < kms_method_count; i++) {
        world_call(&world, &call, &kms_methods[i]);
        ProtobufCMessage *reply = kms_new_reply(&call);
        CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
        CU_ASSERT_PTR_EQUAL(reply, call.reply);
        CU_ASSERT_PTR_EQUAL(reply->descriptor, kms_method_codec(&kms_methods[i])->output);
        kms_call_end(&call);
    }
    world_close(&world);
}

KMS_TEST_MAIN("service/seal", {"sealing", sealing}, {"data keys", data_keys},
              {"a data key cut short", a_data_key_cut_short}, {"not without budget", not_without_budget},
              {"retired", retired}, {"opening", opening},
              {"aliases cannot be probed", aliases_cannot_be_probed},
              {"a key that is not there", a_key_that_is_not_there}, {"checksums", checksums},
              {"replies", replies})
