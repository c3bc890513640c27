/* Who asks, what for, and the bytes. */
#include "client/kms-env/credential_answer.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/kms-env/reference.h"

enum { PAUSE_MS = 500 }; /* between two questions to a kmsd that is away */

struct request {
    struct sockaddr_un address;
    struct kms_env_credential_name name; /* in address */
    bool named;                          /* name is valid, so that it may be logged */
    char reason[KMS_ENV_REASON_BYTES];
};

static kms_err refuse(struct request *r, const char *words, struct kms_why *why)
{
    snprintf(r->reason, sizeof r->reason, "REFUSED");
    kms_why_set(why, "%s", words);
    return KMS_FAIL(ACCESS_DENIED);
}

/* The uid first: the name of a stranger means nothing. */
static kms_err identify(int fd, uid_t manager, struct request *r, struct kms_why *why)
{
    struct ucred peer;
    socklen_t len = sizeof peer, address_len = sizeof r->address;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid != manager)
        return refuse(r, "the peer is not the service manager: another uid", why);
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    if (getpeername(fd, (struct sockaddr *)&r->address, &address_len) != 0 || address_len < head ||
        address_len > sizeof r->address)
        return refuse(r, "the peer has no name", why);
    r->named = kms_env_credential_name_parse(kms_bytes_of(r->address.sun_path, address_len - head), &r->name);
    return r->named ? KMS_OK : refuse(r, "the name of the peer is not that of a unit and a credential", why);
}

/* No answer, or one that may be another one soon. */
static bool may_pass(const char *reason)
{
    static const char *const reasons[] = {"UNAVAILABLE",          "DEADLINE_EXCEEDED", "HSM_UNAVAILABLE",
                                          "KEYSTORE_UNAVAILABLE", "AUDIT_UNAVAILABLE", "SHUTTING_DOWN",
                                          "KEY_UNAVAILABLE",      "LIMIT_EXCEEDED",    "RESOURCE_EXHAUSTED"};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (strcmp(reason, reasons[i]) == 0) return true;
    return false;
}

static kms_err fetch_once(const struct kms_env_credential_source *source, struct request *r,
                          const struct kms_env_reference *reference, kms_secret **ret_value,
                          struct kms_why *why)
{
    KMS_OWN(kms_env_fetches) fetches = NULL;
    size_t index;
    KMS_TRY(kms_env_fetches_new(&fetches));
    KMS_TRY(kms_env_fetches_add(fetches, reference, &index));
    KMS_TRY(kms_env_fetches_run(fetches, source->fetcher, why));
    const struct kms_env_fetch *fetch = kms_env_fetches_look(fetches, index);
    kms_copy(r->reason, fetch->reason, sizeof r->reason);
    return kms_env_fetch_value(fetch, reference, ret_value, why);
}

static kms_err fetch(const struct kms_env_credential_source *source, struct request *r,
                     const struct kms_env_reference *reference, kms_secret **ret_value, struct kms_why *why)
{
    const uint64_t due_us = kms_monotonic_us() + (uint64_t)source->map->retry_ms * 1000;
    struct pollfd stop = {.fd = source->stop_fd, .events = POLLIN};
    for (;;) {
        const kms_err err = fetch_once(source, r, reference, ret_value, why);
        if (!kms_failed(err) || !may_pass(r->reason)) return err;
        if (kms_monotonic_us() + PAUSE_MS * 1000 > due_us || poll(&stop, 1, PAUSE_MS) > 0) return err;
    }
}

static kms_err find_value(const struct kms_env_credential_source *source, struct request *r,
                          kms_secret **ret_value, struct kms_why *why)
{
    struct kms_env_reference reference;
    const struct kms_env_credential *entry = kms_env_credential_map_find(source->map, &r->name);
    if (entry == NULL) return refuse(r, "no entry of the list has this unit and credential", why);
    KMS_TRY(kms_env_reference_parse(kms_bytes_text(entry->secret), &reference, why));
    KMS_TRY(fetch(source, r, &reference, ret_value, why));
    if (*ret_value == NULL) return refuse(r, "the value is empty, which looks like a failure", why);
    if (kms_secret_len(*ret_value) <= KMS_ENV_CREDENTIAL_MOST) return KMS_OK;
    return refuse(r, "the value is longer than a credential may be", why);
}

/* False: the reader has gone, or takes too long. */
static bool send_all(int fd, const uint8_t *data, size_t len, uint64_t due_us)
{
    for (size_t sent = 0; sent < len;) {
        const ssize_t some = send(fd, data + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (some > 0) {
            sent += (size_t)some;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return false;
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        const uint64_t now_us = kms_monotonic_us();
        if (now_us >= due_us) return false;
        (void)poll(&room, 1, (int)((due_us - now_us) / 1000 + 1));
    }
    return true;
}

/* A reader that has gone before the end has seen enough. False: it took too long. */
static bool send_refusal(int fd, uint64_t due_us)
{
    static const uint8_t zeros[64 * 1024];
    for (size_t left = KMS_ENV_CREDENTIAL_REFUSAL; left > 0;) {
        const size_t some = left < sizeof zeros ? left : sizeof zeros;
        if (!send_all(fd, zeros, some, due_us)) return kms_monotonic_us() < due_us;
        left -= some;
    }
    return true;
}

static void say(const struct request *r, enum kms_log_level level, const char *event, const char *reason,
                const char *words)
{
    const struct kms_bytes unit = r->named ? r->name.unit : kms_bytes_text("?");
    const struct kms_bytes credential = r->named ? r->name.credential : kms_bytes_text("?");
    kms_log(level, event, "unit=%.*s credential=%.*s reason=%s why=\"%s\"", (int)unit.len,
            (const char *)unit.ptr, (int)credential.len, (const char *)credential.ptr, reason, words);
}

void kms_env_credential_answer(const struct kms_env_credential_source *source, int fd)
{
    KMS_OWN_FD owned = fd;
    KMS_OWN(kms_secret) value = NULL;
    struct request r = {0};
    struct kms_why why = {0};
    kms_err err = identify(owned, source->manager, &r, &why);
    if (!kms_failed(err)) err = find_value(source, &r, &value, &why);
    const uint64_t due_us = kms_monotonic_us() + (uint64_t)source->map->send_timeout_ms * 1000;
    if (kms_failed(err)) {
        say(&r, KMS_LOG_ERROR, "credential.refused", r.reason[0] != '\0' ? r.reason : kms_err_reason(err),
            why.text[0] != '\0' ? why.text : kms_err_text(err));
        if (!send_refusal(owned, due_us))
            say(&r, KMS_LOG_ERROR, "credential.slow", "TIMEOUT", "the reader did not take the refusal");
    } else if (send_all(owned, kms_secret_data(value), kms_secret_len(value), due_us)) {
        say(&r, KMS_LOG_INFO, "credential.sent", "OK", "");
    } else {
        say(&r, KMS_LOG_ERROR, "credential.slow", "TIMEOUT", "the reader has gone or did not take the value");
    }
}
