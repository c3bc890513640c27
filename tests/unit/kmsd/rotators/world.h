/*
 * One PostgreSQL server, one database and one rotator declared with it, and what the tests of the room say
 * again and again. Not thread-safe.
 */
#ifndef KMS_TESTS_ROTATORS_WORLD_H
#define KMS_TESTS_ROTATORS_WORLD_H

#include "kmsd/rotators/connection.h"
#include "kmsd/rotators/rotator.h"
#include "tests/harness/postgres.h"
#include "tests/harness/suite.h"

extern struct postgres server;
extern struct kmsd_conf_database database; /* of declare */
extern struct kmsd_conf_rotator rotator;
extern struct kmsd_conf conf;

/* Runs the tests with the server. */
int run_with_server(const char *suite_name, CU_TestInfo *tests);

void declare(enum kmsd_rotator_type type);
void good(enum kms_rotation_step step, struct kms_rotation *r); /* it succeeds */
/* It fails with this code, and why holds these words. */
void bad(enum kms_rotation_step step, struct kms_rotation *r, enum kms_code code, const char *words);
kms_err log_in(const char *user, const char *password);
kms_err log_in_with(struct kms_bytes value);
void as_user(const char *user, const char *password, const char *sql);
void as_admin(const char *sql);
/* The value of a database secret, in memory that the next but three replaces. */
struct kms_bytes value_of(const char *user, const char *password);
kms_secret *member(struct kms_bytes value, const char *name); /* the caller's */
struct kms_bytes made(const struct kms_rotation *r);          /* the created value */
struct kms_rotation rotation(struct kms_bytes current);
#define ADMIN_VALUE "{\"username\":\"admin\",\"password\":\"MARKER-admin'pass\\\"word\"}"

#endif
