/* PATH lookup and execve. Not execvpe: that one hands a file without a known format to /bin/sh. */
#include "client/kms-env/exec.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What is to be started, and how. */
struct launch {
    char *const *argv, *const *environment;
    const posix_spawnattr_t *attributes; /* NULL: this process becomes it */
    pid_t *child;
};

/* True: started, as a child. Otherwise errno says why not. */
static bool launch(const struct launch *l, const char *path)
{
    if (l->attributes == NULL) {
        execve(path, l->argv, l->environment);
        return false;
    }
    errno = posix_spawn(l->child, path, NULL, l->attributes, l->argv, l->environment);
    return errno == 0;
}

enum outcome { STARTED, GO_ON, GIVE_UP };

/* One candidate. *denied remembers that one was there. */
static enum outcome try_directory(const struct launch *l, const char *directory, size_t len, bool *denied)
{
    char path[PATH_MAX];
    int printed =
        snprintf(path, sizeof path, "%.*s%s%s", (int)len, directory, len > 0 ? "/" : "./", l->argv[0]);
    if (len > PATH_MAX || printed < 0 || (size_t)printed >= sizeof path) return GO_ON;
    if (launch(l, path)) return STARTED;
    if (errno == EACCES) *denied = true;
    /* as execvpe */
    const bool absent = errno == EACCES || errno == ENOENT || errno == ENOTDIR || errno == ESTALE ||
                        errno == ENODEV || errno == ETIMEDOUT;
    return absent ? GO_ON : GIVE_UP;
}

static int look_up(const struct launch *l, const char *search_path, struct kms_why *why)
{
    char standard[256] = "/bin:/usr/bin";
    bool denied = false;
    if (l->argv[0][0] == '\0') return failed("(empty name)", ENOENT, why);
    if (strchr(l->argv[0], '/') != NULL) return launch(l, l->argv[0]) ? 0 : failed(l->argv[0], errno, why);
    if (search_path == NULL) {
        confstr(_CS_PATH, standard, sizeof standard);
        search_path = standard;
    }
    for (const char *at = search_path;; at++) {
        size_t len = strcspn(at, ":");
        enum outcome outcome = try_directory(l, at, len, &denied);
        if (outcome == STARTED) return 0;
        if (outcome == GIVE_UP) return failed(l->argv[0], errno, why);
        at += len;
        if (*at == '\0') return failed(l->argv[0], denied ? EACCES : ENOENT, why);
    }
}

int kms_env_exec(char *const *argv, char *const *environment, const char *search_path, struct kms_why *why)
{
    const struct launch l = {.argv = argv, .environment = environment};
    return look_up(&l, search_path, why);
}

int kms_env_spawn(char *const *argv, char *const *environment, const sigset_t *mask, pid_t *ret_child,
                  struct kms_why *why)
{
    posix_spawnattr_t attributes;
    const struct launch l = {
        .argv = argv, .environment = environment, .attributes = &attributes, .child = ret_child};
    if (posix_spawnattr_init(&attributes) != 0) return failed(argv[0], ENOMEM, why);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, mask);
    int status = look_up(&l, getenv("PATH"), why);
    posix_spawnattr_destroy(&attributes);
    return status;
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

void kms_env_shield_core_limit_off(const struct kms_env_shield *shield)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = shield->core.rlim_max};
    setrlimit(RLIMIT_CORE, &none);
}

void kms_env_shield_down(const struct kms_env_shield *shield)
{
    kms_env_shield_core_limit_back(shield);
    prctl(PR_SET_DUMPABLE, shield->dumpable == 1 ? 1 : 0);
}
