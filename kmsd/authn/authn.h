/*
 * Who is calling. A certificate or a Unix peer becomes a kms_identity once; every call is then admitted
 * against the deny list, the certificate's expiry and the limits of its principal. Thread-safe.
 *
 * Principal of a certificate: its one URI SAN (SPIFFE or any URI, ARNs included), else "cn:<CN>" when
 * authn.allow_cn. More than one URI SAN, or one with the scheme "cn" or "unix", is refused. Of a Unix peer:
 * what the socket's configuration maps its uid to, else the socket's principal; uid 65534 (overflow) never
 * maps. Of a TCP peer without TLS, which nothing tells apart: the socket's principal.
 */
#ifndef KMS_AUTHN_AUTHN_H
#define KMS_AUTHN_AUTHN_H

#include "base/bytes.h"

enum { KMS_PRINCIPAL_BYTES = 512 };

/* One uid on a Unix socket; principal borrowed from the configuration. */
struct kms_unix_mapping {
    uint64_t uid;
    const char *principal;
};
struct kms_unix_socket {
    const char *path, *principal; /* principal may be empty: then only the uids listed may call */
    const struct kms_unix_mapping *uids;
    size_t uid_count;
};

struct kms_authn_options {
    bool allow_cn;
    /* path, "" for none: lines "principal X", "serial HEX", "fingerprint SHA256HEX", "# comment" */
    const char *deny_list;
    uint32_t rate_per_principal, rate_burst; /* calls per second, 0: no limit; calls at once */
    uint32_t in_flight_per_principal;
    uint32_t rsa_keys_per_principal; /* RSA keys in the making, 0: no limit; each takes seconds */
    uint32_t refused_per_second;     /* refused calls of a principal that are recorded one by one */
};

typedef struct kms_authn kms_authn;
struct kms_principal; /* the limits of one principal */

/* Immutable and reference-counted: one per connection, shared by its calls. */
typedef struct kms_identity {
    unsigned refs;
    char principal[KMS_PRINCIPAL_BYTES];
    const char *source;    /* "mtls-uri", "mtls-cn", "unix", "tcp", "pod" */
    bool in_clear;         /* "tcp": anybody on the way could read and write */
    uint64_t not_after_us; /* wall clock; 0: never */
    char serial[48];       /* hex, "" for a Unix peer */
    char fingerprint[65];  /* SHA-256 of the certificate (DER), hex */
    struct kms_principal *limits;
} kms_identity;

KMS_MUST_USE kms_err kms_authn_new(const struct kms_authn_options *options, kms_authn **ret_authn,
                                   struct kms_why *why);
/* Reads the deny list again; on an error the old one stays in force. CONFIG_INVALID with file and line. */
KMS_MUST_USE kms_err kms_authn_reload(kms_authn *authn, struct kms_why *why);
void kms_authn_free(kms_authn *authn);
void kms_authn_drop(kms_authn **authn);

/* UNAUTHENTICATED with the cause. pem: the leaf certificate. */
KMS_MUST_USE kms_err kms_identity_of_certificate(kms_authn *authn, struct kms_bytes pem,
                                                 kms_identity **ret_identity, struct kms_why *why);
KMS_MUST_USE kms_err kms_identity_of_peer(kms_authn *authn, const struct kms_unix_socket *socket,
                                          uint64_t uid, kms_identity **ret_identity, struct kms_why *why);
/* Whoever connects over TCP without TLS. */
KMS_MUST_USE kms_err kms_identity_of_anybody(kms_authn *authn, const struct kms_unix_socket *socket,
                                             kms_identity **ret_identity, struct kms_why *why);
/* Somebody for whom a peer calls that is trusted to say so; source (static) says who that is. */
KMS_MUST_USE kms_err kms_identity_of_other(kms_authn *authn, const char *principal, const char *source,
                                           kms_identity **ret_identity, struct kms_why *why);
kms_identity *kms_identity_ref(kms_identity *identity);
void kms_identity_unref(kms_identity *identity); /* NULL is a no-op */
void kms_identity_drop(kms_identity **identity);

/* May this identity call now? UNAUTHENTICATED (expired, on the deny list) or LIMIT_EXCEEDED. After success
 * it counts as in flight until kms_authn_leave. A batch counts as `calls` of them; one of more than a limit
 * needs all of that limit to be free. */
KMS_MUST_USE kms_err kms_authn_enter(kms_authn *authn, const kms_identity *identity, unsigned calls,
                                     uint64_t now_us, struct kms_why *why);
/* The same but for the limits: may it go on with what it was let in for? UNAUTHENTICATED. */
KMS_MUST_USE kms_err kms_authn_check(kms_authn *authn, const kms_identity *identity, uint64_t now_us,
                                     struct kms_why *why);
void kms_authn_leave(kms_authn *authn, const kms_identity *identity, unsigned calls);

/* Around the making of an RSA key. LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_authn_begin_rsa(kms_authn *authn, const kms_identity *identity, struct kms_why *why);
void kms_authn_end_rsa(kms_authn *authn, const kms_identity *identity);

/* A call of this principal was refused (denied, malformed, over a limit). True: record it; false: it is one
 * of too many this second, count it in the summary instead. */
bool kms_authn_refused(kms_authn *authn, const kms_identity *identity, unsigned calls, uint64_t now_us);
/* Hands out and clears the summaries of seconds that are over. */
typedef void kms_suppressed_visit(void *user, const char *principal, uint64_t count);
void kms_authn_suppressed(kms_authn *authn, uint64_t now_us, kms_suppressed_visit *visit, void *user);

#endif
