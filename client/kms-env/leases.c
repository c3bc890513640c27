/* The list of leases: what is asked for, what is given back, and the thread that tends. */
#include "client/kms-env/leases_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"

#define SECOND_US UINT64_C(1000000)
enum { LEAST_PAUSE_US = 200 * 1000, LONGEST_WAIT_MS = 60 * 60 * 1000 };

kms_err kms_env_leases_new(struct kms_env_lessor lessor, struct kms_env_tenant tenant,
                           kms_env_leases **ret_leases)
{
    kms_env_leases *leases = calloc(1, sizeof *leases);
    if (leases == NULL) return KMS_FAIL(NO_MEMORY);
    leases->lessor = lessor;
    leases->tenant = tenant;
    leases->hand_on_us = KMS_ENV_LEASES_NEVER;
    pthread_mutex_init(&leases->lock, NULL);
    kms_cond_init(&leases->wake);
    *ret_leases = leases;
    return KMS_OK;
}

void kms_env_lease_free(struct lease *lease)
{
    kms_secret_free(lease->user.username);
    kms_secret_free(lease->user.password);
    free(lease->role);
    free(lease);
}

void kms_env_leases_free(kms_env_leases *leases)
{
    if (leases == NULL) return;
    while (leases->first != NULL) {
        struct lease *lease = leases->first;
        leases->first = lease->next;
        kms_env_lease_free(lease);
    }
    pthread_cond_destroy(&leases->wake);
    pthread_mutex_destroy(&leases->lock);
    free(leases);
}

void kms_env_leases_drop(kms_env_leases **leases)
{
    kms_env_leases_free(*leases);
}

void kms_env_leases_say(const kms_env_leases *leases, const char *format, ...)
{
    char words[KMS_WHY_BYTES + KMS_ENV_LEASE_BYTES + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    leases->tenant.say(leases->tenant.self, words);
}

const char *kms_env_leases_words(kms_err err, const struct kms_why *why)
{
    return why->text[0] != '\0' ? why->text : kms_err_text(err);
}

void kms_env_leases_time(uint64_t us, char text[KMS_ENV_LEASES_TIME])
{
    char whole[KMS_TIME_TEXT];
    kms_time_text(us, whole);
    snprintf(text, KMS_ENV_LEASES_TIME, "%.19sZ", whole);
}

uint64_t kms_env_leases_half(const kms_env_leases *leases, uint64_t ttl_s)
{
    uint32_t random = 0;
    const uint64_t tenth_us = ttl_s * SECOND_US / 10;
    kms_ignore(kms_random(&random, sizeof random)); /* without it, all at half */
    const uint64_t pause_us = 5 * tenth_us - (tenth_us > 0 ? random % tenth_us : 0);
    return leases->lessor.now_us() + (pause_us > LEAST_PAUSE_US ? pause_us : LEAST_PAUSE_US);
}

static struct lease *find(const kms_env_leases *leases, const char *role)
{
    for (struct lease *at = leases->first; at != NULL; at = at->next)
        if (!at->replaced && strcmp(at->role, role) == 0) return at;
    return NULL;
}

kms_err kms_env_leases_add(kms_env_leases *leases, const char *role, struct lease **ret_lease,
                           char reason[KMS_ENV_REASON_BYTES], struct kms_why *why)
{
    struct lease *lease = calloc(1, sizeof *lease);
    char *name = strdup(role);
    const uint64_t before_us = leases->lessor.now_us();
    kms_err err = lease != NULL && name != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!kms_failed(err)) err = leases->lessor.make(leases->lessor.self, role, &lease->user, reason, why);
    if (kms_failed(err)) {
        free(name);
        free(lease);
        return err;
    }
    struct lease *old = find(leases, role);
    if (old != NULL) {
        old->replaced = true;
        old->due_us = KMS_ENV_LEASES_NEVER; /* until nothing has it any more */
    }
    lease->role = name;
    lease->ends_us = before_us + lease->user.ttl_s * SECOND_US;
    lease->due_us = kms_env_leases_half(leases, lease->user.ttl_s);
    lease->next = leases->first;
    leases->first = lease;
    *ret_lease = lease;
    return KMS_OK;
}

static void wake(kms_env_leases *leases)
{
    leases->nudged = true;
    pthread_cond_signal(&leases->wake);
}

static kms_err copy(kms_secret *from, kms_secret **ret_to)
{
    KMS_TRY(kms_secret_new(kms_secret_len(from), ret_to));
    kms_copy(kms_secret_data(*ret_to), kms_secret_data(from), kms_secret_len(from));
    return KMS_OK;
}

static kms_err take(kms_env_leases *leases, struct kms_env_fetch *fetch)
{
    struct lease *lease = find(leases, fetch->name);
    if (leases->ended) return KMS_FAIL(CANCELLED);
    if (lease == NULL || lease->over)
        KMS_TRY(kms_env_leases_add(leases, fetch->name, &lease, fetch->reason, &fetch->why));
    snprintf(fetch->lease_id, sizeof fetch->lease_id, "%s", lease->user.lease_id);
    KMS_TRY(copy(lease->user.username, &fetch->username));
    return copy(lease->user.password, &fetch->value);
}

void kms_env_leases_take(kms_env_leases *leases, struct kms_env_fetch *fetch)
{
    pthread_mutex_lock(&leases->lock);
    fetch->err = take(leases, fetch);
    wake(leases);
    pthread_mutex_unlock(&leases->lock);
}

static bool has(const kms_env_fetches *fetches, const char *lease_id)
{
    for (size_t i = 0; i < kms_env_fetches_count(fetches); i++)
        if (strcmp(kms_env_fetches_look(fetches, i)->lease_id, lease_id) == 0) return true;
    return false;
}

void kms_env_leases_settle(kms_env_leases *leases, const kms_env_fetches *in_use)
{
    pthread_mutex_lock(&leases->lock);
    for (struct lease *at = leases->first; at != NULL; at = at->next) {
        if (!at->replaced || at->unused || has(in_use, at->user.lease_id)) continue;
        at->unused = true;
        at->failed = 0;
        at->due_us = leases->lessor.now_us();
    }
    wake(leases);
    pthread_mutex_unlock(&leases->lock);
}

static void *go(void *argument)
{
    kms_env_leases *leases = argument;
    pthread_mutex_lock(&leases->lock);
    while (!leases->ended) {
        leases->nudged = false;
        pthread_mutex_unlock(&leases->lock);
        const uint64_t due_us = kms_env_leases_tend(leases), now_us = leases->lessor.now_us();
        uint64_t wait_ms = due_us > now_us ? (due_us - now_us) / 1000 + 1 : 0;
        if (wait_ms > LONGEST_WAIT_MS) wait_ms = LONGEST_WAIT_MS;
        const struct timespec until = kms_in_ms((uint32_t)wait_ms);
        pthread_mutex_lock(&leases->lock);
        while (!leases->ended && !leases->nudged &&
               pthread_cond_timedwait(&leases->wake, &leases->lock, &until) == 0)
            continue;
    }
    pthread_mutex_unlock(&leases->lock);
    return NULL;
}

kms_err kms_env_leases_start(kms_env_leases *leases)
{
    leases->started = pthread_create(&leases->thread, NULL, go, leases) == 0;
    return leases->started ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_env_leases_give_back(kms_env_leases *leases, const struct lease *lease, uint32_t timeout_ms,
                                 struct kms_why *why)
{
    kms_err err = leases->lessor.give_back(leases->lessor.self, lease->user.lease_id, timeout_ms, why);
    return kms_is(err, KMS_E_NOT_FOUND) ? KMS_OK : err;
}

static void give_back_all(kms_env_leases *leases)
{
    const uint64_t until_us = leases->lessor.now_us() + KMS_ENV_LEASES_END_MS * UINT64_C(1000);
    for (const struct lease *at = leases->first; at != NULL; at = at->next) {
        struct kms_why why = {0};
        char time[KMS_ENV_LEASES_TIME];
        const uint64_t now_us = leases->lessor.now_us();
        kms_err err = KMS_FAIL(DEADLINE_EXCEEDED);
        if (now_us + 1000 < until_us)
            err = kms_env_leases_give_back(leases, at, (uint32_t)((until_us - now_us) / 1000), &why);
        if (!kms_failed(err)) continue;
        kms_env_leases_time(at->user.expires_us, time);
        kms_env_leases_say(leases,
                           "role %s: lease %s could not be given back: %s: it expires by itself at %s",
                           at->role, at->user.lease_id, kms_env_leases_words(err, &why), time);
    }
}

bool kms_env_leases_end(kms_env_leases *leases)
{
    const bool ended = atomic_exchange(&leases->ended, true);
    pthread_mutex_lock(&leases->lock);
    const bool busy = leases->busy;
    if (!ended) give_back_all(leases);
    pthread_cond_signal(&leases->wake);
    pthread_mutex_unlock(&leases->lock);
    if (!leases->started) return true;
    if (busy) return false;
    pthread_join(leases->thread, NULL);
    leases->started = false;
    return true;
}
