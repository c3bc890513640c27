/* The daemon's side of the spawner. */
#include "hsm/spawner.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct kms_spawner {
    int control;
    pid_t pid;
    uint32_t last_id;
};

kms_err kms_spawner_start(kms_spawner **ret_spawner)
{
    int ends[2];
    kms_spawner *s = calloc(1, sizeof *s);
    if (s == NULL) return KMS_FAIL(NO_MEMORY);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(s);
        return KMS_FAIL(NO_MEMORY);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        kms_spawner_serve(ends[1]);
    }
    close(ends[1]);
    *s = (kms_spawner){.control = ends[0], .pid = pid};
    if (pid < 0) {
        close(ends[0]);
        free(s);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_spawner = s;
    return KMS_OK;
}

void kms_spawner_stop(kms_spawner *spawner)
{
    if (spawner == NULL) return;
    close(spawner->control); /* its signal to kill and reap */
    while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    free(spawner);
}

static kms_err send_request(kms_spawner *s, uint8_t *request, size_t len, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * KMS_SPAWN_FDS)];
    } control = {0};
    struct iovec part = {request, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int) * fd_count), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        kms_copy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do {
        sent = sendmsg(s->control, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? KMS_FAIL(HSM_UNAVAILABLE) : KMS_OK;
}

kms_err kms_spawner_worker(kms_spawner *spawner, const struct kms_worker_start *start, uint32_t *ret_id)
{
    uint8_t memory[KMS_SPAWN_BYTES];
    struct kms_writer w = kms_writer_over(memory, sizeof memory);
    uint32_t id = ++spawner->last_id;
    kms_put_u8(&w, KMS_SPAWN_START);
    kms_put_u32(&w, id);
    kms_put_u32(&w, start->cached_keys);
    kms_put_u8(&w, start->init);
    const char *const texts[] = {start->worker_path, start->uri, start->user, start->softhsm_conf,
                                 start->refused_pin};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        kms_put_blob(&w, kms_bytes_text(texts[i]));
        kms_put_u8(&w, 0); /* so that the other side may read it as a C string */
    }
    if (w.overflow) return KMS_FAIL(LIMIT_EXCEEDED);
    const int fds[KMS_SPAWN_FDS] = {start->socket, start->page};
    KMS_TRY(send_request(spawner, memory, (size_t)(w.at - memory), fds, KMS_SPAWN_FDS));
    *ret_id = id;
    return KMS_OK;
}

void kms_spawner_kill(kms_spawner *spawner, uint32_t id)
{
    uint8_t memory[8];
    struct kms_writer w = kms_writer_over(memory, sizeof memory);
    kms_put_u8(&w, KMS_SPAWN_KILL);
    kms_put_u32(&w, id);
    kms_ignore(send_request(spawner, memory, (size_t)(w.at - memory), NULL, 0)); /* gone: so is it */
}

int kms_spawner_fd(const kms_spawner *spawner)
{
    return spawner->control;
}

bool kms_spawner_next(kms_spawner *spawner, struct kms_worker_exit *ret_exit, bool *ret_gone)
{
    uint8_t memory[8];
    ssize_t got;
    do {
        got = recv(spawner->control, memory, sizeof memory, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    *ret_gone = got == 0 || (got < 0 && errno != EAGAIN);
    if (got <= 0) return false;
    struct kms_reader r = kms_reader_over(kms_bytes_of(memory, (size_t)got));
    *ret_exit = (struct kms_worker_exit){.id = kms_get_u32(&r)};
    ret_exit->status = (int)kms_get_u32(&r);
    return kms_reader_done(&r);
}
