/* The book of secrets: found by name, listed by name, loaded from a real keystore or refused with the row. */
#include "kmsd/secrets/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/secrets/record.h"
#include "tests/unit/kmsd/keys/world.h"
#include "tests/unit/kmsd/secrets/world.h"

static void put(kms_secret_book *book, const char *name, size_t versions)
{
    KMS_OWN_ENTRY entry = secret_of(name, versions);
    KMS_ASSERT_OK_FATAL(kms_secret_book_put(book, entry));
}

static bool has_versions(const void *user, const struct kms_secret_entry *entry)
{
    return entry->stored->n_versions == *(const size_t *)user;
}

static void found_by_name(void)
{
    KMS_OWN(kms_secret_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_book_new(&book));
    put(book, "a", 2);
    put(book, "a-AbC123x", 1);
    CU_ASSERT_EQUAL(kms_secret_book_count(book), 2);
    CU_ASSERT_EQUAL(kms_secret_book_count_of(book, has_versions, &(const size_t){2}), 1);
    CU_ASSERT_EQUAL(kms_secret_book_bytes(book), 120);
    KMS_OWN_ENTRY entry = kms_secret_book_find(book, kms_bytes_text("a"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT_PTR_NULL(kms_secret_book_find(book, kms_bytes_text("b")));
    struct kms_secret_name names[] = {{kms_bytes_text("a"), kms_bytes_text("other6")}};
    CU_ASSERT_PTR_NULL(kms_secret_book_resolve(book, names, 1));
    names[0].suffix = kms_bytes_text("AbC123");
    KMS_OWN_ENTRY same = kms_secret_book_resolve(book, names, 1);
    CU_ASSERT_PTR_EQUAL(same, entry);
    kms_secret_book_remove(book, kms_bytes_text("a"));
    kms_secret_book_remove(book, kms_bytes_text("a"));
    CU_ASSERT_EQUAL(kms_secret_book_bytes(book), 40);
}

static void an_older_generation_does_not_replace_a_newer(void)
{
    KMS_OWN(kms_secret_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_book_new(&book));
    KMS_OWN_ENTRY newer = secret_of("a", 1);
    KMS_OWN_ENTRY older = secret_of("a", 3);
    newer->revision = 5;
    KMS_ASSERT_OK(kms_secret_book_put(book, newer));
    KMS_ASSERT_OK(kms_secret_book_put(book, older));
    KMS_OWN_ENTRY found = kms_secret_book_find(book, kms_bytes_text("a"));
    CU_ASSERT_PTR_EQUAL(found, newer);
    CU_ASSERT_EQUAL(kms_secret_book_bytes(book), 40);
}

/* What was made from another generation, or from another secret of the name, is not stored. */
static void changes_take_turns(void)
{
    KMS_OWN(kms_secret_book) book = NULL;
    struct kms_why why;
    KMS_ASSERT_OK_FATAL(kms_secret_book_new(&book));
    KMS_OWN_ENTRY entry = secret_of("a", 0);
    KMS_ASSERT_CODE(kms_secret_book_begin(book, entry, &why), CONFLICT); /* it is gone */
    KMS_OWN_ENTRY fresh = secret_of("a", 0);
    fresh->revision = 0;
    KMS_ASSERT_OK_FATAL(kms_secret_book_begin(book, fresh, &why));
    fresh->revision = 1;
    KMS_ASSERT_OK_FATAL(kms_secret_book_put(book, fresh));
    kms_secret_book_end(book);
    KMS_ASSERT_OK(kms_secret_book_begin(book, entry, &why)); /* the same secret at the same revision */
    kms_secret_book_end(book);
    entry->revision = 2;
    KMS_ASSERT_CODE(kms_secret_book_begin(book, entry, &why), CONFLICT);
    entry->revision = 1;
    entry->arn[strlen(entry->arn) - 1]++; /* another one that had the name */
    KMS_ASSERT_CODE(kms_secret_book_begin(book, entry, &why), CONFLICT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "secret a was changed or deleted meanwhile"));
    entry->revision = 0;
    KMS_ASSERT_CODE(kms_secret_book_begin(book, entry, &why), CONFLICT); /* the name is taken */
}

static bool ends_in_b(const void *user, const struct kms_secret_entry *entry)
{
    (void)user;
    return entry->stored->name[strlen(entry->stored->name) - 1] == 'b';
}

static void listed_by_name(void)
{
    KMS_OWN(kms_secret_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_book_new(&book));
    static const char *const names[] = {"cb", "a", "b", "bb", "ab"};
    for (size_t i = 0; i < KMS_COUNT(names); i++) put(book, names[i], 0);
    KMS_OWN_SECRET_LIST page = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_secret_book_list(book, "a", 2, NULL, NULL, &page));
    CU_ASSERT_TRUE_FATAL(page.count == 2 && page.more);
    CU_ASSERT_STRING_EQUAL(page.entries[0]->stored->name, "ab");
    CU_ASSERT_STRING_EQUAL(page.entries[1]->stored->name, "b");
    KMS_OWN_SECRET_LIST some = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_secret_book_list(book, "ab", 9, ends_in_b, NULL, &some));
    CU_ASSERT_TRUE(some.count == 3 && !some.more);
}

static void store_entry(kms_keystore *store, const struct kms_secret_entry *entry, size_t values)
{
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_secret_body(entry->stored, &body));
    store_put(store, KMS_TABLE_SECRET, entry->row, kms_buf_view(&body));
    for (size_t i = 0; i < values; i++) {
        KMS_OWN_BUF value = {0};
        char row[KMS_SECRET_VALUE_ROW_BYTES];
        kms_secret_value_row(entry, entry->stored->versions[i]->id, row);
        KMS_ASSERT_OK_FATAL(kms_secret_value_body(entry->values[i]->stored, &value));
        store_put(store, KMS_TABLE_SECRET_VALUE, row, kms_buf_view(&value));
    }
}

static kms_err load(kms_keystore *store, kms_secret_book **ret_book, struct kms_why *why)
{
    struct kms_store_mark mark;
    KMS_ASSERT_OK_FATAL(kms_secret_book_new(ret_book));
    const struct kms_arn_prefix prefix = secret_prefix();
    struct kms_secret_loading loading = {.book = *ret_book, .prefix = &prefix, .why = why};
    return kms_secret_load_end(&loading, kms_keystore_load(store, kms_secret_load_row, &loading, &mark, why));
}

static void everything_comes_back(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_secret_book) book = NULL;
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "name/%u", i);
        KMS_OWN_ENTRY entry = secret_of(name, i % 4);
        store_entry(store, entry, i % 4);
    }
    struct kms_why why;
    KMS_ASSERT_OK_FATAL(load(store, &book, &why));
    CU_ASSERT_EQUAL(kms_secret_book_count(book), 50);
    KMS_OWN_ENTRY entry = kms_secret_book_find(book, kms_bytes_text("name/7"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT_TRUE_FATAL(entry->stored->n_versions == 3 && entry->revision == 1);
    CU_ASSERT_TRUE(entry->values[2]->revision == 1 && entry->values[2]->stored->sealed.len == 40);
}

static void store_day(kms_keystore *store, const char *row, uint64_t day_us)
{
    KMS_OWN_BUF body = {0};
    KMS_OWN_ENTRY entry = secret_of("any", 0);
    entry->read->day_us = day_us;
    KMS_ASSERT_OK_FATAL(kms_read_day_body(entry->read, &body));
    CU_ASSERT_EQUAL(entry->read->taken_us, day_us);
    store_put(store, KMS_TABLE_READ_DAY, row, kms_buf_view(&body));
}

/* To the secrets that have one, and a change of the secret keeps it. */
static void days_come_back(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_secret_book) book = NULL;
    struct kms_why why;
    const uint64_t day_us = UINT64_C(86400) * 1000000;
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "name/%u", i);
        KMS_OWN_ENTRY entry = secret_of(name, 1);
        store_entry(store, entry, 1);
        if (i % 3 == 0) store_day(store, entry->row, (i + 1) * day_us);
    }
    KMS_ASSERT_OK_FATAL(load(store, &book, &why));
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "name/%u", i);
        KMS_OWN_ENTRY entry = kms_secret_book_find(book, kms_bytes_text(name));
        CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
        CU_ASSERT_EQUAL(kms_read_day_of(entry->read), i % 3 == 0 ? (i + 1) * day_us : 0);
        CU_ASSERT_EQUAL(entry->read->revision, i % 3 == 0);
        KMS_OWN_ENTRY changed = NULL;
        KMS_ASSERT_OK_FATAL(kms_secret_entry_copy(entry, &changed));
        kms_read_day_set(entry->read, 50 * day_us + 17);
        CU_ASSERT_EQUAL(kms_read_day_of(changed->read), 50 * day_us);
        kms_read_day_set(changed->read, 2 * day_us - 1); /* the clock was put back */
        CU_ASSERT_EQUAL(kms_read_day_of(entry->read), 50 * day_us);
    }
}

static void days_that_do_not_fit(void)
{
    struct kms_why why;
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_secret_book) book = NULL;
        store_day(store, "0000", 0);
        KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "0000: the day of a secret that is not there"));
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_secret_book) book = NULL;
        KMS_OWN_ENTRY entry = secret_of("a", 0);
        store_entry(store, entry, 0);
        store_day(store, entry->row, 12345);
        KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "not a day"));
    }
}

static void what_does_not_fit_is_named(void)
{
    struct kms_why why;
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_secret_book) book = NULL;
        KMS_OWN_ENTRY entry = secret_of("a", 2);
        store_entry(store, entry, 1);
        KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "1 values of secrets, its secrets have 2 versions"));
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_secret_book) book = NULL;
        KMS_OWN_ENTRY entry = secret_of("a", 1);
        store_entry(store, entry, 1);
        store_put(store, KMS_TABLE_SECRET_VALUE, "0000/1", kms_bytes_text("x"));
        KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "0000/1: a value that no version"));
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_secret_book) book = NULL;
        KMS_OWN_ENTRY entry = secret_of("a", 0);
        KMS_OWN_BUF body = {0};
        KMS_ASSERT_OK_FATAL(kms_secret_body(entry->stored, &body));
        store_put(store, KMS_TABLE_SECRET, "another row", kms_buf_view(&body));
        KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "another secret's name"));
    }
}

KMS_TEST_MAIN("secrets/book", {"found by name", found_by_name},
              {"an older generation does not replace a newer", an_older_generation_does_not_replace_a_newer},
              {"changes take turns", changes_take_turns}, {"listed by name", listed_by_name},
              {"everything comes back", everything_comes_back}, {"days come back", days_come_back},
              {"days that do not fit", days_that_do_not_fit},
              {"what does not fit is named", what_does_not_fit_is_named})
