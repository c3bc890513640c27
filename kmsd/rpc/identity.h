/*
 * Who is behind a call: the certificate of its TLS connection, or the peer that the kernel named when a Unix
 * connection was accepted (peers.h). Fills identity, peer and source_ip of the call.
 */
#ifndef KMS_RPC_IDENTITY_H
#define KMS_RPC_IDENTITY_H

#include <grpc/grpc_security.h>

#include "kmsd/authn/authn.h"
#include "kmsd/rpc/peers.h"
#include "kmsd/service/call.h"

/* What certificates of live connections were found to mean, so that a call costs a comparison instead of a
 * parse. One for each thread: not thread-safe. */
typedef struct kms_certificates kms_certificates;

/* Remembers about that many connections; more cost a parse again. */
KMS_MUST_USE kms_err kms_certificates_new(kms_authn *authn, size_t connections,
                                          kms_certificates **ret_certificates);
void kms_certificates_free(kms_certificates *certificates); /* NULL is a no-op */
/* context tells connections apart while they live; its address may return with another certificate. The
 * caller owns a reference. UNAUTHENTICATED with the cause. */
KMS_MUST_USE kms_err kms_certificates_find(kms_certificates *certificates, const void *context,
                                           struct kms_bytes pem, kms_identity **ret_identity,
                                           struct kms_why *why);
/* The socket of the connection that context belongs to now and peer is at, for cork.h; -1: not known, or
 * not yet, since looking for it costs more the more connections there are. After kms_certificates_find. */
int kms_certificates_socket(kms_certificates *certificates, const void *context, const char *peer);

/* How a call came in. */
struct kms_way {
    int socket;                  /* of a TCP connection (cork.h), else -1 */
    const struct kms_door *door; /* NULL: nobody knows */
};
/* UNAUTHENTICATED with the cause in call->why; peer, source_ip and *ret_way are filled either way. */
KMS_MUST_USE kms_err kms_identify(kms_certificates *certificates, kms_peers *peers, grpc_call *grpc_call,
                                  struct kms_call *call, struct kms_way *ret_way);

/* gRPC's "ipv4:A:PORT" or "ipv6:%5BA%5D:PORT" to the address alone, "" when it is neither. */
void kms_source_ip(const char *peer, char *text, size_t text_cap);

#endif
