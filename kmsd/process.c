/* Hardening of the daemon's own process. */
#include "kmsd/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static kms_err failed(struct kms_why *why, const char *what)
{
    kms_why_set(why, "%s: %s", what, strerror(errno));
    return KMS_FAIL(INTERNAL);
}

kms_err kms_process_harden(struct kms_why *why)
{
    const struct rlimit none = {0, 0};
    umask(0077);
    if (setrlimit(RLIMIT_CORE, &none) != 0) return failed(why, "RLIMIT_CORE");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed(why, "PR_SET_DUMPABLE");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed(why, "PR_SET_NO_NEW_PRIVS");
    return KMS_OK;
}

kms_err kms_process_become(const char *user, struct kms_why *why)
{
    if (user[0] == '\0') return KMS_OK;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        kms_why_set(why, "process.user %s: no such user", user);
        return KMS_FAIL(CONFIG_INVALID);
    }
    if (entry->pw_uid == geteuid()) return KMS_OK;
    /* The user's own limit may be 8 MiB: limits.locked_memory bounds what kmsd locks. Best effort:
     * keystore and calls fail with NO_MEMORY when it is short. */
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
    if (initgroups(user, entry->pw_gid) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0) {
        kms_why_set(why, "process.user %s: %s (start as root, or leave it empty)", user, strerror(errno));
        return KMS_FAIL(CONFIG_INVALID);
    }
    /* A change of user makes the process dumpable again in some kernels' settings: say it once more. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed(why, "PR_SET_DUMPABLE");
    return KMS_OK;
}
