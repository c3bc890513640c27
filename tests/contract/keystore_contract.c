/* The contract of keystore/keystore.h, run over every back end: a new one is a new line in back_ends. */
#include "tests/contract/keystore_contract.h"

#include <CUnit/Basic.h>
#include <sqlite3.h>
#include <stdio.h>

const struct back_end *under_test;

struct place place_new(void)
{
    static unsigned count;
    struct place place;
    snprintf(place.path, sizeof place.path, "%s/%s-%u", kms_temp_dir(), under_test->name, ++count);
    return place;
}

kms_err store_open(const struct place *place, kms_keystore **ret_store, struct kms_why *why)
{
    static const uint8_t store_key[32] = "the store key of the contract..";
    KMS_OWN(kms_keystore) store = NULL;
    KMS_TRY(under_test->open(place->path, true, &store, why));
    KMS_TRY(kms_keystore_unlock(store, kms_bytes_of(store_key, sizeof store_key)));
    *ret_store = KMS_GIVE(store);
    return KMS_OK;
}

kms_keystore *store_at(const struct place *place)
{
    kms_keystore *store = NULL;
    struct kms_why why = {""};
    kms_err err = store_open(place, &store, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why.text);
    KMS_ASSERT_OK_FATAL(err);
    return store;
}

kms_keystore *store_new(struct place *ret_place)
{
    *ret_place = place_new();
    return store_at(ret_place);
}

struct kms_id id_of(unsigned number)
{
    struct kms_id id = {{0}};
    for (size_t i = 0; i < sizeof number; i++) id.bytes[i] = (uint8_t)(number >> (8 * i));
    return id;
}

static kms_err change_one(kms_keystore *store, const struct kms_change *change)
{
    struct kms_id request;
    struct kms_store_mark mark;
    KMS_TRY(kms_id_new(&request));
    return kms_keystore_apply(store, &request, change, 1, &mark, NULL);
}

kms_err put(kms_keystore *store, enum kms_table table, const char *id, uint64_t expected, const char *body)
{
    struct kms_change change = {
        .table = table, .id = id, .expected_revision = expected, .body = kms_bytes_text(body)};
    return change_one(store, &change);
}

kms_err erase(kms_keystore *store, enum kms_table table, const char *id, uint64_t expected)
{
    struct kms_change change = {.table = table, .id = id, .expected_revision = expected, .erase = true};
    return change_one(store, &change);
}

const char *body_of(kms_keystore *store, enum kms_table table, const char *id)
{
    static char text[200];
    KMS_OWN_BUF body = {0};
    uint64_t revision;
    kms_err err = kms_keystore_get(store, table, id, &revision, &body, NULL);
    if (!kms_is(err, KMS_E_NOT_FOUND)) KMS_ASSERT_OK(err);
    snprintf(text, sizeof text, "%.*s", (int)body.len, body.data != NULL ? (const char *)body.data : "");
    return text;
}

bool marks_equal(const struct kms_store_mark *a, const struct kms_store_mark *b)
{
    return a->revision == b->revision && memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

/* ---- SQLite ---- */

static void sqlite_edit(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    char *words = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &words);
    if (rc != SQLITE_OK) fprintf(stderr, "\n%s: %s\n", sql, words);
    CU_ASSERT_EQUAL_FATAL(rc, SQLITE_OK);
    sqlite3_free(words);
    sqlite3_close(db);
}

static void sqlite_copy(const char *from, const char *to)
{
    char sql[300];
    remove(to);
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", to);
    sqlite_edit(from, sql);
}

static const struct back_end back_ends[] = {
    {"sqlite", kms_keystore_open_sqlite, sqlite_edit, sqlite_copy},
};

/* CUnit knows no parameters: a suite for each part and back end, and its first act is to choose the back end.
 */
static size_t next_suite;
enum { PARTS = 4 };
static int choose_back_end(void)
{
    under_test = &back_ends[next_suite++ / PARTS];
    return 0;
}

int main(void)
{
    static const char *const names[PARTS] = {"rows", "scan", "tampering", "durability"};
    CU_TestInfo *const parts[PARTS] = {row_tests, scan_tests, tamper_tests, durable_tests};
    static char titles[KMS_COUNT(back_ends)][PARTS][60];
    CU_SuiteInfo suites[KMS_COUNT(back_ends) * PARTS + 1] = {0};
    for (size_t b = 0; b < KMS_COUNT(back_ends); b++)
        for (size_t p = 0; p < PARTS; p++) {
            snprintf(titles[b][p], sizeof titles[b][p], "keystore over %s: %s", back_ends[b].name, names[p]);
            suites[b * PARTS + p] =
                (CU_SuiteInfo){.pName = titles[b][p], .pInitFunc = choose_back_end, .pTests = parts[p]};
        }
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 2;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    return failed != 0 || run == 0;
}
