/* PATH lookup and execve. Not execvpe: that one hands a file without a known format to /bin/sh. */
#include "client/kms-env/exec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/kms-env/resolve.h"

/* Linux, fs/exec.c bprm_stack_limits(): a quarter of the stack limit, at most 6 MiB; pointers count. */
enum { TOTAL_BYTES_MAX = 6 * 1024 * 1024 };

static kms_err add_strings(char *const *strings, const char *what, size_t *total, struct kms_why *why)
{
    for (size_t i = 0; strings[i] != NULL; i++) {
        size_t bytes = strlen(strings[i]) + 1;
        if (bytes > KMS_ENV_STRING_BYTES) {
            /* the name alone: what is behind it may be secret */
            kms_why_set(why, "%s %zu%s%.*s is longer than %d bytes", what, i, what[0] == 'v' ? ", " : "",
                        what[0] == 'v' ? (int)strcspn(strings[i], "=") : 0, strings[i], KMS_ENV_STRING_BYTES);
            return KMS_FAIL(LIMIT_EXCEEDED);
        }
        *total += bytes + sizeof(char *);
    }
    return KMS_OK;
}

kms_err kms_env_check_size(char *const *argv, char *const *environment, struct kms_why *why)
{
    long system = sysconf(_SC_ARG_MAX);
    size_t limit = system > 0 && system < TOTAL_BYTES_MAX ? (size_t)system : TOTAL_BYTES_MAX, total = 0;
    KMS_TRY(add_strings(argv, "argument", &total, why));
    KMS_TRY(add_strings(environment, "variable", &total, why));
    if (total <= limit) return KMS_OK;
    kms_why_set(
        why,
        "arguments and environment have %zu bytes together, %zu are allowed: set fewer variables, or raise "
        "the stack limit (ulimit -s)",
        total, limit);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static int failed(const char *program, int error, struct kms_why *why)
{
    const bool missing = error == ENOENT || error == ENOTDIR;
    kms_why_set(why, "%s: %s", program,
                error == ENOEXEC ? "no program (no #! line either)" : strerror(error));
    if (error == E2BIG) return KMS_ENV_EXIT_FAILED;
    return missing ? KMS_ENV_EXIT_NOT_FOUND : KMS_ENV_EXIT_NOT_EXECUTABLE;
}

/* One candidate; true: go on looking, as execvpe does. *denied remembers that one was there. */
static bool try_directory(const char *directory, size_t len, char *const *argv, char *const *environment,
                          bool *denied)
{
    char path[PATH_MAX];
    int printed = snprintf(path, sizeof path, "%.*s%s%s", (int)len, directory, len > 0 ? "/" : "./", argv[0]);
    if (len > PATH_MAX || printed < 0 || (size_t)printed >= sizeof path) return true;
    execve(path, argv, environment);
    if (errno == EACCES) *denied = true;
    return errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ESTALE || errno == ENODEV ||
           errno == ETIMEDOUT;
}

int kms_env_exec(char *const *argv, char *const *environment, const char *search_path, struct kms_why *why)
{
    char standard[256] = "/bin:/usr/bin";
    bool denied = false;
    if (argv[0][0] == '\0') return failed("(empty name)", ENOENT, why);
    if (strchr(argv[0], '/') != NULL) {
        execve(argv[0], argv, environment);
        return failed(argv[0], errno, why);
    }
    if (search_path == NULL) {
        confstr(_CS_PATH, standard, sizeof standard);
        search_path = standard;
    }
    for (const char *at = search_path;; at++) {
        size_t len = strcspn(at, ":");
        if (!try_directory(at, len, argv, environment, &denied)) return failed(argv[0], errno, why);
        at += len;
        if (*at == '\0') return failed(argv[0], denied ? EACCES : ENOENT, why);
    }
}

kms_err kms_env_shield_up(struct kms_env_shield *ret_shield, struct kms_why *why)
{
    struct kms_env_shield shield = {.dumpable = prctl(PR_GET_DUMPABLE)};
    if (getrlimit(RLIMIT_CORE, &shield.core) == 0) {
        struct rlimit none = {.rlim_cur = 0, .rlim_max = shield.core.rlim_max};
        if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0) {
            *ret_shield = shield;
            return KMS_OK;
        }
    }
    kms_why_set(why, "core dumps cannot be switched off: %s", strerror(errno));
    return KMS_FAIL(INTERNAL);
}

void kms_env_shield_core_limit_back(const struct kms_env_shield *shield)
{
    setrlimit(RLIMIT_CORE, &shield->core);
}

void kms_env_shield_down(const struct kms_env_shield *shield)
{
    kms_env_shield_core_limit_back(shield);
    prctl(PR_SET_DUMPABLE, shield->dumpable == 1 ? 1 : 0);
}
