/* What is due and whose turn it is; what failed waits. */
#include <string.h>

#include "tests/unit/kmsd/leases/world.h"

static bool is_free(const void *user, const char *role)
{
    return user == NULL || strcmp(user, role) != 0;
}

static enum kms_lease_due due(kms_lease_book *book, uint64_t now, bool doubted, const char *taken)
{
    char role[KMS_SECRET_NAME_BYTES] = "";
    const struct kms_lease_look look = {
        .now_us = now, .monotonic_us = now, .doubted = doubted, .free = is_free, .user = taken};
    enum kms_lease_due what = kms_lease_book_due(book, &look, role);
    CU_ASSERT_STRING_EQUAL(role, what == KMS_LEASE_DUE_NOTHING ? "" : "a");
    return what;
}

static void what_is_due(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    CU_ASSERT_EQUAL(due(book, 1, false, NULL), KMS_LEASE_DUE_SWEEP);
    CU_ASSERT_EQUAL(due(book, 1, false, "a"), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_swept(book, "a", 1000);
    put_lease(book, "a", "new", KMS_LEASE_CREATING, 10);
    put_lease(book, "a", "live", KMS_LEASE_ACTIVE, 100);
    CU_ASSERT_EQUAL(due(book, 99, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, false, "a"), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, false, NULL), KMS_LEASE_DUE_EXPIRE);
    const char *id = put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    CU_ASSERT_EQUAL(due(book, 1, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 1, 10); /* its database is away */
    CU_ASSERT_EQUAL(due(book, 10, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 11, 10); /* again: twice as long */
    CU_ASSERT_EQUAL(due(book, 30, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 31, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_ease_database(book, "a", "main");
    kms_lease_book_delay(book, id, 31, 10); /* that one alone */
    CU_ASSERT_EQUAL(due(book, 40, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 41, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_remove(book, id);
    CU_ASSERT_EQUAL(due(book, 1000, true, NULL), KMS_LEASE_DUE_SWEEP);
}

static bool is_ending(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    return lease->stored->state == KMS_LEASE_REVOKING && retry_us <= *(const uint64_t *)user;
}

static void another_database_does_not_wait(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_swept(book, "a", UINT64_MAX);
    const char *id = put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    kms_lease_book_delay_database(book, "a", "main", 1, 10);
    kms_lease_book_delay_database(book, "none", "main", 1, 10);
    uint64_t now = 10;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 0);
    CU_ASSERT_EQUAL(due(book, now, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 11, 10); /* again: twice as long */
    CU_ASSERT_EQUAL(due(book, 30, true, NULL), KMS_LEASE_DUE_NOTHING);
    KMS_OWN_LEASE lease = kms_lease_book_find(book, id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lease);
    lease->stored->database[0] = 'z'; /* one in another database */
    CU_ASSERT_EQUAL(due(book, 30, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "zain", 30, 10);
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_ease_database(book, "a", "main");
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_ease_database(book, "a", "zain");
    kms_lease_book_ease_database(book, "a", "zain");
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_REVOKE);
}

/* A sweep waits for the database that it looks at, and for no other. */
static void sweeps_wait_for_their_database(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_delay_database(book, "a", "other", 1, 10);
    CU_ASSERT_EQUAL(due(book, 1, true, NULL), KMS_LEASE_DUE_SWEEP);
    kms_lease_book_delay_database(book, "a", "main", 1, 10);
    CU_ASSERT_EQUAL(due(book, 10, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, true, NULL), KMS_LEASE_DUE_SWEEP);
}

/* Each role that has leases to end gets its turn, however many another one has; what expires goes first. */
static void roles_take_turns(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    const struct kms_lease_look look = {.now_us = 50, .monotonic_us = 50, .free = is_free};
    char role[KMS_SECRET_NAME_BYTES];
    static const char *const names[] = {"a", "b", "c"};
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    for (size_t i = 0; i < KMS_COUNT(names); i++) {
        put_role(book, names[i]);
        kms_lease_book_swept(book, names[i], UINT64_MAX);
        put_lease(book, names[i], "one", KMS_LEASE_REVOKING, 10);
        put_lease(book, names[i], "two", KMS_LEASE_REVOKING, 10);
    }
    for (size_t i = 0; i < 3 * KMS_COUNT(names); i++) {
        CU_ASSERT_EQUAL(kms_lease_book_due(book, &look, role), KMS_LEASE_DUE_REVOKE);
        CU_ASSERT_STRING_EQUAL(role, names[i % KMS_COUNT(names)]);
    }
    put_lease(book, "b", "live", KMS_LEASE_ACTIVE, 50);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(kms_lease_book_due(book, &look, role), KMS_LEASE_DUE_EXPIRE);
        CU_ASSERT_STRING_EQUAL(role, "b");
    }
}

static void waits_are_bounded(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_swept(book, "a", UINT64_MAX);
    put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    for (int i = 0; i < 100; i++) kms_lease_book_delay_database(book, "a", "main", 0, 1000000);
    const uint64_t most_us = KMS_LEASE_BACKOFF_MOST_S * UINT64_C(1000000);
    CU_ASSERT_EQUAL(due(book, most_us - 1, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, most_us, true, NULL), KMS_LEASE_DUE_REVOKE);
}

KMS_TEST_MAIN("leases/book_due", {"what is due", what_is_due},
              {"another database does not wait", another_database_does_not_wait},
              {"sweeps wait for their database", sweeps_wait_for_their_database},
              {"roles take turns", roles_take_turns}, {"waits are bounded", waits_are_bounded})
