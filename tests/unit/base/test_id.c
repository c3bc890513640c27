/* Ids are UUIDs of version 4, random, and parsed strictly. */
#include "base/id.h"

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void new_ids(void)
{
    struct kms_id a, b;
    for (int i = 0; i < 100; i++) {
        KMS_ASSERT_OK_FATAL(kms_id_new(&a));
        KMS_ASSERT_OK_FATAL(kms_id_new(&b));
        CU_ASSERT_FALSE(kms_id_equal(&a, &b));
        CU_ASSERT_EQUAL(a.bytes[6] >> 4, 4); /* RFC 9562, 5.4: version */
        CU_ASSERT_EQUAL(a.bytes[8] >> 6, 2); /* and variant */
    }
}

static void text_forms(void)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a01", true},  {"0F8B6A52-4D3E-4C1B-9A70-5E6D7C8B9A01", true},
        {"00000000-0000-0000-0000-000000000000", true},  {"", false},
        {"0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a0", false},  {"0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a011", false},
        {"0f8b6a524d3e-4c1b-9a70-5e6d7c8b9a01-", false}, {"0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a0g", false},
        {"{f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a0}", false}, {"0f8b6a52_4d3e_4c1b_9a70_5e6d7c8b9a01", false}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_id id = {{7}}, same;
        char text[KMS_ID_TEXT];
        CU_ASSERT_EQUAL(kms_id_parse(kms_bytes_text(cases[i].text), &id), cases[i].ok);
        if (!cases[i].ok) {
            CU_ASSERT_EQUAL(id.bytes[0], 7);
            continue;
        }
        kms_id_text(&id, text);
        CU_ASSERT_EQUAL(strcasecmp(text, cases[i].text), 0);
        CU_ASSERT_EQUAL(strcspn(text, "ABCDEF"), KMS_ID_TEXT - 1);
        CU_ASSERT(kms_id_parse(kms_bytes_text(text), &same) && kms_id_equal(&id, &same));
    }
}

static void no_randomness_no_id(void)
{
    FAULTS_EACH_OF (FAULT_RANDOM) {
        struct kms_id id = {{7}};
        kms_err err = kms_id_new(&id);
        CU_ASSERT_EQUAL(kms_is(err, KMS_E_INTERNAL), faults_hit());
        if (faults_hit()) CU_ASSERT_EQUAL(id.bytes[0], 7);
    }
}

static void random_fills_everything(void)
{
    uint8_t seen[300] = {0}, data[300]; /* getrandom gives at most 256 bytes uninterrupted */
    for (int round = 0; round < 20; round++) {
        KMS_ASSERT_OK(kms_random(data, sizeof data));
        for (size_t i = 0; i < sizeof data; i++) seen[i] |= data[i];
    }
    for (size_t i = 0; i < sizeof seen; i++) CU_ASSERT(seen[i] != 0); /* 20 zeros in one place: 2^-160 */
    KMS_ASSERT_OK(kms_random(data, 0));
}

KMS_TEST_MAIN("base/id", {"new ids", new_ids}, {"text forms", text_forms},
              {"no randomness, no id", no_randomness_no_id},
              {"random fills everything", random_fills_everything})
