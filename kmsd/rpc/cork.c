/* TCP_CORK around the replies of a batch. */
#include "kmsd/rpc/cork.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kmsd/rpc/identity.h"

/* An address in the one form that IPv4 and IPv6 share. */
struct end {
    struct in6_addr address;
    in_port_t port; /* network byte order */
};

static void map_v4(const struct in_addr *v4, struct in6_addr *ret_v6)
{
    *ret_v6 = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ret_v6->s6_addr[12], v4, sizeof *v4);
}

static bool end_of_text(const char *peer, struct end *ret_end)
{
    char ip[INET6_ADDRSTRLEN];
    struct in_addr v4;
    const char *port = strrchr(peer, ':');
    kms_source_ip(peer, ip, sizeof ip);
    if (port == NULL || ip[0] == '\0') return false;
    ret_end->port = htons((uint16_t)atoi(port + 1));
    if (inet_pton(AF_INET6, ip, &ret_end->address) == 1) return true;
    if (inet_pton(AF_INET, ip, &v4) != 1) return false;
    map_v4(&v4, &ret_end->address);
    return true;
}

static bool end_of_socket(int fd, struct end *ret_end)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) return false;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)&peer;
        map_v4(&v4->sin_addr, &ret_end->address);
        ret_end->port = v4->sin_port;
        return true;
    }
    if (peer.ss_family != AF_INET6) return false;
    const struct sockaddr_in6 *v6 = (const void *)&peer;
    ret_end->address = v6->sin6_addr;
    ret_end->port = v6->sin6_port;
    return true;
}

int kms_cork_find(const char *peer)
{
    struct end wanted, end;
    if (!end_of_text(peer, &wanted)) return -1;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) return -1;
    int found = -1;
    for (const struct dirent *entry; found < 0 && (entry = readdir(directory)) != NULL;) {
        int fd = atoi(entry->d_name); /* "." and ".." are 0: no harm in looking there */
        bool same = end_of_socket(fd, &end) && end.port == wanted.port &&
                    memcmp(&end.address, &wanted.address, sizeof end.address) == 0;
        if (same) found = fd;
    }
    closedir(directory);
    return found;
}

void kms_cork_add(struct kms_cork *cork, int socket)
{
    if (socket < 0) return;
    for (size_t i = 0; i < cork->count; i++) {
        if (cork->at[i].socket != socket) continue;
        cork->at[i].replies++;
        return;
    }
    if (cork->count == KMS_CORK_SOCKETS) return;
    cork->at[cork->count].socket = socket;
    cork->at[cork->count++].replies = 1;
}

static void set(const struct kms_cork *cork, int on)
{
    for (size_t i = 0; i < cork->count; i++) {
        if (cork->at[i].replies < 2) continue;
        /* The connection may have ended meanwhile: then there is nothing to hold. */
        (void)setsockopt(cork->at[i].socket, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    }
}

void kms_cork_hold(const struct kms_cork *cork)
{
    set(cork, 1);
}
void kms_cork_let_go(const struct kms_cork *cork)
{
    set(cork, 0);
}
