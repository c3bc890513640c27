/* Files are read whole or not at all, and replaced in one step. */
#include "client/kms-env/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/kms-env/dotenv.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static char path_text[256], other_text[256];

static const char *path_of(char *to, const char *name)
{
    snprintf(to, sizeof path_text, "%s/%s", kms_temp_dir(), name);
    return to;
}

static void make(const char *path, const void *data, size_t len, mode_t mode)
{
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, mode) == 0);
}

static void check_text(const char *path, const char *want, mode_t mode)
{
    KMS_OWN_ENV_FILE file = {0};
    KMS_ASSERT_OK(kms_env_file_read(path, &file, NULL));
    CU_ASSERT(kms_bytes_equal(kms_env_file_text(&file), kms_bytes_text(want)));
    CU_ASSERT_EQUAL(file.status.st_mode & 07777, mode);
}

static void any_length_is_read(void)
{
    static const size_t lens[] = {0, 1, 4095, 4096, 4097, 65536, KMS_DOTENV_BYTES - 1};
    char *data = malloc(KMS_DOTENV_BYTES);
    memset(data, 'x', KMS_DOTENV_BYTES);
    for (size_t i = 0; i < KMS_COUNT(lens); i++) {
        KMS_OWN_ENV_FILE file = {0};
        make(path_of(path_text, "length"), data, lens[i], 0600);
        KMS_ASSERT_OK(kms_env_file_read(path_text, &file, NULL));
        CU_ASSERT(kms_bytes_equal(kms_env_file_text(&file), kms_bytes_of(data, lens[i])));
    }
    kms_env_file file = {0};
    struct kms_why why = {0};
    make(path_text, data, KMS_DOTENV_BYTES, 0600);
    KMS_ASSERT_CODE(kms_env_file_read(path_text, &file, &why), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "split it"));
    KMS_ASSERT_CODE(kms_env_file_read(path_of(path_text, "missing"), &file, &why), NOT_FOUND);
    KMS_ASSERT_CODE(kms_env_file_read(kms_temp_dir(), &file, &why), IO);
    CU_ASSERT_PTR_NULL(file.memory);
    free(data);
}

static void write_two(kms_env_output *output)
{
    KMS_ASSERT_OK(kms_env_output_put(output, kms_bytes_text("A=1\n")));
    KMS_ASSERT_OK(kms_env_output_put(output, kms_bytes_text("")));
    KMS_ASSERT_OK(kms_env_output_put(output, kms_bytes_text("B=2\n")));
}

static void a_new_file_is_private(void)
{
    KMS_OWN(kms_env_output) output = NULL;
    make(path_of(path_text, "out"), "old", 3, 0644);
    KMS_ASSERT_OK_FATAL(kms_env_output_open(path_text, NULL, &output, NULL));
    write_two(output);
    check_text(path_text, "old", 0644); /* not before the commit */
    KMS_ASSERT_OK(kms_env_output_commit(output, NULL));
    check_text(path_text, "A=1\nB=2\n", 0600);
}

static void a_replaced_file_keeps_its_mode(void)
{
    KMS_OWN_ENV_FILE old = {0};
    KMS_OWN(kms_env_output) output = NULL;
    struct stat link;
    make(path_of(path_text, "real"), "old", 3, 0640);
    CU_ASSERT_FATAL(symlink(path_text, path_of(other_text, "link")) == 0);
    KMS_ASSERT_OK_FATAL(kms_env_file_read(other_text, &old, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_output_open(other_text, &old, &output, NULL));
    write_two(output);
    KMS_ASSERT_OK(kms_env_output_commit(output, NULL));
    check_text(path_text, "A=1\nB=2\n", 0640);
    CU_ASSERT(lstat(other_text, &link) == 0 && S_ISLNK(link.st_mode));
}

/* A list that lets user 1234 write: its mask stands in the mode and looks like "the group may write". */
static const uint8_t acl[] = {
    2,  0, 0, 0,                         /* version */
    1,  0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* owner: rw */
    2,  0, 6, 0, 0xd2, 0x04, 0,    0,    /* user 1234: rw */
    4,  0, 4, 0, 0xff, 0xff, 0xff, 0xff, /* group: r */
    16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, /* mask: rw */
    32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, /* others: nothing */
};

static void a_replaced_file_keeps_its_attributes(void)
{
    static const struct {
        const char *name;
        struct kms_bytes value;
    } rows[] = {{"user.note", {(const uint8_t *)"kept", 4}},
                {"user.empty", {(const uint8_t *)"", 0}},
                {"system.posix_acl_access", {acl, sizeof acl}}};
    KMS_OWN_ENV_FILE old = {0};
    KMS_OWN(kms_env_output) output = NULL;
    make(path_of(path_text, "attributes"), "old", 3, 0640);
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        if (setxattr(path_text, rows[i].name, rows[i].value.ptr, rows[i].value.len, 0) != 0) {
            printf("no %s on this file system: ", rows[i].name);
            return;
        }
    KMS_ASSERT_OK_FATAL(kms_env_file_read(path_text, &old, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_output_open(path_text, &old, &output, NULL));
    write_two(output);
    KMS_ASSERT_OK(kms_env_output_commit(output, NULL));
    check_text(path_text, "A=1\nB=2\n", 0660);
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        uint8_t value[64];
        ssize_t len = getxattr(path_text, rows[i].name, value, sizeof value);
        CU_ASSERT_FATAL(len >= 0);
        CU_ASSERT(kms_bytes_equal(kms_bytes_of(value, (size_t)len), rows[i].value));
    }
}

static void what_is_left_is_known_by_its_name(void)
{
    static const struct {
        const char *name;
        bool temporary;
    } rows[] = {{".app.env.kms-tmp-a1B2c3", true},
                {"..env.kms-tmp-a1B2c3", true},
                {".x.kms-tmp-a1B2c", false},
                {".x.kms-tmp-a1B2c3d", false},
                {"x.kms-tmp-a1B2c3", false},
                {".kms-tmp-a1B2c3", false},
                {".env", false},
                {"", false}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_env_temporary_name(rows[i].name), rows[i].temporary);
}

static void what_is_left_is_removed(void)
{
    static char link_text[256];
    make(path_of(path_text, ".left.kms-tmp-a1B2c3"), "half", 4, 0600);
    KMS_OWN_FD living = open(path_text, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(living >= 0 && flock(living, LOCK_EX) == 0);
    CU_ASSERT_FALSE(kms_env_temporary_remove(path_text)); /* its writer lives */
    kms_fd_drop(&living);
    living = -1;
    CU_ASSERT_FATAL(symlink(path_text, path_of(link_text, ".link.kms-tmp-a1B2c3")) == 0);
    CU_ASSERT_FALSE(kms_env_temporary_remove(link_text));
    CU_ASSERT_FALSE(kms_env_temporary_remove(kms_temp_dir()));
    CU_ASSERT_TRUE(kms_env_temporary_remove(path_text));
    CU_ASSERT_EQUAL(access(path_text, F_OK), -1);
    CU_ASSERT_FALSE(kms_env_temporary_remove(path_text));
}

/* As a program that is killed: the name and the lock while it writes. */
static void what_is_written_is_locked(void)
{
    KMS_OWN(kms_env_output) output = NULL;
    char command[300], found[256] = "";
    KMS_ASSERT_OK_FATAL(kms_env_output_open(path_of(path_text, "locked"), NULL, &output, NULL));
    snprintf(command, sizeof command, "ls -d %s/.locked.*", kms_temp_dir());
    FILE *pipe = popen(command, "re");
    CU_ASSERT_FATAL(pipe != NULL && fscanf(pipe, "%255s", found) == 1);
    pclose(pipe);
    CU_ASSERT_TRUE(kms_env_temporary_name(strrchr(found, '/') + 1));
    CU_ASSERT_FALSE(kms_env_temporary_remove(found));
}

static void an_edit_meanwhile_is_kept(void)
{
    KMS_OWN_ENV_FILE old = {0};
    KMS_OWN(kms_env_output) output = NULL;
    struct kms_why why = {0};
    make(path_of(path_text, "edited"), "old", 3, 0600);
    KMS_ASSERT_OK_FATAL(kms_env_file_read(path_text, &old, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_output_open(path_text, &old, &output, NULL));
    write_two(output);
    make(path_text, "edited", 6, 0600);
    KMS_ASSERT_CODE(kms_env_output_commit(output, &why), CONFLICT);
    check_text(path_text, "edited", 0600);
}

static size_t files_in_temp_dir(void)
{
    char command[300];
    unsigned count = 0;
    snprintf(command, sizeof command, "ls -A %s | wc -l", kms_temp_dir());
    FILE *pipe = popen(command, "re");
    CU_ASSERT_FATAL(pipe != NULL && fscanf(pipe, "%u", &count) == 1);
    pclose(pipe);
    return count;
}

/* Whatever fails, the old file stands and nothing lies beside it. */
static void failures_leave_nothing_behind(void)
{
    make(path_of(path_text, "kept"), "old", 3, 0600);
    size_t before = files_in_temp_dir();
    FAULTS_EACH_OF (FAULT_MEMORY | FAULT_DISK) {
        kms_env_file old = {0};
        kms_env_output *output = NULL;
        kms_err err = kms_env_file_read(path_text, &old, NULL);
        if (!kms_failed(err)) err = kms_env_output_open(path_text, &old, &output, NULL);
        if (!kms_failed(err)) err = kms_env_output_put(output, kms_bytes_text("old"));
        if (!kms_failed(err)) err = kms_env_output_commit(output, NULL);
        kms_env_output_free(output);
        kms_env_file_free(&old);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(files_in_temp_dir(), before);
        check_text(path_text, "old", 0600);
    }
    KMS_OWN(kms_env_output) output = NULL;
    KMS_ASSERT_CODE(kms_env_output_open(path_of(other_text, "no/such/directory"), NULL, &output, NULL), IO);
    CU_ASSERT_EQUAL(files_in_temp_dir(), before);
}

KMS_TEST_MAIN("client/kms-env/file", {"any length is read", any_length_is_read},
              {"a new file is private", a_new_file_is_private},
              {"a replaced file keeps its mode", a_replaced_file_keeps_its_mode},
              {"a replaced file keeps its attributes", a_replaced_file_keeps_its_attributes},
              {"what is left is known by its name", what_is_left_is_known_by_its_name},
              {"what is left is removed", what_is_left_is_removed},
              {"what is written is locked", what_is_written_is_locked},
              {"an edit meanwhile is kept", an_edit_meanwhile_is_kept},
              {"failures leave nothing behind", failures_leave_nothing_behind})
