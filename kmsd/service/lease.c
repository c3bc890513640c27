/* Roles and leases as calls change them. */
#include "kmsd/service/lease.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kmsd/service/access.h"

struct kms_role *kms_call_role(const struct kms_call *call)
{
    return call->access[0].role;
}

kms_err kms_lease_hold(struct kms_call *call, struct kms_lease *lease)
{
    struct kms_lease_list *list = kms_call_alloc(call, sizeof *list);
    if (list == NULL) return KMS_FAIL(NO_MEMORY);
    *list = (struct kms_lease_list){.leases = calloc(1, sizeof(struct kms_lease *))};
    if (list->leases == NULL) return KMS_FAIL(NO_MEMORY);
    list->leases[list->count++] = kms_lease_ref(lease);
    call->leases = list;
    return KMS_OK;
}

kms_err kms_lease_gather_own(struct kms_call *call, enum kms_action action, const char *lease_id)
{
    struct kms_access *access;
    struct kms_bytes role = kms_lease_role_in(lease_id);
    /* What is no name of a role is on record nevertheless. */
    const char *name = kms_arena_print(&call->arena, "%.*s", (int)role.len, (const char *)role.ptr);
    if (name == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_access_role(call, action, name, &access));
    access->named = kms_bytes_text(lease_id);
    KMS_OWN_LEASE lease = kms_lease_book_find(call->core->leases, lease_id);
    if (lease != NULL && strcmp(lease->stored->owner, call->identity->principal) == 0)
        return kms_lease_hold(call, lease);
    kms_role_unref(access->role);
    access->role = NULL;
    return KMS_OK;
}

kms_err kms_lease_gather(struct kms_call *call, const char *after, size_t limit, kms_lease_wanted *wanted,
                         const void *user)
{
    struct kms_lease_list *list = kms_call_alloc(call, sizeof *list);
    if (list == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_lease_book_list(call->core->leases, after, limit, wanted, user, list));
    call->leases = list;
    return KMS_OK;
}

kms_err kms_lease_say(struct kms_call *call, const char *name, const struct kms_lease_list *leases)
{
    char *text = kms_call_alloc(call, leases->count * KMS_LEASE_ROW_BYTES + 1), *at = text;
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < leases->count; i++) {
        if (i > 0) *at++ = ' ';
        kms_copy(at, leases->leases[i]->row, KMS_LEASE_ROW_BYTES - 1);
        at += KMS_LEASE_ROW_BYTES - 1;
    }
    *at = '\0';
    kms_call_say(call, name, text);
    return KMS_OK;
}

bool kms_lease_turn_over(const struct kms_call *call, uint64_t began_us)
{
    const struct kms_core *core = call->core;
    return atomic_load(&core->lease_jobs_until_us) != 0 ||
           kms_monotonic_us() - began_us >= core->lease_turn_us;
}

kms_err kms_change_role(struct kms_change_set *changes, struct kms_role *role)
{
    kms_buf *body;
    KMS_TRY(kms_change_row(changes, KMS_TABLE_DATABASE_ROLE, role->row, &role->revision, &body));
    return kms_role_body(role->stored, body);
}

kms_err kms_change_lease(struct kms_change_set *changes, struct kms_lease *lease)
{
    kms_buf *body;
    KMS_TRY(kms_change_row(changes, KMS_TABLE_LEASE, lease->row, &lease->revision, &body));
    return kms_lease_body(lease->stored, body);
}

kms_err kms_change_lease_gone(struct kms_change_set *changes, const struct kms_lease *lease)
{
    return kms_change_remove(changes, KMS_TABLE_LEASE, lease->row, lease->revision);
}

/* New generations of those that are active now. */
static kms_err end_each(struct kms_call *call, struct kms_change_set *changes, struct kms_lease_list *ended)
{
    for (size_t i = 0; i < call->leases->count; i++) {
        KMS_OWN_LEASE now = kms_lease_book_find(call->core->leases, call->leases->leases[i]->stored->id);
        if (now == NULL || now->stored->state != KMS_LEASE_ACTIVE) continue;
        KMS_TRY(kms_lease_in_state(now, KMS_LEASE_REVOKING, &ended->leases[ended->count]));
        KMS_TRY(kms_change_lease(changes, ended->leases[ended->count++]));
    }
    return KMS_OK;
}

kms_err kms_lease_end_all(struct kms_call *call, size_t *ret_count)
{
    kms_lease_book *book = call->core->leases;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_LEASE_LIST ended = {.count = 0};
    KMS_OWN_LEASE_CHANGE changing = kms_lease_book_begin_change(book);
    size_t doomed = 0;
    *ret_count = 0;
    ended.leases = calloc(call->leases->count + 1, sizeof(struct kms_lease *));
    if (ended.leases == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(end_each(call, &changes, &ended));
    if (ended.count > 0) KMS_TRY(kms_change_apply(&changes, call));
    for (size_t i = 0; i < ended.count; i++) KMS_TRY(kms_lease_book_put(changing, ended.leases[i]));
    for (size_t i = 0; i < call->leases->count; i++)
        doomed += kms_lease_book_doom(book, call->leases->leases[i]->stored->id);
    *ret_count = ended.count + doomed;
    if (ended.count > 0) kms_core_wake_leases(call->core);
    return KMS_OK;
}
