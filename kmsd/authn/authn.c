/* Admission: deny list, expiry and limits in front of every call. */
#include "kmsd/authn/authn.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/authn/internal.h"

kms_err kms_authn_new(const struct kms_authn_options *options, kms_authn **ret_authn, struct kms_why *why)
{
    KMS_OWN(kms_authn) authn = calloc(1, sizeof *authn);
    if (authn == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_rwlock_init(&authn->deny_lock, NULL);
    authn->options = *options;
    authn->deny_path = strdup(options->deny_list);
    if (authn->deny_path == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_deny_read(authn->deny_path, &authn->deny, why));
    KMS_TRY(kms_limits_new(options, &authn->limits));
    authn->anonymous = kms_limits_find(authn->limits, "");
    if (authn->anonymous == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_authn = KMS_GIVE(authn);
    return KMS_OK;
}

kms_err kms_authn_reload(kms_authn *authn, struct kms_why *why)
{
    struct kms_deny_list *fresh;
    KMS_TRY(kms_deny_read(authn->deny_path, &fresh, why));
    pthread_rwlock_wrlock(&authn->deny_lock);
    struct kms_deny_list *old = authn->deny;
    authn->deny = fresh;
    pthread_rwlock_unlock(&authn->deny_lock);
    kms_deny_free(old);
    return KMS_OK;
}

void kms_authn_free(kms_authn *authn)
{
    if (authn == NULL) return;
    kms_deny_free(authn->deny);
    kms_limits_release(authn->anonymous);
    kms_limits_free(authn->limits);
    pthread_rwlock_destroy(&authn->deny_lock);
    free(authn->deny_path);
    free(authn);
}

void kms_authn_drop(kms_authn **authn)
{
    kms_authn_free(*authn);
}

static bool printable(struct kms_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < ' ' || name.ptr[i] == 127) return false;
    return true;
}

kms_err kms_identity_new(kms_authn *authn, struct kms_bytes principal, const char *source,
                         kms_identity **ret_identity, struct kms_why *why)
{
    if (principal.len == 0 || principal.len >= KMS_PRINCIPAL_BYTES || !kms_utf8_valid(principal) ||
        !printable(principal)) {
        kms_why_set(why, "the principal must be 1 to %d bytes of printable UTF-8", KMS_PRINCIPAL_BYTES - 1);
        return KMS_FAIL(UNAUTHENTICATED);
    }
    if (principal.len == 1 && principal.ptr[0] == '*') {
        kms_why_set(why, "\"*\" means everybody in a policy, so nobody may be called so");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    KMS_OWN(kms_identity) identity = calloc(1, sizeof *identity);
    if (identity == NULL) return KMS_FAIL(NO_MEMORY);
    identity->refs = 1;
    identity->source = source;
    memcpy(identity->principal, principal.ptr, principal.len);
    identity->limits = kms_limits_find(authn->limits, identity->principal);
    if (identity->limits == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_identity = KMS_GIVE(identity);
    return KMS_OK;
}

kms_err kms_identity_of_peer(kms_authn *authn, const struct kms_unix_socket *socket, uint64_t uid,
                             kms_identity **ret_identity, struct kms_why *why)
{
    enum {
        OVERFLOW_UID = 65534
    }; /* what the kernel shows for a uid that it cannot map: nobody in particular */
    const char *principal = socket->principal;
    for (size_t i = 0; i < socket->uid_count; i++)
        if (socket->uids[i].uid == uid) principal = socket->uids[i].principal;
    if (uid == OVERFLOW_UID || principal == NULL || principal[0] == '\0') {
        kms_why_set(why, "uid %llu on socket %s is mapped to no principal (listen.unix)",
                    (unsigned long long)uid, socket->path);
        return KMS_FAIL(UNAUTHENTICATED);
    }
    return kms_identity_new(authn, kms_bytes_text(principal), "unix", ret_identity, why);
}

kms_err kms_identity_of_anybody(kms_authn *authn, const struct kms_unix_socket *socket,
                                kms_identity **ret_identity, struct kms_why *why)
{
    KMS_TRY(kms_identity_new(authn, kms_bytes_text(socket->principal), "tcp", ret_identity, why));
    (*ret_identity)->in_clear = true;
    return KMS_OK;
}

kms_err kms_identity_of_other(kms_authn *authn, const char *principal, const char *source,
                              kms_identity **ret_identity, struct kms_why *why)
{
    return kms_identity_new(authn, kms_bytes_text(principal), source, ret_identity, why);
}

kms_identity *kms_identity_ref(kms_identity *identity)
{
    __atomic_add_fetch(&identity->refs, 1, __ATOMIC_RELAXED);
    return identity;
}

void kms_identity_unref(kms_identity *identity)
{
    if (identity == NULL || __atomic_sub_fetch(&identity->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
    kms_limits_release(identity->limits);
    free(identity);
}

void kms_identity_drop(kms_identity **identity)
{
    kms_identity_unref(*identity);
}

static bool denied(kms_authn *authn, const kms_identity *identity)
{
    pthread_rwlock_rdlock(&authn->deny_lock);
    bool match = kms_deny_match(authn->deny, identity);
    pthread_rwlock_unlock(&authn->deny_lock);
    return match;
}

kms_err kms_authn_check(kms_authn *authn, const kms_identity *identity, uint64_t now_us, struct kms_why *why)
{
    if (identity->not_after_us != 0 && now_us > identity->not_after_us) {
        kms_why_set(why, "the client certificate has expired: renew it");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    if (denied(authn, identity)) {
        kms_why_set(why, "the principal or its certificate is on the deny list");
        return KMS_FAIL(UNAUTHENTICATED);
    }
    return KMS_OK;
}

kms_err kms_authn_enter(kms_authn *authn, const kms_identity *identity, unsigned calls, uint64_t now_us,
                        struct kms_why *why)
{
    KMS_TRY(kms_authn_check(authn, identity, now_us, why));
    return kms_limits_enter(authn->limits, identity->limits, calls, now_us, why);
}

void kms_authn_leave(kms_authn *authn, const kms_identity *identity, unsigned calls)
{
    (void)authn;
    kms_limits_leave(identity->limits, calls);
}

kms_err kms_authn_begin_rsa(kms_authn *authn, const kms_identity *identity, struct kms_why *why)
{
    return kms_limits_begin_rsa(authn->limits, identity->limits, why);
}

void kms_authn_end_rsa(kms_authn *authn, const kms_identity *identity)
{
    (void)authn;
    kms_limits_end_rsa(identity->limits);
}

bool kms_authn_refused(kms_authn *authn, const kms_identity *identity, unsigned calls, uint64_t now_us)
{
    return kms_limits_refused(authn->limits, identity != NULL ? identity->limits : authn->anonymous, calls,
                              now_us);
}

void kms_authn_suppressed(kms_authn *authn, uint64_t now_us, kms_suppressed_visit *visit, void *user)
{
    kms_limits_suppressed(authn->limits, now_us, visit, user);
}
