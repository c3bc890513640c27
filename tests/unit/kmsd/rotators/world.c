/* The server, and words for what tests do. */
#include "tests/unit/kmsd/rotators/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "kmsd/rotators/value.h"

struct postgres server;
struct kmsd_conf_database database;
struct kmsd_conf_rotator rotator;
struct kmsd_conf conf;
static char no_text[] = "", db_name[] = "postgres", names[] = "db", admin_name[] = "admin/secret";
static char exclude[] = ":/@\"'\\";

void declare(enum kmsd_rotator_type type)
{
    database = (struct kmsd_conf_database){.name = names,
                                           .host = server.dir,
                                           .hostaddr = no_text,
                                           .port = server.port,
                                           .dbname = db_name,
                                           .sslmode = KMSD_SSL_DISABLE,
                                           .sslrootcert = no_text,
                                           .admin_secret = admin_name,
                                           .scram = true,
                                           .connect_timeout_ms = 20000,
                                           .statement_timeout_ms = 20000};
    rotator = (struct kmsd_conf_rotator){.name = names,
                                         .type = type,
                                         .database = names,
                                         .field = no_text,
                                         .length = 32,
                                         .alphabet = no_text,
                                         .exclude_characters = exclude,
                                         .require_each_included_type = true,
                                         .program = no_text,
                                         .user = no_text};
    conf = (struct kmsd_conf){.databases = &database,
                              .databases_count = 1,
                              .rotators = &rotator,
                              .rotators_count = 1,
                              .process_user = no_text};
}

static kms_err step_of(enum kms_rotation_step step, struct kms_rotation *r, struct kms_why *why)
{
    KMS_OWN(kms_rotators) rotators = NULL;
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, NULL, &rotators, NULL));
    return kms_rotator_step(rotators, names, step, r, why);
}

void good(enum kms_rotation_step step, struct kms_rotation *r)
{
    struct kms_why why = {{0}};
    kms_err err = step_of(step, r, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why.text);
    KMS_ASSERT_OK_FATAL(err);
}

/* The step fails with this code, and why holds these words. */
void bad(enum kms_rotation_step step, struct kms_rotation *r, enum kms_code code, const char *words)
{
    struct kms_why why = {{0}};
    kms_err err = step_of(step, r, &why);
    if (!kms_is(err, code) || strstr(why.text, words) == NULL)
        fprintf(stderr, "\nwant %s, got %s: %s\n", words, kms_err_reason(err), why.text);
    CU_ASSERT_TRUE(kms_is(err, code));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    CU_ASSERT_PTR_NULL(strstr(why.text, "MARKER"));
}

kms_err log_in(const char *user, const char *password)
{
    const struct kms_login login = {user, password};
    KMS_OWN(kms_connection) c = NULL;
    return kms_connection_open(&database, &login, &c, NULL);
}

void as_user(const char *user, const char *password, const char *sql)
{
    const struct kms_login login = {user, password};
    struct kms_why why = {{0}};
    KMS_OWN(kms_connection) c = NULL;
    KMS_ASSERT_OK_FATAL(kms_connection_open(&database, &login, &c, &why));
    kms_err err = kms_connection_run(c, sql, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s: %s\n", sql, why.text);
    KMS_ASSERT_OK_FATAL(err);
}

void as_admin(const char *sql)
{
    as_user("admin", POSTGRES_PASSWORD, sql);
}

/* The value of a database secret, in memory that the next but three replaces. */
struct kms_bytes value_of(const char *user, const char *password)
{
    static char texts[4][500];
    static unsigned next;
    char *text = texts[next++ % 4];
    snprintf(
        text, sizeof texts[0],
        "{\"engine\":\"postgres\",\"host\":\"%s\",\"port\":%u,\"dbname\":\"postgres\",\"username\":\"%s\","
        "\"password\":\"%s\",\"note\":1.50}",
        server.dir, server.port, user, password);
    return kms_bytes_text(text);
}

/* A member of a value as text; the caller frees it. */
kms_secret *member(struct kms_bytes value, const char *name)
{
    struct kms_bytes raw;
    kms_secret *text = NULL;
    bool is = false;
    CU_ASSERT_TRUE_FATAL(kms_value_member(value, name, &raw));
    KMS_ASSERT_OK_FATAL(kms_value_text(raw, &text, &is));
    CU_ASSERT_TRUE_FATAL(is);
    return text;
}

struct kms_bytes made(const struct kms_rotation *r)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->created);
    return kms_bytes_of(kms_secret_data(r->created), kms_secret_len(r->created));
}

kms_err log_in_with(struct kms_bytes value)
{
    KMS_OWN(kms_secret) user = member(value, "username");
    KMS_OWN(kms_secret) password = member(value, "password");
    return log_in((const char *)kms_secret_data(user), (const char *)kms_secret_data(password));
}

struct kms_rotation rotation(struct kms_bytes current)
{
    return (struct kms_rotation){.secret_name = "app",
                                 .arn = "arn",
                                 .token = "token",
                                 .current.bytes = current,
                                 .admin = kms_bytes_text(ADMIN_VALUE)};
}

int run_with_server(const char *suite_name, CU_TestInfo *tests)
{
    signal(SIGPIPE, SIG_IGN); /* as kmsd does */
    if (!postgres_start(&server, "pg")) return EXIT_FAILURE;
    int status = kms_run_suite(suite_name, tests);
    postgres_stop(&server);
    return status;
}
