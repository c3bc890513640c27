/* Rows: what goes out comes back; what could not be ours is CORRUPT and names the row. */
#include "kmsd/keys/record.h"

#include <stdio.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static void a_key_comes_back(void)
{
    KMS_OWN(kms_documents) documents = documents_new();
    KMS_OWN_KEY key = key_of(1, 2);
    KMS_OWN_KEY back = NULL;
    KMS_OWN_BUF body = {0};
    key->state = KMS_STATE_DISABLED;
    KMS_ASSERT_OK_FATAL(
        kms_rule_new(2, (char *const[]){(char[]){"alice"}, (char[]){"bob"}}, 2, &key->rule, NULL));
    KMS_ASSERT_OK_FATAL(kms_key_body(key, &body));
    const struct kms_row row = {
        .table = KMS_TABLE_KEY, .id = key->id_text, .revision = 9, .body = kms_buf_view(&body)};
    KMS_ASSERT_OK_FATAL(kms_key_from_row(&row, documents, &back, NULL));
    CU_ASSERT(kms_id_equal(&back->id, &key->id) && back->revision == 9 && back->created_us == 1001);
    CU_ASSERT_STRING_EQUAL(back->id_text, key->id_text);
    CU_ASSERT(back->spec == key->spec && back->usage == key->usage && back->level == key->level);
    CU_ASSERT(back->state == KMS_STATE_DISABLED && back->version_count == 2);
    CU_ASSERT_STRING_EQUAL(kms_policy_source(back->policy), WORLD_POLICY);
    CU_ASSERT_STRING_EQUAL(kms_key_description(back), "for tests");
    CU_ASSERT_STRING_EQUAL(back->creator, key->creator);
    CU_ASSERT(back->rule != NULL && kms_rule_equal(back->rule, key->rule));
    for (uint32_t v = 1; v <= 2; v++) {
        KMS_OWN_BUF part = {0};
        char id[KMS_VERSION_ROW_BYTES];
        kms_version_row_id(key, v, id);
        KMS_ASSERT_OK_FATAL(kms_version_body(&key->versions[v - 1], &part));
        const struct kms_row version = {
            .table = KMS_TABLE_KEY_VERSION, .id = id, .revision = 1, .body = kms_buf_view(&part)};
        KMS_ASSERT_OK_FATAL(kms_version_from_row(back, v, &version, NULL));
        CU_ASSERT(kms_bytes_equal(back->versions[v - 1].wrapped, key->versions[v - 1].wrapped));
        CU_ASSERT_EQUAL(back->versions[v - 1].root_id, 7);
        CU_ASSERT_EQUAL(back->versions[v - 1].created_us, 2000 + v - 1);
    }
}

static void row_names(void)
{
    KMS_OWN_KEY key = key_of(1, 1);
    char id[KMS_VERSION_ROW_BYTES];
    kms_version_row_id(key, 42, id);
    CU_ASSERT_STRING_EQUAL(id, "abcd0000-0000-4000-8000-000000000001/0000002a");
    kms_version_row_id(key, UINT32_MAX, id);
    CU_ASSERT_STRING_EQUAL(id, "abcd0000-0000-4000-8000-000000000001/ffffffff");
}

static void an_alias_comes_back(void)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        struct kms_alias alias = alias_of("alias/a", 3, deleted), back = {.revision = 0};
        KMS_OWN_BUF body = {0};
        KMS_ASSERT_OK_FATAL(kms_alias_body(&alias, 77, &body));
        const struct kms_row row = {
            .table = KMS_TABLE_ALIAS, .id = "alias/a", .revision = 5, .body = kms_buf_view(&body)};
        KMS_ASSERT_OK_FATAL(kms_alias_from_row(&row, &back, NULL));
        CU_ASSERT_STRING_EQUAL(back.name, "alias/a");
        CU_ASSERT(kms_id_equal(&back.key_id, &alias.key_id) && back.revision == 5 && back.deleted == deleted);
    }
}

#define GOOD_ID "abcd0000-0000-4000-8000-000000000001"

/* A stored key as it should be, changed in one place. */
static kms_err read_changed(int change, struct kms_why *why)
{
    char policy[] = WORLD_POLICY, text[] = "t";
    Kms__Store__V1__StoredKey stored;
    kms__store__v1__stored_key__init(&stored);
    stored.spec = stored.usage = stored.level = 1;
    stored.current_version = 1;
    stored.policy = policy;
    stored.description = stored.creator = text;
    const char *id = GOOD_ID;
    switch (change) {
    case 1:
        stored.current_version = 0;
        break;
    case 2:
        stored.current_version = KMS_KEY_VERSIONS + 1;
        break;
    case 3:
        stored.level = 0;
        break;
    case 4:
        stored.level = 3;
        break;
    case 5:
        stored.level = 257;
        break;
    case 6:
        stored.spec = 0;
        break;
    case 7:
        stored.spec = 256 + KMS_SPEC_AES_256;
        break;
    case 8:
        stored.usage = 2;
        break;
    case 9:
        id = "abcd0000-0000-4000-8000-00000000000";
        break;
    default:
        break;
    }
    uint8_t body[1024];
    const struct kms_row row = {.table = KMS_TABLE_KEY,
                                .id = id,
                                .revision = 1,
                                .body = kms_bytes_of(body, kms__store__v1__stored_key__pack(&stored, body))};
    KMS_OWN(kms_documents) documents = documents_new();
    KMS_OWN_KEY key = NULL;
    return kms_key_from_row(&row, documents, &key, why);
}

static void impossible_keys(void)
{
    KMS_ASSERT_OK(read_changed(0, NULL));
    for (int change = 1; change <= 9; change++) {
        struct kms_why why = {{0}};
        kms_err err = read_changed(change, &why);
        KMS_ASSERT_CODE(err, CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "0000-0000-4000-8000-0000000"));
        if (!kms_is(err, KMS_E_CORRUPT)) printf("\nchange %d", change);
    }
}

static void bodies_that_are_none(void)
{
    KMS_OWN(kms_documents) documents = documents_new();
    KMS_OWN_KEY key = key_of(1, 1);
    struct kms_alias alias;
    struct kms_why why = {{0}};
    const struct kms_row row = {.id = GOOD_ID, .revision = 1, .body = kms_bytes_text("\xff\xff")};
    KMS_OWN_KEY read = NULL;
    KMS_ASSERT_CODE(kms_key_from_row(&row, documents, &read, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, GOOD_ID));
    why.text[0] = '\0';
    KMS_ASSERT_CODE(kms_version_from_row(key, 1, &row, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, GOOD_ID));
    why.text[0] = '\0';
    KMS_ASSERT_CODE(kms_alias_from_row(&row, &alias, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, GOOD_ID));
    const struct kms_row empty = {.id = "alias/x", .revision = 1};
    KMS_ASSERT_CODE(kms_alias_from_row(&empty, &alias, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "alias/x"));
    KMS_ASSERT_CODE(kms_key_from_row(&empty, documents, &read, &why), CORRUPT);
}

static void an_alias_name_too_long(void)
{
    char name[KMS_ALIAS_BYTES + 1];
    memset(name, 'n', sizeof name);
    name[KMS_ALIAS_BYTES] = '\0';
    struct kms_alias alias = alias_of("alias/a", 1, false), back;
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_alias_body(&alias, 1, &body));
    struct kms_row row = {.id = name, .revision = 1, .body = kms_buf_view(&body)};
    KMS_ASSERT_CODE(kms_alias_from_row(&row, &back, NULL), CORRUPT);
    name[KMS_ALIAS_BYTES - 1] = '\0';
    KMS_ASSERT_OK(kms_alias_from_row(&row, &back, NULL));
    CU_ASSERT_STRING_EQUAL(back.name, name);
}

static void out_of_memory(void)
{
    KMS_OWN_KEY key = key_of(1, 1);
    KMS_OWN_BUF good = {0};
    KMS_ASSERT_OK_FATAL(kms_key_body(key, &good));
    const struct kms_row row = {.id = GOOD_ID, .revision = 1, .body = kms_buf_view(&good)};
    FAULTS_EACH_OF (FAULT_MEMORY) {
        KMS_OWN_BUF body = {0};
        KMS_OWN(kms_documents) documents = NULL;
        struct kms_key *back = NULL;
        kms_err err = kms_documents_new(&documents);
        if (!kms_failed(err)) err = kms_key_body(key, &body);
        if (!kms_failed(err)) err = kms_key_from_row(&row, documents, &back, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(back == NULL, faults_hit());
        kms_key_unref(back);
    }
}

KMS_TEST_MAIN("keys/record", {"a key comes back", a_key_comes_back}, {"row names", row_names},
              {"an alias comes back", an_alias_comes_back}, {"impossible keys", impossible_keys},
              {"bodies that are none", bodies_that_are_none},
              {"an alias name too long", an_alias_name_too_long}, {"out of memory", out_of_memory})
