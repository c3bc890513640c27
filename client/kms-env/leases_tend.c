/* What is due for each lease: renewal, replacement, giving back. */
#include "client/kms-env/leases_inside.h"

#define SECOND_US UINT64_C(1000000)
enum { LONGEST_WAIT_S = 60, DOUBLINGS_MAX = 6 };

/* 1 s, 2 s, ... a minute. */
static uint64_t wait_us(unsigned failed)
{
    const unsigned doublings = failed == 0 ? 0 : failed - 1 < DOUBLINGS_MAX ? failed - 1 : DOUBLINGS_MAX;
    const uint64_t seconds = UINT64_C(1) << doublings;
    return (seconds < LONGEST_WAIT_S ? seconds : LONGEST_WAIT_S) * SECOND_US;
}

/* Several tries before its end, wherever that can be. */
static uint64_t again_us(const kms_env_leases *leases, const struct lease *lease)
{
    const uint64_t now_us = leases->lessor.now_us();
    const uint64_t left_us = lease->ends_us > now_us ? lease->ends_us - now_us : 0;
    uint64_t pause_us = wait_us(lease->failed);
    if (left_us > 4 * SECOND_US && pause_us > left_us / 4) pause_us = left_us / 4;
    return now_us + pause_us;
}

static void replace(kms_env_leases *leases, struct lease *lease)
{
    struct lease *made;
    struct kms_why why = {0};
    char reason[KMS_ENV_REASON_BYTES] = "", time[KMS_ENV_LEASES_TIME];
    const char *ends = lease->over ? "ended" : "ends";
    kms_err err = kms_env_leases_add(leases, lease->role, &made, reason, &why);
    kms_env_leases_time(lease->user.expires_us, time);
    if (!kms_failed(err)) {
        kms_env_leases_say(leases, "role %s: the lease %s at %s: there is a new user", lease->role, ends,
                           time);
        leases->hand_on_us = leases->lessor.now_us();
        leases->hand_on_failed = 0;
        return;
    }
    if (lease->failed++ == 0)
        kms_env_leases_say(leases,
                           "role %s: no new user can be had: %s: the program goes on with the one whose "
                           "lease %s at %s",
                           lease->role, kms_env_leases_words(err, &why), ends, time);
    lease->due_us = again_us(leases, lease);
}

/* It does not last any longer. */
static void conclude(kms_env_leases *leases, struct lease *lease)
{
    char time[KMS_ENV_LEASES_TIME];
    lease->final = true;
    if (leases->tenant.replaced != NULL) return; /* at half of what is left */
    lease->due_us = lease->ends_us;
    kms_env_leases_time(lease->user.expires_us, time);
    kms_env_leases_say(leases,
                       "role %s: the lease ends at %s and cannot be renewed beyond that (max_ttl of the "
                       "role): the program goes on, but its database user will be gone",
                       lease->role, time);
}

static void renewed(kms_env_leases *leases, struct lease *lease, uint64_t asked_us, uint64_t ttl_s)
{
    if (lease->failed > 0) kms_env_leases_say(leases, "role %s: the lease is renewed again", lease->role);
    lease->failed = 0;
    lease->ends_us = asked_us + ttl_s * SECOND_US;
    lease->due_us = kms_env_leases_half(leases, ttl_s);
    if (ttl_s + 1 < lease->user.ttl_s) conclude(leases, lease); /* seconds are whole: one may be missing */
}

static void end(kms_env_leases *leases, struct lease *lease, const char *words)
{
    lease->over = true;
    lease->due_us = KMS_ENV_LEASES_NEVER;
    lease->failed = 0;
    if (leases->tenant.replaced != NULL)
        replace(leases, lease);
    else
        kms_env_leases_say(leases,
                           "role %s: the lease has ended%s%s: the program goes on, but its database user is "
                           "gone",
                           lease->role, words[0] != '\0' ? ": " : "", words);
}

static void not_renewed(kms_env_leases *leases, struct lease *lease, kms_err err, const struct kms_why *why)
{
    char time[KMS_ENV_LEASES_TIME];
    const uint64_t now_us = leases->lessor.now_us();
    kms_env_leases_time(lease->user.expires_us, time);
    if (lease->failed++ == 0)
        kms_env_leases_say(
            leases,
            "role %s: the lease cannot be renewed: %s: the program goes on, and the lease ends "
            "at %s unless it still can be",
            lease->role, kms_env_leases_words(err, why), time);
    lease->due_us = again_us(leases, lease);
    const bool late = now_us + lease->user.ttl_s * SECOND_US / 4 > lease->ends_us;
    if (late && leases->tenant.replaced != NULL) replace(leases, lease);
}

static void renew(kms_env_leases *leases, struct lease *lease)
{
    struct kms_why why = {0};
    struct kms_env_user *user = &lease->user;
    uint64_t ttl_s = 0;
    const uint64_t asked_us = leases->lessor.now_us();
    kms_err err = leases->lessor.renew(leases->lessor.self, user->lease_id, user->ttl_s, &ttl_s,
                                       &user->expires_us, &why);
    if (!kms_failed(err))
        renewed(leases, lease, asked_us, ttl_s);
    else if (kms_is(err, KMS_E_NOT_FOUND))
        end(leases, lease, kms_env_leases_words(err, &why));
    else
        not_renewed(leases, lease, err, &why);
}

static void look_after(kms_env_leases *leases, struct lease *lease)
{
    if (!lease->final && !lease->over)
        renew(leases, lease);
    else if (leases->tenant.replaced != NULL)
        replace(leases, lease);
    else
        end(leases, lease, "");
}

/* True: it is given back. */
static bool clear_away(kms_env_leases *leases, struct lease *lease)
{
    struct kms_why why = {0};
    kms_err err = kms_env_leases_give_back(leases, lease, KMS_ENV_LEASES_END_MS, &why);
    if (!kms_failed(err)) return true;
    if (lease->failed++ == 0)
        kms_env_leases_say(leases, "role %s: lease %s is not given back so far: %s", lease->role,
                           lease->user.lease_id, kms_env_leases_words(err, &why));
    lease->due_us = leases->lessor.now_us() + wait_us(lease->failed);
    return false;
}

/* The tenant asks for users meanwhile, so that the lock is free. */
static void hand_on(kms_env_leases *leases)
{
    struct kms_why why = {0};
    leases->hand_on_us = KMS_ENV_LEASES_NEVER;
    leases->busy = true;
    pthread_mutex_unlock(&leases->lock);
    kms_err err = leases->tenant.replaced(leases->tenant.self, &why);
    pthread_mutex_lock(&leases->lock);
    leases->busy = false;
    if (!kms_failed(err)) return;
    if (leases->hand_on_failed++ == 0)
        kms_env_leases_say(leases, "the program cannot be given its new user: %s",
                           kms_env_leases_words(err, &why));
    leases->hand_on_us = leases->lessor.now_us() + wait_us(leases->hand_on_failed);
}

static uint64_t next_due_us(const kms_env_leases *leases)
{
    uint64_t due_us = leases->hand_on_us;
    for (const struct lease *at = leases->first; at != NULL; at = at->next)
        if (at->due_us < due_us) due_us = at->due_us;
    return due_us;
}

uint64_t kms_env_leases_tend(kms_env_leases *leases)
{
    pthread_mutex_lock(&leases->lock);
    const uint64_t now_us = leases->lessor.now_us();
    for (struct lease **link = &leases->first; *link != NULL && !leases->ended;) {
        struct lease *lease = *link;
        if (lease->due_us <= now_us && lease->unused && clear_away(leases, lease)) {
            *link = lease->next;
            kms_env_lease_free(lease);
            continue;
        }
        if (lease->due_us <= now_us && !lease->unused) look_after(leases, lease); /* may put one in front */
        link = &lease->next;
    }
    if (leases->hand_on_us <= now_us && !leases->ended) hand_on(leases);
    const uint64_t due_us = next_due_us(leases);
    pthread_mutex_unlock(&leases->lock);
    return due_us;
}
