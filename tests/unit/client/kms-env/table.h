/* A table of texts and what the parser makes of them: for the tests of each dialect. */
#ifndef KMS_TESTS_KMS_ENV_TABLE_H
#define KMS_TESTS_KMS_ENV_TABLE_H

#include <stdio.h>

#include "client/kms-env/dotenv.h"
#include "tests/harness/suite.h"

struct reading {
    const char *text;
    const char *want;  /* "NAME<value>", "NAME" for a name alone, one behind the other; NULL: refused */
    const char *where; /* how the message begins, when refused */
};

static inline void describe(const kms_dotenv *document, kms_buf *out)
{
    for (size_t i = 0; i < kms_dotenv_count(document); i++) {
        const struct kms_dotenv_entry *e = kms_dotenv_entry(document, i);
        KMS_ASSERT_OK(kms_buf_append(out, e->name.ptr, e->name.len));
        if (!e->assigned) continue;
        KMS_ASSERT_OK(kms_buf_append(out, "<", 1));
        KMS_ASSERT_OK(kms_buf_append(out, e->value.ptr, e->value.len));
        KMS_ASSERT_OK(kms_buf_append(out, ">", 1));
    }
}

static inline void check_reading(const struct reading *row, enum kms_dotenv_dialect dialect)
{
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN_BUF got = {0};
    struct kms_why why = {0};
    bool good = true;
    kms_err err = kms_dotenv_parse(kms_bytes_text(row->text), dialect, &document, &why);
    if (row->want == NULL) {
        KMS_ASSERT_CODE(err, INVALID_ARGUMENT);
        CU_ASSERT_PTR_NULL(document);
        good = strncmp(why.text, row->where, strlen(row->where)) == 0;
    } else {
        KMS_ASSERT_OK(err);
        if (!kms_failed(err)) describe(document, &got);
        good = !kms_failed(err) && kms_bytes_equal(kms_buf_view(&got), kms_bytes_text(row->want));
    }
    CU_ASSERT(good);
    if (!good)
        fprintf(stderr, "\n<<%s>>\n  got %s %s\n", row->text, got.len > 0 ? (char *)got.data : "", why.text);
}

#define CHECK_READINGS(rows, dialect)                                                                        \
    for (size_t row_ = 0; row_ < KMS_COUNT(rows); row_++) check_reading(&(rows)[row_], (dialect))

#endif
