/* Leases in memory, and as rows. */
#include "kmsd/leases/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "kmsd/keys/stored.h"

/* Takes stored over, also on failure. */
static kms_err wrap(kms_stored_lease *stored, uint64_t revision, struct kms_lease **ret_lease)
{
    struct kms_lease *lease = calloc(1, sizeof *lease);
    const char *slash = strrchr(stored->id, '/');
    if (lease == NULL || slash == NULL) {
        free(lease);
        kms__store__v1__stored_lease__free_unpacked(stored, NULL);
        return slash == NULL ? KMS_FAIL(INTERNAL) : KMS_FAIL(NO_MEMORY);
    }
    lease->refs = 1;
    lease->revision = revision;
    lease->stored = stored;
    lease->row = slash + 1;
    *ret_lease = lease;
    return KMS_OK;
}

static kms_err new_id(const char *role, char id[KMS_LEASE_ID_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[KMS_LEASE_ROW_BYTES - 1];
    char row[KMS_LEASE_ROW_BYTES] = "";
    KMS_TRY(kms_random(random, sizeof random));
    for (size_t i = 0; i < sizeof random; i++) row[i] = letters[random[i] & 31];
    snprintf(id, KMS_LEASE_ID_BYTES, "%s/%s", role, row);
    return KMS_OK;
}

kms_err kms_lease_new(const kms_stored_lease *like, uint64_t revision, struct kms_lease **ret_lease)
{
    char id[KMS_LEASE_ID_BYTES];
    kms_stored_lease whole = *like;
    if (whole.id[0] == '\0') {
        KMS_TRY(new_id(whole.role, id));
        whole.id = id;
    }
    size_t len = kms__store__v1__stored_lease__get_packed_size(&whole);
    uint8_t *packed = malloc(len + 1);
    if (packed == NULL) return KMS_FAIL(NO_MEMORY);
    kms__store__v1__stored_lease__pack(&whole, packed);
    kms_stored_lease *stored = kms__store__v1__stored_lease__unpack(NULL, len, packed);
    free(packed);
    return stored != NULL ? wrap(stored, revision, ret_lease) : KMS_FAIL(NO_MEMORY);
}

kms_err kms_lease_in_state(const struct kms_lease *lease, enum kms_lease_state state,
                           struct kms_lease **ret_lease)
{
    kms_stored_lease like = *lease->stored;
    like.state = state;
    return kms_lease_new(&like, lease->revision, ret_lease);
}

struct kms_lease *kms_lease_ref(struct kms_lease *lease)
{
    atomic_fetch_add_explicit(&lease->refs, 1, memory_order_relaxed);
    return lease;
}

void kms_lease_unref(struct kms_lease *lease)
{
    if (lease == NULL || atomic_fetch_sub(&lease->refs, 1) != 1) return;
    kms__store__v1__stored_lease__free_unpacked(lease->stored, NULL);
    free(lease);
}

struct kms_bytes kms_lease_role_in(const char *lease_id)
{
    const char *slash = strrchr(lease_id, '/');
    return kms_bytes_of(lease_id, slash != NULL ? (size_t)(slash - lease_id) : 0);
}

kms_err kms_lease_body(const kms_stored_lease *stored, kms_buf *body)
{
    return kms_stored_pack(&stored->base, body);
}

static bool possible(const kms_stored_lease *stored, const char *row)
{
    struct kms_bytes role = kms_lease_role_in(stored->id);
    return role.len > 0 && kms_bytes_equal(role, kms_bytes_text(stored->role)) &&
           strlen(row) == KMS_LEASE_ROW_BYTES - 1 && strcmp(stored->id + role.len + 1, row) == 0 &&
           stored->user[0] != '\0' && stored->state >= KMS_LEASE_CREATING &&
           stored->state <= KMS_LEASE_REVOKING;
}

kms_err kms_lease_from_row(const struct kms_row *row, struct kms_lease **ret_lease, struct kms_why *why)
{
    kms_stored_lease *stored = kms__store__v1__stored_lease__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL || !possible(stored, row->id)) {
        if (stored != NULL) kms__store__v1__stored_lease__free_unpacked(stored, NULL);
        kms_why_set(why, "keystore row %s: not a lease of this release", row->id);
        return KMS_FAIL(CORRUPT);
    }
    if (stored->state == KMS_LEASE_CREATING) stored->state = KMS_LEASE_REVOKING;
    return wrap(stored, row->revision, ret_lease);
}
