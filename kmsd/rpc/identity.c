/* From connections to identities. */
#include "kmsd/rpc/identity.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/rpc/cork.h"
#include "kmsd/rpc/tls.h"

enum { WAYS = 4, SETS_MIN = 16, SETS_MAX = 32768 };

struct entry {
    const void *context; /* NULL: empty */
    uint8_t *pem;
    size_t pem_len;
    kms_identity *identity; /* NULL: refused, as refusal says */
    struct kms_why *refusal;
    char peer[KMS_CALL_TEXT_BYTES]; /* whose socket this is: another connection may get the same context */
    int socket;
    unsigned calls; /* before its socket was looked for */
};

struct kms_certificates {
    kms_authn *authn;
    size_t sets;   /* a power of two */
    unsigned next; /* way to replace */
    struct entry entries[];
};

kms_err kms_certificates_new(kms_authn *authn, size_t connections, kms_certificates **ret_certificates)
{
    size_t sets = SETS_MIN;
    while (sets < SETS_MAX && sets * WAYS < 2 * connections) sets *= 2;
    kms_certificates *c = calloc(1, sizeof *c + sets * WAYS * sizeof c->entries[0]);
    if (c == NULL) return KMS_FAIL(NO_MEMORY);
    c->authn = authn;
    c->sets = sets;
    *ret_certificates = c;
    return KMS_OK;
}

static void forget(struct entry *e)
{
    kms_identity_unref(e->identity);
    free(e->refusal);
    free(e->pem);
    *e = (struct entry){0};
}

void kms_certificates_free(kms_certificates *certificates)
{
    if (certificates == NULL) return;
    for (size_t i = 0; i < certificates->sets * WAYS; i++) forget(&certificates->entries[i]);
    free(certificates);
}

/* Remembering may fail for want of memory; the next call then asks authn again. */
static void remember(struct entry *e, const void *context, struct kms_bytes pem, kms_identity *identity,
                     const struct kms_why *refusal)
{
    forget(e);
    struct entry fresh = {.context = context, .pem = malloc(pem.len), .pem_len = pem.len};
    if (identity == NULL) fresh.refusal = malloc(sizeof *fresh.refusal);
    if (fresh.pem == NULL || (identity == NULL && fresh.refusal == NULL)) {
        forget(&fresh);
        return;
    }
    kms_copy(fresh.pem, pem.ptr, pem.len);
    if (identity != NULL) fresh.identity = kms_identity_ref(identity);
    if (fresh.refusal != NULL) *fresh.refusal = *refusal;
    *e = fresh;
}

static kms_err answer(const struct entry *e, kms_identity **ret_identity, struct kms_why *why)
{
    if (e->identity == NULL) {
        *why = *e->refusal;
        return KMS_FAIL(UNAUTHENTICATED);
    }
    *ret_identity = kms_identity_ref(e->identity);
    return KMS_OK;
}

static struct entry *set_of(kms_certificates *certificates, const void *context)
{
    uint64_t hash = (uint64_t)(uintptr_t)context * UINT64_C(0x9e3779b97f4a7c15); /* golden ratio */
    return &certificates->entries[(hash >> 40) % certificates->sets * WAYS];
}

enum { NOT_LOOKED_FOR = -2, CONNECTIONS_FOR_A_CALL = 8 };

/* The search costs a system call for each connection that is open. So it is made when this one has had
 * calls in proportion: a thousand connections that call once do not each look at the thousand. */
static int look_for(struct entry *e)
{
    if (e->calls++ >= kms_tls_connections() / CONNECTIONS_FOR_A_CALL) e->socket = kms_cork_find(e->peer);
    return e->socket == NOT_LOOKED_FOR ? -1 : e->socket;
}

int kms_certificates_socket(kms_certificates *certificates, const void *context, const char *peer)
{
    struct entry *set = set_of(certificates, context);
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (e->context != context) continue;
        if (strcmp(e->peer, peer) != 0) {
            snprintf(e->peer, sizeof e->peer, "%s", peer);
            e->socket = NOT_LOOKED_FOR;
            e->calls = 0;
        }
        return e->socket == NOT_LOOKED_FOR ? look_for(e) : e->socket;
    }
    return -1;
}

kms_err kms_certificates_find(kms_certificates *certificates, const void *context, struct kms_bytes pem,
                              kms_identity **ret_identity, struct kms_why *why)
{
    struct entry *set = set_of(certificates, context);
    struct entry *victim = &set[certificates->next++ % WAYS];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].context == NULL && victim->context != context) victim = &set[i];
        if (set[i].context == context) victim = &set[i];
        if (set[i].context != context || !kms_bytes_equal(kms_bytes_of(set[i].pem, set[i].pem_len), pem))
            continue;
        return answer(&set[i], ret_identity, why);
    }
    kms_identity *identity = NULL;
    kms_err err = kms_identity_of_certificate(certificates->authn, pem, &identity, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_UNAUTHENTICATED)) return err;
    remember(victim, context, pem, identity, why);
    if (!kms_failed(err)) *ret_identity = identity;
    return err;
}

/* Cut to room bytes with its NUL. Every call comes by here: snprintf would cost more than all else. */
static void put_text(char *text, size_t room, const char *from, size_t len)
{
    if (len > room - 1) len = room - 1;
    memcpy(text, from, len);
    text[len] = '\0';
}

void kms_source_ip(const char *peer, char *text, size_t text_cap)
{
    static const char open[] = "ipv6:%5B", close[] = "%5D";
    const char *from = NULL, *to = NULL;
    text[0] = '\0';
    if (strncmp(peer, "ipv4:", 5) == 0) {
        from = peer + 5;
        to = strrchr(from, ':');
    } else if (strncmp(peer, open, sizeof open - 1) == 0) {
        from = peer + sizeof open - 1;
        to = strstr(from, close);
    } else if (strncmp(peer, "ipv6:[", 6) == 0) {
        from = peer + 6;
        to = strchr(from, ']');
    }
    if (to == NULL) return;
    const char *zone =
        memchr(from, '%', (size_t)(to - from)); /* fe80::1%25eth0: the address is what counts */
    if (zone != NULL) to = zone;
    struct in6_addr address;
    put_text(text, text_cap, from, (size_t)(to - from));
    bool valid = inet_pton(peer[3] == '4' ? AF_INET : AF_INET6, text, &address) == 1;
    if (valid && peer[3] == '6' && IN6_IS_ADDR_V4MAPPED(&address))
        inet_ntop(AF_INET, &address.s6_addr[12], text, (socklen_t)text_cap);
    if (!valid) text[0] = '\0';
}

/* One certificate a connection: the context is gRPC's own object for it. */
static kms_err identify_tls(kms_certificates *certificates, grpc_call *grpc_call, struct kms_call *call,
                            int *ret_socket)
{
    grpc_auth_context *context = grpc_call_auth_context(grpc_call);
    const grpc_auth_property *pem = NULL;
    grpc_auth_property_iterator found;
    if (context != NULL) {
        found = grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
        pem = grpc_auth_property_iterator_next(&found);
    }
    kms_err err = KMS_FAIL(UNAUTHENTICATED);
    if (pem == NULL)
        kms_why_set(&call->why, "the connection shows no client certificate");
    else
        err = kms_certificates_find(certificates, context, kms_bytes_of(pem->value, pem->value_length),
                                    &call->identity, &call->why);
    if (!kms_failed(err)) *ret_socket = kms_certificates_socket(certificates, context, call->peer);
    if (context != NULL) grpc_auth_context_release(context);
    return err;
}

kms_err kms_identify(kms_certificates *certificates, kms_peers *peers, grpc_call *grpc_call,
                     struct kms_call *call, struct kms_way *ret_way)
{
    static const struct kms_door tls = {.protocol = KMS_PROTOCOL_KMS};
    *ret_way = (struct kms_way){.socket = -1};
    char *peer = grpc_call_get_peer(grpc_call);
    if (peer == NULL) return KMS_FAIL(UNAUTHENTICATED);
    if (strncmp(peer, "fd:", 3) == 0) {
        int fd = atoi(peer + 3);
        gpr_free(peer);
        return kms_peers_find(peers, fd, call, &ret_way->door);
    }
    put_text(call->peer, sizeof call->peer, peer, strlen(peer));
    kms_source_ip(peer, call->source_ip, sizeof call->source_ip);
    gpr_free(peer);
    if (call->source_ip[0] == '\0') {
        kms_why_set(&call->why, "the address of the peer is not known");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    ret_way->door = &tls;
    return identify_tls(certificates, grpc_call, call, &ret_way->socket);
}
