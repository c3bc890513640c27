/*
 * GenerateCredentials: the lease is stored first, by an act of the service with records of its own
 * (BeginLease); then the user is made; then the lease is active, and that is the change of this call. kmsd
 * may die between any two lines: a lease that was never active is revoked at the next start. When the user
 * cannot be made the lease is ending at once, since the database may have made it and been unable to say so.
 */
#include <string.h>

#include "kmsd/metrics/metric.h"
#include "kmsd/service/access.h"
#include "kmsd/service/internal.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

#define SECOND_US UINT64_C(1000000)

kms_err kms_generate_credentials_gather(struct kms_call *call)
{
    const Kms__V1__GenerateCredentialsRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_role(call, KMS_ACT_GENERATE_CREDENTIALS, request->role_name, &access);
}

static bool is_of_owner(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return strcmp(lease->stored->owner, user) == 0;
}

static kms_err check_limits(struct kms_call *call)
{
    const struct kms_core *core = call->core;
    const char *owner = call->identity->principal;
    if (kms_lease_book_count(core->leases, NULL, NULL) >= core->leases_most)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "there are %u leases (limits.leases)",
                             core->leases_most);
    if (kms_lease_book_count(core->leases, is_of_owner, owner) >= core->leases_per_principal)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "%s has %u leases (limits.leases_per_principal)",
                             owner, core->leases_per_principal);
    return KMS_OK;
}

static kms_err new_lease(struct kms_call *call, const struct kms_role *role, struct kms_lease **ret_lease)
{
    const Kms__V1__GenerateCredentialsRequest *request = (const void *)call->request;
    const kms_stored_role *of = role->stored;
    char user[KMS_DATABASE_NAME];
    uint64_t now_us = kms_core_now_us(call->core), ttl_us = of->default_ttl_us;
    if (request->ttl > of->max_ttl_us / SECOND_US)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "ttl: at most %llu seconds, as the role says",
                             (unsigned long long)(of->max_ttl_us / SECOND_US));
    if (request->ttl != 0) ttl_us = request->ttl * SECOND_US;
    KMS_TRY(kms_database_new_name(of->instance, of->name, now_us, user));
    kms_stored_lease like;
    kms__store__v1__stored_lease__init(&like);
    like.role = of->name;
    like.database = of->database;
    like.user = user;
    like.owner = call->identity->principal;
    like.created_us = now_us;
    like.expires_us = now_us + ttl_us;
    like.most_us = now_us + of->max_ttl_us;
    like.state = KMS_LEASE_CREATING;
    return kms_lease_new(&like, 0, ret_lease);
}

/* In the book before its role is looked for (lease_role.c, deleting). */
static kms_err announce(struct kms_call *call, const struct kms_role *role, const struct kms_lease *lease)
{
    KMS_OWN_LEASE announced = NULL;
    KMS_TRY(kms_lease_in_state(lease, KMS_LEASE_CREATING, &announced));
    KMS_TRY(kms_lease_book_put(call->core->leases, announced));
    KMS_OWN_ROLE now = kms_lease_book_role(call->core->leases, kms_bytes_text(lease->stored->role));
    if (now != NULL && strcmp(now->stored->instance, role->stored->instance) == 0) return KMS_OK;
    kms_lease_book_remove(call->core->leases, lease->stored->id);
    return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the role was deleted meanwhile");
}

static kms_err make_user(struct kms_call *call, const struct kms_role *role, const struct kms_lease *lease,
                         const char *password)
{
    KMS_OWN(kms_database) database = NULL;
    const kms_stored_role *of = role->stored;
    const struct kms_database_user user = {lease->stored->user, password, lease->stored->expires_us};
    struct kms_statements statements;
    KMS_TRY(kms_role_statements(call, of->creation_statements, of->n_creation_statements, &statements));
    KMS_TRY(kms_lease_database(call, lease->stored->database, &database));
    return kms_database_create(database, &statements, &user, &call->why);
}

static kms_err store_state(struct kms_call *call, struct kms_lease *lease)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_change_lease(&changes, lease));
    return kms_change_apply(&changes, call);
}

/* Ends it whether or not that can be stored: stored as it is, it ends at the next start. */
static void give_up(struct kms_call *call, const struct kms_lease *lease)
{
    KMS_OWN_LEASE ending = NULL;
    struct kms_why why = call->why;
    kms_err err = kms_lease_in_state(lease, KMS_LEASE_REVOKING, &ending);
    if (!kms_failed(err) && !call->changed_store) kms_ignore(store_state(call, ending));
    if (!kms_failed(err)) err = kms_lease_book_put(call->core->leases, ending);
    if (kms_failed(err)) call->noted = "out of memory: the lease ends at the next start of kmsd";
    kms_core_wake_leases(call->core);
    call->why = why;
}

/* Unless somebody has ended it meanwhile. */
static kms_err activate(struct kms_call *call, const struct kms_lease *lease, struct kms_lease **ret_active)
{
    KMS_OWN_LEASE_CHANGE changing = kms_lease_book_begin_change(call->core->leases);
    if (kms_lease_book_doomed(changing, lease->stored->id))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "the lease was revoked while its user was made");
    KMS_TRY(kms_lease_in_state(lease, KMS_LEASE_ACTIVE, ret_active));
    KMS_TRY(store_state(call, *ret_active));
    return kms_lease_book_put(changing, *ret_active);
}

/* The lease that is stored when it returns OK, with its user. */
static kms_err make(struct kms_call *call, const struct kms_role *role, struct kms_lease *lease,
                    const char *password, struct kms_lease **ret_active)
{
    struct kms_pipeline *pipeline = call->core->pipeline;
    kms_err err = kms_internal_run_role(pipeline, kms_pipeline_core(pipeline), KMS_INTERNAL_BEGIN_LEASE,
                                        role->stored->name, lease, &call->why);
    if (kms_failed(err) && lease->revision == 0) {
        kms_lease_book_remove(call->core->leases, lease->stored->id);
        return err;
    }
    if (!kms_failed(err)) err = make_user(call, role, lease, password);
    if (!kms_failed(err)) err = activate(call, lease, ret_active);
    if (kms_failed(err)) give_up(call, lease);
    if (!kms_failed(err)) kms_metric_add(KMS_METRIC_LEASES_GENERATED, 1);
    return err;
}

static kms_err reply_with(struct kms_call *call, Kms__V1__GenerateCredentialsResponse *reply,
                          const struct kms_lease *lease, const char *password)
{
    const kms_stored_lease *stored = lease->stored;
    reply->lease_id = kms_arena_print(&call->arena, "%s", stored->id);
    reply->username = kms_arena_print(&call->arena, "%s", stored->user);
    reply->password = kms_arena_print(&call->arena, "%s", password);
    reply->lease_duration = (stored->expires_us - stored->created_us) / SECOND_US;
    reply->expires_us = stored->expires_us;
    bool complete = reply->lease_id != NULL && reply->username != NULL && reply->password != NULL;
    return complete ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_generate_credentials_act(struct kms_call *call)
{
    Kms__V1__GenerateCredentialsResponse *reply = kms_new_reply(call);
    const struct kms_role *role = kms_call_role(call);
    KMS_OWN_LEASE lease = NULL;
    KMS_OWN_LEASE active = NULL;
    KMS_OWN(kms_secret) password = NULL;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(check_limits(call));
    KMS_TRY(kms_database_new_password(&password));
    const char *text = (const char *)kms_secret_data(password);
    KMS_TRY(new_lease(call, role, &lease));
    KMS_TRY(kms_lease_hold(call, lease));
    KMS_TRY(kms_lease_say(call, "lease", call->leases));
    kms_call_say(call, "database_user", lease->stored->user); /* the call holds the lease */
    KMS_TRY(reply_with(call, reply, lease, text));
    KMS_TRY(announce(call, role, lease));
    return make(call, role, lease, text, &active);
}
