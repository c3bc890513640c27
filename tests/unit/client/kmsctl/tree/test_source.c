/* Files are read with a bound, and get new values between the bytes that stay. */
#include "client/kmsctl/tree/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/kmsctl/tree/find.h"
#include "tests/harness/faults.h"
#include "tests/unit/client/kmsctl/tree/sample.h"

static char path_text[256], other_text[256];

static const char *path_of(char *to, const char *name)
{
    snprintf(to, sizeof path_text, "%s/%s", kms_temp_dir(), name);
    return to;
}

static void make(const char *path, struct kms_bytes data)
{
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, data.ptr, data.len) == (ssize_t)data.len);
}

static void what_is_skipped(void)
{
    static const struct {
        const char *name;
        struct kms_bytes data;
        enum ctl_skip skip;
    } rows[] = {{"fits", {(const uint8_t *)"12345678", 8}, CTL_SKIP_COUNT},
                {"empty", {(const uint8_t *)"", 0}, CTL_SKIP_COUNT},
                {"large", {(const uint8_t *)"123456789", 9}, CTL_SKIP_LARGE},
                {"binary", {(const uint8_t *)"1\0", 2}, CTL_SKIP_BINARY}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_SOURCE source = {0};
        make(path_of(path_text, rows[i].name), rows[i].data);
        KMS_ASSERT_OK(ctl_source_read(path_text, false, 8, &source, NULL));
        CU_ASSERT_EQUAL(source.skip, rows[i].skip);
        if (source.skip == CTL_SKIP_COUNT) CU_ASSERT(kms_bytes_equal(ctl_source_text(&source), rows[i].data));
    }
    KMS_OWN_SOURCE source = {0};
    KMS_ASSERT_OK(ctl_source_read(kms_temp_dir(), false, 8, &source, NULL));
    CU_ASSERT_EQUAL(source.skip, CTL_SKIP_SPECIAL);
    CU_ASSERT_FATAL(mkfifo(path_of(path_text, "pipe"), 0600) == 0);
    KMS_OWN_SOURCE pipe = {0};
    KMS_ASSERT_OK(ctl_source_read(path_text, false, 8, &pipe, NULL));
    CU_ASSERT_EQUAL(pipe.skip, CTL_SKIP_SPECIAL);
}

static void what_cannot_be_read(void)
{
    KMS_OWN_SOURCE source = {0};
    struct kms_why why = {0};
    make(path_of(path_text, "target"), kms_bytes_text("A=1\n"));
    CU_ASSERT_FATAL(symlink(path_text, path_of(other_text, "link")) == 0);
    KMS_ASSERT_CODE(ctl_source_read(other_text, false, 8, &source, &why), IO);
    CU_ASSERT_STRING_EQUAL(why.text, "Too many levels of symbolic links");
    KMS_ASSERT_CODE(ctl_source_read(path_of(other_text, "none"), true, 8, &source, &why), NOT_FOUND);
    CU_ASSERT_PTR_NULL(source.memory);
}

static void several_names(void)
{
    KMS_OWN_SOURCE source = {0};
    struct kms_why why = {0};
    make(path_of(path_text, "one"), kms_bytes_text("A=1\n"));
    CU_ASSERT_FATAL(link(path_text, path_of(other_text, "two")) == 0);
    KMS_ASSERT_OK(ctl_source_read(path_text, false, 8, &source, NULL));
    KMS_ASSERT_CODE(ctl_source_check(path_text, &source, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "2 names"));
}

static const char sample[] = "# {V}\r\nA=\"{V}\" # c\r\nB={V}\r\nC={V}";
static const char replaced[] = "# {V}\r\nA=\"new-a\" # c\r\nB={V}\r\nC=new-c";

static void check_file(const char *path, const char *want)
{
    KMS_OWN_SOURCE source = {0};
    KMS_ASSERT_OK(ctl_source_read(path, true, 4096, &source, NULL));
    CU_ASSERT(kms_bytes_equal(ctl_source_text(&source), kms_bytes_text(want)));
}

/* Reads, and replaces A and C. */
static kms_err replace(const char *path, const char *meanwhile, struct kms_why *why)
{
    KMS_OWN_SOURCE source = {0};
    KMS_TRY(ctl_source_read(path, true, 4096, &source, why));
    KMS_OWN_VALUES values = ctl_values_of(ctl_source_text(&source));
    KMS_TRY(ctl_find(CTL_FORMAT_ENV, KMS_DOTENV_COMPOSE, &values, why));
    CU_ASSERT_EQUAL_FATAL(values.count, 3);
    if (meanwhile != NULL) make(path, kms_bytes_text(meanwhile));
    static uint8_t a[] = "new-a", c[] = "new-c";
    const kms_buf texts[3] = {{.data = a, .len = 5}, {0}, {.data = c, .len = 5}};
    KMS_OWN_SOURCE new = {0};
    KMS_TRY(ctl_source_with(&source, &values, texts, &new));
    return ctl_source_replace(path, &new, why);
}

static void only_values_change(void)
{
    KMS_OWN_BUF text = {0}, want = {0};
    sample_text(sample, &text);
    sample_text(replaced, &want);
    make(path_of(path_text, "values.env"), kms_buf_view(&text));
    CU_ASSERT(symlink(path_text, path_of(other_text, "values-link.env")) == 0);
    KMS_ASSERT_OK(replace(other_text, NULL, NULL));
    check_file(path_text, (const char *)want.data);
    struct stat now;
    CU_ASSERT(stat(path_text, &now) == 0 && (now.st_mode & 07777) == 0640);
    CU_ASSERT(lstat(other_text, &now) == 0 && S_ISLNK(now.st_mode));
}

static void an_edit_meanwhile_is_kept(void)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    sample_text(sample, &text);
    make(path_of(path_text, "edited.env"), kms_buf_view(&text));
    KMS_ASSERT_CODE(replace(path_text, "edited", &why), CONFLICT);
    check_file(path_text, "edited");
}

/* Old or new: a failure behind the rename is one too. */
static void failures_leave_a_whole_file(void)
{
    KMS_OWN_BUF old = {0}, new = {0};
    sample_text(sample, &old);
    sample_text(replaced, &new);
    path_of(path_text, "faults.env");
    FAULTS_EACH_OF (FAULT_MEMORY | FAULT_DISK) {
        make(path_text, kms_buf_view(&old));
        kms_err err = replace(path_text, NULL, NULL);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        KMS_OWN_SOURCE now = {0};
        KMS_ASSERT_OK(ctl_source_read(path_text, true, 4096, &now, NULL));
        bool same = kms_bytes_equal(ctl_source_text(&now), kms_buf_view(&old));
        CU_ASSERT(same ? kms_failed(err) : kms_bytes_equal(ctl_source_text(&now), kms_buf_view(&new)));
    }
}

KMS_TEST_MAIN("client/kmsctl/tree/source", {"what is skipped", what_is_skipped},
              {"what cannot be read", what_cannot_be_read}, {"several names", several_names},
              {"only values change", only_values_change},
              {"an edit meanwhile is kept", an_edit_meanwhile_is_kept},
              {"failures leave a whole file", failures_leave_a_whole_file})
