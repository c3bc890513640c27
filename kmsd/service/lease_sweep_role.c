/*
 * What the databases have against what the keystore has. Both move meanwhile: the leases are read first, then
 * the users, and whatever looks wrong is looked at once more.
 */
#include <stdlib.h>
#include <string.h>

#include "kmsd/service/lease_sweep.h"

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
    if (*lines == NULL) *lines = kms_call_alloc(call, KMS_SWEEP_FINDINGS_MOST * sizeof(char *));
    if (*lines == NULL || *count == KMS_SWEEP_FINDINGS_MOST) return false;
    (*lines)[*count] = kms_arena_print(&call->arena, "%s", text);
    if ((*lines)[*count] == NULL) return false;
    (*count)++;
    return true;
}

void kms_sweep_put_failure(struct kms_call *call, struct kms_sweep *sweep, const char *what, kms_err err,
                           const struct kms_why *why)
{
    const char *line = kms_arena_print(&call->arena, "%s: %s: %s", what, kms_err_reason(err), why->text);
    if (line != NULL) put_line(call, &sweep->failures, &sweep->failure_count, line);
}

/* Two databases may be of one server, and have the same users. */
static bool put_orphan(struct kms_call *call, struct kms_sweep *sweep, const char *name)
{
    for (size_t i = 0; i < sweep->orphan_count; i++)
        if (strcmp(sweep->orphans[i], name) == 0) return true;
    return put_line(call, &sweep->orphans, &sweep->orphan_count, name);
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
    if (!has || !put_orphan(call, sweep, name) || sweep->report_only) return KMS_OK;
    kms_err err = kms_database_revoke(database, &usual, &user, &why);
    if (kms_failed(err)) kms_sweep_put_failure(call, sweep, name, err, &why);
    if (!kms_is(err, KMS_E_DATABASE_UNAVAILABLE)) return KMS_OK;
    call->why = why;
    return err;
}

static kms_err look_at_lease(struct kms_call *call, kms_database *database, struct kms_lease *lease,
                             struct kms_sweep *sweep)
{
    bool has;
    KMS_OWN_LEASE now = kms_lease_book_find(call->core->leases, lease->stored->id);
    if (now == NULL || now->stored->state != KMS_LEASE_ACTIVE) return KMS_OK;
    KMS_TRY(kms_database_has(database, now->stored->user, &has, &call->why));
    if (has || !put_line(call, &sweep->lost, &sweep->lost_count, now->stored->id) || sweep->report_only)
        return KMS_OK;
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

static kms_err compare(struct kms_call *call, kms_database *database, const char *of,
                       const struct kms_lease_list *leases, const struct users *users,
                       struct kms_sweep *sweep)
{
    struct users known;
    KMS_TRY(users_of(call, leases, &known));
    for (size_t i = 0; i < users->count && !is_over(call, sweep); i++)
        if (!has_user(&known, users->names[i])) KMS_TRY(look_at_user(call, database, users->names[i], sweep));
    for (size_t i = 0; i < leases->count && !is_over(call, sweep); i++) {
        const kms_stored_lease *lease = leases->leases[i]->stored;
        if (lease->state != KMS_LEASE_ACTIVE || strcmp(lease->database, of) != 0) continue;
        if (!has_user(users, lease->user)) KMS_TRY(look_at_lease(call, database, leases->leases[i], sweep));
    }
    return KMS_OK;
}

/* ---- the databases of a role ---- */

struct kms_sweep_away {
    struct kms_sweep_away *next;
    const char *name;
};

static bool is_away(const struct kms_sweep *sweep, const char *name)
{
    const struct kms_sweep_away *away = sweep->away;
    while (away != NULL && strcmp(away->name, name) != 0) away = away->next;
    return away != NULL;
}

static void note_away(struct kms_call *call, struct kms_sweep *sweep, const char *name)
{
    struct kms_sweep_away *away = kms_call_alloc(call, sizeof *away);
    if (away == NULL) return; /* then it is waited for again */
    *away = (struct kms_sweep_away){sweep->away, kms_arena_print(&call->arena, "%s", name)};
    if (away->name != NULL) sweep->away = away;
}

static kms_err look_at(struct kms_call *call, const char *name, const struct kms_lease_list *leases,
                       struct kms_sweep *sweep)
{
    char prefix[KMS_DATABASE_PREFIX];
    KMS_OWN(kms_database) database = NULL;
    struct users users = {.call = call};
    KMS_TRY(kms_database_prefix(sweep->role->stored->instance, prefix));
    KMS_TRY(kms_lease_database(call, name, &database));
    kms_err err = kms_database_list(database, prefix, take_user, &users, &call->why);
    if (!kms_failed(err) && users.out_of_memory) err = KMS_FAIL(NO_MEMORY);
    if (!kms_failed(err) && users.count > 0) qsort(users.names, users.count, sizeof(char *), by_text);
    if (!kms_failed(err)) err = compare(call, database, name, leases, &users, sweep);
    free_users(&users);
    return err;
}

static kms_err sweep_database(struct kms_call *call, const char *name, const struct kms_lease_list *leases,
                              struct kms_sweep *sweep)
{
    if (is_away(sweep, name))
        return kms_call_fail(call, KMS_FAIL(DATABASE_UNAVAILABLE), "database %s, as above", name);
    kms_err err = look_at(call, name, leases, sweep);
    if (kms_is(err, KMS_E_DATABASE_UNAVAILABLE)) note_away(call, sweep, name);
    if (!kms_failed(err)) kms_lease_book_ease_database(call->core->leases, sweep->role->stored->name, name);
    return err;
}

/* The one that the role names first, then those of its leases; borrowed. */
static kms_err databases_of(struct kms_call *call, const struct kms_role *role,
                            const struct kms_lease_list *leases, const char ***ret_names, size_t *ret_count)
{
    const char **names = kms_call_alloc(call, (leases->count + 1) * sizeof *names);
    if (names == NULL) return KMS_FAIL(NO_MEMORY);
    size_t count = 0;
    names[count++] = role->stored->database;
    for (size_t i = 0; i < leases->count; i++) {
        size_t at = 0;
        while (at < count && strcmp(names[at], leases->leases[i]->stored->database) != 0) at++;
        if (at == count) names[count++] = leases->leases[i]->stored->database;
    }
    *ret_names = names;
    *ret_count = count;
    return KMS_OK;
}

static kms_err sweep_each(struct kms_call *call, const struct kms_lease_list *leases, struct kms_sweep *sweep)
{
    const char **names;
    size_t count, failed = 0;
    kms_err first = KMS_OK;
    KMS_TRY(databases_of(call, sweep->role, leases, &names, &count));
    for (size_t i = 0; i < count && !is_over(call, sweep); i++) {
        kms_err err = sweep_database(call, names[i], leases, sweep);
        if (!kms_failed(err)) continue;
        if (failed++ == 0) first = err;
        if (kms_is(err, KMS_E_NO_MEMORY) || count == 1) return err;
        const char *what =
            kms_arena_print(&call->arena, "%s in database %s", sweep->role->stored->name, names[i]);
        if (what == NULL) return KMS_FAIL(NO_MEMORY);
        kms_sweep_put_failure(call, sweep, what, err, &call->why);
    }
    if (failed == count) return first;
    call->why.text[0] = '\0';
    return KMS_OK;
}

kms_err kms_sweep_role(struct kms_call *call, struct kms_sweep *sweep)
{
    KMS_OWN_LEASE_LIST leases = {.count = 0};
    char *role = sweep->role->stored->name;
    KMS_TRY(kms_lease_book_list(call->core->leases, "", SIZE_MAX, is_of, role, &leases));
    struct kms_lease **room =
        realloc(sweep->lost_leases.leases,
                (sweep->lost_leases.count + leases.count + 1) * sizeof(struct kms_lease *));
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    sweep->lost_leases.leases = room;
    return sweep_each(call, &leases, sweep);
}

void kms_sweep_end(struct kms_sweep *sweep)
{
    kms_lease_list_free(&sweep->lost_leases);
}
