/* SweepLeases, and what becomes of what a sweep finds. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/service/access.h"
#include "kmsd/service/lease_acts.h"
#include "kmsd/service/lease_sweep.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { RECORDED_USERS = 16, RECORDED_FAILURES = 4 }; /* as many fit on record; the log has all */

/* "a, b and 3 more". */
static void say_some(struct kms_call *call, const char *name, char *const *lines, size_t count, size_t most)
{
    const char *text = count > 0 ? lines[0] : NULL;
    for (size_t i = 1; i < count && i < most && text != NULL; i++)
        text = kms_arena_print(&call->arena, "%s, %s", text, lines[i]);
    if (count > most && text != NULL)
        text = kms_arena_print(&call->arena, "%s and %zu more", text, count - most);
    kms_call_say(call, name, text);
}

/* Said whether or not the sweep came to its end. */
static void tell(struct kms_call *call, const struct kms_sweep *sweep)
{
    for (size_t i = 0; i < sweep->orphan_count; i++)
        kms_log(KMS_LOG_WARN, "lease.sweep", "user=%s has no lease", sweep->orphans[i]);
    for (size_t i = 0; i < sweep->lost_count; i++)
        kms_log(KMS_LOG_WARN, "lease.sweep", "lease=%s has no user any more", sweep->lost[i]);
    for (size_t i = 0; i < sweep->failure_count; i++)
        kms_log(KMS_LOG_WARN, "lease.sweep", "failed=\"%s\"", sweep->failures[i]);
    kms_metric_add(KMS_METRIC_LEASE_ORPHANS, sweep->orphan_count);
    kms_metric_add(KMS_METRIC_LEASES_LOST, sweep->lost_count);
    say_some(call, "orphans", sweep->orphans, sweep->orphan_count, RECORDED_USERS);
    say_some(call, "failures", sweep->failures, sweep->failure_count, RECORDED_FAILURES);
    if (sweep->orphan_count + sweep->lost_count + sweep->failure_count > 0)
        call->noted = kms_arena_print(&call->arena,
                                      "%zu users without a lease, %zu leases without a user, %zu failures%s",
                                      sweep->orphan_count, sweep->lost_count, sweep->failure_count,
                                      sweep->report_only ? ", reported only" : "");
}

/* Those that were renewed or ended since they were looked at are looked at again next time. */
static void keep_unchanged(kms_lease_book *book, struct kms_lease_list *lost)
{
    size_t kept = 0;
    for (size_t i = 0; i < lost->count; i++) {
        struct kms_lease *lease = lost->leases[i];
        KMS_OWN_LEASE now = kms_lease_book_find(book, lease->stored->id);
        if (now != NULL && now->revision == lease->revision)
            lost->leases[kept++] = lease;
        else
            kms_lease_unref(lease);
    }
    lost->count = kept;
}

static kms_err erase_lost(struct kms_call *call, struct kms_lease_list *lost)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_LEASE_CHANGE changing = kms_lease_book_begin_change(call->core->leases);
    keep_unchanged(changing, lost);
    if (lost->count == 0) return KMS_OK;
    KMS_TRY(kms_lease_say(call, "lost", lost));
    for (size_t i = 0; i < lost->count; i++) KMS_TRY(kms_change_lease_gone(&changes, lost->leases[i]));
    KMS_TRY(kms_change_apply(&changes, call));
    for (size_t i = 0; i < lost->count; i++) kms_lease_book_remove(changing, lost->leases[i]->stored->id);
    return KMS_OK;
}

static kms_err settle(struct kms_call *call, struct kms_sweep *sweep, kms_err err)
{
    tell(call, sweep);
    return kms_failed(err) ? err : erase_lost(call, &sweep->lost_leases);
}

/* ---- of the service itself ---- */

/* The rest of one that ran out of time comes soon, unless it was failures that took the time. */
static void put_next(struct kms_call *call, const struct kms_sweep *sweep, kms_err err)
{
    bool soon = !kms_failed(err) && sweep->unfinished && sweep->failure_count == 0;
    uint64_t wait_us = soon ? call->core->lease_turn_us : call->core->sweep_interval_us;
    kms_lease_book_swept(call->core->leases, sweep->role->stored->name, kms_monotonic_us() + wait_us);
}

kms_err kms_lease_sweep_due(struct kms_call *call)
{
    struct kms_sweep sweep = {.role = kms_call_role(call), .began_us = kms_monotonic_us()};
    kms_err err = settle(call, &sweep, kms_sweep_role(call, &sweep));
    put_next(call, &sweep, err);
    kms_sweep_end(&sweep);
    return err;
}

/* ---- by a caller ---- */

kms_err kms_sweep_leases_gather(struct kms_call *call)
{
    const Kms__V1__SweepLeasesRequest *request = (const void *)call->request;
    struct kms_access *access;
    if (request->role_name[0] == '\0') return kms_access_service(call, KMS_ACT_SWEEP_LEASES);
    return kms_access_role(call, KMS_ACT_SWEEP_LEASES, request->role_name, &access);
}

/* One role that cannot be looked at does not keep the others from it. */
static kms_err sweep_all(struct kms_call *call, struct kms_sweep *sweep)
{
    KMS_OWN_ROLE_LIST roles = {.count = 0};
    KMS_TRY(kms_lease_book_roles(call->core->leases, "", SIZE_MAX, &roles));
    for (size_t i = 0; i < roles.count; i++) {
        sweep->role = roles.roles[i];
        size_t failures = sweep->failure_count;
        kms_err err = kms_sweep_role(call, sweep);
        if (kms_is(err, KMS_E_NO_MEMORY)) return err;
        if (kms_failed(err) && sweep->failure_count == failures)
            kms_sweep_put_failure(call, sweep, sweep->role->stored->name, err, &call->why);
        call->why.text[0] = '\0';
    }
    return KMS_OK;
}

kms_err kms_sweep_leases_act(struct kms_call *call)
{
    const Kms__V1__SweepLeasesRequest *request = (const void *)call->request;
    Kms__V1__SweepLeasesResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_sweep sweep = {.role = kms_call_role(call), .report_only = request->report_only};
    kms_err err = sweep.role != NULL ? kms_sweep_role(call, &sweep) : sweep_all(call, &sweep);
    err = settle(call, &sweep, err);
    kms_sweep_end(&sweep);
    reply->orphans = sweep.orphans;
    reply->n_orphans = sweep.orphan_count;
    reply->lost = sweep.lost;
    reply->n_lost = sweep.lost_count;
    reply->failures = sweep.failures;
    reply->n_failures = sweep.failure_count;
    return err;
}
