/*
 * Sockets without TLS, Unix and of the loopback interface: an accept loop of our own, because gRPC's listener
 * does not tell who the peer of a Unix socket is, bounds no connections and dies for want of descriptors. The
 * thread also watches how many are left. Logs what goes wrong while it runs.
 */
#ifndef KMS_RPC_LISTENER_H
#define KMS_RPC_LISTENER_H

#include <grpc/grpc.h>

#include "kmsd/rpc/peers.h"
#include "kmsd/rpc/rpc.h"

typedef struct kms_listener kms_listener;

/* Binds every socket, those of Unix with mode and owner; a file that a dead process left is replaced.
 * Nobody is answered yet. Errors: STATE_IN_USE (somebody answers there), CONFIG_INVALID (path, owner, not
 * a socket, not loopback), IO, NO_MEMORY. */
KMS_MUST_USE kms_err kms_listener_bind(const struct kms_rpc_socket *sockets, size_t count,
                                       kms_listener **ret_listener, struct kms_why *why);
/* From here on connections come in and are handed to the server, which must have been started. */
KMS_MUST_USE kms_err kms_listener_run(kms_listener *listener, grpc_server *server, kms_peers *peers);
void kms_listener_close(kms_listener *listener); /* ends the thread, removes the files; NULL is a no-op */

#endif
