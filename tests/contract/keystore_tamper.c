/* Whoever edits the database behind the store's back is found: by a seal, by the digest, or by the mark of
 * the audit log. */
#include <stdio.h>

#include "tests/contract/keystore_contract.h"

/* A store with two keys, of which "a" has changed once, a version with a budget, an alias; and, as the
 * attacker has kept them, all its rows and values from before the last changes. */
static struct place with_history(struct kms_store_mark *ret_mark)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_id key = id_of(5), request = id_of(99);
    uint64_t granted;
    const struct kms_change last = {KMS_TABLE_KEY, "a", 1, false, kms_bytes_text("second")};
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "first"));
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "b", 0, "other"));
    KMS_ASSERT_OK(put(store, KMS_TABLE_ALIAS, "alias/x", 0, "a"));
    KMS_ASSERT_OK(put(store, KMS_TABLE_ALIAS, "alias/y", 0, "b"));
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 100, 1000, NULL}, &granted, NULL));
    under_test->edit(place.path, "CREATE TABLE kept_row AS SELECT * FROM sealed_row;"
                                 "CREATE TABLE kept_value AS SELECT * FROM named_value;");
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 100, 1000, NULL}, &granted, NULL));
    KMS_ASSERT_OK(erase(store, KMS_TABLE_ALIAS, "alias/y", 1));
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, &last, 1, ret_mark, NULL));
    return place;
}

#define KEPT(where)                                                                                          \
    "DELETE FROM sealed_row WHERE " where "; INSERT INTO sealed_row SELECT * FROM kept_row WHERE " where

static const struct {
    const char *what, *sql, *named; /* named: the word that why must have */
} edits[] = {
    {"body", "UPDATE sealed_row SET body = (SELECT body FROM sealed_row WHERE id = 'b') WHERE id = 'a'",
     "key row a"},
    {"revision", "UPDATE sealed_row SET revision = revision + 1 WHERE id = 'a'", "key row a"},
    {"seal", "UPDATE sealed_row SET seal = (SELECT seal FROM sealed_row WHERE id = 'b') WHERE id = 'a'",
     "key row a"},
    {"body and seal",
     "UPDATE sealed_row SET body = (SELECT body FROM sealed_row WHERE id = 'b'),"
     " seal = (SELECT seal FROM sealed_row WHERE id = 'b'), revision = 1 WHERE id = 'a'",
     "key row a"},
    {"moved", "UPDATE sealed_row SET id = 'c' WHERE id = 'a'", "key row c"},
    {"moved to another table", "UPDATE sealed_row SET kind = 2 WHERE id = 'a'", "key version row a"},
    {"doubled", "INSERT INTO sealed_row SELECT 1, 'c', revision, body, seal FROM sealed_row WHERE id = 'a'",
     "key row c"},
    {"empty seal", "UPDATE sealed_row SET seal = '' WHERE id = 'a'", "row a"},
    {"removed", "DELETE FROM sealed_row WHERE id = 'b'", "removed"},
    {"all removed", "DELETE FROM sealed_row", "removed"},
    {"older self", KEPT("id = 'a'"), "older"},
    {"erased row is back", KEPT("id = 'alias/y'"), "older"},
    {"all rows older", KEPT("kind > 0"), "older"},
    {"request removed", "DELETE FROM sealed_row WHERE kind = 1000 AND id LIKE '63%'", "removed"},
    {"budget edited", "UPDATE sealed_row SET revision = 9 WHERE kind = 1001", "budget row"},
    {"budget lowered to an older self", KEPT("kind = 1001"), "budget row"},
    {"budget removed", "DELETE FROM sealed_row WHERE kind = 1001", "budget row"},
    {"totals older", "DELETE FROM named_value; INSERT INTO named_value SELECT * FROM kept_value", "older"},
    {"budgets and totals older",
     KEPT("kind = 1001") "; DELETE FROM named_value; INSERT INTO named_value SELECT * FROM kept_value",
     "older"},
    {"totals removed", "DELETE FROM named_value", "older"},
    {"totals edited", "UPDATE named_value SET value = (SELECT body FROM sealed_row WHERE id = 'b')",
     "totals"},
};

static void every_edit_is_found(void)
{
    struct kms_store_mark mark, found;
    struct place original = with_history(&mark);
    for (size_t i = 0; i < KMS_COUNT(edits); i++) {
        struct place place = place_new();
        struct kms_why why = {""};
        under_test->copy(original.path, place.path);
        under_test->edit(place.path, edits[i].sql);
        KMS_OWN(kms_keystore) store = store_at(&place);
        kms_err err = kms_keystore_verify(store, &found, &why);
        if (!kms_is(err, KMS_E_CORRUPT) || strstr(why.text, edits[i].named) == NULL)
            fprintf(stderr, "\n%s: %s\n", edits[i].what, why.text);
        KMS_ASSERT_CODE(err, CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, edits[i].named));
    }
    KMS_OWN(kms_keystore) store = store_at(&original);
    KMS_ASSERT_OK(kms_keystore_verify(store, &found, NULL));
    CU_ASSERT(marks_equal(&mark, &found));
}

static kms_err ignore_row(void *user, const struct kms_row *row)
{
    (void)user;
    (void)row;
    return KMS_OK;
}

static void an_edited_row_is_neither_read_nor_replaced(void)
{
    struct kms_store_mark mark;
    struct place place = with_history(&mark);
    KMS_OWN(kms_keystore) store = store_at(&place);
    KMS_OWN_BUF body = {0};
    uint64_t revision;
    struct kms_why why = {""};
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    under_test->edit(place.path, edits[0].sql); /* while it runs */
    KMS_ASSERT_CODE(kms_keystore_get(store, KMS_TABLE_KEY, "a", &revision, &body, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "key row a"));
    KMS_ASSERT_CODE(kms_keystore_scan(store, KMS_TABLE_KEY, "", ignore_row, NULL, NULL), CORRUPT);
    KMS_ASSERT_CODE(put(store, KMS_TABLE_KEY, "a", 2, "third"), CORRUPT);
    KMS_ASSERT_CODE(erase(store, KMS_TABLE_KEY, "a", 2), CORRUPT);
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "b"), "other");
}

static void a_replaced_older_row_stays_found(void)
{
    struct kms_store_mark mark;
    struct place place = with_history(&mark);
    KMS_OWN(kms_keystore) store = store_at(&place);
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    under_test->edit(place.path, KEPT("id = 'a'"));
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 1, "over the older one")); /* its own seal is right */
    KMS_ASSERT_CODE(kms_keystore_verify(store, &mark, NULL), CORRUPT);
}

static void an_older_database_has_another_mark(void)
{
    struct place place, old = place_new(), other = place_new();
    kms_keystore *store = store_new(&place);
    struct kms_store_mark newest, older, fork;
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "first"));
    under_test->copy(place.path, old.path);
    under_test->copy(place.path, other.path);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 1, "second"));
    kms_keystore_mark(store, &newest);
    kms_keystore_close(store);
    store = store_at(&old);
    KMS_ASSERT_OK(kms_keystore_verify(store, &older, NULL)); /* nothing wrong in itself */
    CU_ASSERT_EQUAL(older.revision + 1, newest.revision);
    kms_keystore_close(store);
    store = store_at(&other); /* caught up to the same revision by other changes */
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "b", 0, "second"));
    KMS_ASSERT_OK(kms_keystore_verify(store, &fork, NULL));
    CU_ASSERT_EQUAL(fork.revision, newest.revision);
    CU_ASSERT_FALSE(marks_equal(&fork, &newest));
    kms_keystore_close(store);
}

static void a_database_that_goes_back_while_in_use_is_refused(void)
{
    struct kms_store_mark mark;
    struct place place = with_history(&mark);
    KMS_OWN(kms_keystore) store = store_at(&place);
    struct kms_id key = id_of(5);
    uint64_t granted;
    struct kms_why why = {""};
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    under_test->edit(place.path, KEPT("kind > 0") "; DELETE FROM named_value;"
                                                  "INSERT INTO named_value SELECT * FROM kept_value");
    KMS_ASSERT_CODE(kms_keystore_verify(store, &mark, &why), ROLLBACK_DETECTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "went back"));
    KMS_ASSERT_CODE(put(store, KMS_TABLE_KEY, "c", 0, "x"), ROLLBACK_DETECTED);
    KMS_ASSERT_CODE(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 1, 1000, NULL}, &granted, NULL),
        ROLLBACK_DETECTED);
}

static void another_store_key_opens_nothing(void)
{
    static const uint8_t other_key[32] = "some other key..................";
    struct kms_store_mark mark;
    struct place place = with_history(&mark);
    KMS_OWN(kms_keystore) store = NULL;
    KMS_OWN_BUF body = {0};
    uint64_t revision;
    KMS_ASSERT_OK_FATAL(under_test->open(place.path, false, &store, NULL));
    KMS_ASSERT_CODE(kms_keystore_unlock(store, kms_bytes_of(other_key, 31)), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_keystore_verify(store, &mark, NULL), KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_OK(kms_keystore_unlock(store, kms_bytes_of(other_key, 32)));
    KMS_ASSERT_CODE(kms_keystore_verify(store, &mark, NULL), CORRUPT);
    KMS_ASSERT_CODE(kms_keystore_get(store, KMS_TABLE_KEY, "a", &revision, &body, NULL), CORRUPT);
    KMS_ASSERT_CODE(put(store, KMS_TABLE_KEY, "c", 0, "x"), CORRUPT);
}

CU_TestInfo tamper_tests[] = {
    {"every edit is found", every_edit_is_found},
    {"an edited row is neither read nor replaced", an_edited_row_is_neither_read_nor_replaced},
    {"a replaced older row stays found", a_replaced_older_row_stays_found},
    {"an older database has another mark", an_older_database_has_another_mark},
    {"a database that goes back while in use is refused", a_database_that_goes_back_while_in_use_is_refused},
    {"another store key opens nothing", another_store_key_opens_nothing},
    CU_TEST_INFO_NULL,
};
