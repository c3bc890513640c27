/* A stream takes JSON lines; syslog takes datagrams as glibc's syslog(3) makes them, which journald and
 * rsyslog read alike. */
#include "kmsd/audit/send/ship_socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "kmsd/audit/chain.h"

enum { HEADER_BYTES = 64, NOTICE_BYTES = 512 };

void kms_ship_disconnect(struct kms_ship_socket *to)
{
    kms_fd_drop(&to->fd);
}

static kms_err failed(struct kms_ship_socket *to, int cause, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", to->path, strerror(cause));
    kms_ship_disconnect(to);
    return KMS_FAIL(IO);
}

kms_err kms_ship_connect(struct kms_ship_socket *to, struct kms_why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(to->path);
    int type = to->kind == KMS_SHIP_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    kms_ship_disconnect(to);
    if (len >= sizeof address.sun_path) return failed(to, ENAMETOOLONG, why);
    kms_copy(address.sun_path, to->path, len);
    to->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (to->fd < 0 || connect(to->fd, (const struct sockaddr *)(const void *)&address, sizeof address) != 0)
        return failed(to, errno, why);
    return KMS_OK;
}

bool kms_ship_waiting(const struct kms_ship_socket *to, uint64_t *ret_bytes)
{
    int bytes = 0;
    if (to->fd < 0 || ioctl(to->fd, SIOCOUTQ, &bytes) != 0 || bytes < 0) return false;
    *ret_bytes = (uint64_t)bytes;
    /* In this order: who hangs up drops what waits. */
    struct pollfd pollfd = {.fd = to->fd, .events = POLLRDHUP};
    return poll(&pollfd, 1, 0) == 0;
}

/* A socket is ready again when much of it was read: who reads slowly makes progress before. */
static kms_err wait_until_it_takes(struct kms_ship_socket *to, struct kms_why *why)
{
    struct pollfd pollfd = {.fd = to->fd, .events = POLLOUT};
    for (uint64_t before, waiting = UINT64_MAX;;) {
        before = waiting;
        if (!kms_ship_waiting(to, &waiting)) return failed(to, EPIPE, why);
        if (waiting >= before) return failed(to, ETIMEDOUT, why);
        int ready = poll(&pollfd, 1, (int)to->timeout_ms);
        if (ready > 0) return KMS_OK;
        if (ready < 0 && errno != EINTR) return failed(to, errno, why);
    }
}

/* All of parts. A datagram goes as a whole or not at all. */
static kms_err send_all(struct kms_ship_socket *to, struct iovec *parts, size_t count, bool *ret_too_long,
                        struct kms_why *why)
{
    while (count > 0) {
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(to->fd, &message, MSG_NOSIGNAL);
        *ret_too_long = sent < 0 && errno == EMSGSIZE;
        if (*ret_too_long) return KMS_OK;
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            KMS_TRY(wait_until_it_takes(to, why));
            continue;
        }
        if (sent < 0) return failed(to, errno, why);
        size_t taken = (size_t)sent;
        for (; count > 0 && taken >= parts[0].iov_len; count--, parts++) taken -= parts[0].iov_len;
        if (count == 0) break;
        parts[0].iov_base = (char *)parts[0].iov_base + taken;
        parts[0].iov_len -= taken;
    }
    return KMS_OK;
}

/* In place of a record that no datagram holds: enough to find it in the log. */
static struct kms_bytes notice(struct kms_bytes line, char text[NOTICE_BYTES])
{
    struct kms_audit_record record;
    if (!kms_audit_scan_record(line, &record)) return kms_bytes_text("{\"too_long\":true}");
    int len =
        snprintf(text, NOTICE_BYTES,
                 "{\"seq\":%llu,\"time\":\"%.*s\",\"kind\":\"%.*s\",\"too_long\":%zu,\"hash\":\"%.*s\"}",
                 (unsigned long long)record.sequence, KMS_TIME_TEXT - 1, record.time, (int)record.kind.len,
                 (const char *)record.kind.ptr, line.len, KMS_AUDIT_HASH_HEX, record.hash);
    return kms_bytes_of((const uint8_t *)text, (size_t)len);
}

static kms_err send_datagram(struct kms_ship_socket *to, struct kms_bytes line, bool *ret_too_long,
                             struct kms_why *why)
{
    char header[HEADER_BYTES], when[24];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(when, sizeof when, "%b %e %T", &tm); /* RFC 3164, 4.1.2, as glibc writes it */
    int len = snprintf(header, sizeof header, "<%d>%s kmsd-audit[%d]: ", LOG_AUTHPRIV | LOG_INFO, when,
                       (int)getpid());
    struct iovec parts[] = {{header, (size_t)len}, {(void *)(uintptr_t)line.ptr, line.len}};
    return send_all(to, parts, 2, ret_too_long, why);
}

kms_err kms_ship_send(struct kms_ship_socket *to, struct kms_bytes line, struct kms_why *why)
{
    bool too_long = false;
    char text[NOTICE_BYTES];
    if (to->kind == KMS_SHIP_STREAM) {
        char end[] = "\n";
        struct iovec parts[] = {{(void *)(uintptr_t)line.ptr, line.len}, {end, 1}};
        return send_all(to, parts, 2, &too_long, why);
    }
    KMS_TRY(send_datagram(to, line, &too_long, why));
    return too_long ? send_datagram(to, notice(line, text), &too_long, why) : KMS_OK;
}
