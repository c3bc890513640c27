/*
 * Replies that leave together. gRPC sends once for each reply; between kms_cork_hold and kms_cork_let_go
 * the kernel keeps what is sent on a TCP connection and then sends it as few segments (TCP_CORK, tcp(7)),
 * which costs a sixth less CPU for a batch. Only a connection with several replies in the batch is held. It
 * cannot harm a stream: whatever socket an outdated descriptor has come to be is held for microseconds and
 * let go, and a file is no socket. One write of gRPC for all of them would save another 6 to 8 %, and is
 * not to be had: docs/performance.md, "One send for a batch of replies".
 */
#ifndef KMS_RPC_CORK_H
#define KMS_RPC_CORK_H

#include "kmsd/service/call.h"

/* The descriptor of gRPC's connection to this peer ("ipv4:127.0.0.1:40512"), found among the descriptors
 * of the process by its address; -1: not a TCP peer, or none has it. Costs a system call for each
 * descriptor: once for a connection that is busy. */
int kms_cork_find(const char *peer);

enum { KMS_CORK_SOCKETS = 32 }; /* connections held at once; replies on more leave one by one */
struct kms_cork {
    struct {
        int socket;
        unsigned replies;
    } at[KMS_CORK_SOCKETS];
    size_t count;
};
/* One more reply will leave on this socket (-1: nothing). Zero-initialise the cork before the first. */
void kms_cork_add(struct kms_cork *cork, int socket);
void kms_cork_hold(const struct kms_cork *cork);
void kms_cork_let_go(const struct kms_cork *cork);

#endif
