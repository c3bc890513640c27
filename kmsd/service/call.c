/* What a call can do by itself: fail with words, and let go of all it holds. */
#include "kmsd/service/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "kmsd/service/batch.h"
#include "kmsd/service/core.h"
#include "kmsd/service/pipeline.h"

kms_err kms_call_fail(struct kms_call *call, kms_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->why.text, sizeof call->why.text, format, args);
    va_end(args);
    return err;
}

void kms_call_say(struct kms_call *call, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0' || call->extra_count == KMS_CALL_EXTRAS) return;
    call->extra[call->extra_count++] = (struct kms_call_extra){name, value};
}

void kms_accesses_end(struct kms_access *access, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kms_key_unref(access[i].key);
        kms_policy_unref(access[i].policy);
        kms_secret_entry_unref(access[i].secret);
        kms_role_unref(access[i].role);
    }
}

void kms_call_end(struct kms_call *call)
{
    kms_accesses_end(call->access, call->access_count);
    call->access_count = 0;
    kms_granted_unref(call->grant);
    call->grant = NULL;
    kms_secret_entry_unref(call->new_secret);
    call->new_secret = NULL;
    kms_role_unref(call->new_role);
    call->new_role = NULL;
    if (call->leases != NULL) kms_lease_list_free(call->leases);
    call->leases = NULL;
    if (call->batch != NULL) kms_batch_end(call);
    kms_policy_unref(call->service_policy);
    call->service_policy = NULL;
    if (call->makes_rsa) kms_authn_end_rsa(call->core->authn, call->identity);
    call->makes_rsa = false;
    if (call->admitted > 0) kms_authn_leave(call->core->authn, call->identity, call->admitted);
    call->admitted = 0;
    kms_identity_unref(call->identity);
    call->identity = NULL;
    kms_arena_wipe(&call->arena);
}
