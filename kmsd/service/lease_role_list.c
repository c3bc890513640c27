/* ListDatabaseRoles: by name, page by page, from memory. */
#include "kmsd/service/access.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

kms_err kms_list_database_roles_gather(struct kms_call *call)
{
    const Kms__V1__ListDatabaseRolesRequest *request = (const void *)call->request;
    KMS_TRY(kms_access_service(call, KMS_ACT_LIST_DATABASE_ROLES));
    if (request->limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    if (request->marker[0] == '\0') return KMS_OK;
    return kms_failed(kms_secret_name_check(kms_bytes_text(request->marker), &call->why))
               ? KMS_FAIL(INVALID_MARKER)
               : KMS_OK;
}

/* Copied: the call does not hold these roles. */
static Kms__V1__DatabaseRoleListEntry *line_of(struct kms_call *call, const struct kms_role *role)
{
    Kms__V1__DatabaseRoleListEntry *line = kms_call_alloc(call, sizeof *line);
    if (line == NULL) return NULL;
    kms__v1__database_role_list_entry__init(line);
    line->arn = kms_arena_print(&call->arena, "%s", role->arn);
    line->role_name = kms_arena_print(&call->arena, "%s", role->stored->name);
    line->database = kms_arena_print(&call->arena, "%s", role->stored->database);
    return line->arn != NULL && line->role_name != NULL && line->database != NULL ? line : NULL;
}

kms_err kms_list_database_roles_act(struct kms_call *call)
{
    const Kms__V1__ListDatabaseRolesRequest *request = (const void *)call->request;
    Kms__V1__ListDatabaseRolesResponse *reply = kms_new_reply(call);
    KMS_OWN_ROLE_LIST list = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_lease_book_roles(call->core->leases, request->marker,
                                 request->limit != 0 ? request->limit : LIMIT_DEFAULT, &list));
    reply->roles = kms_call_alloc(call, (list.count + 1) * sizeof(Kms__V1__DatabaseRoleListEntry *));
    if (reply->roles == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < list.count; i++) {
        reply->roles[i] = line_of(call, list.roles[i]);
        if (reply->roles[i] == NULL) return KMS_FAIL(NO_MEMORY);
        reply->n_roles++;
    }
    reply->truncated = list.more;
    if (list.more) reply->next_marker = reply->roles[list.count - 1]->role_name;
    return KMS_OK;
}
