/* Keys, rows and keystores for the tests of keys. */
#include "tests/unit/kmsd/keys/world.h"

#include <stdio.h>
#include <stdlib.h>

struct kms_id id_of(unsigned number)
{
    struct kms_id id = {.bytes = {0xab, 0xcd, 0, 0, 0, 0, 0x40, 0, 0x80, 0}};
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

struct kms_key *key_at(enum kms_level level, unsigned number, uint32_t versions)
{
    struct kms_key *key = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_new(level, versions, &key));
    key->id = id_of(number);
    kms_id_text(&key->id, key->id_text);
    key->created_us = 1000 + number;
    key->spec = KMS_SPEC_AES_256;
    key->usage = KMS_USAGE_ENCRYPT_DECRYPT;
    key->state = KMS_STATE_ENABLED;
    key->origin = KMS_ORIGIN_KMS;
    KMS_ASSERT_OK_FATAL(kms_key_set_texts(key, "for tests", "admin"));
    KMS_ASSERT_OK_FATAL(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(WORLD_POLICY), &key->policy, NULL));
    for (uint32_t i = 0; i < versions; i++) {
        char wrapped[40];
        snprintf(wrapped, sizeof wrapped, "wrapped %u/%u", number, i + 1);
        key->versions[i].root_id = 7;
        key->versions[i].created_us = 2000 + i;
        KMS_ASSERT_OK_FATAL(kms_key_set_wrapped(&key->versions[i], kms_bytes_text(wrapped)));
    }
    return key;
}

struct kms_key *key_of(unsigned number, uint32_t versions)
{
    return key_at(KMS_LEVEL_SOFTWARE, number, versions);
}

kms_documents *documents_new(void)
{
    kms_documents *documents = NULL;
    KMS_ASSERT_OK_FATAL(kms_documents_new(&documents));
    return documents;
}

struct kms_alias alias_of(const char *name, unsigned key_number, bool deleted)
{
    struct kms_alias alias = {.key_id = id_of(key_number), .revision = 1, .deleted = deleted};
    snprintf(alias.name, sizeof alias.name, "%s", name);
    return alias;
}

kms_keystore *store_new(void)
{
    static const uint8_t store_key[32];
    static unsigned count;
    char path[300];
    kms_keystore *store = NULL;
    struct kms_store_mark mark;
    snprintf(path, sizeof path, "%s/%u.db", kms_temp_dir(), count++);
    KMS_ASSERT_OK_FATAL(kms_keystore_open_sqlite(path, true, &store, NULL));
    KMS_ASSERT_OK_FATAL(kms_keystore_unlock(store, kms_bytes_of(store_key, sizeof store_key)));
    KMS_ASSERT_OK_FATAL(kms_keystore_load(store, NULL, NULL, &mark, NULL));
    return store;
}

void store_put(kms_keystore *store, enum kms_table table, const char *id, struct kms_bytes body)
{
    struct kms_id request;
    struct kms_store_mark mark;
    const struct kms_change change = {.table = table, .id = id, .body = body};
    KMS_ASSERT_OK_FATAL(kms_id_new(&request));
    KMS_ASSERT_OK_FATAL(kms_keystore_apply(store, &request, &change, 1, &mark, NULL));
}

void store_put_key(kms_keystore *store, const struct kms_key *key, uint32_t first, uint32_t last)
{
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_key_body(key, &body));
    store_put(store, KMS_TABLE_KEY, key->id_text, kms_buf_view(&body));
    for (uint32_t version = first; version <= last; version++) {
        KMS_OWN_BUF one = {0};
        char row[KMS_VERSION_ROW_BYTES];
        kms_version_row_id(key, version, row);
        KMS_ASSERT_OK_FATAL(kms_version_body(&key->versions[version - 1], &one));
        store_put(store, KMS_TABLE_KEY_VERSION, row, kms_buf_view(&one));
    }
}
