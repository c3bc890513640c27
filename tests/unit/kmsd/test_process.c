/* What kmsd does to its own process, in a child that shows it and ends. */
#include "kmsd/process.h"

#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/suite.h"

/* The exit status of check in a child. */
static int in_child(int (*check)(void))
{
    pid_t child = fork();
    if (child == 0) _exit(check());
    int status = -1;
    CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int harden(void)
{
    struct rlimit core = {1, 1};
    if (kms_failed(kms_process_harden(NULL)) || kms_failed(kms_process_harden(NULL))) return 1;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0) return 2;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 4;
    return umask(0) == 0077 ? 0 : 5;
}

static void hardened(void)
{
    CU_ASSERT_EQUAL(in_child(harden), 0);
}

static void users(void)
{
    struct kms_why why = {{0}};
    KMS_ASSERT_OK(kms_process_become("", &why));
    const struct passwd *self = getpwuid(geteuid());
    if (self != NULL) KMS_ASSERT_OK(kms_process_become(self->pw_name, &why));
    KMS_ASSERT_CODE(kms_process_become("no-such-user-here", &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "no-such-user-here"));
}

/* Root becomes nobody, for good; nobody else can become anybody. */
static int become_nobody(void)
{
    bool root = geteuid() == 0;
    kms_err err = kms_process_become(root ? "nobody" : "root", NULL);
    if (!root) return kms_is(err, KMS_E_CONFIG_INVALID) ? 0 : 1;
    if (kms_failed(err)) return 2;
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) != 0 || real == 0 || effective != real || saved != real)
        return 3;
    gid_t groups[64];
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++)
        if (groups[i] == 0) return 4;
    if (getgid() == 0 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 5;
    return setresuid(0, 0, 0) != 0 ? 0 : 6;
}

static void another_user(void)
{
    CU_ASSERT_EQUAL(in_child(become_nobody), 0);
}

KMS_TEST_MAIN("kmsd/process", {"hardened", hardened}, {"users", users}, {"another user", another_user})
