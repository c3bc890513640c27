/* Who reads the admin_secret of a database writes no statements, from both ends. */
#include "kmsd/service/admin_secret.h"

#include "kmsd/policy/grant.h"
#include "kmsd/service/core.h"

static kms_err not_so(struct kms_call *call, kms_err err, const char *secret, const char *what,
                      const char *name)
{
    struct kms_why cause = call->why;
    if (!kms_is(err, KMS_E_POLICY_NOT_SEPARATED)) return err;
    return kms_call_fail(call, err, "%s is an admin_secret, and who may read it does not write %s%s: %s",
                         secret, what, name, cause.text);
}

/* By a role's policy, or as the one who did. */
static kms_err check_role(struct kms_call *call, const char *secret, const kms_policy *policy,
                          const struct kms_role *role)
{
    const struct kmsd_conf_database *database =
        kms_rotators_database(call->core->rotators, role->stored->database);
    if (database == NULL || !kms_bytes_equal(kms_bytes_text(database->admin_secret), kms_bytes_text(secret)))
        return KMS_OK;
    kms_err err = kms_policy_check_apart(policy, role->policy, KMS_ACT_PUT_DATABASE_ROLE, &call->why);
    if (!kms_failed(err) && role->stored->writer[0] != '\0')
        err = kms_policy_check_writer(policy, kms_bytes_text(role->stored->writer), &call->why);
    return not_so(call, err, secret, "the statements of database role ", role->stored->name);
}

kms_err kms_admin_secret_readers(struct kms_call *call, const char *name, const kms_policy *policy)
{
    KMS_OWN_ROLE_LIST roles = {.count = 0};
    if (!kms_rotators_administers(call->core->rotators, name)) return KMS_OK;
    KMS_OWN(kms_policy) service = kms_core_service_policy(call->core);
    kms_err err = kms_policy_check_apart(policy, service, KMS_ACT_PUT_DATABASE_ROLE, &call->why);
    KMS_TRY(not_so(call, err, name, "statements of database roles", ""));
    KMS_TRY(kms_lease_book_roles(call->core->leases, "", SIZE_MAX, &roles));
    for (size_t i = 0; i < roles.count; i++) KMS_TRY(check_role(call, name, policy, roles.roles[i]));
    return KMS_OK;
}

kms_err kms_admin_secret_writers(struct kms_call *call, const char *database, const kms_policy *policy)
{
    const char *name = kms_rotators_database(call->core->rotators, database)->admin_secret;
    const char *writer = call->identity->principal;
    KMS_OWN_ENTRY entry = kms_secret_book_find(call->core->secrets, kms_bytes_text(name));
    if (entry == NULL) return KMS_OK; /* nobody may read it */
    kms_err err = kms_policy_check_writer(entry->policy, kms_bytes_text(writer), &call->why);
    if (kms_failed(err))
        return kms_call_fail(call, err,
                             "principal \"%s\" may use %s, the admin_secret of database %s: "
                             "another administrator must write the statements of its roles",
                             writer, name, database);
    err = kms_policy_check_apart(entry->policy, policy, KMS_ACT_PUT_DATABASE_ROLE, &call->why);
    return not_so(call, err, name, "statements of roles of database ", database);
}
