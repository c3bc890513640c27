/* One loop over what may happen to the child. */
#include "client/kms-env/supervise.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* What a service manager or a terminal sends. SIGTSTP and SIGCONT stop and continue both as they are. */
static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

kms_err kms_env_signals_hold(struct kms_env_signals *ret_signals, struct kms_why *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) sigaddset(&set, passed_on[i]);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || sigprocmask(SIG_BLOCK, &set, &ret_signals->before) != 0) {
        kms_why_set(why, "signals: %s", strerror(errno));
        return KMS_FAIL(IO);
    }
    ret_signals->fd = fd;
    return KMS_OK;
}

struct run {
    const struct kms_env_supervisor *with;
    pid_t child;
    uint64_t kill_at_us; /* 0: no end is near */
    bool restarting;     /* the next start follows the end */
    bool over;
    int status;
};

static void start(struct run *r, struct kms_why *why)
{
    const struct kms_env_supervisor *with = r->with;
    eventfd_t seen;
    r->restarting = false;
    r->kill_at_us = 0;
    if (with->wake_fd >= 0) (void)!eventfd_read(with->wake_fd, &seen); /* this start has the change */
    kms_env_shield_core_limit_back(with->shield);
    r->status =
        kms_env_spawn(with->argv, with->environment(with->self), &with->signals->before, &r->child, why);
    kms_env_shield_core_limit_off(with->shield);
    r->over = r->status != 0;
}

static void collect(struct run *r, struct kms_why *why)
{
    int status;
    if (waitpid(r->child, &status, WNOHANG) != r->child) return;
    if (r->restarting) {
        start(r, why);
        return;
    }
    r->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    r->over = true;
}

static void take_signal(struct run *r, const struct signalfd_siginfo *info, struct kms_why *why)
{
    const int number = (int)info->ssi_signo;
    if (number == SIGCHLD) {
        collect(r, why);
        return;
    }
    /* who wants an end while the program is being restarted gets the end */
    if (number == SIGTERM || number == SIGINT || number == SIGQUIT) r->restarting = false;
    if (info->ssi_code != SI_KERNEL) kill(r->child, number);
}

static void take_signals(struct run *r, struct kms_why *why)
{
    struct signalfd_siginfo info;
    while (!r->over && read(r->with->signals->fd, &info, sizeof info) == (ssize_t)sizeof info)
        take_signal(r, &info, why);
}

static void take_change(struct run *r)
{
    eventfd_t count;
    if (eventfd_read(r->with->wake_fd, &count) != 0) return;
    if (r->with->change_signal != 0) {
        kill(r->child, r->with->change_signal);
        return;
    }
    if (r->restarting) return; /* the start to come takes the newest environment */
    r->restarting = true;
    r->kill_at_us = kms_monotonic_us() + r->with->grace_ms * UINT64_C(1000);
    kill(r->child, SIGTERM);
}

static int wait_ms(const struct run *r)
{
    uint64_t now_us = kms_monotonic_us();
    if (r->kill_at_us == 0) return -1;
    return r->kill_at_us <= now_us ? 0 : (int)((r->kill_at_us - now_us) / 1000 + 1);
}

int kms_env_supervise(const struct kms_env_supervisor *supervisor, struct kms_why *why)
{
    struct run r = {.with = supervisor};
    start(&r, why);
    while (!r.over) {
        struct pollfd fds[] = {{.fd = supervisor->signals->fd, .events = POLLIN},
                               {.fd = supervisor->wake_fd, .events = POLLIN}};
        int ready = poll(fds, 2, wait_ms(&r));
        if (ready > 0 && fds[0].revents != 0) take_signals(&r, why);
        if (ready > 0 && fds[1].revents != 0 && !r.over) take_change(&r);
        if (!r.over && r.kill_at_us != 0 && kms_monotonic_us() >= r.kill_at_us) {
            kill(r.child, SIGKILL);
            r.kill_at_us = 0;
        }
    }
    return r.status;
}
