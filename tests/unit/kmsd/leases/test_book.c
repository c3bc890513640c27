/* Roles and leases: found, listed, due, and loaded from a real keystore or refused with the row. */
#include "kmsd/leases/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kmsd/leases/world.h"

static void names(void)
{
    struct kms_why why = {{0}};
    struct kms_bytes name;
    KMS_OWN_ROLE role = role_of((char[]){"a/b"}, 1);
    CU_ASSERT_STRING_EQUAL(role->arn, "arn:aws:secretsmanager:us-east-1:000000000000:database-role:a/b");
    KMS_ASSERT_OK(kms_role_name_parse(&prefix, kms_bytes_text(role->arn), &name, &why));
    CU_ASSERT(kms_bytes_equal(name, kms_bytes_text("a/b")));
    KMS_ASSERT_OK(kms_role_name_parse(&prefix, kms_bytes_text("a/b"), &name, &why));
    KMS_ASSERT_CODE(kms_role_name_parse(&prefix, kms_bytes_text("a//b"), &name, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "a database role"));
    KMS_ASSERT_CODE(
        kms_role_name_parse(&prefix, kms_bytes_text("arn:aws:secretsmanager:us-east-1:000000000000:secret:a"),
                            &name, &why),
        INVALID_ARN);
    CU_ASSERT(kms_bytes_equal(kms_lease_role_in("a/b/xyz"), kms_bytes_text("a/b")));
    CU_ASSERT(kms_bytes_equal(kms_lease_role_in("a/b/"), kms_bytes_text("a/b")));
    CU_ASSERT_EQUAL(kms_lease_role_in("ab").len, 0);
    CU_ASSERT_EQUAL(kms_lease_role_in("/ab").len, 0);
}

static void roles_are_found_and_listed(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    static const char *const some[] = {"c", "a", "b"};
    for (size_t i = 0; i < KMS_COUNT(some); i++) put_role(book, some[i]);
    CU_ASSERT_EQUAL(kms_lease_book_roles_count(book), 3);
    KMS_OWN_ROLE older = role_of((char[]){"a"}, 0);
    KMS_ASSERT_OK(kms_lease_book_put_role(book, older));
    KMS_OWN_ROLE found = kms_lease_book_role(book, kms_bytes_text("a"));
    CU_ASSERT(found != NULL && found->revision == 1);
    KMS_OWN_ROLE_LIST list = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_roles(book, "a", 1, &list));
    CU_ASSERT_TRUE_FATAL(list.count == 1 && list.more);
    CU_ASSERT_STRING_EQUAL(list.roles[0]->stored->name, "b");
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, older));
    KMS_OWN_ROLE another = role_of((char[]){"a"}, 1); /* of that name, made later */
    another->stored->instance[0] = 'z';
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, another));
    CU_ASSERT(kms_lease_book_remove_role(book, found));
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, found));
    CU_ASSERT_PTR_NULL(kms_lease_book_role(book, kms_bytes_text("a")));
}

static bool is_ending(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    return lease->stored->state == KMS_LEASE_REVOKING && retry_us <= *(const uint64_t *)user;
}

static void leases_are_found_and_listed(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    const char *id = put_lease(book, "a", "u1", KMS_LEASE_ACTIVE, 5);
    put_lease(book, "a", "u2", KMS_LEASE_REVOKING, 5);
    CU_ASSERT_EQUAL(strlen(id), 2 + KMS_LEASE_ROW_BYTES - 1);
    KMS_OWN_LEASE lease = kms_lease_book_find(book, id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lease);
    CU_ASSERT_STRING_EQUAL(lease->row, id + 2);
    uint64_t now = 0;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, NULL, NULL), 2);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    KMS_OWN_LEASE ending = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_in_state(lease, KMS_LEASE_REVOKING, &ending));
    ending->revision = 0; /* an older generation does not replace a newer */
    KMS_ASSERT_OK(kms_lease_book_put(book, ending));
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    ending->revision = 2;
    KMS_ASSERT_OK(kms_lease_book_put(book, ending));
    KMS_OWN_LEASE_LIST list = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_list(book, "", 1, is_ending, &now, &list));
    CU_ASSERT_TRUE_FATAL(list.count == 1 && list.more);
    KMS_OWN_LEASE_LIST rest = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_list(book, list.leases[0]->stored->id, 9, NULL, NULL, &rest));
    CU_ASSERT(rest.count == 1 && !rest.more);
    kms_lease_book_delay(book, id, 0, 7);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    kms_lease_book_remove(book, id);
    kms_lease_book_remove(book, id);
    CU_ASSERT_PTR_NULL(kms_lease_book_find(book, id));
}

/* ---- at start ---- */

static void store_role(kms_keystore *store, char *name)
{
    KMS_OWN_ROLE role = role_of(name, 0);
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_role_body(role->stored, &body));
    store_put(store, KMS_TABLE_DATABASE_ROLE, role->row, kms_buf_view(&body));
}

static void store_lease(kms_keystore *store, char *role, enum kms_lease_state state, const char *row)
{
    KMS_OWN_LEASE lease = lease_of(role, "user", state, 5);
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_lease_body(lease->stored, &body));
    store_put(store, KMS_TABLE_LEASE, row != NULL ? row : lease->row, kms_buf_view(&body));
}

static kms_err load(kms_keystore *store, kms_lease_book **ret_book, struct kms_why *why)
{
    struct kms_store_mark mark;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(ret_book));
    struct kms_lease_loading loading = {*ret_book, &prefix, why};
    return kms_keystore_load(store, kms_lease_load_row, &loading, &mark, why);
}

static void everything_comes_back(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_lease_book) book = NULL;
    struct kms_why why;
    store_role(store, (char[]){"a/b"});
    for (unsigned i = KMS_LEASE_CREATING; i <= KMS_LEASE_REVOKING; i++)
        store_lease(store, (char[]){"a/b"}, i, NULL);
    KMS_ASSERT_OK_FATAL(load(store, &book, &why));
    KMS_OWN_ROLE role = kms_lease_book_role(book, kms_bytes_text("a/b"));
    CU_ASSERT(role != NULL && role->revision == 1 && role->policy != NULL);
    uint64_t now = 0;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, NULL, NULL), 3);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 2); /* the one that was being made, too */
}

static void refused(kms_keystore *store, const char *words)
{
    KMS_OWN(kms_lease_book) book = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
}

static void what_does_not_fit_is_named(void)
{
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_lease(store, (char[]){"a"}, KMS_LEASE_ACTIVE, NULL);
        refused(store, "a lease of a database role that is not there");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_role(store, (char[]){"a"});
        store_lease(store, (char[]){"a"}, KMS_LEASE_ACTIVE, "aaaaaaaaaaaaaaaaaaaaaaaa");
        refused(store, "not a lease of this release");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_put(store, KMS_TABLE_DATABASE_ROLE, "row", kms_bytes_text("x"));
        refused(store, "not a database role");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN_ROLE role = role_of((char[]){"a"}, 0);
        KMS_OWN_BUF body = {0};
        KMS_ASSERT_OK_FATAL(kms_role_body(role->stored, &body));
        store_put(store, KMS_TABLE_DATABASE_ROLE, "another row", kms_buf_view(&body));
        refused(store, "another role's name");
    }
}

KMS_TEST_MAIN("leases/book", {"names", names}, {"roles are found and listed", roles_are_found_and_listed},
              {"leases are found and listed", leases_are_found_and_listed},
              {"everything comes back", everything_comes_back},
              {"what does not fit is named", what_does_not_fit_is_named})
