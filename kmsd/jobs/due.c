/* What is due. */
#include "kmsd/jobs/jobs.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/approval.h"
#include "kmsd/service/deletion.h"
#include "kmsd/service/import.h"
#include "kmsd/service/rotation.h"

struct finding {
    uint64_t now_us;
    bool doubted;
    struct kms_due *due;
    size_t cap, count;
};

static void note(struct finding *f, enum kms_internal what, const struct kms_key *key)
{
    if (f->count < f->cap) f->due[f->count++] = (struct kms_due){.what = what, .key_id = key->id};
}

static void visit(void *user, const struct kms_key *key)
{
    struct finding *f = user;
    if (kms_rotation_due_for_budget(key)) note(f, KMS_INTERNAL_ROTATE_FOR_BUDGET, key);
    if (f->doubted) return;
    if (kms_grants_due(key->grants, f->now_us)) note(f, KMS_INTERNAL_EXPIRE_GRANTS, key);
    if (kms_material_due(key, f->now_us)) note(f, KMS_INTERNAL_EXPIRE_MATERIAL, key);
    if (kms_deletion_due(key, f->now_us)) note(f, KMS_INTERNAL_DELETE_KEY, key);
    if (kms_rotation_due(key, f->now_us)) note(f, KMS_INTERNAL_ROTATE_SCHEDULED, key);
}

size_t kms_due_find(kms_keyring *keys, uint64_t now_us, bool doubted, struct kms_due *due, size_t cap)
{
    struct finding f = {.now_us = now_us, .doubted = doubted, .due = due, .cap = cap};
    for (size_t cursor = 0; kms_keyring_some(keys, &cursor, visit, &f);) continue;
    return f.count;
}

struct approvals {
    const struct kms_core *core;
    struct kms_due *due;
    size_t cap, count;
    struct kms_why *why;
};

static kms_err visit_approval(void *user, const struct kms_row *row)
{
    struct approvals *a = user;
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    struct kms_due *due = &a->due[a->count];
    KMS_TRY(kms_approval_from_row(row, &approval, a->why));
    if (a->count == a->cap || !kms_approval_due(a->core, approval.stored)) return KMS_OK;
    due->what = KMS_INTERNAL_CLOSE_APPROVAL;
    if (kms_id_parse(kms_bytes_text(row->id), &due->key_id)) a->count++;
    return KMS_OK;
}

kms_err kms_due_approvals(struct kms_core *core, struct kms_due *due, size_t cap, size_t *ret_count,
                          struct kms_why *why)
{
    struct approvals a = {.core = core, .due = due, .cap = cap, .why = why};
    KMS_TRY(kms_keystore_scan(core->store, KMS_TABLE_APPROVAL, "", visit_approval, &a, why));
    *ret_count = a.count;
    return KMS_OK;
}
