/* What the parts of the keystore's contract test share: the back end under test, and stores made over it. */
#ifndef KMS_TESTS_CONTRACT_KEYSTORE_CONTRACT_H
#define KMS_TESTS_CONTRACT_KEYSTORE_CONTRACT_H

#include "keystore/keystore.h"
#include "tests/harness/suite.h"

/* A database to keep a store in: a file, or whatever the back end calls a place. */
struct place {
    char path[200];
};

struct back_end {
    const char *name;
    kms_err (*open)(const char *path, bool create, kms_keystore **ret_store, struct kms_why *why);
    /* Behind the store's back, as an attacker with the database's own tools would. The tables are sealed_row
     * (kind, id, revision, body, seal) and named_value (name, value) in every dialect; only common SQL is
     * used. */
    void (*edit)(const char *path, const char *sql);
    void (*copy)(const char *from, const char *to); /* the whole database */
};
extern const struct back_end *under_test;

struct place place_new(void);
/* Opened (made when missing) and unlocked. */
kms_err store_open(const struct place *place, kms_keystore **ret_store, struct kms_why *why);
kms_keystore *store_at(const struct place *place); /* the same, or the test ends: not in a forked child */
kms_keystore *store_new(struct place *ret_place);

struct kms_id id_of(unsigned number); /* distinct, the same each time */

/* One change under a request id of its own. */
kms_err put(kms_keystore *store, enum kms_table table, const char *id, uint64_t expected, const char *body);
kms_err erase(kms_keystore *store, enum kms_table table, const char *id, uint64_t expected);
/* The body of a row as text, "" when there is none. Static. */
const char *body_of(kms_keystore *store, enum kms_table table, const char *id);
bool marks_equal(const struct kms_store_mark *a, const struct kms_store_mark *b);

/* The tables of the parts; each ends with CU_TEST_INFO_NULL. */
extern CU_TestInfo row_tests[], scan_tests[], tamper_tests[], durable_tests[];

#endif
