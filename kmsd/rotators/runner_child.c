/* The runner's process: one loop over requests, ended programs, and callers that gave up. */
#include "kmsd/rotators/runner_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/wire.h"

enum { CONTROL = 3, HIGH_FD = 16, FILES_MAX = 64, PROCESSES_MAX = 512, FIRST_LIFE = 2 };

static struct run {
    pid_t pid; /* 0: free */
    int life;
} runs[KMS_RUNNER_PROGRAMS_MAX];

static kms_err refuse(struct kms_why *why, const char *path, size_t len, const char *cause)
{
    kms_why_set(why, "%.*s: %s", (int)len, path, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

/* One file or folder, the first len bytes of path. */
static kms_err check_part(const char *path, size_t len, bool file, struct kms_why *why)
{
    struct stat st;
    char part[4096];
    if (len >= sizeof part) return refuse(why, path, len, "too long");
    kms_copy(part, path, len);
    part[len] = '\0';
    if (stat(part, &st) != 0) return refuse(why, path, len, strerror(errno));
    if (file && !S_ISREG(st.st_mode)) return refuse(why, path, len, "not a file");
    if (file && (st.st_mode & 0111) == 0) return refuse(why, path, len, "not executable");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return refuse(why, path, len, "belongs to another user than root or the one kmsd starts as");
    bool sticky =
        !file && (st.st_mode & S_ISVTX) != 0; /* as /tmp: nobody can exchange another's files there */
    if ((st.st_mode & 0022) != 0 && !sticky) return refuse(why, path, len, "can be written by others");
    return KMS_OK;
}

kms_err kms_program_check(const char *path, struct kms_why *why)
{
    char resolved[PATH_MAX];
    if (path[0] != '/') return refuse(why, path, strlen(path), "not an absolute path");
    if (realpath(path, resolved) == NULL) return refuse(why, path, strlen(path), strerror(errno));
    if (strcmp(path, resolved) != 0)
        return refuse(why, path, strlen(path), "holds a symbolic link, '.' or '..'");
    KMS_TRY(check_part(path, 1, false, why));
    for (const char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;)
        KMS_TRY(check_part(path, (size_t)(slash - path), false, why));
    return check_part(path, strlen(path), true, why);
}

static void tell(int life, enum kms_run_end end, int value)
{
    const struct kms_run_message message = {(int32_t)end, value};
    send(life, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT); /* nobody there: nobody waits */
}

static bool set_limits(void)
{
    /* 1, not 0: that also keeps a dump from a core_pattern that is a pipe (core(5)). kmsd itself has 0 by
     * now, which only some users may raise again. */
    const struct rlimit core = {1, 1}, files = {FILES_MAX, FILES_MAX},
                        processes = {PROCESSES_MAX, PROCESSES_MAX};
    struct rlimit has;
    bool dumps = getrlimit(RLIMIT_CORE, &has) != 0 || has.rlim_max != 0;
    return (setrlimit(RLIMIT_CORE, &core) == 0 || !dumps) && setrlimit(RLIMIT_NOFILE, &files) == 0 &&
           setrlimit(RLIMIT_NPROC, &processes) == 0;
}

static bool become(const struct kms_runner_program *p)
{
    return !p->become || (setgroups(1, &p->gid) == 0 && setresgid(p->gid, p->gid, p->gid) == 0 &&
                          setresuid(p->uid, p->uid, p->uid) == 0);
}

static void default_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int signal_number = 1; signal_number < 32; signal_number++) signal(signal_number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 to 2 are the program's; life alone is kept until it runs. */
static bool place_fds(const int fds[KMS_RUN_FDS], int *ret_life)
{
    int high[KMS_RUN_FDS];
    for (size_t i = 0; i < KMS_RUN_FDS; i++) high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
    for (int i = 0; i < KMS_RUN_LIFE; i++)
        if (dup2(high[i], i) != i) return false;
    *ret_life = dup3(high[KMS_RUN_LIFE], CONTROL, O_CLOEXEC);
    return *ret_life == CONTROL && close_range(CONTROL + 1, ~0U, 0) == 0;
}

__attribute__((noreturn)) static void run_program(const struct kms_runner_program *p,
                                                  const int fds[KMS_RUN_FDS])
{
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
         lang[] = "LANG=C.UTF-8";
    char *environment[] = {path, lang, NULL};
    char name[sizeof p->path];
    int life = fds[KMS_RUN_LIFE];
    snprintf(name, sizeof name, "%s", p->path);
    char *arguments[] = {name, NULL};
    setsid();
    umask(0077);
    default_signals();
    errno = 0;
    bool good = kms_failed(kms_program_check(p->path, NULL)) ? (errno = EPERM, false) : true;
    if (good && place_fds(fds, &life) && chdir("/") == 0 && set_limits() && become(p) &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        execve(p->path, arguments, environment);
    tell(life, KMS_RUN_NOT_STARTED, errno);
    _exit(127);
}

static void start_run(const struct kms_runner_program *programs, size_t count, uint32_t item,
                      int fds[KMS_RUN_FDS])
{
    struct run *place = NULL;
    for (size_t i = 0; i < KMS_RUNNER_PROGRAMS_MAX && place == NULL; i++)
        if (runs[i].pid == 0) place = &runs[i];
    bool known = item < count && programs[item].path[0] != '\0';
    errno = place == NULL ? EAGAIN : EPERM;
    pid_t pid = place != NULL && known ? fork() : -1;
    if (pid == 0) run_program(&programs[item], fds);
    if (pid < 0) {
        tell(fds[KMS_RUN_LIFE], KMS_RUN_NOT_STARTED, errno);
        return;
    }
    *place = (struct run){.pid = pid, .life = fds[KMS_RUN_LIFE]};
    fds[KMS_RUN_LIFE] = -1;
}

static bool take_request(const struct kms_runner_program *programs, size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * KMS_RUN_FDS)];
    } space = {0};
    uint8_t memory[8];
    struct iovec part = {memory, sizeof memory};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    ssize_t got = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return errno == EINTR;
    int fds[KMS_RUN_FDS] = {-1, -1, -1, -1};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(sizeof fds))
        kms_copy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    struct kms_reader r = kms_reader_over(kms_bytes_of(memory, (size_t)got));
    uint32_t item = kms_get_u32(&r);
    if (kms_reader_done(&r) && fds[KMS_RUN_FDS - 1] >= 0) start_run(programs, count, item, fds);
    for (size_t i = 0; i < KMS_RUN_FDS; i++) kms_fd_drop(&fds[i]);
    return got > 0;
}

/* The group first: as long as its leader is not reaped, its number is nobody else's. */
static void kill_run(const struct run *run)
{
    kill(-run->pid, SIGKILL);
    kill(run->pid, SIGKILL); /* it may not have become a leader yet */
}

static void end_run(struct run *run, const siginfo_t *info)
{
    kill_run(run);
    waitpid(run->pid, NULL, 0);
    tell(run->life, info->si_code == CLD_EXITED ? KMS_RUN_EXITED : KMS_RUN_SIGNALLED, info->si_status);
    kms_fd_drop(&run->life);
    *run = (struct run){0};
}

static void reap(int options)
{
    for (size_t i = 0; i < KMS_RUNNER_PROGRAMS_MAX; i++) {
        siginfo_t info = {0};
        if (runs[i].pid == 0) continue;
        if (waitid(P_PID, (id_t)runs[i].pid, &info, WEXITED | WNOWAIT | options) != 0 || info.si_pid == 0)
            continue;
        end_run(&runs[i], &info);
    }
}

static void prepare(int control)
{
    setsid(); /* a terminal's signals do not reach it */
    prctl(PR_SET_NAME, "kms-runner");
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (dup2(control, CONTROL) < 0 || close_range(CONTROL + 1, ~0U, 0) != 0) _exit(1);
    fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
}

/* What to wait for: requests, the end of a program, the end of whoever waits for one. */
static nfds_t watch(struct pollfd *watched)
{
    nfds_t count = FIRST_LIFE;
    for (size_t i = 0; i < KMS_RUNNER_PROGRAMS_MAX; i++)
        if (runs[i].pid != 0) watched[count++] = (struct pollfd){runs[i].life, POLLIN, 0};
    return count;
}

static void kill_given_up(const struct pollfd *watched, nfds_t count)
{
    for (nfds_t w = FIRST_LIFE; w < count; w++)
        for (size_t i = 0; i < KMS_RUNNER_PROGRAMS_MAX && watched[w].revents != 0; i++)
            if (runs[i].pid != 0 && runs[i].life == watched[w].fd) kill_run(&runs[i]);
}

void kms_runner_serve(int control, const struct kms_runner_program *programs, size_t count)
{
    sigset_t child;
    prepare(control);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    struct pollfd watched[FIRST_LIFE + KMS_RUNNER_PROGRAMS_MAX] = {{CONTROL, POLLIN, 0},
                                                                   {signals, POLLIN, 0}};
    for (bool going = signals >= 0; going;) {
        nfds_t watching = watch(watched);
        if (poll(watched, watching, -1) < 0 && errno != EINTR) break;
        struct signalfd_siginfo ignored;
        while (read(signals, &ignored, sizeof ignored) > 0) {
        }
        kill_given_up(watched, watching);
        reap(WNOHANG);
        if (watched[0].revents != 0) going = take_request(programs, count);
    }
    for (size_t i = 0; i < KMS_RUNNER_PROGRAMS_MAX; i++)
        if (runs[i].pid != 0) kill_run(&runs[i]);
    reap(0);
    _exit(0);
}
