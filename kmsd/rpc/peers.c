/* Peers by descriptor. */
#include "kmsd/rpc/peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/address.h"
#include "kmsd/rpc/identity.h"

struct peer {
    const struct kms_rpc_socket *socket; /* NULL: no connection */
    ino_t inode;                         /* of the connection: no two sockets share one */
    struct ucred credentials;
    char address[KMS_ADDRESS_BYTES]; /* over TCP, in place of credentials */
    kms_identity *identity;          /* NULL: authn refused it */
};

struct kms_peers {
    kms_authn *authn;
    size_t connections; /* most of each kind */
    size_t count[2];    /* rows in use, Unix and TCP */
    pthread_mutex_t lock;
    struct peer *rows; /* by descriptor */
    size_t row_count;
};

kms_err kms_peers_new(kms_authn *authn, size_t connections, kms_peers **ret_peers)
{
    kms_peers *peers = calloc(1, sizeof *peers);
    if (peers == NULL) return KMS_FAIL(NO_MEMORY);
    peers->authn = authn;
    peers->connections = connections;
    pthread_mutex_init(&peers->lock, NULL);
    *ret_peers = peers;
    return KMS_OK;
}

static void forget(kms_peers *peers, struct peer *row)
{
    if (row->socket == NULL) return;
    kms_identity_unref(row->identity);
    peers->count[row->socket->tcp]--;
    *row = (struct peer){0};
}

void kms_peers_free(kms_peers *peers)
{
    if (peers == NULL) return;
    for (size_t i = 0; i < peers->row_count; i++) forget(peers, &peers->rows[i]);
    free(peers->rows);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

/* Drops the rows whose descriptor is closed, or has become something else. */
static void sweep(kms_peers *peers)
{
    for (size_t fd = 0; fd < peers->row_count; fd++) {
        struct stat st;
        struct peer *row = &peers->rows[fd];
        if (row->socket != NULL &&
            (fstat((int)fd, &st) != 0 || !S_ISSOCK(st.st_mode) || st.st_ino != row->inode))
            forget(peers, row);
    }
}

static kms_err reach(kms_peers *peers, size_t fd)
{
    if (fd < peers->row_count) return KMS_OK;
    size_t count = peers->row_count < 64 ? 64 : peers->row_count;
    while (count <= fd) count *= 2;
    struct peer *rows = realloc(peers->rows, count * sizeof *rows);
    if (rows == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = peers->row_count; i < count; i++) rows[i] = (struct peer){0};
    peers->rows = rows;
    peers->row_count = count;
    return KMS_OK;
}

static kms_err put(kms_peers *peers, size_t fd, const struct peer *fresh)
{
    KMS_TRY(reach(peers, fd));
    forget(peers, &peers->rows[fd]); /* of a connection that is closed: else the number were not free */
    size_t *count = &peers->count[fresh->socket->tcp];
    if (*count >= peers->connections) sweep(peers);
    if (*count >= peers->connections) return KMS_FAIL(LIMIT_EXCEEDED);
    peers->rows[fd] = *fresh;
    (*count)++;
    return KMS_OK;
}

static kms_err ask_kernel(int fd, bool tcp, struct peer *ret_peer)
{
    struct stat st;
    struct sockaddr_storage address;
    socklen_t len = sizeof ret_peer->credentials, address_len = sizeof address;
    int failed = tcp ? getpeername(fd, (struct sockaddr *)&address, &address_len)
                     : getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ret_peer->credentials, &len);
    if (failed || fstat(fd, &st) != 0) return KMS_FAIL(IO);
    if (tcp) kms_address_text(&address, ret_peer->address);
    ret_peer->inode = st.st_ino;
    return KMS_OK;
}

static kms_err identify(kms_authn *authn, const struct peer *peer, kms_identity **ret_identity,
                        struct kms_why *why)
{
    const struct kms_unix_socket *socket = &peer->socket->socket;
    return peer->socket->tcp ? kms_identity_of_anybody(authn, socket, ret_identity, why)
                             : kms_identity_of_peer(authn, socket, peer->credentials.uid, ret_identity, why);
}

kms_err kms_peers_add(kms_peers *peers, int fd, const struct kms_rpc_socket *socket)
{
    struct peer fresh = {.socket = socket};
    KMS_TRY(ask_kernel(fd, socket->tcp, &fresh));
    kms_err err = identify(peers->authn, &fresh, &fresh.identity, NULL);
    if (kms_failed(err) && !kms_is(err, KMS_E_UNAUTHENTICATED)) return err;
    pthread_mutex_lock(&peers->lock);
    err = put(peers, (size_t)fd, &fresh);
    pthread_mutex_unlock(&peers->lock);
    if (kms_failed(err)) kms_identity_unref(fresh.identity);
    return err;
}

static void describe(const struct peer *peer, struct kms_call *call)
{
    if (peer->socket->tcp) {
        bool v6 = peer->address[0] == '[';
        snprintf(call->peer, sizeof call->peer, "%s:%s", v6 ? "ipv6" : "ipv4", peer->address);
        kms_source_ip(call->peer, call->source_ip, sizeof call->source_ip);
    } else {
        snprintf(call->peer, sizeof call->peer, "unix:uid=%lu,pid=%ld", (unsigned long)peer->credentials.uid,
                 (long)peer->credentials.pid);
    }
}

kms_err kms_peers_find(kms_peers *peers, int fd, struct kms_call *call, const struct kms_door **ret_door)
{
    struct peer found = {0};
    pthread_mutex_lock(&peers->lock);
    if (fd >= 0 && (size_t)fd < peers->row_count) found = peers->rows[fd];
    if (found.identity != NULL) kms_identity_ref(found.identity);
    pthread_mutex_unlock(&peers->lock);
    if (found.socket == NULL) {
        kms_why_set(&call->why, "the peer of this connection is not known");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    *ret_door = &found.socket->door;
    describe(&found, call);
    call->identity = found.identity;
    if (found.identity != NULL) return KMS_OK;
    /* Refused before, and refused again, now for the words. */
    return identify(peers->authn, &found, &call->identity, &call->why);
}
