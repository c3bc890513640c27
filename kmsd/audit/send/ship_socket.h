/* Where records are sent to: the socket of a log shipper, or of syslog. Not thread-safe. */
#ifndef KMS_AUDIT_SHIP_SOCKET_H
#define KMS_AUDIT_SHIP_SOCKET_H

#include "base/bytes.h"
#include "kmsd/audit/ship.h"

struct kms_ship_socket {
    enum kms_ship_kind kind;
    const char *path; /* borrowed */
    uint32_t timeout_ms;
    int fd; /* -1: not connected */
};

/* IO: why names the path and the cause. */
KMS_MUST_USE kms_err kms_ship_connect(struct kms_ship_socket *socket, struct kms_why *why);
/* The whole line, given without its LF. IO: nothing was taken for timeout_ms, or the other end is gone; the
 * socket is closed, and part of the line may have arrived. */
KMS_MUST_USE kms_err kms_ship_send(struct kms_ship_socket *socket, struct kms_bytes line,
                                   struct kms_why *why);
/* *ret_bytes: sent, and not read by the other end yet; more than that, since the kernel counts what holds
 * them, too. False: it is gone, and what it had not read is lost; or there is no connection. */
bool kms_ship_waiting(const struct kms_ship_socket *socket, uint64_t *ret_bytes);
void kms_ship_disconnect(struct kms_ship_socket *socket);

#endif
