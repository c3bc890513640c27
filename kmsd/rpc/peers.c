/* Unix peers by descriptor. */
#include "kmsd/rpc/peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct peer {
    const struct kms_rpc_socket *socket; /* NULL: no connection */
    ino_t inode;                         /* of the connection: no two sockets share one */
    struct ucred credentials;
    kms_identity *identity; /* NULL: authn refused it */
};

struct kms_peers {
    kms_authn *authn;
    size_t connections, count; /* most, and rows in use */
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
    *row = (struct peer){0};
    peers->count--;
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
    if (peers->count >= peers->connections) sweep(peers);
    if (peers->count >= peers->connections) return KMS_FAIL(LIMIT_EXCEEDED);
    peers->rows[fd] = *fresh;
    peers->count++;
    return KMS_OK;
}

kms_err kms_peers_add(kms_peers *peers, int fd, const struct kms_rpc_socket *socket)
{
    struct peer fresh = {.socket = socket};
    socklen_t len = sizeof fresh.credentials;
    struct stat st;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &fresh.credentials, &len) != 0 || fstat(fd, &st) != 0)
        return KMS_FAIL(IO);
    fresh.inode = st.st_ino;
    kms_err err =
        kms_identity_of_peer(peers->authn, &socket->socket, fresh.credentials.uid, &fresh.identity, NULL);
    if (kms_failed(err) && !kms_is(err, KMS_E_UNAUTHENTICATED)) return err;
    pthread_mutex_lock(&peers->lock);
    err = put(peers, (size_t)fd, &fresh);
    pthread_mutex_unlock(&peers->lock);
    if (kms_failed(err)) kms_identity_unref(fresh.identity);
    return err;
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
    snprintf(call->peer, sizeof call->peer, "unix:uid=%lu,pid=%ld", (unsigned long)found.credentials.uid,
             (long)found.credentials.pid);
    call->identity = found.identity;
    if (found.identity != NULL) return KMS_OK;
    /* Refused before, and refused again, now for the words. */
    return kms_identity_of_peer(peers->authn, &found.socket->socket, found.credentials.uid, &call->identity,
                                &call->why);
}
