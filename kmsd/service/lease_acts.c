/* Leases that begin and end. */
#include "kmsd/service/lease_acts.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/service/lease.h"

/* The ids of so many leases fit on record. */
enum { EXPIRE_AT_ONCE = 256, REVOKE_AT_ONCE = 32 };

kms_err kms_lease_begin_gather(struct kms_call *call)
{
    const kms_stored_lease *lease = call->leases->leases[0]->stored;
    KMS_TRY(kms_lease_say(call, "lease", call->leases));
    kms_call_say(call, "database_user", lease->user);
    kms_call_say(call, "lease_owner", lease->owner);
    return KMS_OK;
}

kms_err kms_lease_begin(struct kms_call *call)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_change_lease(&changes, call->leases->leases[0]));
    return kms_change_apply(&changes, call);
}

/* ---- expiry ---- */

struct wanted {
    const char *role, *database; /* database NULL: any */
    uint64_t now_us, monotonic_us;
};

static struct wanted wanted_of(const struct kms_call *call)
{
    return (struct wanted){kms_call_role(call)->stored->name, NULL, kms_core_now_us(call->core),
                           kms_monotonic_us()};
}

static bool has_expired(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    const struct wanted *wanted = user;
    (void)retry_us;
    return lease->stored->state == KMS_LEASE_ACTIVE && lease->stored->expires_us <= wanted->now_us &&
           strcmp(lease->stored->role, wanted->role) == 0;
}

kms_err kms_lease_expire_gather(struct kms_call *call)
{
    const struct wanted wanted = wanted_of(call);
    KMS_TRY(kms_lease_gather(call, "", EXPIRE_AT_ONCE, has_expired, &wanted));
    return kms_lease_say(call, "leases", call->leases);
}

kms_err kms_lease_expire(struct kms_call *call)
{
    size_t count;
    return kms_lease_end_all(call, &count);
}

/* ---- revocation ---- */

static bool is_ending(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    const struct wanted *wanted = user;
    return lease->stored->state == KMS_LEASE_REVOKING && retry_us <= wanted->monotonic_us &&
           strcmp(lease->stored->role, wanted->role) == 0 &&
           (wanted->database == NULL || strcmp(lease->stored->database, wanted->database) == 0);
}

/* Those of the first one's database: a role may have had another. */
kms_err kms_lease_revoke_due_gather(struct kms_call *call)
{
    struct wanted wanted = wanted_of(call);
    KMS_OWN_LEASE_LIST first = {.count = 0};
    KMS_TRY(kms_lease_book_list(call->core->leases, "", 1, is_ending, &wanted, &first));
    if (first.count > 0) wanted.database = first.leases[0]->stored->database;
    KMS_TRY(kms_lease_gather(call, "", REVOKE_AT_ONCE, is_ending, &wanted));
    return kms_lease_say(call, "leases", call->leases);
}

struct revoked {
    struct kms_change_set *changes;
    size_t gone, failed, later; /* later: the turn was over before */
    bool away;                  /* the database, meanwhile */
    kms_err first;              /* failure */
    struct kms_why why;
};

static void note_failure(struct kms_call *call, const struct kms_lease *lease, kms_err err,
                         const struct kms_why *why, struct revoked *revoked)
{
    kms_log(KMS_LOG_WARN, "lease.revocation", "lease=%s user=%s err=%s tried again later: %s",
            lease->stored->id, lease->stored->user, kms_err_reason(err), why->text);
    kms_metric_add(KMS_METRIC_REVOCATION_FAILURES, 1);
    kms_lease_book_delay(call->core->leases, lease->stored->id, kms_monotonic_us(),
                         call->core->lease_backoff_us);
    if (revoked->failed++ > 0) return;
    revoked->first = err;
    revoked->why = *why;
}

/* What the database does not have any more goes from the keystore, too. */
static kms_err revoke_each(struct kms_call *call, kms_database *database, struct revoked *revoked)
{
    const kms_stored_role *role = kms_call_role(call)->stored;
    struct kms_statements statements;
    KMS_TRY(
        kms_role_statements(call, role->revocation_statements, role->n_revocation_statements, &statements));
    uint64_t began_us = kms_monotonic_us();
    for (size_t i = 0; i < call->leases->count; i++) {
        revoked->later = i > 0 && kms_lease_turn_over(call, began_us) ? call->leases->count - i : 0;
        if (revoked->later > 0) break;
        const struct kms_lease *lease = call->leases->leases[i];
        const struct kms_database_user user = {lease->stored->user, "", lease->stored->expires_us};
        struct kms_why why = {{0}};
        kms_err err = kms_database_revoke(database, &statements, &user, &why);
        if (kms_failed(err)) note_failure(call, lease, err, &why, revoked);
        revoked->away = kms_is(err, KMS_E_DATABASE_UNAVAILABLE);
        if (revoked->away) break;
        if (kms_failed(err)) continue;
        KMS_TRY(kms_change_lease_gone(revoked->changes, lease));
        revoked->gone++;
    }
    return KMS_OK;
}

static kms_err forget(struct kms_call *call, const struct revoked *revoked)
{
    if (revoked->gone == 0) return KMS_OK;
    KMS_TRY(kms_change_apply(revoked->changes, call));
    kms_metric_add(KMS_METRIC_LEASES_REVOKED, revoked->gone);
    for (size_t i = 0; i < revoked->changes->count; i++) {
        const char *row = revoked->changes->steps[i]->id;
        char id[KMS_LEASE_ID_BYTES];
        snprintf(id, sizeof id, "%s/%s", kms_call_role(call)->stored->name, row);
        kms_lease_book_remove(call->core->leases, id);
    }
    return KMS_OK;
}

/* What concerns the database as a whole keeps back the role's leases in it, and not those in another. */
static kms_err revoke_in(struct kms_call *call, const char *name, struct revoked *revoked)
{
    KMS_OWN(kms_database) database = NULL;
    kms_lease_book *leases = call->core->leases;
    const char *role = kms_call_role(call)->stored->name;
    kms_err err = kms_lease_database(call, name, &database);
    if (!kms_failed(err)) err = revoke_each(call, database, revoked);
    if (kms_failed(err) || revoked->away)
        kms_lease_book_delay_database(leases, role, name, kms_monotonic_us(), call->core->lease_backoff_us);
    else
        kms_lease_book_ease_database(leases, role, name);
    return err;
}

kms_err kms_lease_revoke_due(struct kms_call *call)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    struct revoked revoked = {.changes = &changes};
    if (call->leases->count == 0) return KMS_OK;
    KMS_TRY(revoke_in(call, call->leases->leases[0]->stored->database, &revoked));
    KMS_TRY(forget(call, &revoked));
    if (revoked.later > 0)
        call->noted = kms_arena_print(&call->arena, "%zu are gone, %zu have to wait for the next turn",
                                      revoked.gone, revoked.later);
    if (revoked.failed == 0) return KMS_OK;
    call->noted = kms_arena_print(&call->arena, "%zu are gone, %zu are not: %s", revoked.gone, revoked.failed,
                                  revoked.why.text);
    if (revoked.gone > 0) return KMS_OK;
    call->why = revoked.why;
    return revoked.first;
}
