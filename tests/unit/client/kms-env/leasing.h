/* A run that has database users of a service that makes what the test says, at the test's time. */
#ifndef KMS_TESTS_KMS_ENV_LEASING_H
#define KMS_TESTS_KMS_ENV_LEASING_H

#include <stdio.h>

#include "client/kms-env/leases_inside.h"
#include "tests/harness/suite.h"

#define SECOND_US UINT64_C(1000000)
#define NOON_US   UINT64_C(1700000000000000) /* 2023-11-14T22:13:20Z: the wall clock is that far ahead */

struct world {
    uint64_t now_us, most_us; /* the lease that was made last lasts no longer than most_us */
    uint64_t ttl_s;
    kms_err make, renew, give_back, take; /* what becomes of calls */
    bool keeps;                           /* replaced takes the new user and lets the old one go */
    unsigned made, renewed, replaced, said;
    uint32_t timeout_ms;
    char given_back[200], words[800];
    kms_env_leases *leases;
    kms_env_fetches *fetches; /* of the start */
};
static struct world world;

static inline uint64_t now_us(void)
{
    return world.now_us;
}

static inline uint64_t ttl_s(void)
{
    const uint64_t left_s = world.most_us > world.now_us ? (world.most_us - world.now_us) / SECOND_US : 0;
    return world.ttl_s < left_s ? world.ttl_s : left_s;
}

static inline uint64_t expires_us(void)
{
    const uint64_t wanted_us = world.now_us + world.ttl_s * SECOND_US;
    return NOON_US + (wanted_us < world.most_us ? wanted_us : world.most_us);
}

static inline kms_secret *secret(const char *text)
{
    kms_secret *made = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_new(strlen(text), &made));
    kms_copy(kms_secret_data(made), text, strlen(text));
    return made;
}

static inline kms_err make(void *self, const char *role, struct kms_env_user *ret_user,
                           char reason[KMS_ENV_REASON_BYTES], struct kms_why *why)
{
    struct world *w = self;
    if (kms_failed(w->make)) {
        snprintf(reason, KMS_ENV_REASON_BYTES, "%s", kms_err_reason(w->make));
        kms_why_set(why, "no user of %s", role);
        return w->make;
    }
    char name[40];
    snprintf(name, sizeof name, "user-%u", ++w->made);
    w->most_us = w->now_us + 1000 * SECOND_US;
    *ret_user = (struct kms_env_user){
        .username = secret(name), .password = secret("s3cr3t"), .ttl_s = ttl_s(), .expires_us = expires_us()};
    snprintf(ret_user->lease_id, sizeof ret_user->lease_id, "%s/%u", role, w->made);
    return KMS_OK;
}

static inline kms_err renew(void *self, const char *lease_id, uint64_t wanted_s, uint64_t *ret_ttl_s,
                            uint64_t *ret_expires_us, struct kms_why *why)
{
    struct world *w = self;
    (void)lease_id;
    w->renewed++;
    CU_ASSERT_EQUAL(wanted_s, w->ttl_s);
    if (kms_failed(w->renew)) {
        kms_why_set(why, "refused");
        return w->renew;
    }
    *ret_ttl_s = ttl_s();
    *ret_expires_us = expires_us();
    return KMS_OK;
}

static inline kms_err give_back(void *self, const char *lease_id, uint32_t timeout_ms, struct kms_why *why)
{
    struct world *w = self;
    w->timeout_ms = timeout_ms;
    if (kms_failed(w->give_back)) {
        if (kms_is(w->give_back, KMS_E_IO)) w->now_us += timeout_ms * UINT64_C(1000); /* all of the time */
        kms_why_set(why, "away");
        return w->give_back;
    }
    const size_t len = strlen(w->given_back);
    snprintf(w->given_back + len, sizeof w->given_back - len, "%s ", lease_id);
    return KMS_OK;
}

/* A fetch of a role, with what came of it. */
static inline void take(const char *role, kms_env_fetches *fetches)
{
    char text[60];
    struct kms_env_reference reference;
    size_t at;
    snprintf(text, sizeof text, "kms-db://%s#password", role);
    KMS_ASSERT_OK_FATAL(kms_env_reference_parse(kms_bytes_text(text), &reference, NULL));
    KMS_ASSERT_OK_FATAL(kms_env_fetches_add(fetches, &reference, &at));
    kms_env_leases_take(world.leases, kms_env_fetches_at(fetches, at));
}

static inline kms_env_fetches *another(void)
{
    kms_env_fetches *fetches = NULL;
    KMS_ASSERT_OK_FATAL(kms_env_fetches_new(&fetches));
    return fetches;
}

static inline const struct kms_env_fetch *first(const kms_env_fetches *fetches)
{
    return kms_env_fetches_look(fetches, 0);
}

static inline kms_err replaced(void *self, struct kms_why *why)
{
    struct world *w = self;
    KMS_OWN(kms_env_fetches) fetches = another();
    w->replaced++;
    if (kms_failed(w->take)) {
        kms_why_set(why, "1 value could not be had");
        return w->take;
    }
    take("ro", fetches);
    KMS_ASSERT_OK(first(fetches)->err);
    if (w->keeps) kms_env_leases_settle(w->leases, fetches);
    return KMS_OK;
}

static inline void say(void *self, const char *words)
{
    struct world *w = self;
    w->said++;
    snprintf(w->words, sizeof w->words, "%s", words);
}

/* A run with one user of the role "ro", for 100 s, for 1000 s at most. */
static inline void begin(bool replaces)
{
    const struct kms_env_lessor lessor = {make, renew, give_back, now_us, &world};
    const struct kms_env_tenant tenant = {replaces ? replaced : NULL, say, &world};
    world = (struct world){.ttl_s = 100,
                           .make = KMS_OK,
                           .renew = KMS_OK,
                           .give_back = KMS_OK,
                           .take = KMS_OK,
                           .keeps = true,
                           .fetches = another()};
    KMS_ASSERT_OK_FATAL(kms_env_leases_new(lessor, tenant, &world.leases));
    take("ro", world.fetches);
    KMS_ASSERT_OK_FATAL(first(world.fetches)->err);
}

/* Goes on to the next time that something is due. */
static inline void go_on(void)
{
    world.now_us = kms_env_leases_tend(world.leases);
    CU_ASSERT_NOT_EQUAL_FATAL(world.now_us, KMS_ENV_LEASES_NEVER);
}

static inline void end(void)
{
    CU_ASSERT(kms_env_leases_end(world.leases));
    kms_env_leases_free(world.leases);
    kms_env_fetches_free(world.fetches);
}

static inline bool is(kms_secret *got, const char *text)
{
    return kms_bytes_equal(kms_bytes_of(kms_secret_data(got), kms_secret_len(got)), kms_bytes_text(text));
}

#endif
