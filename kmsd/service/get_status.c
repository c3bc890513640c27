/* GetStatus: how the service is, and every setting that weakens it. */
#include "kms/v1/system.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/heads.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/tell.h"

kms_err kms_get_status_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_GET_STATUS);
}

static char *keep(struct kms_call *call, const char *text)
{
    return kms_arena_print(&call->arena, "%s", text);
}

static kms_err add_hsm(struct kms_call *call, Kms__V1__GetStatusResponse *reply)
{
    struct kms_hsm_status status;
    kms_hsm_status(call->core->hsm, &status);
    reply->hsm_workers_healthy = status.workers_healthy;
    reply->hsm_workers_configured = status.workers_configured;
    reply->root_id = status.root_id;
    reply->hsm_token = kms_arena_print(&call->arena, "%s %s", status.token_label, status.token_serial);
    Kms__V1__Capability *list = kms_call_alloc(call, status.capability_count * sizeof *list);
    reply->hsm_capabilities = kms_call_alloc(call, status.capability_count * sizeof *reply->hsm_capabilities);
    if (reply->hsm_token == NULL || list == NULL || reply->hsm_capabilities == NULL)
        return KMS_FAIL(NO_MEMORY);
    for (unsigned i = 0; i < status.capability_count; i++) {
        kms__v1__capability__init(&list[i]);
        list[i].name = keep(call, status.capabilities[i].name);
        list[i].reason = keep(call, status.capabilities[i].reason);
        list[i].available = status.capabilities[i].available;
        if (list[i].name == NULL || list[i].reason == NULL) return KMS_FAIL(NO_MEMORY);
        reply->hsm_capabilities[reply->n_hsm_capabilities++] = &list[i];
    }
    return KMS_OK;
}

static kms_err add_stores(struct kms_call *call, Kms__V1__GetStatusResponse *reply)
{
    struct kms_store_mark mark;
    char head[2 * KMS_DIGEST_BYTES + 1], digest[2 * KMS_DIGEST_BYTES + 1];
    kms_keystore_mark(call->core->store, &mark);
    kms_hex(mark.digest, sizeof mark.digest, digest);
    kms_audit_head(call->core->audit, &reply->audit_sequence, head);
    kms_keyring_counts(call->core->keys, &reply->keys, &reply->aliases);
    reply->keystore_revision = mark.revision;
    reply->keystore_digest = keep(call, digest);
    reply->audit_head = keep(call, head);
    reply->audit_writable = kms_audit_writable(call->core->audit);
    return reply->keystore_digest != NULL && reply->audit_head != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err add_troubles(struct kms_call *call, Kms__V1__GetStatusResponse *reply)
{
    struct kms_why troubles[KMS_TOLD_TROUBLES];
    kms_tell_troubles(call->core, troubles);
    reply->audit_troubles = kms_call_alloc(call, KMS_TOLD_TROUBLES * sizeof *reply->audit_troubles);
    if (reply->audit_troubles == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < KMS_TOLD_TROUBLES; i++) {
        if (troubles[i].text[0] == '\0') continue;
        char *text = keep(call, troubles[i].text);
        if (text == NULL) return KMS_FAIL(NO_MEMORY);
        reply->audit_troubles[reply->n_audit_troubles++] = text;
    }
    return KMS_OK;
}

static kms_err add_heads(struct kms_call *call, Kms__V1__GetStatusResponse *reply)
{
    struct kms_heads_status status;
    kms_heads_status(call->core->heads, &status);
    reply->audit_signed_sequence = status.has_head ? status.head.sequence : 0;
    reply->audit_anchored_sequence = status.anchored;
    reply->audit_signing_trouble = keep(call, status.trouble.text);
    reply->audit_anchor_trouble = keep(call, status.anchor_trouble.text);
    bool kept = reply->audit_signing_trouble != NULL && reply->audit_anchor_trouble != NULL;
    return kept ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err add_listeners(struct kms_call *call, Kms__V1__GetStatusResponse *reply)
{
    const struct kms_core *core = call->core;
    Kms__V1__Listener *list = kms_call_alloc(call, core->listening_count * sizeof *list);
    reply->listeners = kms_call_alloc(call, core->listening_count * sizeof *reply->listeners);
    if (list == NULL || reply->listeners == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < core->listening_count; i++) {
        const struct kms_listening *from = &core->listening[i];
        kms__v1__listener__init(&list[i]);
        list[i].address = keep(call, from->address);
        list[i].transport = keep(call, from->transport);
        list[i].protocol = keep(call, from->protocol);
        list[i].default_principal = keep(call, from->principal);
        if (list[i].address == NULL || list[i].transport == NULL || list[i].protocol == NULL ||
            list[i].default_principal == NULL)
            return KMS_FAIL(NO_MEMORY);
        reply->listeners[reply->n_listeners++] = &list[i];
    }
    return KMS_OK;
}

kms_err kms_get_status_act(struct kms_call *call)
{
    const struct kms_core *core = call->core;
    Kms__V1__GetStatusResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->start_time_us = core->started_us;
    reply->version = keep(call, KMS_VERSION);
    reply->instance_id = keep(call, core->instance);
    reply->policy_separation = keep(call, core->separation_warn ? "warn" : "enforce");
    char sha256[2 * KMS_DIGEST_BYTES + 1];
    kms_core_service_policy_sha256(core, sha256);
    reply->service_policy_sha256 = keep(call, sha256);
    reply->warnings = kms_call_alloc(call, core->warning_count * sizeof *reply->warnings);
    if (reply->version == NULL || reply->instance_id == NULL || reply->policy_separation == NULL ||
        reply->service_policy_sha256 == NULL || reply->warnings == NULL)
        return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < core->warning_count; i++) {
        reply->warnings[i] = keep(call, core->warnings[i]);
        if (reply->warnings[i] == NULL) return KMS_FAIL(NO_MEMORY);
        reply->n_warnings++;
    }
    KMS_TRY(add_hsm(call, reply));
    KMS_TRY(add_troubles(call, reply));
    KMS_TRY(add_listeners(call, reply));
    KMS_TRY(add_heads(call, reply));
    return add_stores(call, reply);
}
