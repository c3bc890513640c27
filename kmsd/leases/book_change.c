/* Who changes leases, and waits for whom. */
#include "base/clock.h"
#include "kmsd/leases/slots.h"

void kms_lease_changes_init(kms_lease_book *book)
{
    pthread_mutex_init(&book->change, NULL);
    pthread_mutex_init(&book->claims_lock, NULL);
    kms_cond_init(&book->released);
}

void kms_lease_changes_end(kms_lease_book *book)
{
    pthread_cond_destroy(&book->released);
    pthread_mutex_destroy(&book->claims_lock);
    pthread_mutex_destroy(&book->change);
}

kms_lease_book *kms_lease_book_begin_change(kms_lease_book *book)
{
    pthread_mutex_lock(&book->change);
    return book;
}

void kms_lease_book_end_change(kms_lease_book **book)
{
    pthread_mutex_unlock(&(*book)->change);
}

bool kms_lease_book_doom(kms_lease_book *book, const char *lease_id)
{
    pthread_rwlock_wrlock(&book->lock);
    struct lease_slot *slot = kms_slot_of_lease(book, lease_id);
    bool dooms = slot != NULL && slot->lease->stored->state == KMS_LEASE_CREATING && !slot->doomed;
    if (dooms) slot->doomed = true;
    pthread_rwlock_unlock(&book->lock);
    return dooms;
}

bool kms_lease_book_doomed(kms_lease_book *book, const char *lease_id)
{
    pthread_rwlock_rdlock(&book->lock);
    struct lease_slot *slot = kms_slot_of_lease(book, lease_id);
    bool doomed = slot != NULL && slot->doomed;
    pthread_rwlock_unlock(&book->lock);
    return doomed;
}

static bool is_claimed(const kms_lease_book *book, const char *lease_id)
{
    const struct kms_lease_claim *claim = book->claims;
    while (claim != NULL && strcmp(claim->lease_id, lease_id) != 0) claim = claim->next;
    return claim != NULL;
}

bool kms_lease_book_claim(kms_lease_book *book, const char *lease_id, uint32_t wait_ms,
                          struct kms_lease_claim *claim)
{
    const struct timespec until = kms_in_ms(wait_ms);
    int rc = 0;
    pthread_mutex_lock(&book->claims_lock);
    while (is_claimed(book, lease_id) && rc == 0)
        rc = pthread_cond_timedwait(&book->released, &book->claims_lock, &until);
    bool is_ours = !is_claimed(book, lease_id);
    if (is_ours) {
        *claim = (struct kms_lease_claim){book, lease_id, book->claims};
        book->claims = claim;
    }
    pthread_mutex_unlock(&book->claims_lock);
    return is_ours;
}

void kms_lease_book_release(struct kms_lease_claim *claim)
{
    kms_lease_book *book = claim->book;
    if (book == NULL) return;
    pthread_mutex_lock(&book->claims_lock);
    struct kms_lease_claim **at = &book->claims;
    while (*at != claim) at = &(*at)->next;
    *at = claim->next;
    pthread_cond_broadcast(&book->released);
    pthread_mutex_unlock(&book->claims_lock);
}
