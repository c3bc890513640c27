/* Addresses, remembered certificates, and the table of Unix peers. */
#include "kmsd/rpc/identity.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "kmsd/rpc/tls.h"
#include "tests/harness/suite.h"
#include "world.h"

static void test_source_ip(void)
{
    static const struct {
        const char *peer, *address;
    } cases[] = {
        {"ipv4:127.0.0.1:40512", "127.0.0.1"},
        {"ipv6:%5B::1%5D:40512", "::1"},
        {"ipv6:[2001:db8::7]:443", "2001:db8::7"},
        {"ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::1"},
        {"ipv6:%5B::ffff:10.1.2.3%5D:1", "10.1.2.3"},
        {"ipv4:300.0.0.1:1", ""},
        {"ipv4:127.0.0.1", ""},
        {"ipv6:%5B::1", ""},
        {"unix:/run/x", ""},
        {"", ""},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char text[48];
        kms_source_ip(cases[i].peer, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].address);
    }
}

static kms_err find(kms_certificates *c, const void *context, const char *pem, char *principal)
{
    kms_identity *identity = NULL;
    struct kms_why why;
    kms_err err = kms_certificates_find(c, context, kms_bytes_text(pem), &identity, &why);
    snprintf(principal, KMS_PRINCIPAL_BYTES, "%s", kms_failed(err) ? why.text : identity->principal);
    kms_identity_unref(identity);
    return err;
}

static void test_certificates(void)
{
    KMS_OWN_BUF client = {0}, server = {0};
    CU_ASSERT_FATAL(world_certificates());
    KMS_ASSERT_OK_FATAL(kms_read_file(world_path("client.pem"), 65536, &client, NULL));
    KMS_ASSERT_OK_FATAL(kms_read_file(world_path("server.pem"), 65536, &server, NULL));
    struct kms_authn authn = {false};
    kms_certificates *c = NULL;
    char name[KMS_PRINCIPAL_BYTES];
    static const char contexts[5000];
    KMS_ASSERT_OK_FATAL(kms_certificates_new(&authn, 8, &c));
    for (int i = 0; i < 3; i++) {
        KMS_ASSERT_OK(find(c, &contexts[0], (const char *)client.data, name));
        CU_ASSERT_STRING_EQUAL(name, "cn:client");
    }
    CU_ASSERT_EQUAL(authn.certificates_parsed, 1);
    /* the address comes back with another connection */
    KMS_ASSERT_OK(find(c, &contexts[0], (const char *)server.data, name));
    CU_ASSERT_STRING_EQUAL(name, "cn:localhost");
    CU_ASSERT_EQUAL(authn.certificates_parsed, 2);
    /* refusals are remembered with their words */
    for (int i = 0; i < 2; i++) {
        KMS_ASSERT_CODE(find(c, &contexts[1], "nonsense", name), UNAUTHENTICATED);
        CU_ASSERT_STRING_EQUAL(name, "nobody we know");
    }
    CU_ASSERT_EQUAL(authn.certificates_parsed, 3);
    /* more connections than places */
    for (size_t i = 0; i < sizeof contexts; i++)
        KMS_ASSERT_OK(find(c, &contexts[i], (const char *)client.data, name));
    kms_certificates_free(c);
}

static void test_peers(void)
{
    struct kms_unix_mapping mine = {.uid = geteuid(), .principal = "me"};
    struct kms_rpc_socket door = {.socket = {.path = "/x", .principal = "", .uids = &mine, .uid_count = 1},
                                  .door = {.protocol = KMS_PROTOCOL_SOPS}};
    struct kms_rpc_socket closed = {.socket = {.path = "/y", .principal = ""}};
    const struct kms_door *found = NULL;
    struct kms_authn authn = {false};
    kms_peers *peers = NULL;
    int a[2], b[2], c[2];
    KMS_ASSERT_OK_FATAL(kms_peers_new(&authn, 2, &peers));
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, a) == 0 &&
                    socketpair(AF_UNIX, SOCK_STREAM, 0, b) == 0);
    KMS_ASSERT_OK(kms_peers_add(peers, a[0], &door));
    KMS_ASSERT_OK(kms_peers_add(peers, b[0], &closed));
    struct kms_call call = {.err = KMS_OK};
    KMS_ASSERT_OK(kms_peers_find(peers, a[0], &call, &found));
    CU_ASSERT_STRING_EQUAL(call.identity->principal, "me");
    CU_ASSERT_PTR_EQUAL(found, &door.door);
    char want[128];
    snprintf(want, sizeof want, "unix:uid=%u,pid=%d", geteuid(), getpid());
    CU_ASSERT_STRING_EQUAL(call.peer, want);
    kms_identity_drop(&call.identity);
    KMS_ASSERT_CODE(kms_peers_find(peers, b[0], &call, &found), UNAUTHENTICATED);
    CU_ASSERT_STRING_EQUAL(call.peer, want);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "is not mapped"));
    CU_ASSERT_PTR_EQUAL(found, &closed.door); /* refused, but by this door */
    KMS_ASSERT_CODE(kms_peers_find(peers, 4000, &call, &found), UNAUTHENTICATED);
    KMS_ASSERT_CODE(kms_peers_find(peers, -1, &call, &found), UNAUTHENTICATED);
    /* full, until one is closed; its number comes back with somebody else */
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, c) == 0);
    KMS_ASSERT_CODE(kms_peers_add(peers, c[0], &door), LIMIT_EXCEEDED);
    close(a[0]);
    KMS_ASSERT_OK(kms_peers_add(peers, c[0], &door));
    CU_ASSERT_EQUAL_FATAL(dup2(b[0], c[0]), c[0]);
    KMS_ASSERT_OK(kms_peers_add(peers, c[0], &closed));
    KMS_ASSERT_CODE(kms_peers_find(peers, c[0], &call, &found), UNAUTHENTICATED);
    KMS_ASSERT_CODE(kms_peers_add(peers, STDERR_FILENO, &door), IO);
    kms_peers_free(peers);
    for (int i = 0; i < 2; i++) close(b[i]), close(c[i]);
    close(a[1]);
}

/* A connection over the loopback interface: ret_ends[0] is the server's. */
static void connect_tcp(int family, int ret_ends[2])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    const char *any = family == AF_INET ? "127.0.0.1:0" : "[::1]:0";
    CU_ASSERT_FATAL(kms_loopback_parse(any, &address, &len));
    int door = socket(family, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(door >= 0 && bind(door, (struct sockaddr *)&address, len) == 0 && listen(door, 1) == 0);
    CU_ASSERT_FATAL(getsockname(door, (struct sockaddr *)&address, &len) == 0);
    ret_ends[1] = socket(family, SOCK_STREAM, 0);
    CU_ASSERT_FATAL(connect(ret_ends[1], (struct sockaddr *)&address, len) == 0);
    ret_ends[0] = accept(door, NULL, NULL);
    CU_ASSERT_FATAL(ret_ends[0] >= 0);
    close(door);
}

/* Over TCP everybody is one; such connections take no place of others. */
static void test_tcp_peers(void)
{
    struct kms_rpc_socket tcp = {.tcp = true, .socket = {.path = "127.0.0.1:0", .principal = "any"}};
    struct kms_rpc_socket local = {.socket = {.path = "/x", .principal = "me"}};
    struct kms_authn authn = {false};
    const struct kms_door *found = NULL;
    kms_peers *peers = NULL;
    int a[2], b[2], c[2];
    KMS_ASSERT_OK_FATAL(kms_peers_new(&authn, 1, &peers));
    connect_tcp(AF_INET, a);
    connect_tcp(AF_INET, b);
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, c) == 0);
    KMS_ASSERT_OK(kms_peers_add(peers, a[0], &tcp));
    KMS_ASSERT_CODE(kms_peers_add(peers, b[0], &tcp), LIMIT_EXCEEDED);
    KMS_ASSERT_OK(kms_peers_add(peers, c[0], &local));
    KMS_ASSERT_CODE(kms_peers_add(peers, STDERR_FILENO, &tcp), IO);
    struct kms_call call = {.err = KMS_OK};
    KMS_ASSERT_OK(kms_peers_find(peers, a[0], &call, &found));
    CU_ASSERT_STRING_EQUAL(call.identity->principal, "any");
    CU_ASSERT_EQUAL(strncmp(call.peer, "ipv4:127.0.0.1:", 15), 0);
    CU_ASSERT_STRING_EQUAL(call.source_ip, "127.0.0.1");
    CU_ASSERT_PTR_EQUAL(found, &tcp.door);
    kms_identity_drop(&call.identity);
    close(a[0]);
    KMS_ASSERT_OK(kms_peers_add(peers, b[0], &tcp)); /* the place is free again */
    kms_peers_free(peers);
    for (int i = 0; i < 2; i++) close(b[i]), close(c[i]);
    close(a[1]);
}

/* Ten thousand connections that call again and again are each parsed once, but for few that share a place. */
static void test_certificates_of_a_crowd(void)
{
    enum { CROWD = 10000 };
    static const char contexts[CROWD];
    KMS_OWN_BUF client = {0};
    struct kms_authn authn = {false};
    kms_certificates *c = NULL;
    char name[KMS_PRINCIPAL_BYTES];
    CU_ASSERT_FATAL(world_certificates());
    KMS_ASSERT_OK_FATAL(kms_read_file(world_path("client.pem"), 65536, &client, NULL));
    KMS_ASSERT_OK_FATAL(kms_certificates_new(&authn, CROWD, &c));
    for (size_t i = 0; i < 3 * (size_t)CROWD; i++)
        KMS_ASSERT_OK(find(c, &contexts[i % CROWD], (const char *)client.data, name));
    CU_ASSERT(authn.certificates_parsed >= CROWD && authn.certificates_parsed < CROWD + CROWD / 10);
    kms_certificates_free(c);
}

static void peer_of(int socket, char *text, size_t room)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    CU_ASSERT_EQUAL_FATAL(getpeername(socket, (struct sockaddr *)&address, &len), 0);
    snprintf(text, room, "ipv4:127.0.0.1:%u", ntohs(address.sin_port));
}

/* The more connections there are, the more calls one has to make until its socket is looked for. */
static void test_sockets(void)
{
    enum { OPEN = 40, CALLS = 5 };
    struct kms_authn authn = {false};
    kms_certificates *c = NULL;
    KMS_OWN_BUF client = {0};
    char name[KMS_PRINCIPAL_BYTES], peers[2][64];
    int first[2], second[2];
    SSL *open[OPEN];
    KMS_ASSERT_OK_FATAL(kms_tls_only_13());
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    CU_ASSERT_EQUAL(kms_tls_connections(), 0);
    for (size_t i = 0; i < OPEN; i++) CU_ASSERT_PTR_NOT_NULL_FATAL(open[i] = SSL_new(tls));
    CU_ASSERT_EQUAL(kms_tls_connections(), OPEN);
    connect_tcp(AF_INET, first), connect_tcp(AF_INET, second);
    peer_of(first[0], peers[0], sizeof peers[0]), peer_of(second[0], peers[1], sizeof peers[1]);
    CU_ASSERT_FATAL(world_certificates());
    KMS_ASSERT_OK_FATAL(kms_read_file(world_path("client.pem"), 65536, &client, NULL));
    KMS_ASSERT_OK_FATAL(kms_certificates_new(&authn, 8, &c));
    KMS_ASSERT_OK(find(c, tls, (const char *)client.data, name));
    for (int i = 0; i < CALLS; i++) CU_ASSERT_EQUAL(kms_certificates_socket(c, tls, peers[0]), -1);
    CU_ASSERT_EQUAL(kms_certificates_socket(c, tls, peers[0]), first[0]);
    CU_ASSERT_EQUAL(kms_certificates_socket(c, tls, peers[0]), first[0]);
    CU_ASSERT_EQUAL(kms_certificates_socket(c, tls, peers[1]), -1); /* another one at that address */
    for (size_t i = 0; i < OPEN; i++) SSL_free(open[i]);
    CU_ASSERT_EQUAL(kms_tls_connections(), 0);
    CU_ASSERT_EQUAL(kms_certificates_socket(c, tls, peers[1]), second[0]);
    kms_certificates_free(c);
    SSL_CTX_free(tls);
    close(first[0]), close(first[1]), close(second[0]), close(second[1]);
}

static void test_tcp_peers_of_v6(void)
{
    struct kms_rpc_socket tcp = {.tcp = true, .socket = {.path = "[::1]:0", .principal = ""}};
    struct kms_authn authn = {false};
    const struct kms_door *found = NULL;
    kms_peers *peers = NULL;
    int probe = socket(AF_INET6, SOCK_STREAM, 0), a[2];
    struct sockaddr_storage address;
    socklen_t len;
    CU_ASSERT_FATAL(kms_loopback_parse("[::1]:0", &address, &len));
    bool there = probe >= 0 && bind(probe, (struct sockaddr *)&address, len) == 0;
    if (probe >= 0) close(probe);
    if (!there) return; /* a machine without IPv6 */
    connect_tcp(AF_INET6, a);
    KMS_ASSERT_OK_FATAL(kms_peers_new(&authn, 1, &peers));
    KMS_ASSERT_OK(kms_peers_add(peers, a[0], &tcp));
    struct kms_call call = {.err = KMS_OK};
    KMS_ASSERT_CODE(kms_peers_find(peers, a[0], &call, &found), UNAUTHENTICATED); /* the double knows no "" */
    CU_ASSERT_EQUAL(strncmp(call.peer, "ipv6:[::1]:", 11), 0);
    CU_ASSERT_STRING_EQUAL(call.source_ip, "::1");
    kms_peers_free(peers);
    close(a[0]), close(a[1]);
}

KMS_TEST_MAIN("rpc/identity", {"gRPC's peer to an address", test_source_ip},
              {"a certificate is parsed once a connection", test_certificates},
              {"certificates of a crowd", test_certificates_of_a_crowd},
              {"sockets of busy connections", test_sockets}, {"Unix peers by descriptor", test_peers},
              {"TCP peers", test_tcp_peers}, {"TCP peers of IPv6", test_tcp_peers_of_v6})
