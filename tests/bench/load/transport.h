/* A byte stream to a server: TLS 1.3 with a client certificate, or a Unix socket. Not thread-safe. */
#ifndef KMS_LOAD_TRANSPORT_H
#define KMS_LOAD_TRANSPORT_H

#include <openssl/ssl.h>

#include "base/bytes.h"

struct load_transport {
    int fd;
    SSL *ssl; /* NULL: a Unix socket */
};

/* PEM files. Errors: CONFIG_INVALID. */
KMS_MUST_USE kms_err load_tls_new(const char *ca, const char *certificate, const char *key, SSL_CTX **ret_tls,
                                  struct kms_why *why);

/* address: "tls:127.0.0.1:8443" or "unix:/path". Connects and shakes hands; what follows never blocks but
 * write. Errors: IO, INVALID_ARGUMENT. */
KMS_MUST_USE kms_err load_transport_open(const char *address, SSL_CTX *tls, struct load_transport *ret,
                                         struct kms_why *why);
void load_transport_close(struct load_transport *transport);

/* Up to cap bytes; 0 for now there are none; -1 the stream has ended. */
ssize_t load_transport_read(struct load_transport *transport, uint8_t *data, size_t cap);
/* Bytes have been received that epoll will not tell of. */
bool load_transport_pending(const struct load_transport *transport);
/* All of them, waiting for room up to a second. */
bool load_transport_write(struct load_transport *transport, struct kms_bytes data);

#endif
