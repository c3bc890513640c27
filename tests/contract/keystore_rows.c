/* Rows go in and come out; changes are all or nothing and see what they expect, or nothing happens. */
#include <stdio.h>

#include "tests/contract/keystore_contract.h"

static void a_new_store_is_empty(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_store_mark mark = {.revision = 9}, latest = {.revision = 9};
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    kms_keystore_mark(store, &latest);
    CU_ASSERT_EQUAL(mark.revision, 0);
    CU_ASSERT(marks_equal(&mark, &latest));
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "a"), "");
}

static void rows_come_back_as_they_went_in(void)
{
    static uint8_t longest[KMS_ROW_BODY_BYTES];
    char long_id[KMS_ROW_ID_BYTES];
    memset(longest, 0xa7, sizeof longest);
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    const struct kms_change changes[] = {
        {KMS_TABLE_KEY, "a", 0, false, kms_bytes_of("\0binary\xff", 8)},
        {KMS_TABLE_KEY, "b", 0, false, kms_bytes_of(longest, sizeof longest)},
        {KMS_TABLE_KEY_VERSION, "a", 0, false, kms_bytes_text("the same id in another table")},
        {KMS_TABLE_ALIAS, "alias/\xc3\xa4", 0, false, {0}},
        {KMS_TABLE_TOKEN, long_id, 0, false, kms_bytes_text("long id")},
    };
    struct place place;
    kms_keystore *store = store_new(&place);
    struct kms_store_mark applied, verified;
    struct kms_id request = id_of(1);
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, changes, KMS_COUNT(changes), &applied, NULL));
    CU_ASSERT_EQUAL(applied.revision, 1);
    for (int round = 0; round < 2; round++) { /* before and after reopening */
        for (size_t i = 0; i < KMS_COUNT(changes); i++) {
            KMS_OWN_BUF body = {0};
            uint64_t revision = 0;
            KMS_ASSERT_OK(kms_buf_append(&body, "what was here before", 20));
            KMS_ASSERT_OK(kms_keystore_get(store, changes[i].table, changes[i].id, &revision, &body, NULL));
            CU_ASSERT_EQUAL(revision, 1);
            CU_ASSERT(kms_bytes_equal(kms_buf_view(&body), changes[i].body));
        }
        kms_keystore_close(store);
        store = store_at(&place);
        KMS_ASSERT_OK(kms_keystore_verify(store, &verified, NULL));
        CU_ASSERT(marks_equal(&applied, &verified));
    }
    kms_keystore_close(store);
}

static void a_missing_row_is_not_found(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    KMS_OWN_BUF body = {0};
    uint64_t revision = 77;
    struct kms_why why = {""};
    KMS_ASSERT_CODE(kms_keystore_get(store, KMS_TABLE_KEY, "absent", &revision, &body, &why), NOT_FOUND);
    CU_ASSERT_EQUAL(revision, 77);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "absent"));
}

static void a_change_finds_what_it_expects_or_fails(void)
{
    static const struct {
        const char *id;
        uint64_t expected;
        bool erase;
        enum kms_code want;
    } cases[] = {
        {"a", 0, false, KMS_E_CONFLICT}, {"a", 1, false, KMS_E_CONFLICT},
        {"a", 3, false, KMS_E_CONFLICT}, {"b", 1, false, KMS_E_CONFLICT},
        {"a", 1, true, KMS_E_CONFLICT},  {"a", 3, true, KMS_E_CONFLICT},
        {"b", 1, true, KMS_E_NOT_FOUND}, {"a", 0, true, KMS_E_INVALID_ARGUMENT},
    };
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "first"));
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 1, "second"));
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        kms_err err = cases[i].erase ? erase(store, KMS_TABLE_KEY, cases[i].id, cases[i].expected)
                                     : put(store, KMS_TABLE_KEY, cases[i].id, cases[i].expected, "x");
        CU_ASSERT(kms_code_is(err, cases[i].want, __FILE__, (int)i));
    }
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "a"), "second");
}

static void a_failed_step_undoes_them_all(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "before"));
    const struct kms_change changes[] = {
        {KMS_TABLE_KEY, "a", 1, false, kms_bytes_text("after")},
        {KMS_TABLE_KEY, "new", 0, false, kms_bytes_text("after")},
        {KMS_TABLE_KEY, "absent", 4, false, kms_bytes_text("after")},
    };
    struct kms_store_mark before, mark = {.revision = 77}, after;
    struct kms_id request = id_of(2);
    struct kms_why why = {""};
    bool committed = true;
    kms_keystore_mark(store, &before);
    KMS_ASSERT_CODE(kms_keystore_apply(store, &request, changes, KMS_COUNT(changes), &mark, &why), CONFLICT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "absent"));
    CU_ASSERT_EQUAL(mark.revision, 77);
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "a"), "before");
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "new"), "");
    KMS_ASSERT_OK(kms_keystore_committed(store, &request, &committed, NULL));
    CU_ASSERT_FALSE(committed);
    KMS_ASSERT_OK(kms_keystore_verify(store, &after, NULL));
    CU_ASSERT(marks_equal(&before, &after));
    /* the same request may be tried again */
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, changes, 2, &mark, NULL));
}

static void one_change_may_touch_a_row_twice(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    const struct kms_change changes[] = {
        {KMS_TABLE_KEY, "a", 0, false, kms_bytes_text("one")},
        {KMS_TABLE_KEY, "a", 1, false, kms_bytes_text("two")},
        {KMS_TABLE_KEY, "b", 0, false, kms_bytes_text("gone")},
        {KMS_TABLE_KEY, "b", 1, true, {0}},
    };
    struct kms_store_mark applied, verified;
    struct kms_id request = id_of(3);
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, changes, KMS_COUNT(changes), &applied, NULL));
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "a"), "two");
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, "b"), "");
    KMS_ASSERT_OK(kms_keystore_verify(store, &verified, NULL));
    CU_ASSERT(marks_equal(&applied, &verified));
}

static void an_erased_row_is_gone_and_may_come_again(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_store_mark mark;
    KMS_ASSERT_OK(put(store, KMS_TABLE_ALIAS, "alias/x", 0, "first"));
    KMS_ASSERT_OK(erase(store, KMS_TABLE_ALIAS, "alias/x", 1));
    CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_ALIAS, "alias/x"), "");
    KMS_ASSERT_CODE(erase(store, KMS_TABLE_ALIAS, "alias/x", 1), NOT_FOUND);
    KMS_ASSERT_OK(put(store, KMS_TABLE_ALIAS, "alias/x", 0, "again"));
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    CU_ASSERT_EQUAL(mark.revision, 3);
}

static void what_is_out_of_bounds_is_refused(void)
{
    static uint8_t body[KMS_ROW_BODY_BYTES + 1];
    char long_id[KMS_ROW_ID_BYTES + 1];
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    const struct {
        struct kms_change change;
        size_t count;
        enum kms_code want;
    } cases[] = {
        {{KMS_TABLE_KEY, long_id, 0, false, {0}}, 1, KMS_E_LIMIT_EXCEEDED},
        {{KMS_TABLE_KEY, "a", 0, false, kms_bytes_of(body, sizeof body)}, 1, KMS_E_LIMIT_EXCEEDED},
        {{KMS_TABLE_KEY, "", 0, false, {0}}, 1, KMS_E_INVALID_ARGUMENT},
        {{KMS_TABLE_KEY, "not utf-8 \xff", 0, false, {0}}, 1, KMS_E_INVALID_ARGUMENT},
        {{KMS_TABLE_COUNT, "a", 0, false, {0}}, 1, KMS_E_INVALID_ARGUMENT},
        {{(enum kms_table)0, "a", 0, false, {0}}, 1, KMS_E_INVALID_ARGUMENT},
        {{(enum kms_table)1001, "a", 0, false, {0}},
         1,
         KMS_E_INVALID_ARGUMENT}, /* the budgets are its own affair */
        {{KMS_TABLE_KEY, "a", UINT64_MAX, false, {0}}, 1, KMS_E_INVALID_ARGUMENT},
        {{KMS_TABLE_KEY, "a", 0, false, {0}}, 0, KMS_E_INVALID_ARGUMENT},
        {{KMS_TABLE_KEY, "a", 0, false, {0}}, KMS_CHANGES_MAX + 1, KMS_E_LIMIT_EXCEEDED},
    };
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_store_mark mark;
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_id request = id_of(10 + (unsigned)i);
        struct kms_why why = {""};
        kms_err err = kms_keystore_apply(store, &request, &cases[i].change, cases[i].count, &mark, &why);
        CU_ASSERT(kms_code_is(err, cases[i].want, __FILE__, (int)i));
        CU_ASSERT(why.text[0] != '\0');
    }
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    CU_ASSERT_EQUAL(mark.revision, 0);
}

static void nothing_works_before_unlock(void)
{
    struct place place = place_new();
    KMS_OWN(kms_keystore) store = NULL;
    KMS_OWN_BUF body = {0};
    struct kms_store_mark mark;
    struct kms_id id = id_of(1);
    uint64_t number;
    bool committed;
    struct kms_why why = {""};
    KMS_ASSERT_OK_FATAL(under_test->open(place.path, true, &store, NULL));
    KMS_ASSERT_CODE(kms_keystore_verify(store, &mark, &why), KEYSTORE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "unlocked"));
    KMS_ASSERT_CODE(put(store, KMS_TABLE_KEY, "a", 0, "x"), KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_keystore_get(store, KMS_TABLE_KEY, "a", &number, &body, NULL), KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_keystore_scan(store, KMS_TABLE_KEY, "", NULL, NULL, NULL), KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_keystore_committed(store, &id, &committed, NULL), KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_keystore_move_sealed_key(store, kms_bytes_text("a"), kms_bytes_text("b"), NULL),
                    KEYSTORE_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_keystore_reserve(store, &(struct kms_reservation){&id, 1, 1, 1, NULL}, &number, NULL),
                    KEYSTORE_UNAVAILABLE);
}

static void the_sealed_key_is_stored_once(void)
{
    static const uint8_t too_long[4097];
    struct place place;
    kms_keystore *store = store_new(&place);
    KMS_OWN_BUF sealed = {0};
    KMS_ASSERT_OK(kms_keystore_sealed_key(store, &sealed, NULL));
    CU_ASSERT_EQUAL(sealed.len, 0);
    KMS_ASSERT_CODE(kms_keystore_set_sealed_key(store, (struct kms_bytes){0}, NULL), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_keystore_set_sealed_key(store, kms_bytes_of(too_long, sizeof too_long), NULL),
                    LIMIT_EXCEEDED);
    KMS_ASSERT_OK(kms_keystore_set_sealed_key(store, kms_bytes_of("op\0aque", 7), NULL));
    KMS_ASSERT_CODE(kms_keystore_set_sealed_key(store, kms_bytes_of("another", 7), NULL), ALREADY_EXISTS);
    kms_keystore_close(store);
    store = store_at(&place);
    KMS_ASSERT_OK(kms_keystore_sealed_key(store, &sealed, NULL));
    CU_ASSERT(kms_bytes_equal(kms_buf_view(&sealed), kms_bytes_of("op\0aque", 7)));
    kms_keystore_close(store);
}

static void the_sealed_key_moves(void)
{
    static const uint8_t too_long[4097];
    const struct kms_bytes before = {(const uint8_t *)"sealed 1", 8},
                           after = {(const uint8_t *)"sealed 2", 8};
    struct place place;
    kms_keystore *store = store_new(&place);
    KMS_OWN_BUF sealed = {0};
    KMS_ASSERT_CODE(kms_keystore_move_sealed_key(store, before, after, NULL), CONFLICT); /* none is there */
    KMS_ASSERT_OK(kms_keystore_set_sealed_key(store, before, NULL));
    KMS_ASSERT_CODE(kms_keystore_move_sealed_key(store, after, after, NULL), CONFLICT);
    KMS_ASSERT_CODE(kms_keystore_move_sealed_key(store, before, (struct kms_bytes){0}, NULL),
                    INVALID_ARGUMENT);
    KMS_ASSERT_CODE(
        kms_keystore_move_sealed_key(store, before, kms_bytes_of(too_long, sizeof too_long), NULL),
        LIMIT_EXCEEDED);
    KMS_ASSERT_OK(kms_keystore_move_sealed_key(store, before, after, NULL));
    kms_keystore_close(store);
    store = store_at(&place);
    KMS_ASSERT_OK(kms_keystore_sealed_key(store, &sealed, NULL));
    CU_ASSERT(kms_bytes_equal(kms_buf_view(&sealed), after));
    kms_keystore_close(store);
}

static void every_change_has_a_mark_of_its_own(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_store_mark marks[5];
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "x"));
    kms_keystore_mark(store, &marks[0]);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "b", 0, "x"));
    kms_keystore_mark(store, &marks[1]);
    KMS_ASSERT_OK(erase(store, KMS_TABLE_KEY, "b", 1)); /* the same keys as at first */
    kms_keystore_mark(store, &marks[2]);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 1, "x")); /* the same body */
    kms_keystore_mark(store, &marks[3]);
    KMS_ASSERT_OK(kms_keystore_verify(store, &marks[4], NULL));
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(marks[i].revision, i + 1);
        for (size_t j = 0; j < i; j++)
            CU_ASSERT(memcmp(marks[i].digest, marks[j].digest, KMS_DIGEST_BYTES) != 0);
    }
    CU_ASSERT(marks_equal(&marks[3], &marks[4]));
}

CU_TestInfo row_tests[] = {
    {"a new store is empty", a_new_store_is_empty},
    {"rows come back as they went in", rows_come_back_as_they_went_in},
    {"a missing row is not found", a_missing_row_is_not_found},
    {"a change finds what it expects, or fails", a_change_finds_what_it_expects_or_fails},
    {"a failed step undoes them all", a_failed_step_undoes_them_all},
    {"one change may touch a row twice", one_change_may_touch_a_row_twice},
    {"an erased row is gone, and may come again", an_erased_row_is_gone_and_may_come_again},
    {"what is out of bounds is refused", what_is_out_of_bounds_is_refused},
    {"nothing works before unlock", nothing_works_before_unlock},
    {"the sealed key is stored once", the_sealed_key_is_stored_once},
    {"the sealed key moves", the_sealed_key_moves},
    {"every change has a mark of its own", every_change_has_a_mark_of_its_own},
    CU_TEST_INFO_NULL,
};
