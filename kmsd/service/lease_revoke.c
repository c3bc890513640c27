/* RevokeLease, RevokePrefix: stored at once, done in the database by the service itself (lease_acts.c). */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_revoke_lease_gather(struct kms_call *call)
{
    const Kms__V1__RevokeLeaseRequest *request = (const void *)call->request;
    return kms_lease_gather_own(call, KMS_ACT_REVOKE_LEASE, request->lease_id);
}

kms_err kms_revoke_lease_act(struct kms_call *call)
{
    size_t count;
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    return kms_lease_end_all(call, &count);
}

kms_err kms_revoke_prefix_gather(struct kms_call *call)
{
    const Kms__V1__RevokePrefixRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_bytes role = kms_lease_role_in(request->prefix);
    kms_call_say(call, "prefix", request->prefix);
    if (role.len == 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "prefix: \"ROLE_NAME/\" and perhaps the beginning of a lease's letters");
    const char *name = kms_arena_print(&call->arena, "%.*s", (int)role.len, (const char *)role.ptr);
    return name != NULL ? kms_access_role(call, KMS_ACT_REVOKE_PREFIX, name, &access) : KMS_FAIL(NO_MEMORY);
}

struct wanted {
    const char *role, *prefix;
};

/* Of this role alone: "orders/" also begins the ids of role orders/reader, whose own policy decides. */
static bool begins_so(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    const struct wanted *wanted = user;
    (void)retry_us;
    return lease->stored->state != KMS_LEASE_REVOKING && strcmp(lease->stored->role, wanted->role) == 0 &&
           strncmp(lease->stored->id, wanted->prefix, strlen(wanted->prefix)) == 0;
}

/* Those that a call is making right now end as soon as they are there, and that call says so. */
kms_err kms_revoke_prefix_act(struct kms_call *call)
{
    const Kms__V1__RevokePrefixRequest *request = (const void *)call->request;
    Kms__V1__RevokePrefixResponse *reply = kms_new_reply(call);
    size_t count;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    const struct wanted wanted = {kms_call_role(call)->stored->name, request->prefix};
    KMS_TRY(kms_lease_gather(call, "", SIZE_MAX, begins_so, &wanted));
    KMS_TRY(kms_lease_end_all(call, &count));
    reply->revoked = count;
    return KMS_OK;
}
