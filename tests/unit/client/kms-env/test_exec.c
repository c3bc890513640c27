/* Lookup in PATH, exit statuses, sizes, and the shield around plaintext. */
#include "client/kms-env/exec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "client/kms-env/resolve.h"
#include "tests/harness/suite.h"

static char directory[128];

static void make(const char *name, const char *text, mode_t mode)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
                    fchmod(fd, mode) == 0);
}

/* The status of a child that becomes argv, or of the failure to. */
static int status_of(const char *program, const char *search_path)
{
    char name[256], seven[] = "exit 7", dash_c[] = "-c", variable[] = "A=1";
    snprintf(name, sizeof name, "%s", program);
    char *argv[] = {name, dash_c, seven, NULL}, *environment[] = {variable, NULL};
    struct kms_why why = {0};
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(kms_env_exec(argv, environment, search_path, &why));
    CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void statuses_are_those_of_env(void)
{
    char script[300], absent[300], plain[300], noformat[300], path[600], denied_first[600];
    snprintf(directory, sizeof directory, "%s", kms_temp_dir());
    make("script", "#!/bin/sh\nexit 9\n", 0755);
    make("noformat", "exit 9\n", 0755);
    make("plain", "#!/bin/sh\nexit 9\n", 0644);
    make("sh", "#!/bin/sh\nexit 9\n", 0644);
    make("lost", "#!/no/such/interpreter\n", 0755);
    snprintf(script, sizeof script, "%s/script", directory);
    snprintf(absent, sizeof absent, "%s/absent", directory);
    snprintf(plain, sizeof plain, "%s/plain", directory);
    snprintf(noformat, sizeof noformat, "%s/noformat", directory);
    snprintf(path, sizeof path, "/no/such:%s:/bin", directory);
    snprintf(denied_first, sizeof denied_first, "%s:/bin:/usr/bin", directory);
    const struct {
        const char *program, *search_path;
        int want;
    } rows[] = {
        {"/bin/sh", NULL, 7},     {"sh", "/bin", 7},     {"sh", NULL, 7},
        {"sh", denied_first, 7}, /* the one that may not be executed is passed over */
        {script, "", 9},          {"script", path, 9},   {"sh", "/no/such:/nor/this", 127},
        {"", "/bin", 127},        {absent, NULL, 127},   {"/bin/sh/x", NULL, 127},
        {"lost", directory, 127}, {plain, NULL, 126},    {"plain", path, 126},
        {directory, NULL, 126},   {noformat, NULL, 126}, /* no shell steps in */
        {"noformat", path, 126},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(status_of(rows[i].program, rows[i].search_path), rows[i].want);
}

static void an_empty_element_is_the_working_directory(void)
{
    char before[512];
    CU_ASSERT_FATAL(getcwd(before, sizeof before) != NULL && chdir(directory) == 0);
    CU_ASSERT_EQUAL(status_of("script", "/no/such:"), 9);
    CU_ASSERT_EQUAL(status_of("script", ""), 9);
    CU_ASSERT_EQUAL(status_of("script", "/no/such"), 127);
    CU_ASSERT_FATAL(chdir(before) == 0);
}

static void sizes_are_checked_before(void)
{
    enum { COUNT = 80 };
    char *longest = malloc(KMS_ENV_STRING_BYTES + 1), program[] = "x";
    char *argv[] = {program, NULL}, *one[] = {longest, NULL}, *many[COUNT + 1] = {NULL},
         *arguments[] = {program, longest, NULL};
    struct kms_why why = {0};
    memset(longest, 's', KMS_ENV_STRING_BYTES);
    memcpy(longest, "NAME=", 5);
    longest[KMS_ENV_STRING_BYTES - 1] = '\0';
    KMS_ASSERT_OK(kms_env_check_size(argv, one, &why));
    for (size_t i = 0; i < COUNT; i++) many[i] = longest;
    KMS_ASSERT_CODE(kms_env_check_size(argv, many, &why), LIMIT_EXCEEDED);
    longest[KMS_ENV_STRING_BYTES - 1] = 's';
    longest[KMS_ENV_STRING_BYTES] = '\0';
    KMS_ASSERT_CODE(kms_env_check_size(argv, one, &why), LIMIT_EXCEEDED);
    CU_ASSERT_STRING_EQUAL(why.text, "variable 0, NAME is longer than 131072 bytes");
    KMS_ASSERT_CODE(kms_env_check_size(arguments, argv + 1, &why), LIMIT_EXCEEDED);
    CU_ASSERT_STRING_EQUAL(why.text, "argument 1 is longer than 131072 bytes");
    free(longest);
}

static void the_shield_goes_up_and_down(void)
{
    struct kms_env_shield shield;
    struct rlimit before, now;
    int dumpable = prctl(PR_GET_DUMPABLE);
    CU_ASSERT_FATAL(getrlimit(RLIMIT_CORE, &before) == 0);
    KMS_ASSERT_OK_FATAL(kms_env_shield_up(&shield, NULL));
    CU_ASSERT(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == 0 && now.rlim_max == before.rlim_max);
    CU_ASSERT_EQUAL(prctl(PR_GET_DUMPABLE), 0);
    kms_env_shield_core_limit_back(&shield);
    CU_ASSERT(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == before.rlim_cur);
    CU_ASSERT_EQUAL(prctl(PR_GET_DUMPABLE), 0);
    kms_env_shield_down(&shield);
    CU_ASSERT_EQUAL(prctl(PR_GET_DUMPABLE), dumpable == 1 ? 1 : 0);
}

KMS_TEST_MAIN("client/kms-env/exec", {"statuses are those of env(1)", statuses_are_those_of_env},
              {"an empty element is the working directory", an_empty_element_is_the_working_directory},
              {"sizes are checked before", sizes_are_checked_before},
              {"the shield goes up and down", the_shield_goes_up_and_down})
