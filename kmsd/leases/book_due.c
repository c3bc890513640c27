/* What of the book is due, and what waits since it failed. */
#include <stdlib.h>

#include "kmsd/leases/slots.h"

/* Where the link to it is; the last link, when the database has not failed for the role. */
static struct away **find_away(struct role_slot *slot, const char *database)
{
    struct away **at = &slot->away;
    while (*at != NULL && strcmp((*at)->database, database) != 0) at = &(*at)->next;
    return at;
}

static uint64_t database_retry(struct role_slot *slot, const char *database)
{
    const struct away *away = slot != NULL ? *find_away(slot, database) : NULL;
    return away != NULL ? away->wait.retry_us : 0;
}

uint64_t kms_lease_retry(kms_lease_book *book, const struct lease_slot *slot)
{
    const kms_stored_lease *lease = slot->lease->stored;
    if (lease->state != KMS_LEASE_REVOKING) return 0;
    uint64_t retry_us = database_retry(kms_slot_of_role(book, kms_bytes_text(lease->role)), lease->database);
    return retry_us > slot->wait.retry_us ? retry_us : slot->wait.retry_us;
}

void kms_lease_waits_free(struct role_slot *slot)
{
    for (struct away *away = slot->away, *next; away != NULL; away = next) {
        next = away->next;
        free(away);
    }
}

static void delay(struct wait *wait, uint64_t monotonic_us, uint64_t first_us)
{
    const uint64_t most_us = KMS_LEASE_BACKOFF_MOST_S * UINT64_C(1000000);
    uint64_t wait_us = first_us;
    for (unsigned i = 0; i < wait->failures && wait_us < most_us; i++) wait_us *= 2;
    wait->failures++;
    wait->retry_us = monotonic_us + (wait_us < most_us ? wait_us : most_us);
}

void kms_lease_book_delay(kms_lease_book *book, const char *lease_id, uint64_t monotonic_us,
                          uint64_t first_us)
{
    pthread_rwlock_wrlock(&book->lock);
    struct lease_slot *slot = kms_slot_of_lease(book, lease_id);
    if (slot != NULL) delay(&slot->wait, monotonic_us, first_us);
    pthread_rwlock_unlock(&book->lock);
}

static struct away *new_away(const char *database)
{
    size_t bytes = strlen(database) + 1;
    struct away *away = calloc(1, sizeof *away + bytes);
    if (away != NULL) kms_copy(away->database, database, bytes);
    return away;
}

void kms_lease_book_delay_database(kms_lease_book *book, const char *role, const char *database,
                                   uint64_t monotonic_us, uint64_t first_us)
{
    pthread_rwlock_wrlock(&book->lock);
    struct role_slot *slot = kms_slot_of_role(book, kms_bytes_text(role));
    struct away **at = slot != NULL ? find_away(slot, database) : NULL;
    if (at != NULL && *at == NULL) *at = new_away(database);
    if (at != NULL && *at != NULL) delay(&(*at)->wait, monotonic_us, first_us);
    pthread_rwlock_unlock(&book->lock);
}

void kms_lease_book_ease_database(kms_lease_book *book, const char *role, const char *database)
{
    pthread_rwlock_wrlock(&book->lock);
    struct role_slot *slot = kms_slot_of_role(book, kms_bytes_text(role));
    struct away **at = slot != NULL ? find_away(slot, database) : NULL;
    struct away *away = at != NULL ? *at : NULL;
    if (away != NULL) *at = away->next;
    pthread_rwlock_unlock(&book->lock);
    free(away);
}

void kms_lease_book_swept(kms_lease_book *book, const char *role, uint64_t next_us)
{
    pthread_rwlock_wrlock(&book->lock);
    struct role_slot *slot = kms_slot_of_role(book, kms_bytes_text(role));
    if (slot != NULL) slot->sweep_us = next_us;
    pthread_rwlock_unlock(&book->lock);
}

static enum kms_lease_due due_of(kms_lease_book *book, const struct lease_slot *slot,
                                 const struct kms_lease_look *look)
{
    const kms_stored_lease *lease = slot->lease->stored;
    if (lease->state == KMS_LEASE_ACTIVE && lease->expires_us <= look->now_us && !look->doubted)
        return KMS_LEASE_DUE_EXPIRE;
    bool revoke = lease->state == KMS_LEASE_REVOKING && kms_lease_retry(book, slot) <= look->monotonic_us;
    return revoke ? KMS_LEASE_DUE_REVOKE : KMS_LEASE_DUE_NOTHING;
}

/* What expires waits for no database, so it goes first; then the role that has waited longest. */
static enum kms_lease_due find_lease_due(kms_lease_book *book, const struct kms_lease_look *look,
                                         struct role_slot **ret_role)
{
    for (const struct lease_slot *slot = book->leases; slot != NULL; slot = slot->hh.next) {
        enum kms_lease_due due = due_of(book, slot, look);
        if (due == KMS_LEASE_DUE_NOTHING) continue;
        struct role_slot *role = kms_slot_of_role(book, kms_bytes_text(slot->lease->stored->role));
        if (role == NULL ||
            (due == KMS_LEASE_DUE_REVOKE && *ret_role != NULL && role->turn >= (*ret_role)->turn) ||
            !look->free(look->user, role->role->stored->name))
            continue;
        *ret_role = role;
        if (due == KMS_LEASE_DUE_EXPIRE) return due;
    }
    return *ret_role != NULL ? KMS_LEASE_DUE_REVOKE : KMS_LEASE_DUE_NOTHING;
}

static enum kms_lease_due find_due(kms_lease_book *book, const struct kms_lease_look *look,
                                   struct role_slot **ret_role)
{
    enum kms_lease_due due = find_lease_due(book, look, ret_role);
    if (due != KMS_LEASE_DUE_NOTHING) return due;
    for (struct role_slot *slot = book->roles; slot != NULL; slot = slot->hh.next) {
        *ret_role = slot;
        if (slot->sweep_us <= look->monotonic_us &&
            database_retry(slot, slot->role->stored->database) <= look->monotonic_us &&
            look->free(look->user, slot->role->stored->name))
            return KMS_LEASE_DUE_SWEEP;
    }
    return KMS_LEASE_DUE_NOTHING;
}

enum kms_lease_due kms_lease_book_due(kms_lease_book *book, const struct kms_lease_look *look,
                                      char role[KMS_SECRET_NAME_BYTES])
{
    struct role_slot *slot = NULL;
    pthread_rwlock_rdlock(&book->lock);
    enum kms_lease_due due = find_due(book, look, &slot);
    if (due != KMS_LEASE_DUE_NOTHING) {
        kms_copy(role, slot->role->stored->name, strlen(slot->role->stored->name) + 1);
        atomic_store(&slot->turn, atomic_fetch_add(&book->turns, 1) + 1);
    }
    pthread_rwlock_unlock(&book->lock);
    return due;
}
