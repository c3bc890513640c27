/* Roles and leases: found, listed, due, and loaded from a real keystore or refused with the row. */
#include "kmsd/leases/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kmsd/keys/world.h"

#define POLICY                                                                                               \
    "{\"Statement\":[{\"Sid\":\"S\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app\"},\"Action\":"        \
    "\"secretsmanager:GenerateCredentials\",\"Resource\":\"*\"}]}"

static struct kms_arn_prefix prefix;

static struct kms_role *role_of(char *name, uint64_t revision)
{
    struct kms_role *role;
    char create[] = "CREATE ROLE \"{{name}}\"", *statements[] = {create}, policy[] = POLICY,
         instance[] = "abcdefghijkl", database[] = "main";
    kms_stored_role like;
    kms__store__v1__stored_database_role__init(&like);
    like.name = name;
    like.database = database;
    like.creation_statements = statements;
    like.n_creation_statements = 1;
    like.default_ttl_us = like.max_ttl_us = 1;
    like.policy = policy;
    like.instance = instance;
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(
        kms_arn_prefix_make("aws", "secretsmanager", "us-east-1", "000000000000", &prefix, NULL));
    KMS_ASSERT_OK_FATAL(kms_role_body(&like, &body));
    kms_stored_role *stored = kms__store__v1__stored_database_role__unpack(NULL, body.len, body.data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stored);
    KMS_ASSERT_OK_FATAL(kms_role_new(&prefix, stored, &role));
    role->revision = revision;
    return role;
}

static struct kms_lease *lease_of(char *role, const char *user, enum kms_lease_state state, uint64_t expires)
{
    struct kms_lease *lease;
    char owner[] = "app", database[] = "main", name[64];
    snprintf(name, sizeof name, "%s", user);
    kms_stored_lease like;
    kms__store__v1__stored_lease__init(&like);
    like.role = role;
    like.database = database;
    like.user = name;
    like.owner = owner;
    like.expires_us = expires;
    like.state = state;
    KMS_ASSERT_OK_FATAL(kms_lease_new(&like, 1, &lease));
    return lease;
}

static void put_role(kms_lease_book *book, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "%s", name);
    KMS_OWN_ROLE role = role_of(text, 1);
    KMS_ASSERT_OK_FATAL(kms_lease_book_put_role(book, role));
}

/* Its id, for good. */
static const char *put_lease(kms_lease_book *book, const char *role, const char *user,
                             enum kms_lease_state state, uint64_t expires)
{
    static char ids[16][KMS_LEASE_ID_BYTES];
    static unsigned count;
    char *id = ids[count++ % KMS_COUNT(ids)], text[64];
    snprintf(text, sizeof text, "%s", role);
    KMS_OWN_LEASE lease = lease_of(text, user, state, expires);
    KMS_ASSERT_OK_FATAL(kms_lease_book_put(book, lease));
    snprintf(id, KMS_LEASE_ID_BYTES, "%s", lease->stored->id);
    return id;
}

static void names(void)
{
    struct kms_why why = {{0}};
    struct kms_bytes name;
    KMS_OWN_ROLE role = role_of((char[]){"a/b"}, 1);
    CU_ASSERT_STRING_EQUAL(role->arn, "arn:aws:secretsmanager:us-east-1:000000000000:database-role:a/b");
    KMS_ASSERT_OK(kms_role_name_parse(&prefix, kms_bytes_text(role->arn), &name, &why));
    CU_ASSERT(kms_bytes_equal(name, kms_bytes_text("a/b")));
    KMS_ASSERT_OK(kms_role_name_parse(&prefix, kms_bytes_text("a/b"), &name, &why));
    KMS_ASSERT_CODE(kms_role_name_parse(&prefix, kms_bytes_text("a//b"), &name, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "a database role"));
    KMS_ASSERT_CODE(
        kms_role_name_parse(&prefix, kms_bytes_text("arn:aws:secretsmanager:us-east-1:000000000000:secret:a"),
                            &name, &why),
        INVALID_ARN);
    CU_ASSERT(kms_bytes_equal(kms_lease_role_in("a/b/xyz"), kms_bytes_text("a/b")));
    CU_ASSERT(kms_bytes_equal(kms_lease_role_in("a/b/"), kms_bytes_text("a/b")));
    CU_ASSERT_EQUAL(kms_lease_role_in("ab").len, 0);
    CU_ASSERT_EQUAL(kms_lease_role_in("/ab").len, 0);
}

static void roles_are_found_and_listed(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    static const char *const some[] = {"c", "a", "b"};
    for (size_t i = 0; i < KMS_COUNT(some); i++) put_role(book, some[i]);
    CU_ASSERT_EQUAL(kms_lease_book_roles_count(book), 3);
    KMS_OWN_ROLE older = role_of((char[]){"a"}, 0);
    KMS_ASSERT_OK(kms_lease_book_put_role(book, older));
    KMS_OWN_ROLE found = kms_lease_book_role(book, kms_bytes_text("a"));
    CU_ASSERT(found != NULL && found->revision == 1);
    KMS_OWN_ROLE_LIST list = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_roles(book, "a", 1, &list));
    CU_ASSERT_TRUE_FATAL(list.count == 1 && list.more);
    CU_ASSERT_STRING_EQUAL(list.roles[0]->stored->name, "b");
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, older));
    KMS_OWN_ROLE another = role_of((char[]){"a"}, 1); /* of that name, made later */
    another->stored->instance[0] = 'z';
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, another));
    CU_ASSERT(kms_lease_book_remove_role(book, found));
    CU_ASSERT_FALSE(kms_lease_book_remove_role(book, found));
    CU_ASSERT_PTR_NULL(kms_lease_book_role(book, kms_bytes_text("a")));
}

static bool is_ending(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    return lease->stored->state == KMS_LEASE_REVOKING && retry_us <= *(const uint64_t *)user;
}

static void leases_are_found_and_listed(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    const char *id = put_lease(book, "a", "u1", KMS_LEASE_ACTIVE, 5);
    put_lease(book, "a", "u2", KMS_LEASE_REVOKING, 5);
    CU_ASSERT_EQUAL(strlen(id), 2 + KMS_LEASE_ROW_BYTES - 1);
    KMS_OWN_LEASE lease = kms_lease_book_find(book, id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lease);
    CU_ASSERT_STRING_EQUAL(lease->row, id + 2);
    uint64_t now = 0;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, NULL, NULL), 2);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    KMS_OWN_LEASE ending = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_in_state(lease, KMS_LEASE_REVOKING, &ending));
    ending->revision = 0; /* an older generation does not replace a newer */
    KMS_ASSERT_OK(kms_lease_book_put(book, ending));
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    ending->revision = 2;
    KMS_ASSERT_OK(kms_lease_book_put(book, ending));
    KMS_OWN_LEASE_LIST list = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_list(book, "", 1, is_ending, &now, &list));
    CU_ASSERT_TRUE_FATAL(list.count == 1 && list.more);
    KMS_OWN_LEASE_LIST rest = {.count = 0};
    KMS_ASSERT_OK_FATAL(kms_lease_book_list(book, list.leases[0]->stored->id, 9, NULL, NULL, &rest));
    CU_ASSERT(rest.count == 1 && !rest.more);
    kms_lease_book_delay(book, id, 0, 7);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 1);
    kms_lease_book_remove(book, id);
    kms_lease_book_remove(book, id);
    CU_ASSERT_PTR_NULL(kms_lease_book_find(book, id));
}

static bool is_free(const void *user, const char *role)
{
    return user == NULL || strcmp(user, role) != 0;
}

static enum kms_lease_due due(kms_lease_book *book, uint64_t now, bool doubted, const char *taken)
{
    char role[KMS_SECRET_NAME_BYTES] = "";
    const struct kms_lease_look look = {
        .now_us = now, .monotonic_us = now, .doubted = doubted, .free = is_free, .user = taken};
    enum kms_lease_due what = kms_lease_book_due(book, &look, role);
    CU_ASSERT_STRING_EQUAL(role, what == KMS_LEASE_DUE_NOTHING ? "" : "a");
    return what;
}

static void what_is_due(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    CU_ASSERT_EQUAL(due(book, 1, false, NULL), KMS_LEASE_DUE_SWEEP);
    CU_ASSERT_EQUAL(due(book, 1, false, "a"), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_swept(book, "a", 1000);
    put_lease(book, "a", "new", KMS_LEASE_CREATING, 10);
    put_lease(book, "a", "live", KMS_LEASE_ACTIVE, 100);
    CU_ASSERT_EQUAL(due(book, 99, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, false, "a"), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 100, false, NULL), KMS_LEASE_DUE_EXPIRE);
    const char *id = put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    CU_ASSERT_EQUAL(due(book, 1, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 1, 10); /* its database is away */
    CU_ASSERT_EQUAL(due(book, 10, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 11, 10); /* again: twice as long */
    CU_ASSERT_EQUAL(due(book, 30, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 31, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_ease_database(book, "a", "main");
    kms_lease_book_delay(book, id, 31, 10); /* that one alone */
    CU_ASSERT_EQUAL(due(book, 40, false, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 41, false, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_remove(book, id);
    CU_ASSERT_EQUAL(due(book, 1000, true, NULL), KMS_LEASE_DUE_SWEEP);
}

static void another_database_does_not_wait(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_swept(book, "a", UINT64_MAX);
    const char *id = put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    kms_lease_book_delay_database(book, "a", "main", 1, 10);
    kms_lease_book_delay_database(book, "none", "main", 1, 10);
    uint64_t now = 10;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 0);
    CU_ASSERT_EQUAL(due(book, now, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "main", 11, 10); /* again: twice as long */
    CU_ASSERT_EQUAL(due(book, 30, true, NULL), KMS_LEASE_DUE_NOTHING);
    KMS_OWN_LEASE lease = kms_lease_book_find(book, id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(lease);
    lease->stored->database[0] = 'z'; /* one in another database */
    CU_ASSERT_EQUAL(due(book, 30, true, NULL), KMS_LEASE_DUE_REVOKE);
    kms_lease_book_delay_database(book, "a", "zain", 30, 10);
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_ease_database(book, "a", "main");
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_NOTHING);
    kms_lease_book_ease_database(book, "a", "zain");
    kms_lease_book_ease_database(book, "a", "zain");
    CU_ASSERT_EQUAL(due(book, 31, true, NULL), KMS_LEASE_DUE_REVOKE);
}

/* A sweep waits for the database that it looks at, and for no other. */
static void sweeps_wait_for_their_database(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_delay_database(book, "a", "other", 1, 10);
    CU_ASSERT_EQUAL(due(book, 1, true, NULL), KMS_LEASE_DUE_SWEEP);
    kms_lease_book_delay_database(book, "a", "main", 1, 10);
    CU_ASSERT_EQUAL(due(book, 10, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, 11, true, NULL), KMS_LEASE_DUE_SWEEP);
}

/* Each role that has leases to end gets its turn, however many another one has; what expires goes first. */
static void roles_take_turns(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    const struct kms_lease_look look = {.now_us = 50, .monotonic_us = 50, .free = is_free};
    char role[KMS_SECRET_NAME_BYTES];
    static const char *const names[] = {"a", "b", "c"};
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    for (size_t i = 0; i < KMS_COUNT(names); i++) {
        put_role(book, names[i]);
        kms_lease_book_swept(book, names[i], UINT64_MAX);
        put_lease(book, names[i], "one", KMS_LEASE_REVOKING, 10);
        put_lease(book, names[i], "two", KMS_LEASE_REVOKING, 10);
    }
    for (size_t i = 0; i < 3 * KMS_COUNT(names); i++) {
        CU_ASSERT_EQUAL(kms_lease_book_due(book, &look, role), KMS_LEASE_DUE_REVOKE);
        CU_ASSERT_STRING_EQUAL(role, names[i % KMS_COUNT(names)]);
    }
    put_lease(book, "b", "live", KMS_LEASE_ACTIVE, 50);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(kms_lease_book_due(book, &look, role), KMS_LEASE_DUE_EXPIRE);
        CU_ASSERT_STRING_EQUAL(role, "b");
    }
}

static void waits_are_bounded(void)
{
    KMS_OWN(kms_lease_book) book = NULL;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(&book));
    put_role(book, "a");
    kms_lease_book_swept(book, "a", UINT64_MAX);
    put_lease(book, "a", "over", KMS_LEASE_REVOKING, 10);
    for (int i = 0; i < 100; i++) kms_lease_book_delay_database(book, "a", "main", 0, 1000000);
    const uint64_t most_us = KMS_LEASE_BACKOFF_MOST_S * UINT64_C(1000000);
    CU_ASSERT_EQUAL(due(book, most_us - 1, true, NULL), KMS_LEASE_DUE_NOTHING);
    CU_ASSERT_EQUAL(due(book, most_us, true, NULL), KMS_LEASE_DUE_REVOKE);
}

/* ---- at start ---- */

static void store_role(kms_keystore *store, char *name)
{
    KMS_OWN_ROLE role = role_of(name, 0);
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_role_body(role->stored, &body));
    store_put(store, KMS_TABLE_DATABASE_ROLE, role->row, kms_buf_view(&body));
}

static void store_lease(kms_keystore *store, char *role, enum kms_lease_state state, const char *row)
{
    KMS_OWN_LEASE lease = lease_of(role, "user", state, 5);
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_OK_FATAL(kms_lease_body(lease->stored, &body));
    store_put(store, KMS_TABLE_LEASE, row != NULL ? row : lease->row, kms_buf_view(&body));
}

static kms_err load(kms_keystore *store, kms_lease_book **ret_book, struct kms_why *why)
{
    struct kms_store_mark mark;
    KMS_ASSERT_OK_FATAL(kms_lease_book_new(ret_book));
    struct kms_lease_loading loading = {*ret_book, &prefix, why};
    return kms_keystore_load(store, kms_lease_load_row, &loading, &mark, why);
}

static void everything_comes_back(void)
{
    KMS_OWN(kms_keystore) store = store_new();
    KMS_OWN(kms_lease_book) book = NULL;
    struct kms_why why;
    store_role(store, (char[]){"a/b"});
    for (unsigned i = KMS_LEASE_CREATING; i <= KMS_LEASE_REVOKING; i++)
        store_lease(store, (char[]){"a/b"}, i, NULL);
    KMS_ASSERT_OK_FATAL(load(store, &book, &why));
    KMS_OWN_ROLE role = kms_lease_book_role(book, kms_bytes_text("a/b"));
    CU_ASSERT(role != NULL && role->revision == 1 && role->policy != NULL);
    uint64_t now = 0;
    CU_ASSERT_EQUAL(kms_lease_book_count(book, NULL, NULL), 3);
    CU_ASSERT_EQUAL(kms_lease_book_count(book, is_ending, &now), 2); /* the one that was being made, too */
}

static void refused(kms_keystore *store, const char *words)
{
    KMS_OWN(kms_lease_book) book = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(load(store, &book, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
}

static void what_does_not_fit_is_named(void)
{
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_lease(store, (char[]){"a"}, KMS_LEASE_ACTIVE, NULL);
        refused(store, "a lease of a database role that is not there");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_role(store, (char[]){"a"});
        store_lease(store, (char[]){"a"}, KMS_LEASE_ACTIVE, "aaaaaaaaaaaaaaaaaaaaaaaa");
        refused(store, "not a lease of this release");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        store_put(store, KMS_TABLE_DATABASE_ROLE, "row", kms_bytes_text("x"));
        refused(store, "not a database role");
    }
    {
        KMS_OWN(kms_keystore) store = store_new();
        KMS_OWN_ROLE role = role_of((char[]){"a"}, 0);
        KMS_OWN_BUF body = {0};
        KMS_ASSERT_OK_FATAL(kms_role_body(role->stored, &body));
        store_put(store, KMS_TABLE_DATABASE_ROLE, "another row", kms_buf_view(&body));
        refused(store, "another role's name");
    }
}

KMS_TEST_MAIN("leases/book", {"names", names}, {"roles are found and listed", roles_are_found_and_listed},
              {"leases are found and listed", leases_are_found_and_listed}, {"what is due", what_is_due},
              {"another database does not wait", another_database_does_not_wait},
              {"sweeps wait for their database", sweeps_wait_for_their_database},
              {"roles take turns", roles_take_turns}, {"waits are bounded", waits_are_bounded},
              {"everything comes back", everything_comes_back},
              {"what does not fit is named", what_does_not_fit_is_named})
