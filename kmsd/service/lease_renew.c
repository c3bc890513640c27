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

kms_err kms_renew_lease_act(struct kms_call *call)
{
    Kms__V1__RenewLeaseResponse *reply = kms_new_reply(call);
    const struct kms_lease *lease = call->leases->leases[0];
    uint64_t now_us = kms_core_now_us(call->core);
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_LEASE renewed = NULL;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (lease->stored->state != KMS_LEASE_ACTIVE || lease->stored->expires_us <= now_us)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "lease %s has ended", lease->stored->id);
    kms_stored_lease like = *lease->stored;
    like.expires_us = renewed_until(call, lease->stored, now_us);
    KMS_TRY(kms_lease_new(&like, lease->revision, &renewed));
    if (like.expires_us > lease->stored->expires_us) {
        KMS_TRY(renew_user(call, renewed->stored));
        KMS_TRY(kms_change_lease(&changes, renewed));
        KMS_TRY(kms_change_apply(&changes, call));
        KMS_TRY(kms_lease_book_put(call->core->leases, renewed));
        kms_metric_add(KMS_METRIC_LEASES_RENEWED, 1);
    }
    reply->lease_id = lease->stored->id; /* the call holds the lease */
    reply->expires_us = like.expires_us;
    reply->lease_duration = (like.expires_us - now_us) / SECOND_US;
    return KMS_OK;
}
