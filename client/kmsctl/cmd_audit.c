/* kmsctl audit: tail, verify read the files of the log and need no server; head and key ask it. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"
#include "kmsd/audit/reader.h"

enum { TAIL_LINES = 10, POLL_MS = 200 };

const char *ctl_audit_dir(struct ctl *ctl)
{
    if (ctl->dir != NULL) return ctl->dir;
    if (!ctl_read_context(ctl)) return NULL;
    if (ctl->context != NULL && ctl->context->audit_dir[0] != '\0') return ctl->context->audit_dir;
    ctl_fail_usage(ctl, "where is the audit log? --dir DIR, or audit_dir in the context");
    return NULL;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

/* One line for people, in columns: time, number, kind, what became of it, what, on which key, who. */
static json_t *summary(struct kms_bytes line)
{
    json_t *record = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    if (record == NULL) return NULL;
    const json_t *access = json_array_get(json_object_get(record, "access"), 0);
    const char *key = text_at(access, "key_id");
    if (strcmp(key, "-") == 0) key = text_at(access, "key_named");
    char seq[24];
    snprintf(seq, sizeof seq, "%8" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(record, "seq")));
    json_t *text = json_sprintf("%s  %s  %-8s  %-20s  %-17s  %-36s  %s", text_at(record, "time"), seq,
                                text_at(record, "kind"), text_at(record, "outcome"),
                                text_at(record, "operation"), key, text_at(record, "principal"));
    json_decref(record);
    return text;
}

static bool print_line(struct ctl *ctl, const struct kms_audit_line *line)
{
    json_t *text = ctl_wants_json(ctl) ? NULL : summary(line->text);
    if (text != NULL) {
        ctl_table(text, stdout);
    } else { /* as it is in the file: JSON escapes control characters */
        fwrite(line->text.ptr, 1, line->text.len, stdout);
        fputc('\n', stdout);
    }
    json_decref(text);
    if (!ferror(stdout)) return true;
    return ctl_fail(ctl, KMS_FAIL(IO), &(struct kms_why){.text = "standard output cannot be written"});
}

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static void pause_ms(long ms)
{
    struct timespec wait = {.tv_nsec = ms * 1000 * 1000};
    nanosleep(&wait, NULL);
}

static bool print_until_end(struct ctl *ctl, kms_audit_reader *reader)
{
    struct kms_why why = {0};
    for (bool more = true; more && !stopped;) {
        struct kms_audit_line line;
        kms_err err = kms_audit_reader_next(reader, &line, &more, &why);
        if (kms_failed(err)) return ctl_fail(ctl, err, &why);
        if (more && !print_line(ctl, &line)) return false;
    }
    return true;
}

bool ctl_audit_tail(struct ctl *ctl)
{
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL) return false;
    KMS_OWN(kms_audit_reader) reader = NULL;
    struct kms_why why = {0};
    kms_err err = kms_audit_reader_open(dir, ctl->instance, &reader, &why);
    if (!kms_failed(err))
        err = kms_audit_reader_tail(reader, ctl->lines != 0 ? ctl->lines : TAIL_LINES, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool ok = print_until_end(ctl, reader);
    while (ok && ctl->follow && !stopped) {
        fflush(stdout);
        pause_ms(POLL_MS);
        ok = print_until_end(ctl, reader);
    }
    return fflush(stdout) == 0 && ok;
}

static void show(void *user, uint64_t bytes_done, uint64_t bytes_total)
{
    ctl_progress_show(user, bytes_done, bytes_total);
}

bool ctl_audit_verify(struct ctl *ctl)
{
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL) return false;
    struct ctl_progress progress;
    ctl_progress_start(&progress, NULL);
    struct kms_audit_report report;
    struct kms_why why = {0};
    kms_err err = kms_audit_verify(dir, ctl->instance, ctl->head, &(struct kms_audit_watch){show, &progress},
                                   &report, &why);
    ctl_progress_clear(&progress);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    return ctl_print(ctl,
                     json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "intact", 1, "records",
                               (json_int_t)report.records, "files", (json_int_t)report.files, "bytes",
                               (json_int_t)report.bytes, "first_sequence", (json_int_t)report.first_sequence,
                               "last_sequence", (json_int_t)report.last_sequence, "head", report.head,
                               "torn_tail", (int)report.torn_tail));
}

bool ctl_audit_head(struct ctl *ctl)
{
    return ctl_call_print(ctl, "AuditService/GetAuditHead", json_object());
}

bool ctl_audit_key(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, "AuditService/GetAuditKey", json_object(), &reply)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    const char *pem = json_string_value(json_object_get(reply, "public_key_pem"));
    bool ok = pem != NULL ? ctl_write(ctl, kms_bytes_text(pem)) : ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    json_decref(reply);
    return ok;
}
