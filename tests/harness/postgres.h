/*
 * A PostgreSQL server of one test's own (tests/harness/postgres): in the test's temporary directory, on a
 * free port and a Unix socket, as a user that it may run as. Not thread-safe.
 */
#ifndef KMS_TESTS_HARNESS_POSTGRES_H
#define KMS_TESTS_HARNESS_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

#define POSTGRES_PASSWORD "MARKER-admin'pass\"word" /* of superuser admin */

struct postgres {
    char dir[90]; /* also the folder of its socket */
    uint32_t port;
};

/* False: says why on standard error. Stop it before the program ends. */
bool postgres_start(struct postgres *server, const char *name);
bool postgres_restart(const struct postgres *server); /* killed, and started again */
void postgres_stop(const struct postgres *server);
/* Its log so far, as text that the caller frees. NULL: it cannot be read. */
char *postgres_log(const struct postgres *server);
/* A port of 127.0.0.1 that nobody listens on, just now. */
uint32_t free_port(void);

#endif
