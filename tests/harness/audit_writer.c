/*
 * Writes an audit log as kmsd does, to be killed at any moment.
 *
 *     audit-writer DIRECTORY ROUND
 *
 * Attempts that it finds open are closed first. Then it appends batches of 1 to 32 calls, whose correlation
 * ids are ROUND-1, ROUND-2 ..., some attempts and outcomes among them, and after each commit says how far it
 * has come: a line with the number. So whoever kills it knows what was acknowledged. Ends by itself only
 * when something fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/audit/audit.h"

enum { BATCH_MAX = 32, ATTEMPT_EVERY = 7, SEGMENT_BYTES = 512 * 1024 };

static void must(kms_err err, const char *words)
{
    if (!kms_failed(err)) return;
    fprintf(stderr, "audit-writer: %s: %s\n", kms_err_reason(err), words);
    exit(1);
}

static void append(kms_audit *audit, struct kms_audit_event *event)
{
    event->started_us = kms_now_us();
    must(kms_audit_append(audit, event), "append");
}

static void close_attempts(kms_audit *audit)
{
    const struct kms_audit_open_attempt *open;
    size_t count = kms_audit_open_attempts(audit, &open);
    for (size_t i = 0; i < count; i++) {
        struct kms_audit_event event = {.kind = KMS_AUDIT_RECOVERY,
                                        .request_id = open[i].request_id,
                                        .operation = open[i].operation,
                                        .detail = "not committed"};
        append(audit, &event);
    }
    must(kms_audit_commit(audit), "commit");
}

static void append_call(kms_audit *audit, const char *round, unsigned long number)
{
    char name[64];
    int len = snprintf(name, sizeof name, "%s-%lu", round, number);
    struct kms_audit_event event = {.kind = number % ATTEMPT_EVERY == 0 ? KMS_AUDIT_ATTEMPT : KMS_AUDIT_CALL,
                                    .principal = "spiffe://example.org/app",
                                    .principal_source = "mtls-uri",
                                    .peer = "ipv4:127.0.0.1:40512",
                                    .service = "kms.v1.KeyService",
                                    .operation = "EnableKey",
                                    .class = "admin",
                                    .stage = "act",
                                    .correlation_id = kms_bytes_of(name, (size_t)len)};
    must(kms_id_new(&event.request_id), "id");
    append(audit, &event);
    if (event.kind != KMS_AUDIT_ATTEMPT) return;
    if (number % 2 == 0) must(kms_audit_commit(audit), "commit"); /* a death between the two leaves it open */
    event.kind = KMS_AUDIT_OUTCOME;
    append(audit, &event);
}

static void write_batch(kms_audit *audit, const char *round, unsigned long *number)
{
    uint32_t random;
    must(kms_random(&random, sizeof random), "random");
    for (unsigned i = 0; i <= random % BATCH_MAX; i++) append_call(audit, round, ++*number);
    must(kms_audit_commit(audit), "commit");
    char line[32];
    int len = snprintf(line, sizeof line, "%lu\n", *number);
    if (write(STDOUT_FILENO, line, (size_t)len) != len) exit(1);
}

int main(int argc, char **argv)
{
    struct kms_why why = {0};
    kms_audit *audit = NULL;
    unsigned long number = 0;
    if (argc != 3) return 2;
    struct kms_audit_options options = {.dir = argv[1], .instance = "writer", .segment_bytes = SEGMENT_BYTES};
    must(kms_audit_open(&options, &audit, &why), why.text);
    close_attempts(audit);
    while (true) write_batch(audit, argv[2], &number);
}
