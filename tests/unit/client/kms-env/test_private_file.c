/* Where a secret may be written, and what its file looks like. */
#include "client/kms-env/private_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/suite.h"

static char folder[200];

static const char *in_folder(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A folder in memory: /dev/shm is a tmpfs on every Linux that has POSIX shared memory. */
static void begin(void)
{
    snprintf(folder, sizeof folder, "/dev/shm/kms-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static void end(const char *name)
{
    if (name != NULL) unlink(in_folder(name));
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* nothing was left */
}

static void a_file_in_memory(void)
{
    struct kms_env_private how = {.mode = 0440, .has_owner = true, .uid = (uid_t)-1, .gid = getegid()};
    struct stat now;
    begin();
    for (int again = 0; again < 2; again++) { /* the second takes the place of the first */
        KMS_OWN(kms_env_output) output = NULL;
        KMS_ASSERT_OK_FATAL(kms_env_private_open(in_folder("f"), &how, &output, NULL));
        KMS_ASSERT_OK(kms_env_output_put(output, kms_bytes_text("s3cr3t")));
        KMS_ASSERT_OK(kms_env_output_commit(output, NULL));
    }
    CU_ASSERT_EQUAL_FATAL(lstat(in_folder("f"), &now), 0);
    CU_ASSERT_EQUAL(now.st_mode, S_IFREG | 0440);
    CU_ASSERT_EQUAL(now.st_size, 6);
    end("f");
}

static void refused(const char *path, const struct kms_env_private *how, const char *words)
{
    KMS_OWN(kms_env_output) output = NULL;
    struct kms_why why = {0};
    KMS_ASSERT_CODE(kms_env_private_open(path, how, &output, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    CU_ASSERT_PTR_NULL(output);
}

static void what_is_refused(void)
{
    const struct kms_env_private how = {.mode = 0400}, anywhere = {.mode = 0400, .allow_disk = true};
    begin();
    CU_ASSERT_EQUAL_FATAL(symlink("/etc/passwd", in_folder("link")), 0);
    refused(in_folder("link"), &anywhere, "a symbolic link");
    unlink(in_folder("link"));
    CU_ASSERT_EQUAL_FATAL(mkdir(in_folder("d"), 0700), 0);
    refused(in_folder("d"), &anywhere, "no regular file");
    rmdir(in_folder("d"));
    CU_ASSERT_EQUAL_FATAL(chmod(folder, 0770), 0);
    refused(in_folder("f"), &how, "others may write this folder: chmod go-w");
    CU_ASSERT_EQUAL_FATAL(chmod(folder, 01777), 0); /* as /dev/shm itself */
    KMS_OWN(kms_env_output) output = NULL;
    KMS_ASSERT_OK(kms_env_private_open(in_folder("f"), &how, &output, NULL));
    kms_env_output_free(output);
    output = NULL;
    end(NULL);
}

/* The folder of the sources, or any other on disk. */
static void disk_is_for_those_who_ask(void)
{
    const struct kms_env_private how = {.mode = 0400}, anywhere = {.mode = 0400, .allow_disk = true};
    char path[300];
    struct kms_why why = {0};
    KMS_OWN(kms_env_output) output = NULL;
    snprintf(path, sizeof path, "/proc/self/f"); /* neither in memory nor on disk: not to be written */
    CU_ASSERT(kms_failed(kms_env_private_open(path, &how, &output, &why)));
    snprintf(path, sizeof path, "%s/f", kms_temp_dir());
    kms_err err = kms_env_private_open(path, &how, &output, &why);
    if (kms_failed(err)) { /* unless temporary files are in memory here */
        KMS_ASSERT_CODE(err, INVALID_ARGUMENT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "not in memory: write below /run or /dev/shm"));
        KMS_ASSERT_OK(kms_env_private_open(path, &anywhere, &output, &why));
    }
}

static void modes_and_owners(void)
{
    struct kms_env_private how = {0};
    struct kms_why why = {0};
    CU_ASSERT(kms_env_mode_parse("0400", &how.mode) && how.mode == 0400);
    CU_ASSERT(kms_env_mode_parse("640", &how.mode) && how.mode == 0640);
    static const char *const wrong[] = {"", "4", "0800", "1777", "04000", "u+r", "0400 "};
    for (size_t i = 0; i < KMS_COUNT(wrong); i++) CU_ASSERT_FALSE(kms_env_mode_parse(wrong[i], &how.mode));
    KMS_ASSERT_OK(kms_env_owner_parse("root:root", &how, &why));
    CU_ASSERT(how.has_owner && how.uid == 0 && how.gid == 0);
    KMS_ASSERT_OK(kms_env_owner_parse("12:34", &how, &why));
    CU_ASSERT(how.uid == 12 && how.gid == 34);
    KMS_ASSERT_OK(kms_env_owner_parse(":34", &how, &why));
    CU_ASSERT(how.uid == (uid_t)-1 && how.gid == 34);
    KMS_ASSERT_OK(kms_env_owner_parse("root", &how, &why));
    CU_ASSERT(how.uid == 0 && how.gid == (gid_t)-1);
    KMS_ASSERT_CODE(kms_env_owner_parse("no-such-user:root", &how, &why), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(why.text, "no-such-user:root: no such user or group");
    KMS_ASSERT_CODE(kms_env_owner_parse(":", &how, &why), NOT_FOUND);
    KMS_ASSERT_CODE(kms_env_owner_parse("", &how, &why), NOT_FOUND);
}

KMS_TEST_MAIN("client/kms-env/private_file", {"a file in memory", a_file_in_memory},
              {"what is refused", what_is_refused}, {"disk is for those who ask", disk_is_for_those_who_ask},
              {"modes and owners", modes_and_owners})
