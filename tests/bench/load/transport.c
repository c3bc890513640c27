/* Sockets and OpenSSL behind one read and one write. */
#include "tests/bench/load/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WRITE_WAIT_MS = 1000 };

static kms_err tls_failed(const char *what, struct kms_why *why)
{
    char text[256];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    kms_why_set(why, "%s: %s", what, text);
    return KMS_FAIL(CONFIG_INVALID);
}

kms_err load_tls_new(const char *ca, const char *certificate, const char *key, SSL_CTX **ret_tls,
                     struct kms_why *why)
{
    static const uint8_t alpn[] = {2, 'h', '2'};
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL) return KMS_FAIL(NO_MEMORY);
    if (SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(tls, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_alpn_protos(tls, alpn, sizeof alpn) != 0) {
        SSL_CTX_free(tls);
        return tls_failed("client certificate", why);
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, 1); /* header and body of a record by one recv */
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    *ret_tls = tls;
    return KMS_OK;
}

static kms_err connect_to(const struct sockaddr *address, socklen_t len, const char *text, int *ret_fd,
                          struct kms_why *why)
{
    KMS_OWN_FD fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, address, len) != 0) {
        kms_why_set(why, "%s: %s", text, strerror(errno));
        return KMS_FAIL(IO);
    }
    *ret_fd = fd;
    fd = -1;
    return KMS_OK;
}

static kms_err open_unix(const char *path, struct load_transport *ret, struct kms_why *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return connect_to((const struct sockaddr *)&address, sizeof address, path, &ret->fd, why);
}

static kms_err open_tcp(const char *host, const char *port, int *ret_fd, struct kms_why *why)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        kms_why_set(why, "not an IPv4 address: %s", host);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(connect_to((const struct sockaddr *)&address, sizeof address, host, ret_fd, why));
    int on = 1;
    setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return KMS_OK;
}

static kms_err open_tls(const char *host_port, SSL_CTX *tls, struct load_transport *ret, struct kms_why *why)
{
    char host[64];
    snprintf(host, sizeof host, "%s", host_port);
    char *colon = strchr(host, ':');
    if (colon == NULL || tls == NULL) {
        kms_why_set(why, "%s: HOST:PORT and certificates are needed", host_port);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    *colon = '\0';
    KMS_TRY(open_tcp(host, colon + 1, &ret->fd, why));
    ret->ssl = SSL_new(tls);
    if (ret->ssl == NULL || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ret->ssl), host) != 1 ||
        SSL_set_fd(ret->ssl, ret->fd) != 1 || SSL_connect(ret->ssl) != 1)
        return tls_failed(host_port, why);
    return KMS_OK;
}

kms_err load_transport_open(const char *address, SSL_CTX *tls, struct load_transport *ret,
                            struct kms_why *why)
{
    struct load_transport opened = {.fd = -1};
    kms_err err = KMS_FAIL(INVALID_ARGUMENT);
    if (strncmp(address, "tls:", 4) == 0)
        err = open_tls(address + 4, tls, &opened, why);
    else if (strncmp(address, "unix:", 5) == 0)
        err = open_unix(address + 5, &opened, why);
    else
        kms_why_set(why, "neither tls: nor unix: %s", address);
    if (kms_failed(err)) {
        load_transport_close(&opened);
        return err;
    }
    fcntl(opened.fd, F_SETFL, O_NONBLOCK);
    *ret = opened;
    return KMS_OK;
}

void load_transport_close(struct load_transport *transport)
{
    SSL_free(transport->ssl);
    transport->ssl = NULL;
    kms_fd_drop(&transport->fd);
}

ssize_t load_transport_read(struct load_transport *transport, uint8_t *data, size_t cap)
{
    if (transport->ssl != NULL) {
        int got = SSL_read(transport->ssl, data, (int)cap);
        if (got > 0) return got;
        return SSL_get_error(transport->ssl, got) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t got = recv(transport->fd, data, cap, 0);
    if (got > 0) return got;
    return got < 0 && errno == EAGAIN ? 0 : -1;
}

bool load_transport_pending(const struct load_transport *transport)
{
    return transport->ssl != NULL && SSL_has_pending(transport->ssl);
}

/* Bytes taken; 0: no room; -1: the stream has ended. */
static ssize_t write_some(struct load_transport *transport, const uint8_t *data, size_t len)
{
    if (transport->ssl != NULL) {
        int put = SSL_write(transport->ssl, data, (int)len);
        if (put > 0) return put;
        return SSL_get_error(transport->ssl, put) == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t put = send(transport->fd, data, len, MSG_NOSIGNAL);
    return put < 0 && errno == EAGAIN ? 0 : put;
}

bool load_transport_write(struct load_transport *transport, struct kms_bytes data)
{
    for (size_t done = 0; done < data.len;) {
        ssize_t put = write_some(transport, data.ptr + done, data.len - done);
        if (put < 0) return false;
        struct pollfd room = {.fd = transport->fd, .events = POLLOUT};
        if (put == 0 && poll(&room, 1, WRITE_WAIT_MS) <= 0) return false;
        done += (size_t)put;
    }
    return true;
}
