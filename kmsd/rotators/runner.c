/* The daemon's side of the runner: what may run, and one run with its three pipes. */
#include "kmsd/rotators/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/wire.h"
#include "kmsd/rotators/runner_child.h"

struct kms_runner {
    int control;
    int ending; /* an eventfd; readable from kms_runner_end on */
    pid_t pid;
};

static kms_err refuse(struct kms_why *why, size_t item, const char *option, const char *cause)
{
    kms_why_set(why, "option 'rotators[%zu].%s': %s", item, option, cause);
    return KMS_FAIL(CONFIG_INVALID);
}

/* Empty user: the one that kmsd becomes, so that a program is never root because nobody said who it is. */
static kms_err find_user(const struct kmsd_conf *conf, size_t item, struct kms_runner_program *p,
                         struct kms_why *why)
{
    const char *user = conf->rotators[item].user[0] != '\0' ? conf->rotators[item].user : conf->process_user;
    if (user[0] == '\0') return KMS_OK;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) return refuse(why, item, "user", "no such user");
    p->uid = entry->pw_uid;
    p->gid = entry->pw_gid;
    p->become = entry->pw_uid != geteuid();
    if (p->become && geteuid() != 0)
        return refuse(why, item, "user", "only a kmsd that starts as root can run a program as another user");
    return KMS_OK;
}

static kms_err prepare(const struct kmsd_conf *conf, struct kms_runner_program *programs, size_t *ret_count,
                       struct kms_why *why)
{
    *ret_count = 0;
    for (size_t i = 0; i < conf->rotators_count; i++) {
        struct kms_why cause = {{0}};
        if (conf->rotators[i].type != KMSD_ROTATOR_PROGRAM) continue;
        if (kms_failed(kms_program_check(conf->rotators[i].program, &cause)))
            return refuse(why, i, "program", cause.text);
        snprintf(programs[i].path, sizeof programs[i].path, "%s", conf->rotators[i].program);
        KMS_TRY(find_user(conf, i, &programs[i], why));
        ++*ret_count;
    }
    return KMS_OK;
}

static void stop(kms_runner *runner)
{
    close(runner->control); /* its signal to kill and reap */
    while (runner->pid > 0 && waitpid(runner->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    kms_fd_drop(&runner->ending);
    free(runner);
}

static kms_err fork_runner(const struct kms_runner_program *programs, size_t count, kms_runner **ret_runner)
{
    int ends[2];
    kms_runner *r = calloc(1, sizeof *r);
    if (r == NULL) return KMS_FAIL(NO_MEMORY);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(r);
        return KMS_FAIL(NO_MEMORY);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        kms_runner_serve(ends[1], programs, count);
    }
    close(ends[1]);
    *r = (kms_runner){.control = ends[0], .ending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .pid = pid};
    if (pid < 0 || r->ending < 0) {
        stop(r);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_runner = r;
    return KMS_OK;
}

kms_err kms_runner_start(const struct kmsd_conf *conf, kms_runner **ret_runner, struct kms_why *why)
{
    size_t programs_count;
    kms_runner *runner = NULL;
    struct kms_runner_program *programs = calloc(KMS_RUNNER_PROGRAMS_MAX, sizeof *programs);
    if (programs == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = prepare(conf, programs, &programs_count, why);
    if (!kms_failed(err) && programs_count > 0) err = fork_runner(programs, conf->rotators_count, &runner);
    free(programs);
    if (!kms_failed(err)) *ret_runner = runner;
    return err;
}

void kms_runner_stop(kms_runner *runner)
{
    if (runner != NULL) stop(runner);
}

void kms_runner_end(kms_runner *runner)
{
    const uint64_t once = 1;
    if (runner != NULL && write(runner->ending, &once, sizeof once) < 0) /* full: it was said before */
        return;
}

/* One run. Descriptors -1: closed. */
struct run {
    int in, out, errors, life;
    struct kms_bytes input; /* what is left to write */
    struct kms_runner_result *result;
    struct kms_run_message end; /* end 0: it still runs */
    bool too_much, kmsd_ends;
};

static void close_run(struct run *r)
{
    kms_fd_drop(&r->in);
    kms_fd_drop(&r->out);
    kms_fd_drop(&r->errors);
    kms_fd_drop(&r->life); /* kills what is left */
}

/* Both ends of each; theirs[] goes to the runner. */
static bool make_pipes(struct run *r, int theirs[KMS_RUN_FDS])
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1}, life[2] = {-1, -1};
    bool good = pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0 &&
                socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, life) == 0;
    r->in = in[1];
    r->out = out[0];
    r->errors = errors[0];
    r->life = life[0];
    theirs[KMS_RUN_INPUT] = in[0];
    theirs[KMS_RUN_OUTPUT] = out[1];
    theirs[KMS_RUN_ERRORS] = errors[1];
    theirs[KMS_RUN_LIFE] = life[1];
    const int ours[] = {r->in, r->out, r->errors, r->life};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        good = good && fcntl(ours[i], F_SETFL, O_NONBLOCK) == 0;
    return good;
}

static bool send_request(const kms_runner *runner, size_t item, const int fds[KMS_RUN_FDS])
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * KMS_RUN_FDS)];
    } control = {0};
    uint8_t memory[4];
    struct kms_writer w = kms_writer_over(memory, sizeof memory);
    kms_put_u32(&w, (uint32_t)item);
    struct iovec part = {memory, sizeof memory};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int) * KMS_RUN_FDS), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    kms_copy(CMSG_DATA(&control.header), fds, sizeof(int) * KMS_RUN_FDS);
    ssize_t sent;
    do {
        sent = sendmsg(runner->control, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* A program that does not read its input is no failure: its status says what it made of it. */
static void write_input(struct run *r)
{
    ssize_t wrote = write(r->in, r->input.ptr, r->input.len);
    if (wrote > 0) r->input = kms_bytes_of(r->input.ptr + wrote, r->input.len - (size_t)wrote);
    if (r->input.len == 0 || (wrote < 0 && errno != EAGAIN && errno != EINTR)) kms_fd_drop(&r->in);
}

/* Reads until nothing is there now; what has no room is counted as too much. */
static void read_output(struct run *r)
{
    struct kms_runner_result *result = r->result;
    uint8_t *data = kms_secret_data(result->output);
    while (r->out >= 0 && !r->too_much) {
        uint8_t beyond;
        size_t room = KMS_RUNNER_OUTPUT_MAX - result->output_len;
        ssize_t got = read(r->out, room > 0 ? data + result->output_len : &beyond, room > 0 ? room : 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0)
            kms_fd_drop(&r->out);
        else if (room == 0)
            r->too_much = true;
        else
            result->output_len += (size_t)got;
    }
}

/* Not for ever: a program may write faster than this reads. */
static void read_errors(struct run *r)
{
    enum { TURNS = 256 };
    struct kms_runner_result *result = r->result;
    uint8_t text[512];
    for (int i = 0; i < TURNS && r->errors >= 0; i++) {
        ssize_t got = read(r->errors, text, sizeof text);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            kms_fd_drop(&r->errors);
            return;
        }
        size_t room = sizeof result->errors - result->errors_len,
               kept = (size_t)got < room ? (size_t)got : room;
        kms_copy(result->errors + result->errors_len, text, kept);
        result->errors_len += kept;
        result->errors_cut = result->errors_cut || kept < (size_t)got;
    }
}

/* The first message counts: a program that did not start also exits. */
static void read_life(struct run *r)
{
    ssize_t got = recv(r->life, &r->end, sizeof r->end, 0);
    if (got == sizeof r->end || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
    r->end = (struct kms_run_message){KMS_RUN_NOT_STARTED, EPIPE}; /* the runner is gone */
}

/* Until the program has ended, printed too much, kmsd is about to, or time is up. False: time is up. */
static bool follow(struct run *r, int ending, uint64_t deadline_us)
{
    while (r->end.end == 0 && !r->too_much && !r->kmsd_ends) {
        uint64_t now = kms_monotonic_us();
        if (now >= deadline_us) return false;
        struct pollfd fds[] = {{r->life, POLLIN, 0},
                               {r->in, POLLOUT, 0},
                               {r->out, POLLIN, 0},
                               {r->errors, POLLIN, 0},
                               {ending, POLLIN, 0}};
        if (poll(fds, sizeof fds / sizeof fds[0], (int)((deadline_us - now) / 1000 + 1)) < 0 &&
            errno != EINTR)
            return false;
        if (fds[1].revents != 0) write_input(r);
        read_output(r);
        read_errors(r);
        if (fds[0].revents != 0) read_life(r);
        r->kmsd_ends = fds[4].revents != 0 && r->end.end == 0;
    }
    read_output(
        r); /* what it printed before it ended is in the pipe, whoever else still holds its other end */
    read_errors(r);
    return true;
}

static kms_err judge(const struct run *r, bool in_time, uint32_t timeout_ms, struct kms_why *why)
{
    if (r->kmsd_ends) {
        kms_why_set(why, "kmsd stops: the program was killed, and is run again when kmsd is back");
        return KMS_FAIL(SHUTTING_DOWN);
    }
    if (r->too_much) {
        kms_why_set(why, "the program printed more than %u bytes and was killed",
                    (unsigned)KMS_RUNNER_OUTPUT_MAX);
        return KMS_FAIL(ROTATOR_ANSWER);
    }
    if (!in_time) {
        kms_why_set(why, "the program did not end within %u ms and was killed", timeout_ms);
        return KMS_FAIL(ROTATOR_TIMEOUT);
    }
    if (r->end.end == KMS_RUN_EXITED && r->end.value == 0) return KMS_OK;
    if (r->end.end == KMS_RUN_EXITED)
        kms_why_set(why, "the program ended with status %d", (int)r->end.value);
    else if (r->end.end == KMS_RUN_SIGNALLED)
        kms_why_set(why, "the program was ended by signal %d", (int)r->end.value);
    else
        kms_why_set(why, "the program could not be started: %s", strerror(r->end.value));
    return KMS_FAIL(ROTATOR_FAILED);
}

kms_err kms_runner_run(kms_runner *runner, size_t item, uint32_t timeout_ms, struct kms_bytes input,
                       struct kms_runner_result *result, struct kms_why *why)
{
    struct run r = {.in = -1, .out = -1, .errors = -1, .life = -1, .input = input, .result = result};
    int theirs[KMS_RUN_FDS] = {-1, -1, -1, -1};
    uint64_t deadline_us = kms_monotonic_us() + timeout_ms * UINT64_C(1000);
    *result = (struct kms_runner_result){0};
    KMS_TRY(kms_secret_new(KMS_RUNNER_OUTPUT_MAX, &result->output));
    bool started = make_pipes(&r, theirs) && send_request(runner, item, theirs);
    int cause = errno;
    for (size_t i = 0; i < KMS_RUN_FDS; i++) kms_fd_drop(&theirs[i]);
    bool in_time = started && follow(&r, runner->ending, deadline_us);
    close_run(&r);
    if (started) return judge(&r, in_time, timeout_ms, why);
    kms_why_set(why, "the program could not be started: %s", strerror(cause));
    return KMS_FAIL(ROTATOR_FAILED);
}
