/* Keys, rows and keystores for the tests of keys. */
#ifndef KMS_TESTS_KEYS_WORLD_H
#define KMS_TESTS_KEYS_WORLD_H

#include "keystore/record.pb-c.h"
#include "kmsd/keys/record.h"
#include "kmsd/keys/state.h"
#include "tests/harness/suite.h"

#define WORLD_POLICY                                                                                         \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"S\",\"Effect\":\"Allow\","                        \
    "\"Principal\":{\"AWS\":\"app\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}]}"

struct kms_id id_of(unsigned number); /* distinct, the same each time */
/* A complete key with that many versions; the caller owns a reference. */
struct kms_key *key_of(unsigned number, uint32_t versions); /* of SOFTWARE level */
struct kms_key *key_at(enum kms_level level, unsigned number, uint32_t versions);
kms_documents *documents_new(void);
struct kms_alias alias_of(const char *name, unsigned key_number, bool deleted);

/* A keystore in a file of its own, unlocked. */
kms_keystore *store_new(void);
/* One row of any bytes, as new. */
void store_put(kms_keystore *store, enum kms_table table, const char *id, struct kms_bytes body);
/* The rows of a key: the key, and versions first .. last. */
void store_put_key(kms_keystore *store, const struct kms_key *key, uint32_t first, uint32_t last);

#endif
