/* RenewLease: first the database, then the keystore, so that a lease never says more than its user has. */
#include "base/clock.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/service/access.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

#define SECOND_US UINT64_C(1000000)

kms_err kms_renew_lease_gather(struct kms_call *call)
{
    const Kms__V1__RenewLeaseRequest *request = (const void *)call->request;
    return kms_lease_gather_own(call, KMS_ACT_RENEW_LEASE, request->lease_id);
}

static uint64_t renewed_until(const struct kms_call *call, const kms_stored_lease *lease, uint64_t now_us)
{
    const Kms__V1__RenewLeaseRequest *request = (const void *)call->request;
    uint64_t room_us = lease->most_us > now_us ? lease->most_us - now_us : 0;
    uint64_t wanted_us = kms_call_role(call)->stored->default_ttl_us;
    if (request->increment != 0)
        wanted_us = request->increment < room_us / SECOND_US ? request->increment * SECOND_US : room_us;
    uint64_t until_us = now_us + (wanted_us < room_us ? wanted_us : room_us);
    return until_us > lease->expires_us ? until_us : lease->expires_us;
}

static kms_err renew_user(struct kms_call *call, const kms_stored_lease *lease)
{
    KMS_OWN(kms_database) database = NULL;
    const kms_stored_role *of = kms_call_role(call)->stored;
    const struct kms_database_user user = {lease->user, "", lease->expires_us};
    struct kms_statements statements;
    KMS_TRY(kms_role_statements(call, of->renewal_statements, of->n_renewal_statements, &statements));
    KMS_TRY(kms_lease_database(call, lease->database, &database));
    return kms_database_renew(database, &statements, &user, &call->why);
}

/* The lease as it is now: NOT_FOUND when its time is over. */
static kms_err find_active(struct kms_call *call, uint64_t now_us, struct kms_lease **ret_lease)
{
    const char *id = call->leases->leases[0]->stored->id;
    struct kms_lease *lease = kms_lease_book_find(call->core->leases, id);
    *ret_lease = lease;
    if (lease != NULL && lease->stored->state == KMS_LEASE_ACTIVE && lease->stored->expires_us > now_us)
        return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "lease %s has ended", id);
}

/* Nothing of it is taken back that has happened to the lease while the database worked. */
static kms_err store(struct kms_call *call, uint64_t expires_us, uint64_t now_us)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_LEASE lease = NULL;
    KMS_OWN_LEASE renewed = NULL;
    KMS_OWN_LEASE_CHANGE changing = kms_lease_book_begin_change(call->core->leases);
    KMS_TRY(find_active(call, now_us, &lease));
    kms_stored_lease like = *lease->stored;
    like.expires_us = expires_us;
    KMS_TRY(kms_lease_new(&like, lease->revision, &renewed));
    KMS_TRY(kms_change_lease(&changes, renewed));
    KMS_TRY(kms_change_apply(&changes, call));
    return kms_lease_book_put(changing, renewed);
}

/* As long as the one before may wait for the database. */
static kms_err claim(struct kms_call *call, struct kms_lease_claim *ret_claim)
{
    const kms_stored_lease *lease = call->leases->leases[0]->stored;
    const struct kmsd_conf_database *conf = kms_rotators_database(call->core->rotators, lease->database);
    uint32_t wait_ms = conf != NULL ? (uint32_t)(conf->connect_timeout_ms + conf->statement_timeout_ms) : 0;
    if (kms_lease_book_claim(call->core->leases, lease->id, wait_ms, ret_claim)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(CONFLICT), "lease %s is being renewed by another call", lease->id);
}

/* One renewal of a lease at a time: else the database might in the end have the shorter of two. */
kms_err kms_renew_lease_act(struct kms_call *call)
{
    Kms__V1__RenewLeaseResponse *reply = kms_new_reply(call);
    KMS_OWN_LEASE lease = NULL;
    KMS_OWN_LEASE_CLAIM claimed = {.book = NULL};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(claim(call, &claimed));
    uint64_t now_us = kms_core_now_us(call->core);
    KMS_TRY(find_active(call, now_us, &lease));
    kms_stored_lease like = *lease->stored;
    like.expires_us = renewed_until(call, lease->stored, now_us);
    if (like.expires_us > lease->stored->expires_us) {
        KMS_TRY(renew_user(call, &like));
        KMS_TRY(store(call, like.expires_us, now_us));
        kms_metric_add(KMS_METRIC_LEASES_RENEWED, 1);
    }
    reply->lease_id = call->leases->leases[0]->stored->id; /* the call holds the lease */
    reply->expires_us = like.expires_us;
    reply->lease_duration = (like.expires_us - now_us) / SECOND_US;
    return KMS_OK;
}
