/*
 * The peers of connections without TLS, by descriptor. The kernel names a peer once, when its connection is
 * accepted (SO_PEERCRED, unix(7); over TCP there is only an address); gRPC then owns the descriptor and
 * calls the connection "fd:N". A descriptor stays open as long as a call on it lives, and its row is
 * written before gRPC gets it, so a live call always finds its own peer. Nobody says when gRPC has closed a
 * descriptor: that is found by its inode, when the table is full. Thread-safe.
 */
#ifndef KMS_RPC_PEERS_H
#define KMS_RPC_PEERS_H

#include <sys/types.h>

#include "kmsd/rpc/rpc.h"

typedef struct kms_peers kms_peers;

/* connections: most that there may be of each kind, Unix and TCP. */
KMS_MUST_USE kms_err kms_peers_new(kms_authn *authn, size_t connections, kms_peers **ret_peers);
void kms_peers_free(kms_peers *peers); /* NULL is a no-op */

/* Asks the kernel who is at the other end of fd. A peer that maps to no principal is kept too: its calls are
 * told so. socket is borrowed for the life of the table. Errors: LIMIT_EXCEEDED (connections), NO_MEMORY, IO.
 */
KMS_MUST_USE kms_err kms_peers_add(kms_peers *peers, int fd, const struct kms_rpc_socket *socket);
/* Fills identity, peer and source_ip, and *ret_door, if the peer is known. UNAUTHENTICATED with the cause
 * in call->why; peer and door are filled either way. */
KMS_MUST_USE kms_err kms_peers_find(kms_peers *peers, int fd, struct kms_call *call,
                                    const struct kms_door **ret_door);

#endif
