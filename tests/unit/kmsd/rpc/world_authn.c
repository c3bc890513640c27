/* The double of authn: a certificate is "cn:" and its common name, a peer what its socket says. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static kms_identity *identity_new(const char *prefix, const char *name)
{
    kms_identity *identity = calloc(1, sizeof *identity);
    identity->refs = 1;
    snprintf(identity->principal, sizeof identity->principal, "%s%s", prefix, name);
    return identity;
}

kms_identity *kms_identity_ref(kms_identity *identity)
{
    __atomic_add_fetch(&identity->refs, 1, __ATOMIC_RELAXED);
    return identity;
}

void kms_identity_drop(kms_identity **identity)
{
    kms_identity_unref(*identity);
    *identity = NULL;
}

void kms_identity_unref(kms_identity *identity)
{
    if (identity != NULL && __atomic_sub_fetch(&identity->refs, 1, __ATOMIC_ACQ_REL) == 0) free(identity);
}

kms_err kms_identity_of_certificate(kms_authn *authn, struct kms_bytes pem, kms_identity **ret_identity,
                                    struct kms_why *why)
{
    atomic_fetch_add(&authn->certificates_parsed, 1);
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    char name[128] = "";
    if (certificate != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    if (name[0] == '\0' || authn->refuse) {
        kms_why_set(why, "nobody we know");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    *ret_identity = identity_new("cn:", name);
    return KMS_OK;
}

kms_err kms_identity_of_peer(kms_authn *authn, const struct kms_unix_socket *socket, uint64_t uid,
                             kms_identity **ret_identity, struct kms_why *why)
{
    const char *principal = socket->principal;
    for (size_t i = 0; i < socket->uid_count; i++)
        if (socket->uids[i].uid == uid) principal = socket->uids[i].principal;
    if (principal[0] == '\0' || authn->refuse) {
        kms_why_set(why, "uid %llu is not mapped", (unsigned long long)uid);
        return KMS_FAIL(UNAUTHENTICATED);
    }
    *ret_identity = identity_new("", principal);
    return KMS_OK;
}
kms_err kms_identity_of_anybody(kms_authn *authn, const struct kms_unix_socket *socket,
                                kms_identity **ret_identity, struct kms_why *why)
{
    return kms_identity_of_peer(authn, socket, 0, ret_identity, why);
}
kms_err kms_authn_check(kms_authn *authn, const kms_identity *identity, uint64_t now_us, struct kms_why *why)
{
    (void)authn, (void)identity, (void)now_us, (void)why;
    return KMS_OK;
}
kms_err kms_identity_of_other(kms_authn *authn, const char *principal, const char *source,
                              kms_identity **ret_identity, struct kms_why *why)
{
    (void)authn, (void)source, (void)why;
    *ret_identity = identity_new("", principal);
    return KMS_OK;
}
