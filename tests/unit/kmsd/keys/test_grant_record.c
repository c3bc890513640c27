/* Grants as rows: there and back, what cannot be, and with their keys at start. */
#include "kmsd/keys/grant_record.h"

#include <stdlib.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

#define TEXT(s) kms_bytes_text(s)

static struct kms_pair pairs[] = {{{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}},
                                  {{(const uint8_t *)"b", 1}, {NULL, 0}}};

static struct kms_grant full(void)
{
    struct kms_grant grant = {.id = id_of(9),
                              .grantee = TEXT("spiffe://x/app"),
                              .retiring = TEXT("r"),
                              .name = TEXT("n"),
                              .creator = TEXT("admin"),
                              .operations = kms_grant_operations_for(KMS_GRANT_KIND_SYMMETRIC),
                              .constraint = KMS_GRANT_CONTEXT_SUBSET,
                              .pairs = pairs,
                              .pair_count = 2,
                              .created_us = 17,
                              .expires_us = UINT64_C(1) << 60};
    memset(grant.check, 7, sizeof grant.check);
    return grant;
}

static void row_names(void)
{
    char row[KMS_GRANT_ROW_BYTES];
    struct kms_id key = id_of(1), grant = id_of(2), key_back, grant_back;
    kms_grant_row_id(&key, &grant, row);
    CU_ASSERT_EQUAL(strlen(row), 73);
    CU_ASSERT(kms_grant_row_parse(row, &key_back, &grant_back));
    CU_ASSERT(kms_id_equal(&key, &key_back) && kms_id_equal(&grant, &grant_back));
    static const char *const bad[] = {
        "",
        "x",
        "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-000000000001-00000000-0000-4000-8000-000000000002",
        "00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-00000000000x",
        "00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-0000000000022"};
    for (size_t i = 0; i < KMS_COUNT(bad); i++)
        CU_ASSERT_FALSE(kms_grant_row_parse(bad[i], &key_back, &grant_back));
}

static void there_and_back(void)
{
    struct kms_grant grant = full();
    struct kms_id key = id_of(1), key_back;
    char row_id[KMS_GRANT_ROW_BYTES];
    kms_grant_row_id(&key, &grant.id, row_id);
    FAULTS_EACH () {
        KMS_OWN_BUF body = {0};
        KMS_OWN_GRANTED back = NULL;
        struct kms_why why = {""};
        kms_err err = kms_grant_body(&grant, &body);
        struct kms_row row = {
            .table = KMS_TABLE_GRANT, .id = row_id, .revision = 5, .body = kms_buf_view(&body)};
        if (!kms_failed(err)) err = kms_grant_from_row(&row, &key_back, &back, &why);
        bool hit = faults_hit();
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), hit);
        if (back != NULL) {
            CU_ASSERT(kms_grant_same(&back->grant, &grant) && kms_id_equal(&back->grant.id, &grant.id));
            CU_ASSERT(kms_bytes_equal(back->grant.creator, grant.creator) && back->grant.created_us == 17);
            CU_ASSERT(memcmp(back->grant.check, grant.check, sizeof grant.check) == 0);
            CU_ASSERT(back->revision == 5 && kms_id_equal(&key_back, &key));
        }
    }
}

static void corrupt(Kms__Store__V1__StoredGrant *stored, const char *row_id, bool good)
{
    uint8_t packed[512];
    struct kms_why why = {""};
    KMS_OWN_GRANTED back = NULL;
    struct kms_id key;
    size_t len = kms__store__v1__stored_grant__pack(stored, packed);
    struct kms_row row = {
        .table = KMS_TABLE_GRANT, .id = row_id, .revision = 1, .body = kms_bytes_of(packed, len)};
    kms_err err = kms_grant_from_row(&row, &key, &back, &why);
    if (good) {
        KMS_ASSERT_OK(err);
        return;
    }
    KMS_ASSERT_CODE(err, CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, row_id));
}

static void what_cannot_be(void)
{
    char row_id[KMS_GRANT_ROW_BYTES], grantee[] = "p", none[] = "";
    struct kms_id key = id_of(1), id = id_of(2);
    uint32_t encrypt = 2, unknown = 31;
    uint8_t check[KMS_GRANT_CHECK_BYTES] = {0};
    Kms__Store__V1__StoredPair pair,
        *pair_list[] = {&pair, &pair, &pair, &pair, &pair, &pair, &pair, &pair, &pair};
    Kms__Store__V1__StoredGrant stored, good;
    kms_grant_row_id(&key, &id, row_id);
    kms__store__v1__stored_pair__init(&pair);
    kms__store__v1__stored_grant__init(&good);
    good.grantee = grantee;
    good.operations = &encrypt;
    good.n_operations = 1;
    good.token_check = (ProtobufCBinaryData){sizeof check, check};
    corrupt(&good, row_id, true);
    corrupt(&good, "x", false);
#define WITH(...)                                                                                            \
    do {                                                                                                     \
        stored = good;                                                                                       \
        __VA_ARGS__;                                                                                         \
        corrupt(&stored, row_id, false);                                                                     \
    } while (0)
    WITH(stored.grantee = none);
    WITH(stored.n_operations = 0);
    WITH(stored.operations = &unknown);
    WITH(stored.constraint = 3);
    WITH(stored.constraint = 1); /* without pairs */
    WITH(stored.pairs = pair_list, stored.n_pairs = 1);
    WITH(stored.constraint = 1, stored.pairs = pair_list, stored.n_pairs = 9);
    WITH(stored.token_check.len = 15);
#undef WITH
    struct kms_why why = {""};
    KMS_OWN_GRANTED back = NULL;
    struct kms_row row = {.table = KMS_TABLE_GRANT, .id = row_id, .revision = 1, .body = TEXT("\xff\xff")};
    KMS_ASSERT_CODE(kms_grant_from_row(&row, &key, &back, &why), CORRUPT);
}

static void put_grant(kms_keystore *store, const struct kms_id *key, const struct kms_grant *grant)
{
    char row_id[KMS_GRANT_ROW_BYTES];
    KMS_OWN_BUF body = {0};
    kms_grant_row_id(key, &grant->id, row_id);
    KMS_ASSERT_OK_FATAL(kms_grant_body(grant, &body));
    store_put(store, KMS_TABLE_GRANT, row_id, kms_buf_view(&body));
}

static void come_back_with_their_keys(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN_KEY one = key_of(1, 1);
    KMS_OWN_KEY two = key_of(2, 1);
    KMS_OWN_KEY three = key_of(3, 1);
    store_put_key(store, one, 1, 1);
    store_put_key(store, two, 1, 1);
    store_put_key(store, three, 1, 1);
    for (unsigned i = 0; i < 5; i++) {
        struct kms_grant grant = full();
        grant.id = id_of(20 + i);
        put_grant(store, i < 4 ? &one->id : &three->id, &grant);
    }
    KMS_OWN(kms_keyring) ring = NULL;
    struct kms_store_mark mark;
    struct kms_why why = {""};
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&ring));
    KMS_ASSERT_OK_FATAL(kms_keyring_load(ring, store, NULL, NULL, &mark, &why));
    KMS_OWN_KEY found = kms_keyring_find(ring, &one->id);
    KMS_OWN_KEY none = kms_keyring_find(ring, &two->id);
    CU_ASSERT_EQUAL(kms_grants_count(found->grants), 4);
    CU_ASSERT_PTR_NULL(none->grants); /* costs nothing */
    KMS_OWN_KEY copy = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_copy(found, 1, &copy));
    CU_ASSERT_PTR_EQUAL(copy->grants, found->grants); /* of all generations */
}

static void grant_of_no_key(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_keyring) ring = NULL;
    struct kms_store_mark mark;
    struct kms_why why = {""};
    struct kms_id key = id_of(1);
    struct kms_grant grant = full();
    put_grant(store, &key, &grant);
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&ring));
    KMS_ASSERT_CODE(kms_keyring_load(ring, store, NULL, NULL, &mark, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "a grant of a key that does not exist"));
}

KMS_TEST_MAIN("keys/grant_record", {"names of rows", row_names}, {"there and back", there_and_back},
              {"what cannot be", what_cannot_be}, {"come back with their keys", come_back_with_their_keys},
              {"a grant of no key", grant_of_no_key})
