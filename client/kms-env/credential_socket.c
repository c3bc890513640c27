/* Takes over or makes the socket. */
#include "client/kms-env/credential_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

enum { FIRST_FD = 3, BACKLOG = 512 };

static bool is_number(const char *name, long long wanted)
{
    const char *text = getenv(name);
    char number[24];
    snprintf(number, sizeof number, "%lld", wanted);
    return text != NULL && strcmp(text, number) == 0;
}

static bool option_is(int fd, int option, int wanted)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static bool prepare(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static kms_err take_over(kms_env_credential_socket *ret_socket, struct kms_why *why)
{
    const bool one = is_number("LISTEN_FDS", 1);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!one || !option_is(FIRST_FD, SO_DOMAIN, AF_UNIX) || !option_is(FIRST_FD, SO_TYPE, SOCK_STREAM) ||
        !option_is(FIRST_FD, SO_ACCEPTCONN, 1) || !prepare(FIRST_FD)) {
        kms_why_set(why, "the service manager must hand over one socket: ListenStream= with a path");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    *ret_socket = (kms_env_credential_socket){.fd = FIRST_FD};
    return KMS_OK;
}

/* What a server that was killed has left is in the way; what somebody uses is not touched. */
static kms_err make_room(int fd, const struct sockaddr_un *address, struct kms_why *why)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0) return KMS_OK;
    if (!S_ISSOCK(there.st_mode)) {
        kms_why_set(why, "%s: is there, and no socket", address->sun_path);
        return KMS_FAIL(ALREADY_EXISTS);
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno != ECONNREFUSED) {
        kms_why_set(why, "%s: another server listens here", address->sun_path);
        return KMS_FAIL(ALREADY_EXISTS);
    }
    unlink(address->sun_path);
    return KMS_OK;
}

static bool bind_private(int fd, const struct sockaddr_un *address)
{
    const mode_t before = umask(0177);
    const bool bound = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    umask(before);
    return bound;
}

static kms_err make(const char *path, kms_env_credential_socket *ret_socket, struct kms_why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat made;
    if (path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        kms_why_set(why, "%s: the path of a socket has 1 to %zu bytes", path, sizeof address.sun_path - 1);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    KMS_OWN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    KMS_OWN_FD probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0) KMS_TRY(make_room(probe, &address, why));
    if (fd < 0 || probe < 0 || !bind_private(fd, &address) || listen(fd, BACKLOG) != 0 ||
        lstat(path, &made) != 0) {
        kms_why_set(why, "%s: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    *ret_socket = (kms_env_credential_socket){fd, path, made.st_dev, made.st_ino};
    fd = -1;
    return KMS_OK;
}

kms_err kms_env_credential_socket_open(const char *path, kms_env_credential_socket *ret_socket,
                                       struct kms_why *why)
{
    if (is_number("LISTEN_PID", getpid())) return take_over(ret_socket, why);
    if (path != NULL) return make(path, ret_socket, why);
    kms_why_set(why, "--socket PATH says where to listen, unless systemd hands a socket over");
    return KMS_FAIL(INVALID_ARGUMENT);
}

void kms_env_credential_socket_close(kms_env_credential_socket *socket)
{
    struct stat there;
    if (socket->path != NULL && lstat(socket->path, &there) == 0 && there.st_dev == socket->device &&
        there.st_ino == socket->inode)
        unlink(socket->path);
    kms_fd_drop(&socket->fd);
}
