/* Texts with ciphertext in them, from texts with {V} in its place. */
#ifndef KMS_TESTS_KMSCTL_TREE_SAMPLE_H
#define KMS_TESTS_KMSCTL_TREE_SAMPLE_H

#include <stdlib.h>

#include "base/ciphertext.h"
#include "tests/harness/suite.h"

/* A ciphertext by its form, with / and + in its text; opens nowhere. */
static inline void sample_value(uint32_t version, kms_buf *text)
{
    uint8_t blob[KMS_CIPHERTEXT_HEADER_BYTES + 12 + 16 + 6];
    const struct kms_ciphertext_header header = {
        .algorithm = KMS_ALG_AES_256_GCM, .key_id = {.bytes = {1, 2, 3}}, .key_version = version};
    memset(blob, 0xfb, sizeof blob);
    memset(blob + sizeof blob - 9, 0xff, 9);
    kms_ciphertext_header_put(&header, blob);
    KMS_ASSERT_OK_FATAL(kms_ciphertext_to_text(kms_bytes_of(blob, sizeof blob), text));
}

/* {V}: a value; {E}: the same with \/ for each / and \u002b for each +, as some writers of JSON do. */
static inline void sample_text(const char *format, kms_buf *out)
{
    KMS_OWN_BUF value = {0};
    sample_value(1, &value);
    KMS_ASSERT_OK_FATAL(kms_buf_append(out, "", 0));
    for (const char *at = format; *at != '\0'; at++) {
        bool plain = strncmp(at, "{V}", 3) == 0, escaped = strncmp(at, "{E}", 3) == 0;
        for (size_t i = 0; (plain || escaped) && i < value.len; i++) {
            const char *c = escaped && value.data[i] == '/'   ? "\\/"
                            : escaped && value.data[i] == '+' ? "\\u002b"
                                                              : NULL;
            KMS_ASSERT_OK_FATAL(c != NULL ? kms_buf_print(out, "%s", c)
                                          : kms_buf_append(out, &value.data[i], 1));
        }
        if (plain || escaped)
            at += 2;
        else
            KMS_ASSERT_OK_FATAL(kms_buf_append(out, at, 1));
    }
}

#endif
