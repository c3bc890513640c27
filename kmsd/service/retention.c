/* Retention of the audit log. */
#include "kmsd/service/retention.h"

#include <string.h>

#include "kmsd/audit/segment.h"

kms_err kms_retention_plan(const struct kms_core *core, struct kms_audit_drop *ret_drop, struct kms_why *why)
{
    uint64_t now_us = atomic_load(&core->latest_us); /* believed: a clock set forward makes nothing old */
    struct kms_audit_keep keep = {.bytes = core->audit_keep_bytes,
                                  .sequence = kms_ledger_stored(core->ledger)};
    if (core->audit_keep_us > 0 && now_us > core->audit_keep_us)
        keep.before_us = now_us - core->audit_keep_us;
    *ret_drop = (struct kms_audit_drop){0};
    if (keep.before_us == 0 && keep.bytes == 0) return KMS_OK;
    return kms_audit_drop_plan(core->audit_dir, core->instance, &keep, ret_drop, why);
}

static void say_number(struct kms_call *call, const char *name, uint64_t number)
{
    kms_call_say(call, name, kms_arena_print(&call->arena, "%llu", (unsigned long long)number));
}

static void say_file(struct kms_call *call, const char *name, uint32_t number)
{
    char file[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(call->core->instance, number, file);
    kms_call_say(call, name, kms_arena_print(&call->arena, "%s", file));
}

kms_err kms_retention_gather(struct kms_call *call)
{
    struct kms_audit_drop *drop = kms_call_alloc(call, sizeof *drop);
    if (drop == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_retention_plan(call->core, drop, &call->why));
    if (drop->files == 0) return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "no file may go");
    say_number(call, "files", drop->files);
    say_file(call, "first_file", drop->first_number);
    say_file(call, "last_file", drop->last_number);
    say_number(call, "first_sequence", drop->first_sequence);
    say_number(call, "last_sequence", drop->last_sequence);
    kms_call_say(call, "last_hash", drop->last_hash);
    say_number(call, "bytes", drop->bytes);
    call->audit_drop = drop;
    return call->extra_count == 7 ? KMS_OK : KMS_FAIL(NO_MEMORY); /* none of it may be missing */
}

kms_err kms_retention_act(struct kms_call *call)
{
    return kms_audit_drop_files(call->core->audit_dir, call->core->instance, call->audit_drop, &call->why);
}
