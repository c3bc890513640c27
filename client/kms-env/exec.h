/* Replaces this process by the program, or starts it as a child: arguments untouched, no shell. Not
 * thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_EXEC_H
#define KMS_CLIENT_KMS_ENV_EXEC_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"

/* Exit statuses, as env(1), nohup(1) and docker run have them. */
enum {
    KMS_ENV_EXIT_FOUND = 1,            /* check: something is not as it should be */
    KMS_ENV_EXIT_FAILED = 125,         /* kms-env itself failed: nothing was started, nothing was written */
    KMS_ENV_EXIT_NOT_EXECUTABLE = 126, /* the program is there and cannot be started */
    KMS_ENV_EXIT_NOT_FOUND = 127,      /* there is no such program */
};

/* LIMIT_EXCEEDED when execve would answer E2BIG: a string longer than 128 KiB, or all of them more than the
 * stack limit allows (execve(2), "Limits on size of arguments and environment"). */
KMS_MUST_USE kms_err kms_env_check_size(char *const *argv, char *const *environment, struct kms_why *why);

/* Looks argv[0] up in search_path (NULL: the system's default) unless it has a slash. Returns only on
 * failure: the exit status; why has the words. */
int kms_env_exec(char *const *argv, char *const *environment, const char *search_path, struct kms_why *why);

/* Starts it as a child, looked up in the same way, with that signal mask. 0, or the exit status of a failure.
 * environment may be in locked memory, which a child of fork(2) would find zeroed. */
int kms_env_spawn(char *const *argv, char *const *environment, const sigset_t *mask, pid_t *ret_child,
                  struct kms_why *why);

/* While plaintext is in memory: no core dump, no ptrace by others of the same user. */
struct kms_env_shield {
    int dumpable;
    struct rlimit core;
};
KMS_MUST_USE kms_err kms_env_shield_up(struct kms_env_shield *ret_shield, struct kms_why *why); /* INTERNAL */
/* The core limit is inherited by the program, so it gets back what it had; execve itself makes it dumpable.
 */
void kms_env_shield_core_limit_back(const struct kms_env_shield *shield);
void kms_env_shield_core_limit_off(const struct kms_env_shield *shield); /* the reverse */
void kms_env_shield_down(const struct kms_env_shield *shield);           /* after the plaintext is wiped */

#endif
