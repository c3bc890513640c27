/* Pairs, durations, and bounded reading. */
#include "client/kmsctl/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/harness/suite.h"

static void pairs(void)
{
    static const struct {
        const char *texts[3];
        const char *name, *value; /* of the last pair; NULL: refused */
    } rows[] = {
        {{"app=web"}, "app", "web"},
        {{"app="}, "app", ""},
        {{"url=https://x/?a=b"}, "url", "https://x/?a=b"},
        {{"a=1", "b=2"}, "b", "2"},
        {{"a=1", "A=2"}, "A", "2"},
        {{"prod"}, NULL, NULL},
        {{"=x"}, NULL, NULL},
        {{""}, NULL, NULL},
        {{"a=1", "a=2"}, NULL, NULL},
        {{"a=1", "b=2", "a=1"}, NULL, NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct ctl_texts texts = {0};
        for (; texts.count < 3 && rows[i].texts[texts.count] != NULL; texts.count++)
            texts.items[texts.count] = strdup(rows[i].texts[texts.count]);
        struct ctl_pairs got = {0};
        struct kms_why why;
        kms_err err = ctl_parse_pairs(&texts, &got, &why);
        if (rows[i].name == NULL) {
            KMS_ASSERT_CODE(err, INVALID_ARGUMENT);
            CU_ASSERT_EQUAL(got.count, 0);
        } else {
            KMS_ASSERT_OK(err);
            CU_ASSERT_EQUAL(ctl_context_of(&got).count, texts.count);
            CU_ASSERT_STRING_EQUAL(got.entries[texts.count - 1].name, rows[i].name);
            CU_ASSERT_STRING_EQUAL(got.entries[texts.count - 1].value, rows[i].value);
        }
        for (size_t t = 0; t < texts.count; t++) free((char *)(uintptr_t)texts.items[t]);
    }
}

static void durations(void)
{
    static const struct {
        const char *text;
        uint32_t want_ms; /* 0: refused */
    } rows[] = {{"500ms", 500}, {"10s", 10000}, {"2m", 120000},   {"24h", 86400000}, {"25h", 0},
                {"10", 0},      {"0s", 0},      {"s", 0},         {"", 0},           {"1.5s", 0},
                {"-1s", 0},     {"10sec", 0},   {"999999999s", 0}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        uint32_t ms = 0;
        CU_ASSERT_EQUAL(ctl_duration(rows[i].text, &ms), rows[i].want_ms != 0);
        CU_ASSERT_EQUAL(ms, rows[i].want_ms);
    }
}

static void spans(void)
{
    static const struct {
        const char *text;
        uint64_t want_s; /* 0: refused */
    } rows[] = {
        {"90s", 90}, {"30m", 1800}, {"12h", 43200}, {"7d", 604800}, {"4294967294d", 4294967294 * 86400},
        {"0s", 0},   {"1w", 0},     {"3600", 0},    {"", 0},        {"99999999999999999999s", 0},
        {"-1s", 0},  {"1.5h", 0},   {"10sec", 0},   {" 1s", 0},     {"4294967295s", 0}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        uint64_t seconds = 0;
        bool ok = ctl_seconds(rows[i].text, &seconds);
        if (ok != (rows[i].want_s != 0) || seconds != rows[i].want_s) printf("row %zu\n", i);
        CU_ASSERT_EQUAL(ok, rows[i].want_s != 0);
        CU_ASSERT_EQUAL(seconds, rows[i].want_s);
    }
    CU_ASSERT_NOT_EQUAL(ctl_moment_us("7d"), 0);
    CU_ASSERT_EQUAL(ctl_moment_us("4294967294d"), 0); /* no such moment in 64 bits */
}

static const char *file_of(size_t len)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/in-%zu", kms_temp_dir(), len);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (size_t i = 0; i < len; i++) fputc('x', f);
    fclose(f);
    return path;
}

static void files_are_bounded(void)
{
    static const struct {
        size_t len;
        bool ok;
    } rows[] = {{0, false}, {1, true}, {65536, true}, {65537, false}, {100000, false}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_secret) secret = NULL;
        KMS_OWN_BUF text = {0};
        struct kms_why why;
        kms_err err = ctl_read_secret(file_of(rows[i].len), 65536, &secret, &why);
        CU_ASSERT_EQUAL(!kms_failed(err), rows[i].ok);
        if (rows[i].ok) CU_ASSERT_EQUAL(kms_secret_len(secret), rows[i].len);
        err = ctl_read_text(file_of(rows[i].len), 65536, &text, &why);
        CU_ASSERT_EQUAL(!kms_failed(err), rows[i].ok);
        CU_ASSERT_EQUAL(text.len, rows[i].ok ? rows[i].len : 0);
    }
    kms_secret *none = NULL;
    struct kms_why why;
    KMS_ASSERT_CODE(ctl_read_secret("/nonexistent/x", 10, &none, &why), IO);
    CU_ASSERT_STRING_EQUAL(why.text, "/nonexistent/x: No such file or directory");
    KMS_ASSERT_CODE(ctl_read_secret("/", 10, &none, &why), IO);
}

static void standard_input(void)
{
    int ends[2], old = dup(STDIN_FILENO);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    CU_ASSERT_EQUAL(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    KMS_OWN(kms_secret) secret = NULL;
    KMS_ASSERT_OK(ctl_read_secret("-", 100, &secret, NULL));
    dup2(old, STDIN_FILENO);
    close(old);
    close(ends[0]);
    CU_ASSERT_EQUAL(memcmp(kms_secret_data(secret), "from a pipe", 11), 0);
}

static void short_alias_names(void)
{
    char name[CTL_ALIAS_BYTES];
    CU_ASSERT_STRING_EQUAL(ctl_alias_name("my-app", name), "alias/my-app");
    CU_ASSERT_STRING_EQUAL(ctl_alias_name("alias/my-app", name), "alias/my-app");
    CU_ASSERT_PTR_NULL(ctl_alias_name(NULL, name));
}

static void numbers_of_bytes(void)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1k", false, 0},
        {"0x10", false, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        uint64_t bytes = 0;
        CU_ASSERT_EQUAL(ctl_byte_count(rows[i].text, &bytes), rows[i].ok);
        CU_ASSERT_EQUAL(bytes, rows[i].bytes);
    }
}

KMS_TEST_MAIN("client/kmsctl/input", {"numbers of bytes", numbers_of_bytes}, {"pairs", pairs},
              {"durations", durations}, {"spans", spans}, {"files are bounded", files_are_bounded},
              {"standard input", standard_input}, {"short alias names", short_alias_names})
