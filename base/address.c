/* Addresses of this machine. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_port(const char *text, in_port_t *ret_port)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len) return false;
    unsigned long port = strtoul(text, NULL, 10);
    *ret_port = htons((in_port_t)port);
    return port <= 65535;
}

bool kms_loopback_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
    char host[KMS_ADDRESS_BYTES];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const char *colon = strrchr(text, ':');
    in_port_t port;
    if (colon == NULL || (size_t)(colon - text) >= sizeof host || !read_port(colon + 1, &port)) return false;
    v4.sin_port = v6.sin6_port = port;
    bool bracketed = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - text) - 2 * bracketed, text + bracketed);
    *ret_address = (struct sockaddr_storage){0};
    if (!bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1 && ntohl(v4.sin_addr.s_addr) >> 24 == 127) {
        *ret_len = sizeof v4;
        memcpy(ret_address, &v4, sizeof v4);
        return true;
    }
    if (!bracketed || inet_pton(AF_INET6, host, &v6.sin6_addr) != 1 || !IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr))
        return false;
    *ret_len = sizeof v6;
    memcpy(ret_address, &v6, sizeof v6);
    return true;
}

void kms_address_text(const struct sockaddr_storage *address, char text[KMS_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    text[0] = '\0';
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(text, KMS_ADDRESS_BYTES, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    } else if (address->ss_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(text, KMS_ADDRESS_BYTES, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
    }
}
