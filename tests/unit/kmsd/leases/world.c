/* Roles and leases of tests. */
#include "tests/unit/kmsd/leases/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY                                                                                               \
    "{\"Statement\":[{\"Sid\":\"S\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app\"},\"Action\":"        \
    "\"secretsmanager:GenerateCredentials\",\"Resource\":\"*\"}]}"

struct kms_arn_prefix prefix;

struct kms_role *role_of(char *name, uint64_t revision)
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

struct kms_lease *lease_of(char *role, const char *user, enum kms_lease_state state, uint64_t expires)
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

void put_role(kms_lease_book *book, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "%s", name);
    KMS_OWN_ROLE role = role_of(text, 1);
    KMS_ASSERT_OK_FATAL(kms_lease_book_put_role(book, role));
}

const char *put_lease(kms_lease_book *book, const char *role, const char *user, enum kms_lease_state state,
                      uint64_t expires)
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
