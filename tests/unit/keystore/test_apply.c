/* Request ids of applied changes are kept 30 days and then forgotten, a few with each change. */
#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"
#include "keystore/keystore.h"
#include "tests/harness/suite.h"

static uint64_t now_us;
uint64_t __wrap_kms_now_us(void);
uint64_t __wrap_kms_now_us(void)
{
    return now_us;
}

static const uint64_t day_us = UINT64_C(24) * 3600 * 1000000;
static char path[200];

static kms_keystore *store_new(void)
{
    static const uint8_t key[32];
    static unsigned count;
    kms_keystore *store = NULL;
    snprintf(path, sizeof path, "%s/%u.db", kms_temp_dir(), count++);
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &store, NULL));
    KMS_ASSERT_OK_FATAL(kms_keystore_unlock(store, kms_bytes_of(key, sizeof key)));
    return store;
}

static struct kms_id change_something(kms_keystore *store)
{
    static uint64_t count;
    char id[30];
    struct kms_id request = {{0}};
    struct kms_store_mark mark;
    snprintf(id, sizeof id, "%lu", ++count);
    const struct kms_change change = {.table = KMS_TABLE_TOKEN, .id = id};
    KMS_ASSERT_OK(kms_id_new(&request));
    KMS_ASSERT_OK(kms_keystore_apply(store, &request, &change, 1, &mark, NULL));
    return request;
}

static int requests_kept(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *query = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_prepare_v2(db, "SELECT count(*) FROM sealed_row WHERE kind = 1000", -1, &query, NULL);
    CU_ASSERT_EQUAL_FATAL(sqlite3_step(query), SQLITE_ROW);
    int count = sqlite3_column_int(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return count;
}

static void nothing_younger_than_30_days_is_forgotten(void)
{
    enum { OLD = 60 };
    KMS_OWN(kms_keystore) store = store_new();
    struct kms_id old[OLD];
    now_us = 1000 * day_us;
    for (unsigned i = 0; i < OLD; i++) old[i] = change_something(store);
    now_us += 30 * day_us; /* to the microsecond */
    for (unsigned i = 0; i < OLD; i++) change_something(store);
    for (unsigned i = 0; i < OLD; i++) {
        bool committed = false;
        KMS_ASSERT_OK(kms_keystore_committed(store, &old[i], &committed, NULL));
        CU_ASSERT(committed);
    }
}

static void what_is_older_goes_a_few_at_a_time(void)
{
    enum { OLD = 60, NEW = 30 }; /* 8 looked at, 1 added each time: twice round is less than 30 changes */
    KMS_OWN(kms_keystore) store = store_new();
    struct kms_store_mark mark, verified;
    now_us = 1000 * day_us;
    for (unsigned i = 0; i < OLD; i++) change_something(store);
    now_us += 30 * day_us + 1;
    int before = requests_kept();
    CU_ASSERT_EQUAL(before, OLD);
    for (unsigned i = 0; i < NEW; i++) {
        change_something(store);
        int after = requests_kept();
        CU_ASSERT(after >= before + 1 - 8); /* bounded work */
        before = after;
    }
    CU_ASSERT_EQUAL(before, NEW);
    kms_keystore_mark(store, &mark);
    KMS_ASSERT_OK(kms_keystore_verify(store, &verified, NULL));
    CU_ASSERT_EQUAL(memcmp(&mark, &verified, sizeof mark), 0);
}

static void a_clock_that_starts_at_1970_forgets_nothing(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    now_us = 1;
    for (unsigned i = 0; i < 20; i++) change_something(store);
    CU_ASSERT_EQUAL(requests_kept(), 20);
}

KMS_TEST_MAIN("keystore/apply",
              {"nothing younger than 30 days is forgotten", nothing_younger_than_30_days_is_forgotten},
              {"what is older goes a few at a time", what_is_older_goes_a_few_at_a_time},
              {"a clock that starts at 1970 forgets nothing", a_clock_that_starts_at_1970_forgets_nothing})
