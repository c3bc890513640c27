/* A file gets its name when it is complete, and replaces nothing unasked. */
#include "client/kmsctl/target.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), name);
    return path;
}

static struct kms_bytes bytes(const char *text)
{
    return kms_bytes_text(text);
}

static void holds(const char *path, const char *want)
{
    KMS_OWN_BUF data = {0};
    KMS_ASSERT_OK(kms_read_file(path, 100, &data, NULL));
    CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&data), bytes(want)));
}

static void complete_or_not_at_all(void)
{
    const char *path = path_of("a");
    struct ctl ctl = {0};
    struct ctl_target target;
    struct stat file;
    CU_ASSERT_TRUE_FATAL(ctl_target_check(&ctl, path, false, &target));
    CU_ASSERT_TRUE_FATAL(ctl_target_open(&ctl, &target));
    char fresh[sizeof target.fresh];
    snprintf(fresh, sizeof fresh, "%s", target.fresh);
    CU_ASSERT_TRUE(ctl_target_write(&ctl, &target, bytes("one")));
    CU_ASSERT_EQUAL(access(path, F_OK), -1);
    CU_ASSERT_EQUAL(access(fresh, F_OK), 0);
    ctl_target_drop(&target);
    CU_ASSERT_EQUAL(access(fresh, F_OK), -1);
    CU_ASSERT_TRUE_FATAL(ctl_target_open(&ctl, &target));
    CU_ASSERT_TRUE(ctl_target_write(&ctl, &target, bytes("two")));
    CU_ASSERT_TRUE(ctl_target_keep(&ctl, &target));
    ctl_target_drop(&target);
    holds(path, "two");
    CU_ASSERT_EQUAL(stat(path, &file), 0);
    CU_ASSERT_EQUAL(file.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(file.st_nlink, 1);
    unlink(path);
}

/* Whoever made the file between the check and the end keeps it. */
static void what_came_meanwhile_stays(void)
{
    const char *path = path_of("b");
    struct ctl ctl = {0};
    struct ctl_target target;
    CU_ASSERT_TRUE_FATAL(ctl_target_check(&ctl, path, false, &target));
    CU_ASSERT_TRUE_FATAL(ctl_target_open(&ctl, &target));
    CU_ASSERT_TRUE(ctl_target_write(&ctl, &target, bytes("ours")));
    FILE *theirs = fopen(path, "w");
    CU_ASSERT_FATAL(theirs != NULL && fputs("theirs", theirs) >= 0 && fclose(theirs) == 0);
    CU_ASSERT_FALSE(ctl_target_keep(&ctl, &target));
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl.error.message, "exists; --force replaces it"));
    ctl_target_drop(&target);
    holds(path, "theirs");
    CU_ASSERT_FALSE(ctl_target_check(&ctl, path, false, &target));
    CU_ASSERT_TRUE_FATAL(ctl_target_check(&ctl, path, true, &target));
    CU_ASSERT_TRUE_FATAL(ctl_target_open(&ctl, &target));
    CU_ASSERT_TRUE(ctl_target_write(&ctl, &target, bytes("ours")));
    CU_ASSERT_TRUE(ctl_target_keep(&ctl, &target));
    ctl_target_drop(&target);
    holds(path, "ours");
    unlink(path);
}

static void a_disk_that_fails(void)
{
    const char *path = path_of("c");
    FAULTS_EACH_OF (FAULT_DISK | FAULT_MEMORY) {
        struct ctl ctl = {0};
        struct ctl_target target;
        bool ok = ctl_target_check(&ctl, path, false, &target) && ctl_target_open(&ctl, &target) &&
                  ctl_target_write(&ctl, &target, bytes("x")) && ctl_target_keep(&ctl, &target);
        faults_pause();
        CU_ASSERT_EQUAL(ok, !faults_hit());
        if (!ok) CU_ASSERT_STRING_EQUAL(ctl.error.reason, "IO");
        ctl_target_drop(&target);
        CU_ASSERT_EQUAL(target.fresh[0], '\0');
        unlink(path);
    }
}

static void names_that_are_too_long(void)
{
    static char path[CTL_TARGET_PATH_BYTES + 10];
    struct ctl ctl = {0};
    struct ctl_target target;
    memset(path, 'x', sizeof path - 1);
    CU_ASSERT_TRUE_FATAL(ctl_target_check(&ctl, path, false, &target));
    CU_ASSERT_FALSE(ctl_target_open(&ctl, &target));
    CU_ASSERT_STRING_EQUAL(ctl.error.reason, "IO");
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl.error.message, "xxx"));
    ctl_target_drop(&target);
}

KMS_TEST_MAIN("client/kmsctl/target", {"complete or not at all", complete_or_not_at_all},
              {"what came meanwhile stays", what_came_meanwhile_stays},
              {"a disk that fails", a_disk_that_fails}, {"names that are too long", names_that_are_too_long})
