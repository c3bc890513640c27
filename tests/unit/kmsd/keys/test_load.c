/* The keyring from a real keystore: all of it, or CORRUPT with the row that does not fit. */
#include <stdlib.h>
#include <strings.h>

#include "tests/unit/kmsd/keys/world.h"

static kms_err load(kms_keystore *store, kms_keyring **ret_ring, struct kms_why *why)
{
    struct kms_store_mark mark;
    KMS_ASSERT_OK_FATAL(kms_keyring_new(ret_ring));
    return kms_keyring_load(*ret_ring, store, NULL, NULL, &mark, why);
}

static void everything_comes_back(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_keyring) ring = NULL;
    KMS_OWN_KEY one = key_of(1, 3);
    KMS_OWN_KEY two = key_of(2, 1);
    store_put_key(store, two, 1, 1);
    store_put_key(store, one, 1, 3);
    for (int deleted = 0; deleted < 2; deleted++) {
        KMS_OWN_BUF body = {0};
        struct kms_alias alias = alias_of(deleted ? "alias/gone" : "alias/live", 2, deleted);
        KMS_ASSERT_OK_FATAL(kms_alias_body(&alias, 1, &body));
        store_put(store, KMS_TABLE_ALIAS, alias.name, kms_buf_view(&body));
    }
    store_put(store, KMS_TABLE_TOKEN, "some token", kms_bytes_text("any body"));

    KMS_ASSERT_OK_FATAL(load(store, &ring, NULL));
    uint64_t keys, aliases;
    kms_keyring_counts(ring, &keys, &aliases);
    CU_ASSERT(keys == 2 && aliases == 1);
    KMS_OWN_KEY back = kms_keyring_find(ring, &one->id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_EQUAL(back->version_count, 3);
    CU_ASSERT_EQUAL(back->revision, 1);
    for (int i = 0; i < 3; i++)
        CU_ASSERT(kms_bytes_equal(back->versions[i].wrapped, one->versions[i].wrapped));
    struct kms_alias found;
    CU_ASSERT(kms_keyring_alias(ring, kms_bytes_text("alias/live"), &found) && !found.deleted);
    CU_ASSERT(kms_id_equal(&found.key_id, &two->id) && found.revision == 1);
    CU_ASSERT(kms_keyring_alias(ring, kms_bytes_text("alias/gone"), &found) && found.deleted);
}

static void nothing_is_fine(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_keyring) ring = NULL;
    KMS_ASSERT_OK(load(store, &ring, NULL));
}

static void missing_versions(void)
{
    static const struct {
        uint32_t has, first, last;
    } cases[] = {{1, 1, 0}, {3, 1, 2}, {3, 2, 3}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_keyring) ring = NULL;
        KMS_OWN_KEY whole = key_of(9, 1);
        KMS_OWN_KEY key = key_of(1, cases[i].has);
        struct kms_why why = {{0}};
        store_put_key(store, whole, 1, 1);
        store_put_key(store, key, cases[i].first, cases[i].last);
        KMS_ASSERT_CODE(load(store, &ring, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "key versions"));
    }
}

/* Rows that no key has, beside a key 1 with two whole versions. */
static void versions_that_do_not_fit(void)
{
    static const char *const rows[] = {
        "abcd0000-0000-4000-8000-000000000001/00000003",  "abcd0000-0000-4000-8000-000000000001/00000000",
        "abcd0000-0000-4000-8000-000000000002/00000001",  "abcd0000-0000-4000-8000-000000000001/ffffffff",
        "abcd0000-0000-4000-8000-000000000001",           "abcd0000-0000-4000-8000-000000000001/0000000g",
        "abcd0000-0000-4000-8000-000000000001/000000001", "ABCD0000-0000-4000-8000-000000000001/00000001",
        "abcd0000-0000-4000-8000-000000000001x00000001",
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_keyring) ring = NULL;
        KMS_OWN_KEY key = key_of(1, 2);
        KMS_OWN_BUF body = {0};
        struct kms_why why = {{0}};
        store_put_key(store, key, 1, 2);
        KMS_ASSERT_OK_FATAL(kms_version_body(&key->versions[0], &body));
        store_put(store, KMS_TABLE_KEY_VERSION, rows[i], kms_buf_view(&body));
        KMS_ASSERT_CODE(load(store, &ring, &why), CORRUPT);
        CU_ASSERT(strncasecmp(why.text + strlen("keystore row "), rows[i], strlen(rows[i])) == 0);
    }
}

static void bad_bodies(void)
{
    static const struct {
        enum kms_table table;
        const char *id;
    } rows[] = {{KMS_TABLE_KEY, "abcd0000-0000-4000-8000-000000000005"},
                {KMS_TABLE_KEY, "abcd"},
                {KMS_TABLE_ALIAS, "alias/x"}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN(kms_keyring) ring = NULL;
        struct kms_why why = {{0}};
        store_put(store, rows[i].table, rows[i].id, kms_bytes_text("\xff"));
        KMS_ASSERT_CODE(load(store, &ring, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].id));
    }
}

#define OTHER_POLICY                                                                                         \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"S\",\"Effect\":\"Allow\","                        \
    "\"Principal\":{\"AWS\":\"App\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}]}"

/* Keys made from one template share one compiled document; others have their own. */
static void policies(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_keyring) ring = NULL;
    struct kms_key *keys[3], *back[3];
    for (unsigned i = 0; i < 3; i++) {
        keys[i] = key_of(i + 1, 1);
        if (i == 2) {
            kms_policy_unref(keys[i]->policy);
            KMS_ASSERT_OK_FATAL(
                kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(OTHER_POLICY), &keys[i]->policy, NULL));
        }
        store_put_key(store, keys[i], 1, 1);
    }
    KMS_ASSERT_OK_FATAL(load(store, &ring, NULL));
    for (unsigned i = 0; i < 3; i++) {
        back[i] = kms_keyring_find(ring, &keys[i]->id);
        CU_ASSERT_PTR_NOT_NULL_FATAL(back[i]->policy);
    }
    CU_ASSERT_PTR_EQUAL(back[0]->policy, back[1]->policy);
    CU_ASSERT_PTR_NOT_EQUAL(back[0]->policy, back[2]->policy);
    for (unsigned i = 0; i < 3; i++) {
        kms_key_unref(keys[i]);
        kms_key_unref(back[i]);
    }
}

static void a_policy_that_is_none(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_keyring) ring = NULL;
    KMS_OWN_KEY key = key_of(1, 1);
    KMS_OWN_BUF body = {0};
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_key_body(key, &body));
    char *document = memmem(body.data, body.len, WORLD_POLICY, strlen(WORLD_POLICY));
    CU_ASSERT_PTR_NOT_NULL_FATAL(document);
    document[0] = '[';
    store_put(store, KMS_TABLE_KEY, key->id_text, kms_buf_view(&body));
    KMS_ASSERT_CODE(load(store, &ring, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, key->id_text));
}

KMS_TEST_MAIN("keys/load", {"everything comes back", everything_comes_back},
              {"nothing is fine", nothing_is_fine}, {"missing versions", missing_versions},
              {"versions that do not fit", versions_that_do_not_fit}, {"bad bodies", bad_bodies},
              {"policies", policies}, {"a policy that is none", a_policy_that_is_none})
