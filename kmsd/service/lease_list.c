/* ListLeases: by id, page by page, from memory. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

kms_err kms_list_leases_gather(struct kms_call *call)
{
    const Kms__V1__ListLeasesRequest *request = (const void *)call->request;
    struct kms_access *access;
    if (request->role_name[0] == '\0')
        KMS_TRY(kms_access_service(call, KMS_ACT_LIST_LEASES));
    else
        KMS_TRY(kms_access_role(call, KMS_ACT_LIST_LEASES, request->role_name, &access));
    if (request->limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    if (request->marker[0] == '\0' || kms_lease_role_in(request->marker).len > 0) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_MARKER), "%s", "");
}

static bool is_of(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return user == NULL || strcmp(lease->stored->role, user) == 0;
}

/* The call holds the leases. */
static Kms__V1__LeaseListEntry *line_of(struct kms_call *call, const struct kms_lease *lease)
{
    const kms_stored_lease *stored = lease->stored;
    Kms__V1__LeaseListEntry *line = kms_call_alloc(call, sizeof *line);
    if (line == NULL) return NULL;
    kms__v1__lease_list_entry__init(line);
    line->lease_id = stored->id;
    line->username = stored->user;
    line->database = stored->database;
    line->owner = stored->owner;
    line->state = (Kms__V1__LeaseState)stored->state;
    line->created_us = stored->created_us;
    line->expires_us = stored->expires_us;
    line->max_expires_us = stored->most_us;
    return line;
}

kms_err kms_list_leases_act(struct kms_call *call)
{
    const Kms__V1__ListLeasesRequest *request = (const void *)call->request;
    Kms__V1__ListLeasesResponse *reply = kms_new_reply(call);
    const struct kms_role *role = kms_call_role(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_lease_gather(call, request->marker, request->limit != 0 ? request->limit : LIMIT_DEFAULT,
                             is_of, role != NULL ? role->stored->name : NULL));
    const struct kms_lease_list *list = call->leases;
    reply->leases = kms_call_alloc(call, (list->count + 1) * sizeof(Kms__V1__LeaseListEntry *));
    if (reply->leases == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < list->count; i++) {
        reply->leases[i] = line_of(call, list->leases[i]);
        if (reply->leases[i] == NULL) return KMS_FAIL(NO_MEMORY);
        reply->n_leases++;
    }
    reply->truncated = list->more;
    if (list->more) reply->next_marker = reply->leases[list->count - 1]->lease_id;
    return KMS_OK;
}
