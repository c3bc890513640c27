/* The PostgreSQL rotators with everything wrong that can be: values, administrators, servers. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kmsd/rotators/world.h"

static char no_text[] = "";

static void what_is_no_business_of_the_value(void)
{
    char text[300];
    declare(KMSD_ROTATOR_POSTGRESQL_ALTERNATING);
    as_admin("DROP TABLE IF EXISTS t; DROP ROLE IF EXISTS app_clone; DROP ROLE IF EXISTS app;"
             "CREATE ROLE app LOGIN PASSWORD 'first'");
    struct kms_rotation r = rotation(value_of("app", "MARKER-wrong"));
    r.pending.bytes = value_of("app_clone", "new");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_REFUSED,
        "failed for user \"app\""); /* nobody acts for whom is not known */
    r.current.bytes = value_of("app", "first");
    r.pending.bytes = value_of("admin", "new");
    bad(KMS_ROTATION_SET, &r, KMS_E_VALUE_NOT_ROTATABLE, "is of user admin, and not of app_clone");
    KMS_ASSERT_CODE(log_in("admin", "new"), DATABASE_REFUSED);
    static const char *const members[] = {
        "\"host\":\"127.0.0.1\"", "\"port\":1",         "\"port\":\"1\"", "\"dbname\":\"other\"",
        "\"engine\":\"mysql\"",   "\"host\":{\"a\":1}", "\"host\":true"};
    for (size_t i = 0; i < KMS_COUNT(members); i++) {
        snprintf(text, sizeof text, "{\"username\":\"app\",\"password\":\"first\",%s}", members[i]);
        r.current.bytes = kms_bytes_text(text);
        bad(KMS_ROTATION_CREATE, &r, KMS_E_OK, ""); /* pending is there: nothing to do */
        bad(KMS_ROTATION_REVERT, &r, KMS_E_OK, "");
        bad(KMS_ROTATION_REVOKE_PREVIOUS, &r, KMS_E_OK, "");
        r.pending.bytes = kms_bytes_text(text);
        bad(KMS_ROTATION_TEST, &r, KMS_E_VALUE_NOT_ROTATABLE, "the pending value: member ");
    }
}

static void values_that_are_none(void)
{
    static const struct {
        const char *value, *why;
    } cases[] = {
        {"MARKER-plain", "the current value is not a JSON object"},
        {"{\"username\":\"app\"}", "member password: missing"},
        {"{\"password\":\"MARKER\"}", "member username: missing"},
        {"{\"username\":\"\",\"password\":\"MARKER\"}", "member username: empty"},
        {"{\"username\":\"app\",\"password\":null}", "member password: neither a text nor a number"},
        {"{\"username\":\"app\",\"username\":\"b\",\"password\":\"MARKER\"}",
         "member username: missing, or there twice"},
        {"{\"username\":\"a\\u0000b\",\"password\":\"MARKER\"}", "member username: neither"},
        {"{\"username\":\"a123456789b123456789c123456789d123456789e123456789f123456789g1234\",\"password\":"
         "\"x\"}",
         "member username: too long"},
        {"{\"username\":\"a123456789b123456789c123456789d123456789e123456789f12345678\",\"password\":\"x\"}",
         "too long to have _clone behind it"},
    };
    declare(KMSD_ROTATOR_POSTGRESQL_ALTERNATING);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_rotation r = rotation(kms_bytes_text(cases[i].value));
        bad(KMS_ROTATION_CREATE, &r, KMS_E_VALUE_NOT_ROTATABLE, cases[i].why);
        CU_ASSERT_PTR_NULL(r.created);
    }
    struct kms_rotation none = rotation((struct kms_bytes){0});
    bad(KMS_ROTATION_CREATE, &none, KMS_E_VALUE_NOT_ROTATABLE, "there is no current value");
    bad(KMS_ROTATION_SET, &none, KMS_E_VALUE_NOT_ROTATABLE, "there is no pending value");
}

static void administrators(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL_ALTERNATING);
    as_admin("DROP ROLE IF EXISTS app_clone; DROP ROLE IF EXISTS app; DROP ROLE IF EXISTS weak;"
             "CREATE ROLE app LOGIN PASSWORD 'first'; CREATE ROLE weak LOGIN PASSWORD 'weak'");
    struct kms_rotation r = rotation(value_of("app", "first"));
    r.pending.bytes = value_of("app_clone", "new");
    r.admin = kms_bytes_text("{\"username\":\"admin\",\"password\":\"MARKER-wrong\"}");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_REFUSED, "admin secret admin/secret: ");
    r.admin = (struct kms_bytes){0};
    bad(KMS_ROTATION_SET, &r, KMS_E_VALUE_NOT_ROTATABLE, "there is no admin value");
    r.admin = kms_bytes_text("{\"username\":\"weak\",\"password\":\"weak\"}");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_FAILED, "permission denied to create role (SQLSTATE 42501)");
    KMS_ASSERT_OK(log_in("app", "first"));
}

/* Without a question for the password every password is right. */
static void a_server_that_trusts(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL);
    as_admin("DROP ROLE IF EXISTS trusted; CREATE ROLE trusted LOGIN PASSWORD 'first'");
    struct kms_rotation r = rotation(value_of("trusted", "first"));
    r.pending.bytes = value_of("trusted", "new");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_FAILED, "did not ask user trusted for a password");
    bad(KMS_ROTATION_TEST, &r, KMS_E_DATABASE_FAILED, "a log-in proves nothing");
}

/* A socket that listens and never answers. */
static int deaf_server(uint32_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL_FATAL(listen(s, 5), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(s, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return s;
}

static void servers_that_are_none(void)
{
    char localhost[] = "127.0.0.1";
    declare(KMSD_ROTATOR_POSTGRESQL);
    database.host = localhost;
    database.connect_timeout_ms = 300;
    struct kms_rotation r = rotation(kms_bytes_text("{\"username\":\"app\",\"password\":\"MARKER\"}"));
    r.pending.bytes = r.current.bytes;
    for (enum kmsd_sslmode mode = KMSD_SSL_REQUIRE; mode <= KMSD_SSL_DISABLE; mode++) {
        database.sslmode = mode;
        int deaf = deaf_server(&database.port);
        bad(KMS_ROTATION_TEST, &r, KMS_E_DATABASE_UNAVAILABLE, "no answer in time");
        close(deaf);
        bad(KMS_ROTATION_TEST, &r, KMS_E_DATABASE_UNAVAILABLE, "Connection refused");
    }
}

/* Of somebody else. */
static void make_certificate(char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", "/dev/null", "-out", path, "-days", "30", "-subj", "/CN=localhost",
               (char *)NULL);
        _exit(127);
    }
    int status = -1;
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

/* Who the server is, is known before a password goes there. */
static void certificates(void)
{
    char localhost[] = "localhost", address[] = "127.0.0.1", elsewhere[] = "db.invalid", own[120], other[120];
    struct kms_why why = {{0}};
    snprintf(own, sizeof own, "%s/tls.crt", server.dir);
    snprintf(other, sizeof other, "%s/other.crt", kms_temp_dir());
    const struct {
        char *host, *hostaddr, *root;
        enum kmsd_sslmode mode;
        const char *why; /* NULL: it connects */
    } cases[] = {
        {localhost, no_text, own, KMSD_SSL_VERIFY_FULL, NULL},
        {localhost, address, own, KMSD_SSL_VERIFY_FULL, NULL},
        {address, no_text, own, KMSD_SSL_VERIFY_FULL, "does not match host name \"127.0.0.1\""},
        {elsewhere, address, own, KMSD_SSL_VERIFY_FULL, "does not match host name \"db.invalid\""},
        {elsewhere, address, own, KMSD_SSL_VERIFY_CA, NULL}, /* and is not looked up */
        {localhost, address, other, KMSD_SSL_VERIFY_FULL, "certificate verify failed"},
        {localhost, address, other, KMSD_SSL_VERIFY_CA, "certificate verify failed"},
        {address, no_text, no_text, KMSD_SSL_REQUIRE, NULL},
    };
    make_certificate(other);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        const struct kms_login login = {"admin", POSTGRES_PASSWORD};
        KMS_OWN(kms_connection) c = NULL;
        declare(KMSD_ROTATOR_POSTGRESQL);
        database.host = cases[i].host;
        database.hostaddr = cases[i].hostaddr;
        database.sslrootcert = cases[i].root;
        database.sslmode = cases[i].mode;
        kms_err err = kms_connection_open(&database, &login, &c, &why);
        bool as_said = cases[i].why == NULL ? !kms_failed(err)
                                            : kms_is(err, KMS_E_DATABASE_UNAVAILABLE) &&
                                                  strstr(why.text, cases[i].why) != NULL;
        if (!as_said) fprintf(stderr, "\n%zu: %s: %s\n", i, kms_err_reason(err), why.text);
        CU_ASSERT_TRUE(as_said);
    }
}

static void note_pid(void *user, const char *value)
{
    *(long *)user = strtol(value, NULL, 10);
}

/* Waits for statements end, too: by the server's time-out, and by ours when the server is deaf. */
static void statements_that_take_too_long(void)
{
    const struct kms_login login = {"admin", POSTGRES_PASSWORD};
    struct kms_why why = {{0}};
    long pid = 0;
    declare(KMSD_ROTATOR_POSTGRESQL);
    database.statement_timeout_ms = 100;
    KMS_OWN(kms_connection) c = NULL;
    KMS_ASSERT_OK_FATAL(kms_connection_open(&database, &login, &c, &why));
    KMS_ASSERT_CODE(kms_connection_run(c, "SELECT pg_sleep(1000)", &why), DATABASE_FAILED);
    CU_ASSERT_STRING_EQUAL(why.text, "canceling statement due to statement timeout (SQLSTATE 57014)");
    KMS_ASSERT_OK_FATAL(
        kms_connection_ask(c, "SELECT pg_backend_pid() WHERE $1 = ''", "", note_pid, &pid, &why));
    CU_ASSERT_EQUAL_FATAL(kill((pid_t)pid, SIGSTOP), 0);
    KMS_ASSERT_CODE(kms_connection_run(c, "SELECT 1", &why), DATABASE_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(why.text, "no answer in time");
    kill((pid_t)pid, SIGCONT);
    KMS_OWN(kms_connection) d = NULL;
    KMS_ASSERT_OK_FATAL(kms_connection_open(&database, &login, &d, &why));
    KMS_ASSERT_CODE(kms_connection_run(d, "SELECT 'MARKER' x PASSWORD 'MARKER'", &why), DATABASE_FAILED);
    CU_ASSERT_STRING_EQUAL(why.text, "syntax error (SQLSTATE 42601)"); /* and not its words */
    KMS_ASSERT_CODE(kms_connection_run(d, "COPY pg_class TO STDOUT", &why), DATABASE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "copies from or to the client"));
}

int main(void)
{
    CU_TestInfo tests[] = {{"what is no business of the value", what_is_no_business_of_the_value},
                           {"values that are none", values_that_are_none},
                           {"administrators", administrators},
                           {"a server that trusts", a_server_that_trusts},
                           {"servers that are none", servers_that_are_none},
                           {"certificates", certificates},
                           {"statements that take too long", statements_that_take_too_long},
                           CU_TEST_INFO_NULL};
    return run_with_server("rotators/postgres trouble", tests);
}
