/* The spawner process: one loop over requests and ended children. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/spawner.h"

enum { EXIT_CANNOT_START = 127, TEXTS = 5, WORKER_SOCKET = 3, WORKER_PAGE = 4, HIGH_FD = 16 };

static struct child {
    uint32_t id; /* 0: free */
    pid_t pid;
} children[KMS_SPAWN_WORKERS];

static struct fixed_request {
    char path[1024], uri[4096], user[64];
    bool set;
} fixed; /* what the first request named */

struct request {
    uint32_t id, cached_keys;
    bool init;
    const char *path, *uri, *user, *softhsm_conf, *refused_pin;
    int fds[KMS_SPAWN_FDS];
};

static const char *get_text(struct kms_reader *r)
{
    struct kms_bytes b = kms_get_blob(r);
    bool ended = kms_get_u8(r) == 0 && !r->short_;
    return ended && memchr(b.ptr, 0, b.len) == NULL ? (const char *)b.ptr : "";
}

static void become(const char *user)
{
    struct passwd *pw = getpwnam(user);
    if (pw == NULL || initgroups(user, pw->pw_gid) != 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0) {
        dprintf(STDERR_FILENO, "kms-hsm: cannot become user %s: %s\n", user,
                pw == NULL ? "no such user" : strerror(errno));
        _exit(EXIT_CANNOT_START);
    }
}

/* Terminals and systemd signal whole groups; a worker ends when kmsd closes its socket, not in the middle
 * of a drain. */
static void settle_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void raise_memlock(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit); /* too little shows when the worker locks its memory */
}

__attribute__((noreturn)) static void run_worker(const struct request *q)
{
    char *environment[8] = {NULL}, conf[1200], keys[32], refused[128];
    size_t n = 0;
    snprintf(conf, sizeof conf, "SOFTHSM2_CONF=%s", q->softhsm_conf);
    if (q->softhsm_conf[0] != '\0') environment[n++] = conf;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    static const char *const sanitizers[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"};
    static char passed[4][600];
    for (size_t i = 0; i < 4; i++) {
        const char *value = getenv(sanitizers[i]);
        if (value == NULL) continue;
        snprintf(passed[i], sizeof passed[i], "%s=%s", sanitizers[i], value);
        environment[n++] = passed[i];
    }
#endif
    snprintf(keys, sizeof keys, "--cached-keys=%u", q->cached_keys);
    snprintf(refused, sizeof refused, "--refused-pin=%s", q->refused_pin);
    char name[] = "kms-hsm", socket_fd[] = "--socket=3", page_fd[] = "--page=4", end[] = "--";
    char role[16];
    snprintf(role, sizeof role, "--role=%s", q->init ? "init" : "serve");
    char *arguments[] = {name, socket_fd, page_fd, role, keys, refused, end, fixed.uri, NULL};
    raise_memlock();
    if (fixed.user[0] != '\0' && geteuid() == 0) become(fixed.user);
    settle_signals();
    /* above what dup2 writes to, then exactly 3 and 4; everything else closes itself */
    int high[KMS_SPAWN_FDS] = {fcntl(q->fds[0], F_DUPFD_CLOEXEC, HIGH_FD),
                               fcntl(q->fds[1], F_DUPFD_CLOEXEC, HIGH_FD)};
    if (dup2(high[0], WORKER_SOCKET) == WORKER_SOCKET && dup2(high[1], WORKER_PAGE) == WORKER_PAGE &&
        close_range(WORKER_PAGE + 1, ~0U, 0) == 0)
        execve(fixed.path, arguments, environment);
    dprintf(STDERR_FILENO, "kms-hsm: cannot start %s: %s\n", fixed.path, strerror(errno));
    _exit(EXIT_CANNOT_START);
}

static void report_exit(int control, uint32_t id, int status)
{
    uint8_t memory[8];
    struct kms_writer w = kms_writer_over(memory, sizeof memory);
    kms_put_u32(&w, id);
    kms_put_u32(&w, (uint32_t)status);
    send(control, memory, sizeof memory,
         MSG_NOSIGNAL | MSG_DONTWAIT); /* only words for a person depend on it */
}

/* Program, URI and user are those of the first request, for ever. */
static bool permitted(const struct request *q)
{
    if (!fixed.set) {
        fixed.set = true;
        snprintf(fixed.path, sizeof fixed.path, "%s", q->path);
        snprintf(fixed.uri, sizeof fixed.uri, "%s", q->uri);
        snprintf(fixed.user, sizeof fixed.user, "%s", q->user);
    }
    return strcmp(fixed.path, q->path) == 0 && strcmp(fixed.uri, q->uri) == 0 &&
           strcmp(fixed.user, q->user) == 0;
}

static void start_worker(int control, const struct request *q)
{
    struct child *place = NULL;
    for (size_t i = 0; i < KMS_SPAWN_WORKERS && place == NULL; i++)
        if (children[i].id == 0) place = &children[i];
    pid_t pid = place != NULL && permitted(q) ? fork() : -1;
    if (pid == 0) run_worker(q);
    if (pid > 0)
        *place = (struct child){.id = q->id, .pid = pid};
    else
        report_exit(control, q->id, EXIT_CANNOT_START << 8);
}

static void kill_worker(uint32_t id)
{
    for (size_t i = 0; i < KMS_SPAWN_WORKERS; i++)
        if (children[i].id == id && id != 0) kill(children[i].pid, SIGKILL);
}

static void reap(int control, int options)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, options)) > 0) {
        for (size_t i = 0; i < KMS_SPAWN_WORKERS; i++) {
            if (children[i].id == 0 || children[i].pid != pid) continue;
            if (control >= 0) report_exit(control, children[i].id, status);
            children[i].id = 0;
        }
    }
}

static void handle(int control, struct kms_bytes bytes, const int fds[KMS_SPAWN_FDS])
{
    struct kms_reader r = kms_reader_over(bytes);
    uint8_t kind = kms_get_u8(&r);
    struct request q = {.id = kms_get_u32(&r), .fds = {fds[0], fds[1]}};
    if (kind == KMS_SPAWN_KILL && kms_reader_done(&r)) kill_worker(q.id);
    if (kind != KMS_SPAWN_START) return;
    q.cached_keys = kms_get_u32(&r);
    q.init = kms_get_u8(&r) != 0;
    q.path = get_text(&r);
    q.uri = get_text(&r);
    q.user = get_text(&r);
    q.softhsm_conf = get_text(&r);
    q.refused_pin = get_text(&r);
    if (kms_reader_done(&r) && fds[0] >= 0 && fds[1] >= 0) start_worker(control, &q);
}

static bool take_request(int control)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * KMS_SPAWN_FDS)];
    } space = {0};
    static uint8_t memory[KMS_SPAWN_BYTES];
    struct iovec part = {memory, sizeof memory};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
    ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return errno == EINTR;
    int fds[KMS_SPAWN_FDS] = {-1, -1};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len <= CMSG_LEN(sizeof fds))
        kms_copy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (got > 0) handle(control, kms_bytes_of(memory, (size_t)got), fds);
    kms_fd_drop(&fds[0]);
    kms_fd_drop(&fds[1]);
    return got > 0;
}

void kms_spawner_serve(int control)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    setsid(); /* a terminal's signals do not reach it */
    prctl(PR_SET_NAME, "kms-spawner");
    prctl(PR_SET_DUMPABLE, 0);
    settle_signals();
    if (dup2(control, WORKER_SOCKET) < 0 || close_range(WORKER_SOCKET + 1, ~0U, 0) != 0) _exit(1);
    control = WORKER_SOCKET;
    fcntl(control, F_SETFD, FD_CLOEXEC);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    struct pollfd watched[] = {{control, POLLIN, 0}, {signals, POLLIN, 0}};
    for (bool going = signals >= 0; going;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR) break;
        struct signalfd_siginfo ignored;
        while (read(signals, &ignored, sizeof ignored) > 0) {
        }
        reap(control, WNOHANG);
        if (watched[0].revents != 0) going = take_request(control);
    }
    for (size_t i = 0; i < KMS_SPAWN_WORKERS; i++) kill_worker(children[i].id);
    reap(-1, 0);
    _exit(0);
}
