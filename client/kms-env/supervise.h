/*
 * A program as a child: its signals, its end, its restart when something has changed. Knows nothing of
 * secrets. One thread, but wake_fd, which others may write to.
 */
#ifndef KMS_CLIENT_KMS_ENV_SUPERVISE_H
#define KMS_CLIENT_KMS_ENV_SUPERVISE_H

#include <signal.h>
#include <stdint.h>

#include "client/kms-env/exec.h"

/* The signals that are passed on; from here on they wait in fd. Before any thread is started, since a thread
 * with another mask would die of them. */
struct kms_env_signals {
    sigset_t before; /* the mask as it was: the program gets it */
    int fd;
};
KMS_MUST_USE kms_err kms_env_signals_hold(struct kms_env_signals *ret_signals, struct kms_why *why); /* IO */

struct kms_env_supervisor {
    const struct kms_env_signals *signals;
    const struct kms_env_shield *shield; /* the program has the core limit that was there before it */
    char *const *argv;
    int change_signal; /* what the program gets when something has changed; 0: SIGTERM, and a new start */
    uint32_t grace_ms; /* from SIGTERM to SIGKILL */
    int wake_fd;       /* an eventfd: something has changed. -1: nothing ever does */
    /* The environment from the next start on; the one before is no longer needed. */
    char *const *(*environment)(void *self);
    void *self;
};

/*
 * Starts the program and waits for its end. Signals that are sent to this process are passed on; those that
 * the terminal sends go to both anyway. The exit status: that of the program, 128 and the signal when one
 * ended it, or that of kms_env_spawn, and then why has words.
 */
int kms_env_supervise(const struct kms_env_supervisor *supervisor, struct kms_why *why);

#endif
