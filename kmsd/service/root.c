/* GetRootStatus and DestroyRoot: which generations of root keys are there, and the end of an old one. */
#include <inttypes.h>

#include "kms/v1/system.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/root_use.h"
#include "kmsd/service/seal.h"

kms_err kms_get_root_status_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_GET_ROOT_STATUS);
}

static bool on_token(const struct kms_hsm_status *status, uint32_t root_id)
{
    for (unsigned i = 0; i < status->root_count; i++)
        if (status->roots[i] == root_id) return true;
    return false;
}

kms_err kms_get_root_status_act(struct kms_call *call)
{
    Kms__V1__GetRootStatusResponse *reply = kms_new_reply(call);
    struct kms_root_use use;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_root_use_count(call->core, &use, &call->why));
    Kms__V1__RootGeneration *list = kms_call_alloc(call, use.count * sizeof *list);
    reply->generations = kms_call_alloc(call, use.count * sizeof *reply->generations);
    if (list == NULL || reply->generations == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < use.count; i++) {
        uint32_t id = use.of[i].root_id;
        kms__v1__root_generation__init(&list[i]);
        list[i].root_id = id;
        list[i].on_token = on_token(&use.hsm, id);
        list[i].versions = use.of[i].versions;
        list[i].seals_keystore = use.store_key == id;
        list[i].destroyable = id == use.hsm.roots[0] && id != use.hsm.root_id && use.of[i].versions == 0 &&
                              !list[i].seals_keystore;
        reply->generations[reply->n_generations++] = &list[i];
    }
    reply->root_id = use.hsm.root_id;
    reply->versions = use.versions;
    reply->remaining = use.old;
    reply->settled = kms_root_use_settled(&use);
    return KMS_OK;
}

kms_err kms_destroy_root_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_DESTROY_ROOT);
}

static kms_err check_order(struct kms_call *call, uint32_t root_id)
{
    struct kms_hsm_status status;
    kms_hsm_status(call->core->hsm, &status);
    if (root_id == 0 || root_id > status.root_id)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "no generation %u of the root keys", root_id);
    if (root_id == status.root_id)
        return kms_call_fail(call, KMS_FAIL(ROOT_IN_USE), "generation %u is the newest, which wraps",
                             root_id);
    if (status.roots[0] < root_id)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "root_id: destroy generation %u first",
                             status.roots[0]);
    return KMS_OK;
}

static kms_err check_unused(struct kms_call *call, uint32_t root_id)
{
    uint64_t found;
    KMS_TRY(kms_root_references(call->core, root_id, &found, &call->why));
    if (found == 0) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ROOT_IN_USE),
                         "generation %u still wraps %" PRIu64 " (key versions, or the keystore's own key)",
                         root_id, found);
}

kms_err kms_destroy_root_act(struct kms_call *call)
{
    const Kms__V1__DestroyRootRequest *request = (const void *)call->request;
    const struct kms_core *core = call->core;
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(check_order(call, request->root_id));
    /* From here on nothing under it is stored, so what the keystore shows now is all there will be. */
    uint32_t before = kms_core_doom_root(core, request->root_id);
    kms_err err = check_unused(call, request->root_id);
    if (kms_failed(err)) kms_core_doom_root(core, before);
    KMS_TRY(err);
    err = kms_hsm_destroy_root(core->hsm, request->root_id);
    if (kms_failed(err)) return kms_call_fail(call, err, "destroying generation %u", request->root_id);
    call->noted = kms_arena_print(&call->arena, "generation %u destroyed", request->root_id);
    return call->noted != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
