/* Ciphertext that is no value of its own, and where it stands. */
#include "client/kmsctl/tree/values.h"

#include "client/kmsctl/tree/find.h"
#include "tests/harness/faults.h"
#include "tests/unit/client/kmsctl/tree/sample.h"

static void others(void)
{
    static const struct {
        const char *text;
        unsigned lines[4]; /* of what is found, 0 behind the last */
    } rows[] = {
        {"# {V}\nA={V}\n# x{V}\n", {1, 3}},
        {"A={V} # {V},{V}\n", {1, 1}},
        {"# kms:v1:AAAA kms:v1: kms:v1:kms:v1:\n", {0}},
        {"A={V}", {0}},
        {"\n\n#{V}{V}", {0}}, /* one run of letters, which is no ciphertext */
        {"", {0}},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_BUF text = {0};
        sample_text(rows[i].text, &text);
        KMS_OWN_VALUES values = ctl_values_of(kms_buf_view(&text));
        KMS_ASSERT_OK(ctl_find(CTL_FORMAT_ENV, KMS_DOTENV_COMPOSE, &values, NULL));
        struct ctl_value other;
        size_t at = 0, count = 0;
        while (count < 4 && ctl_values_next_other(&values, &at, &other)) {
            CU_ASSERT_EQUAL(other.line, rows[i].lines[count]);
            CU_ASSERT_EQUAL(other.header.key_version, 1);
            ctl_value_free(&other);
            count++;
        }
        CU_ASSERT_EQUAL(rows[i].lines[count], 0);
    }
}

KMS_TEST_MAIN("client/kmsctl/tree/values", {"others", others})
