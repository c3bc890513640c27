/* Leases that are to end when they are made, and leases that one has at a time. */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/kmsd/leases/world.h"

static void one_that_is_being_made(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    const char *new = put_lease(book, "a", "new", KMS_LEASE_CREATING, 10),
               *live = put_lease(book, "a", "live", KMS_LEASE_ACTIVE, 10);
    CU_ASSERT_FALSE(kms_lease_book_doom(book, live));
    CU_ASSERT_FALSE(kms_lease_book_doom(book, "a/none"));
    CU_ASSERT_FALSE(kms_lease_book_doomed(book, new));
    CU_ASSERT_TRUE(kms_lease_book_doom(book, new));
    CU_ASSERT_TRUE(kms_lease_book_doomed(book, new));
    CU_ASSERT_FALSE(kms_lease_book_doom(book, new)); /* already */
    CU_ASSERT_FALSE(kms_lease_book_doomed(book, live));
    KMS_OWN_LEASE lease = kms_lease_book_find(book, new);
    KMS_OWN_LEASE ending = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_in_state(lease, KMS_LEASE_REVOKING, &ending));
    KMS_ASSERT_OK_FATAL(kms_lease_book_put(book, ending));
    CU_ASSERT_FALSE(kms_lease_book_doomed(book, new));
}

enum { CLAIMANTS = 4, CLAIMS = 100, GENEROUS_MS = 60000 };
struct claimants {
    kms_lease_book *book;
    atomic_int at_it;
    atomic_bool together, refused;
};

static void *claim_again_and_again(void *user)
{
    struct claimants *c = user;
    for (int i = 0; i < CLAIMS; i++) {
        KMS_OWN_LEASE_CLAIM claim = {.book = NULL};
        if (!kms_lease_book_claim(c->book, "a/x", GENEROUS_MS, &claim)) atomic_store(&c->refused, true);
        if (atomic_fetch_add(&c->at_it, 1) > 0) atomic_store(&c->together, true);
        sched_yield();
        atomic_fetch_sub(&c->at_it, 1);
    }
    return NULL;
}

static void one_at_a_time(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    {
        KMS_OWN_LEASE_CLAIM claim = {.book = NULL}, other = {.book = NULL}, same = {.book = NULL};
        CU_ASSERT_TRUE(kms_lease_book_claim(book, "a/x", 0, &claim));
        CU_ASSERT_TRUE(kms_lease_book_claim(book, "a/y", 0, &other));
        CU_ASSERT_FALSE(kms_lease_book_claim(book, "a/x", 1, &same));
    }
    struct claimants c = {.book = book};
    pthread_t threads[CLAIMANTS];
    for (int i = 0; i < CLAIMANTS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, claim_again_and_again, &c), 0);
    for (int i = 0; i < CLAIMANTS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_FALSE(atomic_load(&c.together) || atomic_load(&c.refused));
}

KMS_TEST_MAIN("leases/book_change", {"one that is being made", one_that_is_being_made},
              {"one at a time", one_at_a_time})
