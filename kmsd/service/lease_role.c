/* PutDatabaseRole, DescribeDatabaseRole, DeleteDatabaseRole. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kmsd/keys/stored.h"
#include "kmsd/service/access.h"
#include "kmsd/service/admin_secret.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

enum { POLICY_BYTES = 20480, TTL_S = 3600, MAX_TTL_S = 86400 };
#define SECOND_US UINT64_C(1000000)

static char *default_policy(struct kms_call *call)
{
    json_t *document = json_pack(
        "{s:s, s:[{s:s, s:s, s:{s:s}, s:[s,s,s,s,s,s], s:s}]}", "Version", "2012-10-17", "Statement", "Sid",
        "RoleAdministration", "Effect", "Allow", "Principal", "AWS", call->identity->principal, "Action",
        "secretsmanager:PutDatabaseRole", "secretsmanager:DeleteDatabaseRole", "secretsmanager:RevokePrefix",
        "secretsmanager:SweepLeases", "secretsmanager:DescribeDatabaseRole", "secretsmanager:ListLeases",
        "Resource", "*");
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    char *copy = text != NULL ? kms_arena_print(&call->arena, "%s", text) : NULL;
    free(text);
    json_decref(document);
    return copy;
}

static kms_err say_policy(struct kms_call *call, const char *json)
{
    if (strlen(json) > POLICY_BYTES)
        return kms_call_fail(call, KMS_FAIL(MALFORMED_POLICY),
                             "the policy of a database role has at most %d bytes", POLICY_BYTES);
    char *hex = kms_call_alloc(call, 2 * KMS_DIGEST_BYTES + 1);
    if (hex == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_sha256_hex(kms_bytes_text(json), hex));
    kms_call_say(call, "role_policy_sha256", hex);
    return KMS_OK;
}

/* The message as the request has it; what is not in it comes from the role as it was (NULL: a new one). Its
 * texts are borrowed. */
static kms_stored_role role_of(struct kms_call *call, const Kms__V1__PutDatabaseRoleRequest *request,
                               const struct kms_role *old, char *policy, char *instance)
{
    kms_stored_role stored;
    kms__store__v1__stored_database_role__init(&stored);
    uint64_t max_s = request->max_ttl != 0 ? request->max_ttl : MAX_TTL_S;
    uint64_t ttl_s = request->default_ttl != 0 ? request->default_ttl : max_s < TTL_S ? max_s : TTL_S;
    const uint64_t most_s = UINT64_MAX / SECOND_US;
    stored.name = request->role_name;
    stored.database = request->database;
    stored.creation_statements = request->creation_statements;
    stored.n_creation_statements = request->n_creation_statements;
    stored.renewal_statements = request->renewal_statements;
    stored.n_renewal_statements = request->n_renewal_statements;
    stored.revocation_statements = request->revocation_statements;
    stored.n_revocation_statements = request->n_revocation_statements;
    stored.default_ttl_us = (ttl_s < most_s ? ttl_s : most_s) * SECOND_US;
    stored.max_ttl_us = (max_s < most_s ? max_s : most_s) * SECOND_US;
    stored.policy = policy;
    stored.instance = instance;
    stored.writer = call->identity->principal;
    stored.changed_us = kms_core_now_us(call->core);
    stored.created_us = old != NULL ? old->stored->created_us : stored.changed_us;
    return stored;
}

static kms_err gather_role(struct kms_call *call, const Kms__V1__PutDatabaseRoleRequest *request,
                           const struct kms_role *old)
{
    char instance[KMS_ROLE_INSTANCE_BYTES], *policy = request->resource_policy;
    bool keep = policy[0] == '\0' && old != NULL;
    if (keep) policy = old->stored->policy;
    if (policy[0] == '\0') policy = default_policy(call);
    if (policy == NULL) return KMS_FAIL(NO_MEMORY);
    if (!keep) KMS_TRY(say_policy(call, policy));
    KMS_TRY(kms_role_instance_new(instance));
    const kms_stored_role like =
        role_of(call, request, old, policy, old != NULL ? old->stored->instance : instance);
    kms_stored_role *stored = kms_stored_copy(&like.base);
    if (stored == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_role_new(&call->core->secret_arn, stored, &call->new_role));
    if (old != NULL) call->new_role->revision = old->revision;
    if (old == NULL) kms_call_say(call, "new_role", call->new_role->arn);
    return kms_policy_parse(KMS_POLICY_DATABASE_ROLE, kms_bytes_text(policy), &call->new_role->policy,
                            &call->why);
}

kms_err kms_put_database_role_gather(struct kms_call *call)
{
    const Kms__V1__PutDatabaseRoleRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_bytes name;
    call->may_bypass_lockout = true;
    call->bypass_lockout = request->bypass_policy_lockout_safety_check;
    if (strncmp(request->role_name, "arn:", 4) == 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "role_name: a name, not an ARN");
    KMS_TRY(
        kms_role_name_parse(&call->core->secret_arn, kms_bytes_text(request->role_name), &name, &call->why));
    KMS_OWN_ROLE old = kms_lease_book_role(call->core->leases, name);
    if (old == NULL)
        KMS_TRY(kms_access_service(call, KMS_ACT_PUT_DATABASE_ROLE));
    else
        KMS_TRY(kms_access_role(call, KMS_ACT_PUT_DATABASE_ROLE, request->role_name, &access));
    return gather_role(call, request, old);
}

static kms_err check_database(struct kms_call *call, const char *name)
{
    const struct kmsd_conf_database *conf = kms_rotators_database(call->core->rotators, name);
    if (conf == NULL)
        return kms_call_fail(call, KMS_FAIL(ROTATOR_UNKNOWN), "no database %.63s is declared", name);
    if (conf->admin_secret[0] != '\0') return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                         "database %s has no admin_secret in the configuration", name);
}

static kms_err check_statements(struct kms_call *call, const kms_stored_role *stored)
{
    const struct {
        char **items;
        size_t count;
        const char *what;
        bool names;
    } lists[] = {
        {stored->creation_statements, stored->n_creation_statements, "creation_statements", true},
        {stored->renewal_statements, stored->n_renewal_statements, "renewal_statements", false},
        {stored->revocation_statements, stored->n_revocation_statements, "revocation_statements", false}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct kms_statements statements;
        KMS_TRY(kms_role_statements(call, lists[i].items, lists[i].count, &statements));
        KMS_TRY(kms_statements_check(&statements, lists[i].what, lists[i].names, &call->why));
    }
    return KMS_OK;
}

static kms_err check_ttls(struct kms_call *call, const kms_stored_role *stored)
{
    const struct kms_core *core = call->core;
    if (stored->default_ttl_us >= core->ttl_least_us && stored->default_ttl_us <= stored->max_ttl_us &&
        stored->max_ttl_us <= core->ttl_most_us)
        return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                         "%llu <= default_ttl <= max_ttl <= %llu seconds (leases.min_ttl, leases.max_ttl)",
                         (unsigned long long)(core->ttl_least_us / SECOND_US),
                         (unsigned long long)(core->ttl_most_us / SECOND_US));
}

static kms_err store(struct kms_call *call, struct kms_role *role)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    bool new = role->revision == 0;
    if (new &&kms_lease_book_roles_count(call->core->leases) >= call->core->roles_most)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                             "there are %u database roles (limits.database_roles)", call->core->roles_most);
    kms_err err = kms_change_role(&changes, role);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
        return kms_call_fail(call, err, "more statements than one role can hold");
    KMS_TRY(err);
    KMS_TRY(kms_change_apply(&changes, call));
    KMS_TRY(kms_lease_book_put_role(call->core->leases, role));
    if (new)
        kms_lease_book_swept(call->core->leases, role->stored->name,
                             kms_monotonic_us() + call->core->sweep_interval_us);
    return KMS_OK;
}

/* Nobody gets to read the admin_secret between the look and the change. */
static kms_err store_in_turn(struct kms_call *call, struct kms_role *role)
{
    kms_secret_book_turn(call->core->secrets);
    kms_err err = kms_admin_secret_writers(call, role->stored->database, role->policy);
    if (!kms_failed(err)) err = store(call, role);
    kms_secret_book_end(call->core->secrets);
    return err;
}

kms_err kms_put_database_role_act(struct kms_call *call)
{
    const Kms__V1__PutDatabaseRoleRequest *request = (const void *)call->request;
    Kms__V1__PutDatabaseRoleResponse *reply = kms_new_reply(call);
    struct kms_role *role = call->new_role;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(check_ttls(call, role->stored));
    KMS_TRY(check_statements(call, role->stored));
    KMS_TRY(check_database(call, role->stored->database));
    /* Statements run as the database's administrator: who writes them never gets a user that they make. */
    KMS_TRY(kms_secret_policy_accept(call, role->policy, role->arn));
    KMS_TRY(store_in_turn(call, role));
    reply->arn = role->arn; /* the call holds the role */
    reply->role_name = request->role_name;
    return KMS_OK;
}

/* ---- describing ---- */

static bool is_of(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return strcmp(lease->stored->role, user) == 0;
}

kms_err kms_describe_database_role_gather(struct kms_call *call)
{
    const Kms__V1__DescribeDatabaseRoleRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_role(call, KMS_ACT_DESCRIBE_DATABASE_ROLE, request->role_name, &access);
}

kms_err kms_describe_database_role_act(struct kms_call *call)
{
    Kms__V1__DescribeDatabaseRoleResponse *reply = kms_new_reply(call);
    struct kms_role *role = kms_call_role(call);
    kms_stored_role *stored = role->stored; /* the call holds the role */
    char *prefix = kms_call_alloc(call, KMS_DATABASE_PREFIX);
    if (reply == NULL || prefix == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_database_prefix(stored->instance, prefix));
    reply->arn = role->arn;
    reply->role_name = stored->name;
    reply->database = stored->database;
    reply->creation_statements = stored->creation_statements;
    reply->n_creation_statements = stored->n_creation_statements;
    reply->renewal_statements = stored->renewal_statements;
    reply->n_renewal_statements = stored->n_renewal_statements;
    reply->revocation_statements = stored->revocation_statements;
    reply->n_revocation_statements = stored->n_revocation_statements;
    reply->default_ttl = stored->default_ttl_us / SECOND_US;
    reply->max_ttl = stored->max_ttl_us / SECOND_US;
    reply->resource_policy = stored->policy;
    reply->created_us = stored->created_us;
    reply->changed_us = stored->changed_us;
    reply->user_prefix = prefix;
    reply->leases = kms_lease_book_count(call->core->leases, is_of, stored->name);
    return KMS_OK;
}

/* ---- deleting ---- */

kms_err kms_delete_database_role_gather(struct kms_call *call)
{
    const Kms__V1__DeleteDatabaseRoleRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_role(call, KMS_ACT_DELETE_DATABASE_ROLE, request->role_name, &access);
}

static kms_err erase(struct kms_call *call, const struct kms_role *role)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    size_t leases = kms_lease_book_count(call->core->leases, is_of, role->stored->name);
    if (leases > 0)
        return kms_call_fail(call, KMS_FAIL(CONFLICT),
                             "%s has %zu leases: end them first (RevokePrefix), and wait until they are gone",
                             role->stored->name, leases);
    KMS_TRY(kms_change_remove(&changes, KMS_TABLE_DATABASE_ROLE, role->row, role->revision));
    return kms_change_apply(&changes, call);
}

/* Out of the book first: whoever makes a lease puts that into the book before he looks whether the role is
 * there, so one of the two sees the other. */
kms_err kms_delete_database_role_act(struct kms_call *call)
{
    struct kms_role *role = kms_call_role(call);
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    if (!kms_lease_book_remove_role(call->core->leases, role))
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "%s was changed or deleted meanwhile",
                             role->stored->name);
    kms_err err = erase(call, role);
    if (!kms_failed(err)) return KMS_OK;
    kms_err back = kms_lease_book_put_role(call->core->leases, role);
    return kms_failed(back) ? back : err;
}
