/*
 * SweepLeases: what the database has against what the keystore has. Both move meanwhile: the leases are read
 * first, then the users, and whatever looks wrong is looked at once more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/service/access.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/lease_acts.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { FINDINGS_MOST = 1000 }; /* of each kind in one answer; the rest comes with the next sweep */

struct users {
    struct kms_call *call;
    char **names; /* in the arena, sorted */
    size_t count, room;
    bool out_of_memory;
};

static void take_user(void *user, const char *name)
{
    struct users *users = user;
    if (users->count == users->room) {
        size_t room = users->room > 0 ? 2 * users->room : 64;
        char **names = realloc(users->names, room * sizeof *names);
        if (names == NULL) users->out_of_memory = true;
        if (names == NULL) return;
        users->names = names;
        users->room = room;
    }
    users->names[users->count] = strdup(name);
    if (users->names[users->count] == NULL)
        users->out_of_memory = true;
    else
        users->count++;
}

static void free_users(struct users *users)
{
    for (size_t i = 0; i < users->count; i++) free(users->names[i]);
    free(users->names);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static bool has_user(const struct users *users, const char *name)
{
    return users->count > 0 && bsearch(&name, users->names, users->count, sizeof(char *), by_text) != NULL;
}

/* One more line; false: no room. */
static bool put_line(struct kms_call *call, char ***lines, size_t *count, const char *text)
{
    if (*lines == NULL) *lines = kms_call_alloc(call, FINDINGS_MOST * sizeof(char *));
    if (*lines == NULL || *count == FINDINGS_MOST) return false;
    (*lines)[*count] = kms_arena_print(&call->arena, "%s", text);
    if ((*lines)[*count] == NULL) return false;
    (*count)++;
    return true;
}

static bool put_failure(struct kms_call *call, struct kms_sweep *sweep, const char *what, kms_err err,
                        const struct kms_why *why)
{
    const char *line = kms_arena_print(&call->arena, "%s: %s: %s", what, kms_err_reason(err), why->text);
    return line != NULL && put_line(call, &sweep->failures, &sweep->failure_count, line);
}

static bool has_name(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return strcmp(lease->stored->user, user) == 0;
}

static bool is_of(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return strcmp(lease->stored->role, user) == 0;
}

/* Of a user that was no lease's: it may be of a new one; its lease may have ended between the two looks, and
 * the user with it. */
static kms_err look_at_user(struct kms_call *call, kms_database *database, const char *name,
                            struct kms_sweep *sweep)
{
    static const struct kms_statements usual = {NULL, 0};
    const struct kms_database_user user = {name, "", 0};
    struct kms_why why = {{0}};
    bool has;
    if (kms_lease_book_count(call->core->leases, has_name, name) > 0) return KMS_OK;
    KMS_TRY(kms_database_has(database, name, &has, &call->why));
    if (!has || !put_line(call, &sweep->orphans, &sweep->orphan_count, name) || sweep->report_only)
        return KMS_OK;
    kms_err err = kms_database_revoke(database, &usual, &user, &why);
    if (kms_failed(err)) put_failure(call, sweep, name, err, &why);
    if (!kms_is(err, KMS_E_DATABASE_UNAVAILABLE)) return KMS_OK;
    call->why = why;
    return err;
}

static kms_err look_at_lease(struct kms_call *call, struct kms_change_set *changes, kms_database *database,
                             struct kms_lease *lease, struct kms_sweep *sweep)
{
    bool has;
    KMS_OWN_LEASE now = kms_lease_book_find(call->core->leases, lease->stored->id);
    if (now == NULL || now->stored->state != KMS_LEASE_ACTIVE) return KMS_OK;
    KMS_TRY(kms_database_has(database, now->stored->user, &has, &call->why));
    if (has || !put_line(call, &sweep->lost, &sweep->lost_count, now->stored->id) || sweep->report_only)
        return KMS_OK;
    KMS_TRY(kms_change_lease_gone(changes, now));
    sweep->lost_leases.leases[sweep->lost_leases.count++] = KMS_GIVE(now);
    return KMS_OK;
}

/* Those of leases, borrowed, sorted. */
static kms_err users_of(struct kms_call *call, const struct kms_lease_list *leases, struct users *ret_users)
{
    char **names = kms_call_alloc(call, (leases->count + 1) * sizeof *names);
    if (names == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < leases->count; i++) names[i] = leases->leases[i]->stored->user;
    if (leases->count > 0) qsort(names, leases->count, sizeof *names, by_text);
    *ret_users = (struct users){.call = call, .names = names, .count = leases->count};
    return KMS_OK;
}

static bool is_over(const struct kms_call *call, struct kms_sweep *sweep)
{
    if (sweep->began_us != 0 && kms_lease_turn_over(call, sweep->began_us)) sweep->unfinished = true;
    return sweep->unfinished;
}

static kms_err compare(struct kms_call *call, struct kms_change_set *changes, kms_database *database,
                       const struct kms_lease_list *leases, const struct users *users,
                       struct kms_sweep *sweep)
{
    const char *of = sweep->role->stored->database;
    struct users known;
    KMS_TRY(users_of(call, leases, &known));
    for (size_t i = 0; i < users->count && !is_over(call, sweep); i++)
        if (!has_user(&known, users->names[i])) KMS_TRY(look_at_user(call, database, users->names[i], sweep));
    for (size_t i = 0; i < leases->count && !is_over(call, sweep); i++) {
        const kms_stored_lease *lease = leases->leases[i]->stored;
        if (lease->state != KMS_LEASE_ACTIVE || strcmp(lease->database, of) != 0) continue;
        if (!has_user(users, lease->user))
            KMS_TRY(look_at_lease(call, changes, database, leases->leases[i], sweep));
    }
    return KMS_OK;
}

kms_err kms_sweep_role(struct kms_call *call, struct kms_change_set *changes, struct kms_sweep *sweep)
{
    const kms_stored_role *role = sweep->role->stored;
    char prefix[KMS_DATABASE_PREFIX];
    KMS_OWN(kms_database) database = NULL;
    KMS_OWN_LEASE_LIST leases = {.count = 0};
    struct users users = {.call = call};
    KMS_TRY(kms_database_prefix(role->instance, prefix));
    KMS_TRY(kms_lease_book_list(call->core->leases, "", SIZE_MAX, is_of, role->name, &leases));
    struct kms_lease **room =
        realloc(sweep->lost_leases.leases,
                (sweep->lost_leases.count + leases.count + 1) * sizeof(struct kms_lease *));
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    sweep->lost_leases.leases = room;
    KMS_TRY(kms_lease_database(call, role->database, &database));
    kms_err err = kms_database_list(database, prefix, take_user, &users, &call->why);
    if (!kms_failed(err) && users.out_of_memory) err = KMS_FAIL(NO_MEMORY);
    if (!kms_failed(err) && users.count > 0) qsort(users.names, users.count, sizeof(char *), by_text);
    if (!kms_failed(err)) err = compare(call, changes, database, &leases, &users, sweep);
    free_users(&users);
    return err;
}

void kms_sweep_end(struct kms_sweep *sweep)
{
    kms_lease_list_free(&sweep->lost_leases);
}

/* What was found is stored, in the book, and in the log. */
static kms_err settle(struct kms_call *call, struct kms_change_set *changes, const struct kms_sweep *sweep)
{
    for (size_t i = 0; i < sweep->orphan_count; i++)
        kms_log(KMS_LOG_WARN, "lease.sweep", "user=%s has no lease", sweep->orphans[i]);
    for (size_t i = 0; i < sweep->lost_count; i++)
        kms_log(KMS_LOG_WARN, "lease.sweep", "lease=%s has no user any more", sweep->lost[i]);
    kms_metric_add(KMS_METRIC_LEASE_ORPHANS, sweep->orphan_count);
    kms_metric_add(KMS_METRIC_LEASES_LOST, sweep->lost_count);
    if (sweep->orphan_count + sweep->lost_count + sweep->failure_count > 0)
        call->noted = kms_arena_print(&call->arena, "%zu users without a lease, %zu leases without a user%s",
                                      sweep->orphan_count, sweep->lost_count,
                                      sweep->report_only ? ", reported only" : "");
    if (sweep->lost_leases.count == 0) return KMS_OK;
    KMS_TRY(kms_lease_say(call, "lost", &sweep->lost_leases));
    KMS_TRY(kms_change_apply(changes, call));
    for (size_t i = 0; i < sweep->lost_leases.count; i++)
        kms_lease_book_remove(call->core->leases, sweep->lost_leases.leases[i]->stored->id);
    return KMS_OK;
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
    KMS_OWN_CHANGES changes = {.count = 0};
    struct kms_sweep sweep = {.role = kms_call_role(call), .began_us = kms_monotonic_us()};
    const kms_stored_role *role = sweep.role->stored;
    kms_err err = kms_sweep_role(call, &changes, &sweep);
    if (!kms_failed(err)) kms_lease_book_ease_database(call->core->leases, role->name, role->database);
    if (!kms_failed(err)) err = settle(call, &changes, &sweep);
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

static bool has_text(const char *const *texts, size_t count, const char *text)
{
    while (count > 0)
        if (strcmp(texts[--count], text) == 0) return true;
    return false;
}

/* One database that is away does not keep the others from being looked at, and is waited for once. */
static kms_err sweep_all(struct kms_call *call, struct kms_change_set *changes, struct kms_sweep *sweep)
{
    KMS_OWN_ROLE_LIST roles = {.count = 0};
    KMS_TRY(kms_lease_book_roles(call->core->leases, "", SIZE_MAX, &roles));
    size_t away_count = 0;
    const char **away = kms_call_alloc(call, (roles.count + 1) * sizeof *away);
    if (away == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < roles.count; i++) {
        sweep->role = roles.roles[i];
        const char *database = sweep->role->stored->database;
        bool skip = has_text(away, away_count, database);
        kms_err err = skip ? KMS_FAIL(DATABASE_UNAVAILABLE) : kms_sweep_role(call, changes, sweep);
        if (skip) kms_why_set(&call->why, "database %s, as above", database);
        if (!skip && kms_is(err, KMS_E_DATABASE_UNAVAILABLE)) away[away_count++] = database;
        if (kms_is(err, KMS_E_NO_MEMORY)) return err;
        if (kms_failed(err) && !put_failure(call, sweep, sweep->role->stored->name, err, &call->why))
            return KMS_FAIL(NO_MEMORY);
        call->why.text[0] = '\0';
    }
    return KMS_OK;
}

kms_err kms_sweep_leases_act(struct kms_call *call)
{
    const Kms__V1__SweepLeasesRequest *request = (const void *)call->request;
    Kms__V1__SweepLeasesResponse *reply = kms_new_reply(call);
    KMS_OWN_CHANGES changes = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_sweep sweep = {.role = kms_call_role(call), .report_only = request->report_only};
    kms_err err =
        sweep.role != NULL ? kms_sweep_role(call, &changes, &sweep) : sweep_all(call, &changes, &sweep);
    if (!kms_failed(err)) err = settle(call, &changes, &sweep);
    kms_sweep_end(&sweep);
    reply->orphans = sweep.orphans;
    reply->n_orphans = sweep.orphan_count;
    reply->lost = sweep.lost;
    reply->n_lost = sweep.lost_count;
    reply->failures = sweep.failures;
    reply->n_failures = sweep.failure_count;
    return err;
}
