/* libpq without its blocking calls. */
#include "kmsd/rotators/connection.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum {
    GRACE_MS = 500, /* for the server's own time-out to be heard of first */
    LOOK_MS = 100,  /* how often until_us is looked at */
    PORT_TEXT = 12,
    MS_NS = 1000000,
};
#define TURN_LOCK "1802334052" /* "kmsd" in ASCII */

struct kms_connection {
    PGconn *pg;
    const struct kmsd_conf_database *database;
    bool set_up;   /* the session's time-out is set */
    bool collided; /* with another transaction, since this was set to false */
    uint64_t deadline_us;
    const atomic_ullong *until_us; /* or NULL */
};

static kms_err unavailable(struct kms_why *why, const char *cause)
{
    size_t len = strcspn(cause, "\n");
    kms_why_set(why, "%.*s", (int)len, cause);
    return KMS_FAIL(DATABASE_UNAVAILABLE);
}

static bool is_over(const kms_connection *c, uint64_t now_us)
{
    uint64_t until_us = c->until_us != NULL ? atomic_load(c->until_us) : 0;
    return until_us != 0 && now_us >= until_us;
}

/* Until the socket is ready for events. */
static kms_err wait_for(kms_connection *c, short events, struct kms_why *why)
{
    for (;;) {
        uint64_t now = kms_monotonic_us();
        if (now >= c->deadline_us) return unavailable(why, "no answer in time");
        if (is_over(c, now)) return unavailable(why, "kmsd stops and does not wait for an answer");
        struct pollfd fd = {PQsocket(c->pg), events, 0};
        if (fd.fd < 0) return unavailable(why, "the connection is gone");
        int wait_ms = (int)((c->deadline_us - now) / 1000 + 1);
        int ready = poll(&fd, 1, c->until_us != NULL && wait_ms > LOOK_MS ? LOOK_MS : wait_ms);
        if (ready > 0) return KMS_OK;
        if (ready < 0 && errno != EINTR) return unavailable(why, strerror(errno));
    }
}

static void set_deadline(kms_connection *c, uint32_t wait_ms)
{
    c->deadline_us = kms_monotonic_us() + wait_ms * UINT64_C(1000);
}

static void ignore_notice(void *user, const char *message)
{
    (void)user;
    (void)message;
}

/* Class 28 is invalid authorization; the words before the code depend on the server's language. */
static bool is_refusal(const PGconn *pg)
{
    const char *message = PQerrorMessage(pg);
    return PQconnectionNeedsPassword(pg) != 0 || strstr(message, " 28P01: ") != NULL ||
           strstr(message, " 28000: ") != NULL;
}

static kms_err not_connected(kms_connection *c, struct kms_why *why)
{
    kms_err err = unavailable(why, PQerrorMessage(c->pg));
    return is_refusal(c->pg) ? KMS_FAIL(DATABASE_REFUSED) : err;
}

static kms_err connect(kms_connection *c, struct kms_why *why)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    if (PQstatus(c->pg) == CONNECTION_BAD) return not_connected(c, why);
    PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE); /* messages with their code */
    PQsetNoticeProcessor(c->pg, ignore_notice, NULL);
    while (state != PGRES_POLLING_OK) {
        KMS_TRY(wait_for(c, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, why));
        state = PQconnectPoll(c->pg);
        if (state == PGRES_POLLING_FAILED) return not_connected(c, why);
    }
    return PQsetnonblocking(c->pg, 1) == 0 ? KMS_OK : unavailable(why, PQerrorMessage(c->pg));
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* Everything that libpq would look for elsewhere is said, or said to be nothing. */
static PGconn *start(const struct kmsd_conf_database *d, const struct kms_login *login)
{
    static const char *const sslmodes[] = {"verify-full", "verify-ca", "require", "disable"};
    char port[PORT_TEXT];
    snprintf(port, sizeof port, "%u", d->port);
    const char *const pairs[][2] = {{"host", d->host},
                                    {"hostaddr", or_null(d->hostaddr)},
                                    {"port", port},
                                    {"dbname", d->dbname},
                                    {"user", login->user},
                                    {"password", login->password},
                                    {"sslmode", sslmodes[d->sslmode]},
                                    {"sslrootcert", or_null(d->sslrootcert)},
                                    {"sslcert", "/dev/null/none"},
                                    {"gssencmode", "disable"},
                                    {"passfile", "/dev/null/none"},
                                    {"client_encoding", "UTF8"},
                                    {"options", ""},
                                    {"application_name", "kmsd"}};
    enum { PAIRS = sizeof pairs / sizeof pairs[0] };
    const char *names[PAIRS + 1] = {NULL}, *values[PAIRS + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        if (pairs[i][1] == NULL) continue;
        names[count] = pairs[i][0];
        values[count++] = pairs[i][1];
    }
    return PQconnectStartParams(names, values, 0);
}

kms_err kms_connection_open(const struct kmsd_conf_database *database, const struct kms_login *login,
                            kms_connection **ret_connection, struct kms_why *why)
{
    return kms_connection_open_until(database, login, NULL, ret_connection, why);
}

kms_err kms_connection_open_until(const struct kmsd_conf_database *database, const struct kms_login *login,
                                  const atomic_ullong *until_us, kms_connection **ret_connection,
                                  struct kms_why *why)
{
    KMS_OWN(kms_connection) c = calloc(1, sizeof *c);
    if (c == NULL) return KMS_FAIL(NO_MEMORY);
    c->database = database;
    c->until_us = until_us;
    set_deadline(c, database->connect_timeout_ms);
    c->pg = start(database, login);
    if (c->pg == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(connect(c, why));
    *ret_connection = KMS_GIVE(c);
    return KMS_OK;
}

void kms_connection_free(kms_connection *connection)
{
    if (connection == NULL) return;
    PQfinish(connection->pg);
    free(connection);
}

void kms_connection_drop(kms_connection **connection)
{
    kms_connection_free(*connection);
}

bool kms_connection_used_password(const kms_connection *connection)
{
    return PQconnectionUsedPassword(connection->pg) != 0;
}

static kms_err flush(kms_connection *c, struct kms_why *why)
{
    for (int left; (left = PQflush(c->pg)) != 0;) {
        if (left < 0) return unavailable(why, PQerrorMessage(c->pg));
        KMS_TRY(wait_for(c, POLLIN | POLLOUT, why));
        if (PQconsumeInput(c->pg) == 0) return unavailable(why, PQerrorMessage(c->pg));
    }
    return KMS_OK;
}

/* serialization_failure, deadlock_detected; of rows of the catalog, which GRANT and REVOKE change without
 * locking the table, an internal error in words that are not translated. */
static bool is_collision(const char *state, const char *words)
{
    static const char concurrently[] = "tuple concurrently ";
    return strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 ||
           (strcmp(state, "XX000") == 0 && strncmp(words, concurrently, sizeof concurrently - 1) == 0);
}

/* The server's words. Of a syntax error they may quote the statement, and so a password: its code has to
 * do. */
static kms_err refused(kms_connection *c, const PGresult *result, struct kms_why *why)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL || words == NULL) return unavailable(why, "the connection ended");
    if (is_collision(state, words)) c->collided = true;
    bool syntax = strcmp(state, "42601") == 0;
    kms_why_set(why, "%.200s (SQLSTATE %.5s)", syntax ? "syntax error" : words, state);
    return KMS_FAIL(DATABASE_FAILED);
}

struct rows {
    void (*each)(void *user, const char *value);
    void *user;
};

static kms_err take(kms_connection *c, const PGresult *result, const struct rows *rows, struct kms_why *why)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
        for (int i = 0; rows->each != NULL && PQnfields(result) > 0 && i < PQntuples(result); i++)
            rows->each(rows->user, PQgetvalue(result, i, 0));
        return KMS_OK;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        return KMS_OK;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        return unavailable(why, "a statement copies from or to the client, which is not possible here");
    default:
        return refused(c, result, why);
    }
}

/* Every result, so that the connection can be used again; the first failure counts. */
static kms_err take_all(kms_connection *c, const struct rows *rows, struct kms_why *why)
{
    kms_err first = KMS_OK;
    for (;;) {
        while (PQisBusy(c->pg) != 0) {
            KMS_TRY(wait_for(c, POLLIN, why));
            if (PQconsumeInput(c->pg) == 0) return unavailable(why, PQerrorMessage(c->pg));
        }
        PGresult *result = PQgetResult(c->pg);
        if (result == NULL) return first;
        kms_err err = kms_failed(first) ? KMS_OK : take(c, result, rows, why);
        PQclear(result);
        if (kms_failed(err)) first = err;
        if (kms_is(err, KMS_E_DATABASE_UNAVAILABLE)) return err;
    }
}

static kms_err finish(kms_connection *c, int sent, const struct rows *rows, struct kms_why *why)
{
    if (sent == 0) return unavailable(why, PQerrorMessage(c->pg));
    (void)PQsetSingleRowMode(c->pg); /* rows are not collected */
    KMS_TRY(flush(c, why));
    return take_all(c, rows, why);
}

static kms_err set_up(kms_connection *c, struct kms_why *why)
{
    const struct rows none = {0};
    char sql[120];
    set_deadline(c, c->database->statement_timeout_ms + GRACE_MS);
    if (c->set_up) return KMS_OK;
    snprintf(sql, sizeof sql, "SET statement_timeout = %u; SET standard_conforming_strings = on",
             c->database->statement_timeout_ms);
    KMS_TRY(finish(c, PQsendQuery(c->pg, sql), &none, why));
    c->set_up = true;
    set_deadline(c, c->database->statement_timeout_ms + GRACE_MS);
    return KMS_OK;
}

kms_err kms_connection_run(kms_connection *connection, const char *sql, struct kms_why *why)
{
    const struct rows none = {0};
    KMS_TRY(set_up(connection, why));
    return finish(connection, PQsendQuery(connection->pg, sql), &none, why);
}

kms_err kms_connection_ask(kms_connection *connection, const char *sql, const char *parameter,
                           void (*each)(void *user, const char *value), void *user, struct kms_why *why)
{
    const struct rows rows = {each, user};
    KMS_TRY(set_up(connection, why));
    int sent = PQsendQueryParams(connection->pg, sql, 1, NULL, &parameter, NULL, NULL, 0);
    return finish(connection, sent, &rows, why);
}

static kms_err run_inside(kms_connection *c, kms_err (*run)(kms_connection *, void *, struct kms_why *),
                          void *user, struct kms_why *why)
{
    KMS_TRY(run(c, user, why));
    if (PQtransactionStatus(c->pg) != PQTRANS_INTRANS) {
        kms_why_set(why, "the statements end their transaction");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return kms_connection_run(c, "COMMIT", why);
}

/* Whoever gets here has had to do with another transaction of ours, most likely. An advisory lock, held until
 * the end of the transaction, lets them pass one by one. */
static kms_err take_turn(kms_connection *c, unsigned tries, struct kms_why *why)
{
    const struct timespec pause = {0, (long)(MS_NS << tries)};
    nanosleep(&pause, NULL);
    return kms_connection_run(c, "SELECT pg_catalog.pg_advisory_xact_lock(" TURN_LOCK ")", why);
}

static kms_err transact_once(kms_connection *c, unsigned tries,
                             kms_err (*run)(kms_connection *, void *, struct kms_why *), void *user,
                             struct kms_why *why)
{
    KMS_TRY(kms_connection_run(c, "BEGIN", why));
    kms_err err = tries > 0 ? take_turn(c, tries, why) : KMS_OK;
    if (!kms_failed(err)) err = run_inside(c, run, user, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_DATABASE_UNAVAILABLE) &&
        PQtransactionStatus(c->pg) != PQTRANS_IDLE)
        kms_ignore(kms_connection_run(c, "ROLLBACK", NULL)); /* else the end of the connection does it */
    return err;
}

kms_err kms_connection_transact(kms_connection *connection,
                                kms_err (*run)(kms_connection *connection, void *user, struct kms_why *why),
                                void *user, struct kms_why *why)
{
    struct kms_why cause = {{0}};
    for (unsigned tries = 0;; tries++) {
        connection->collided = false;
        kms_err err = transact_once(connection, tries, run, user, &cause);
        if (!kms_failed(err)) return KMS_OK;
        if (kms_is(err, KMS_E_DATABASE_FAILED) && connection->collided && tries + 1 < KMS_CONNECTION_TRIES)
            continue;
        if (why != NULL) *why = cause;
        return err;
    }
}

static kms_err append_escaped(char *escaped, kms_buf *sql)
{
    if (escaped == NULL) return KMS_FAIL(VALUE_NOT_ROTATABLE); /* not UTF-8, or no memory */
    kms_err err = kms_buf_append(sql, escaped, strlen(escaped));
    PQfreemem(escaped);
    return err;
}

kms_err kms_connection_put_name(kms_connection *connection, const char *name, kms_buf *sql)
{
    return append_escaped(PQescapeIdentifier(connection->pg, name, strlen(name)), sql);
}

kms_err kms_connection_put_text(kms_connection *connection, const char *text, kms_buf *sql)
{
    return append_escaped(PQescapeLiteral(connection->pg, text, strlen(text)), sql);
}

kms_err kms_connection_verifier(kms_connection *connection, const char *user, const char *password,
                                kms_secret **ret_verifier)
{
    char *verifier = PQencryptPasswordConn(connection->pg, password, user, "scram-sha-256");
    if (verifier == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_secret_new(strlen(verifier) + 1, ret_verifier);
    if (!kms_failed(err)) kms_copy(kms_secret_data(*ret_verifier), verifier, strlen(verifier) + 1);
    kms_wipe(verifier, strlen(verifier));
    PQfreemem(verifier);
    return err;
}
