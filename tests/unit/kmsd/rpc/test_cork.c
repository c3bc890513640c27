/* Sockets are found by their peer's address, and only those with several replies are held. */
#include "kmsd/rpc/cork.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness/suite.h"

struct pair {
    int listener, client, server;
    char peer[64]; /* of the server's end, as gRPC writes it */
};

/* A loopback connection; family of the listener, whose IPv6 form also takes IPv4 clients. */
static void connect_pair(int family, struct pair *p)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof v6, v4_len = sizeof v4;
    p->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *any = family == AF_INET6 ? (const void *)&v6 : (const void *)&v4;
    CU_ASSERT_EQUAL_FATAL(bind(p->listener, any, family == AF_INET6 ? sizeof v6 : sizeof v4), 0);
    CU_ASSERT_EQUAL_FATAL(listen(p->listener, 1), 0);
    if (family == AF_INET6) {
        CU_ASSERT_EQUAL_FATAL(getsockname(p->listener, (struct sockaddr *)&v6, &len), 0);
        v4.sin_port = v6.sin6_port;
    } else {
        CU_ASSERT_EQUAL_FATAL(getsockname(p->listener, (struct sockaddr *)&v4, &v4_len), 0);
    }
    p->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(p->client, (struct sockaddr *)&v4, sizeof v4), 0);
    p->server = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    v4_len = sizeof v4;
    CU_ASSERT_EQUAL_FATAL(getsockname(p->client, (struct sockaddr *)&v4, &v4_len), 0);
    snprintf(p->peer, sizeof p->peer, "ipv4:127.0.0.1:%u", ntohs(v4.sin_port));
}

static void close_pair(struct pair *p)
{
    close(p->client);
    close(p->server);
    close(p->listener);
}

static int corked(int socket)
{
    int on = -1;
    socklen_t len = sizeof on;
    CU_ASSERT_EQUAL(getsockopt(socket, IPPROTO_TCP, TCP_CORK, &on, &len), 0);
    return on;
}

static void finds_by_address(void)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < KMS_COUNT(families); i++) {
        struct pair p;
        connect_pair(families[i], &p);
        CU_ASSERT_EQUAL(kms_cork_find(p.peer), p.server);
        close_pair(&p);
        CU_ASSERT_EQUAL(kms_cork_find(p.peer), -1);
    }
}

static void finds_nothing_else(void)
{
    static const char *const peers[] = {
        "", "fd:3", "unix:", "ipv4:127.0.0.1:1", "ipv4:nonsense:80", "ipv6:%5B::1%5D:1"};
    for (size_t i = 0; i < KMS_COUNT(peers); i++) CU_ASSERT_EQUAL(kms_cork_find(peers[i]), -1);
}

static void holds_only_several(void)
{
    struct pair one, two;
    connect_pair(AF_INET, &one);
    connect_pair(AF_INET, &two);
    struct kms_cork cork = {.count = 0};
    kms_cork_add(&cork, one.server);
    kms_cork_add(&cork, two.server);
    kms_cork_add(&cork, -1);
    kms_cork_add(&cork, two.server);
    CU_ASSERT_EQUAL(cork.count, 2);
    kms_cork_hold(&cork);
    CU_ASSERT_EQUAL(corked(one.server), 0);
    CU_ASSERT_EQUAL(corked(two.server), 1);
    kms_cork_let_go(&cork);
    CU_ASSERT_EQUAL(corked(two.server), 0);
    close_pair(&one);
    close_pair(&two);
    kms_cork_hold(&cork); /* closed meanwhile: nothing happens */
    kms_cork_let_go(&cork);
}

static void is_bounded(void)
{
    struct kms_cork cork = {.count = 0};
    for (int socket = 1000; socket < 1000 + 2 * KMS_CORK_SOCKETS; socket++) kms_cork_add(&cork, socket);
    CU_ASSERT_EQUAL(cork.count, KMS_CORK_SOCKETS);
}

KMS_TEST_MAIN("kmsd/rpc/cork", {"finds by address", finds_by_address},
              {"finds nothing else", finds_nothing_else}, {"holds only several", holds_only_several},
              {"is bounded", is_bounded})
