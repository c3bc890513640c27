/* Binds sockets, accepts on them, and hands connections to gRPC. */
#include "kmsd/rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"

enum { BACKLOG = 512, ACCEPT_BATCH = 64, PAUSE_MS = 100, WATCH_MS = 5000 };

struct door {
    const struct kms_rpc_socket *options;
    int fd;
    dev_t device; /* of the file, so that only our own is removed */
    ino_t inode;
};

struct kms_listener {
    struct door *doors;
    struct pollfd *wait; /* one for each door, and wake */
    size_t count;        /* bound */
    int wake;            /* eventfd: the thread shall end */
    pthread_t thread;
    bool running, scarce;
    grpc_server *server;
    kms_peers *peers;
};

static kms_err failed(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return KMS_FAIL(IO);
}

static kms_err socket_address(const char *path, struct sockaddr_un *ret_address, struct kms_why *why)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/' || strlen(path) >= sizeof ret_address->sun_path) {
        kms_why_set(why, "%s: a socket needs an absolute path of at most %zu bytes", path,
                    sizeof ret_address->sun_path - 1);
        return KMS_FAIL(CONFIG_INVALID);
    }
    kms_copy(ret_address->sun_path, path, strlen(path));
    return KMS_OK;
}

/* A file in the way is removed only when it is a socket on which nobody listens. */
static kms_err clear_way(const char *path, const struct sockaddr_un *address, struct kms_why *why)
{
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? KMS_OK : failed(path, why);
    if (!S_ISSOCK(st.st_mode)) {
        kms_why_set(why, "%s: there is a file that is not a socket", path);
        return KMS_FAIL(CONFIG_INVALID);
    }
    KMS_OWN_FD probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return failed(path, why);
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN) {
        kms_why_set(why, "%s: another process answers there", path);
        return KMS_FAIL(STATE_IN_USE);
    }
    if (errno != ECONNREFUSED) return failed(path, why);
    return unlink(path) == 0 ? KMS_OK : failed(path, why);
}

/* A name or a number; "" is (id_t)-1, which chown leaves alone. */
static bool owner_ids(const struct kms_rpc_socket *options, uid_t *ret_uid, gid_t *ret_gid)
{
    char *end;
    *ret_uid = (uid_t)-1;
    *ret_gid = (gid_t)-1;
    if (options->owner != NULL && options->owner[0] != '\0') {
        const struct passwd *user = getpwnam(options->owner);
        *ret_uid = user != NULL ? user->pw_uid : (uid_t)strtoul(options->owner, &end, 10);
        if (user == NULL && *end != '\0') return false;
    }
    if (options->group != NULL && options->group[0] != '\0') {
        const struct group *group = getgrnam(options->group);
        *ret_gid = group != NULL ? group->gr_gid : (gid_t)strtoul(options->group, &end, 10);
        if (group == NULL && *end != '\0') return false;
    }
    return true;
}

static kms_err open_tcp(const struct kms_rpc_socket *options, struct door *ret_door, struct kms_why *why)
{
    struct sockaddr_storage address;
    socklen_t len;
    char bound[KMS_ADDRESS_BYTES];
    const char *path = options->socket.path;
    const int on = 1;
    if (!kms_loopback_parse(path, &address, &len)) {
        kms_why_set(why, "%s: not an address of the loopback interface with a port, such as 127.0.0.1:5000",
                    path);
        return KMS_FAIL(CONFIG_INVALID);
    }
    KMS_OWN_FD fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* So that a restart need not wait for connections that have ended. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return failed(path, why);
    kms_address_text(&address, bound);
    kms_log(KMS_LOG_WARN, "rpc.tcp",
            "address=%s protocol=%s principal=\"%s\" msg=\"no TLS: whoever runs on "
            "this machine can call as this principal\"",
            bound, kms_protocol_name(options->door.protocol), options->socket.principal);
    *ret_door = (struct door){.options = options, .fd = fd};
    fd = -1;
    return KMS_OK;
}

static kms_err open_unix(const struct kms_rpc_socket *options, struct door *ret_door, struct kms_why *why)
{
    const char *path = options->socket.path;
    struct sockaddr_un address;
    uid_t uid;
    gid_t gid;
    struct stat st;
    KMS_TRY(socket_address(path, &address, why));
    if (!owner_ids(options, &uid, &gid)) {
        kms_why_set(why, "%s: no such user '%s' or group '%s'", path, options->owner, options->group);
        return KMS_FAIL(CONFIG_INVALID);
    }
    KMS_TRY(clear_way(path, &address, why));
    KMS_OWN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) return failed(path, why);
    *ret_door = (struct door){.options = options, .fd = -1};
    /* Nobody can connect before listen, so there is no moment with the wrong mode. */
    if (lstat(path, &st) != 0 || chown(path, uid, gid) != 0 || chmod(path, options->mode) != 0 ||
        listen(fd, BACKLOG) != 0) {
        kms_err err = failed(path, why);
        unlink(path);
        return err;
    }
    *ret_door = (struct door){.options = options, .fd = fd, .device = st.st_dev, .inode = st.st_ino};
    fd = -1;
    return KMS_OK;
}

kms_err kms_listener_bind(const struct kms_rpc_socket *sockets, size_t count, kms_listener **ret_listener,
                          struct kms_why *why)
{
    kms_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = KMS_OK;
    listener->doors = calloc(count + 1, sizeof *listener->doors);
    listener->wait = calloc(count + 1, sizeof *listener->wait);
    listener->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->doors == NULL || listener->wait == NULL || listener->wake < 0) err = KMS_FAIL(NO_MEMORY);
    while (!kms_failed(err) && listener->count < count) {
        const struct kms_rpc_socket *socket = &sockets[listener->count];
        struct door *door = &listener->doors[listener->count];
        err = socket->tcp ? open_tcp(socket, door, why) : open_unix(socket, door, why);
        if (!kms_failed(err)) listener->count++;
    }
    if (kms_failed(err))
        kms_listener_close(listener);
    else
        *ret_listener = listener;
    return err;
}

/* gRPC's own listener dies of EMFILE (ours does not), so the operator hears of it before it happens. */
static void watch_descriptors(kms_listener *listener)
{
    struct rlimit limit;
    int lowest_free = fcntl(listener->wake, F_DUPFD_CLOEXEC, 0);
    int err = errno;
    if (lowest_free >= 0) close(lowest_free);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    bool scarce = lowest_free < 0 ? err == EMFILE : (rlim_t)lowest_free >= limit.rlim_cur / 10 * 9;
    if (scarce && !listener->scarce)
        kms_log(
            KMS_LOG_ERROR, "rpc.descriptors",
            "limit=%llu msg=\"nine tenths of all descriptors are taken: raise "
            "LimitNOFILE or find who connects; without descriptors the TLS listener dies until a restart\"",
            (unsigned long long)limit.rlim_cur);
    listener->scarce = scarce;
}

static void admit(kms_listener *listener, const struct door *door, int fd)
{
    const int on = 1;
    if (door->options->tcp) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    kms_err err = kms_peers_add(listener->peers, fd, door->options);
    if (kms_failed(err)) {
        kms_log(KMS_LOG_WARN, "rpc.connection", "socket=%s err=%s", door->options->socket.path,
                kms_err_reason(err));
        close(fd);
        return;
    }
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    grpc_server_add_channel_from_fd(listener->server, fd, plain); /* fd is gRPC's now */
    grpc_server_credentials_release(plain);
}

/* False: out of descriptors or memory; waiting helps, trying again at once does not. */
static bool accept_some(kms_listener *listener, const struct door *door)
{
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(listener, door, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno == EAGAIN) return true;
            kms_log(KMS_LOG_ERROR, "rpc.accept", "socket=%s err=\"%s\"", door->options->socket.path,
                    strerror(errno));
            return false;
        }
    }
    return true;
}

static void *run(void *self)
{
    kms_listener *listener = self;
    struct pollfd *wait = listener->wait, *wake = &wait[listener->count];
    *wake = (struct pollfd){.fd = listener->wake, .events = POLLIN};
    for (size_t i = 0; i < listener->count; i++)
        wait[i] = (struct pollfd){.fd = listener->doors[i].fd, .events = POLLIN};
    for (;;) {
        int ready = poll(wait, listener->count + 1, WATCH_MS);
        if (ready > 0 && wake->revents != 0) return NULL;
        bool fine = ready >= 0 || errno == EINTR;
        for (size_t i = 0; ready > 0 && i < listener->count; i++)
            if (wait[i].revents != 0) fine = accept_some(listener, &listener->doors[i]) && fine;
        watch_descriptors(listener);
        if (!fine) poll(wake, 1, PAUSE_MS);
    }
}

kms_err kms_listener_run(kms_listener *listener, grpc_server *server, kms_peers *peers)
{
    listener->server = server;
    listener->peers = peers;
    if (pthread_create(&listener->thread, NULL, run, listener) != 0) return KMS_FAIL(NO_MEMORY);
    listener->running = true;
    pthread_setname_np(listener->thread, "rpc-accept");
    return KMS_OK;
}

void kms_listener_close(kms_listener *listener)
{
    if (listener == NULL) return;
    if (listener->running) {
        eventfd_write(listener->wake, 1);
        pthread_join(listener->thread, NULL);
    }
    for (size_t i = 0; i < listener->count; i++) {
        const struct door *door = &listener->doors[i];
        struct stat st;
        const char *path = door->options->socket.path;
        if (!door->options->tcp && lstat(path, &st) == 0 && st.st_dev == door->device &&
            st.st_ino == door->inode)
            unlink(path);
        close(door->fd);
    }
    if (listener->wake >= 0) close(listener->wake);
    free(listener->wait);
    free(listener->doors);
    free(listener);
}
