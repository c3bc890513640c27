/* A file of metrics: new or replaced, readable for everybody, whole; what lies in the way is named or
 * taken away. */
#include "kmsd/metrics/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/suite.h"

static const char *path_of(const char *name)
{
    static char path[2][4096];
    static unsigned turn;
    char *to = path[turn++ % 2];
    snprintf(to, sizeof path[0], "%s/%s", kms_temp_dir(), name);
    return to;
}

static void holds(const char *name, const char *text)
{
    KMS_OWN_BUF found = {0};
    struct stat is;
    KMS_ASSERT_OK_FATAL(kms_read_file(path_of(name), 1 << 20, &found, NULL));
    CU_ASSERT(kms_bytes_equal(kms_buf_view(&found), kms_bytes_text(text)));
    CU_ASSERT_TRUE_FATAL(lstat(path_of(name), &is) == 0);
    CU_ASSERT(S_ISREG(is.st_mode) && (is.st_mode & 07777) == 0644);
}

static kms_err put(const char *name, const char *text, struct kms_why *why)
{
    return kms_metric_file_write(path_of(name), kms_bytes_text(text), why);
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

static void new_and_replaced(void)
{
    umask(0077); /* as a service has it */
    KMS_ASSERT_OK(put("a.prom", "one 1\n", NULL));
    holds("a.prom", "one 1\n");
    KMS_ASSERT_OK(put("a.prom", "two 2\n", NULL));
    holds("a.prom", "two 2\n");
    CU_ASSERT_FALSE(is_there("a.prom.new"));
}

/* A link to a file of somebody else, left where the new one is made: that file stays as it is. */
static void what_lies_in_the_way(void)
{
    KMS_ASSERT_OK_FATAL(put("victim", "mine\n", NULL));
    CU_ASSERT_EQUAL_FATAL(symlink(path_of("victim"), path_of("b.prom.new")), 0);
    KMS_ASSERT_OK(put("b.prom", "one 1\n", NULL));
    holds("b.prom", "one 1\n");
    holds("victim", "mine\n");
}

static void what_cannot_be_written_is_named(void)
{
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(put("none/c.prom", "one 1\n", &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "none/c.prom.new: No such file or directory"));
    CU_ASSERT_EQUAL_FATAL(mkdir(path_of("d.prom"), 0700), 0);
    KMS_ASSERT_CODE(put("d.prom", "one 1\n", &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "d.prom: Is a directory"));
    CU_ASSERT_FALSE(is_there("d.prom.new"));
}

KMS_TEST_MAIN("metrics/file", {"new and replaced", new_and_replaced},
              {"what lies in the way", what_lies_in_the_way},
              {"what cannot be written is named", what_cannot_be_written_is_named})
