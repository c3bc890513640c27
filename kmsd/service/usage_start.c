/* The ledger at start: stored entries, completed from the tail of the audit log. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "kmsd/audit/chain.h"
#include "kmsd/audit/reader.h"
#include "kmsd/service/usage.h"

/* "2026-11-22T15:49:11.477856Z"; 0: not a time. */
static uint64_t read_time(const char *text)
{
    struct tm tm = {0};
    unsigned us = 0;
    const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S.", &tm) : NULL;
    if (rest == NULL || sscanf(rest, "%6u", &us) != 1) return 0;
    return (uint64_t)timegm(&tm) * 1000000 + us;
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool is(const json_t *object, const char *name, const char *value)
{
    const char *text = text_of(object, name);
    return text != NULL && strcmp(text, value) == 0;
}

/* A secret of that name that was made later is another one. */
static void see_secret(const struct kms_core *core, const json_t *access, uint64_t at_us)
{
    struct kms_secret_name names[2];
    struct kms_why why;
    size_t count;
    const char *arn = text_of(access, "secret");
    if (arn == NULL || !is(access, "action", kms_action_name(KMS_ACT_GET_SECRET_VALUE)) ||
        kms_failed(kms_secret_name_parse(&core->secret_arn, kms_bytes_text(arn), names, &count, &why)))
        return;
    KMS_OWN_ENTRY entry = kms_secret_book_resolve(core->secrets, names, count);
    if (entry != NULL && strcmp(entry->arn, arn) == 0) kms_read_day_set(entry->read, at_us);
}

static void count_access(kms_ledger *ledger, const json_t *access, const json_t *version,
                         struct kms_ledger_use *use)
{
    struct kms_id id;
    const char *key_id = text_of(access, "key_id"), *action = text_of(access, "action");
    use->version = (uint32_t)json_integer_value(version);
    if (key_id == NULL || use->version == 0 || !kms_id_parse(kms_bytes_text(key_id), &id) || action == NULL ||
        !kms_action_find(action, &use->action) || kms_action_class_of(use->action) != KMS_CLASS_USAGE)
        return;
    use->key_id = &id;
    kms_ledger_add(ledger, use);
}

/* Items of a batch name their access by its place in the record's list, and so many may be alike. */
static void count_item(kms_ledger *ledger, const json_t *accesses, const json_t *item,
                       struct kms_ledger_use *use)
{
    static const char *const names[][2] = {{"access", "key_version"}, {"to_access", "to_key_version"}};
    const json_t *count = json_object_get(item, "count");
    if (!is(item, "outcome", "OK")) return;
    use->times = count != NULL ? (uint64_t)json_integer_value(count) : 1;
    for (size_t i = 0; i < 2; i++) {
        const json_t *place = json_object_get(item, names[i][0]);
        if (place == NULL) continue;
        count_access(ledger, json_array_get(accesses, (size_t)json_integer_value(place)),
                     json_object_get(item, names[i][1]), use);
    }
}

static void count_record(const struct kms_core *core, const json_t *record, uint64_t sequence)
{
    if (!is(record, "kind", "call") || !is(record, "outcome", "OK")) return;
    struct kms_ledger_use use = {.principal = text_of(record, "principal"),
                                 .at_us = read_time(text_of(record, "time")),
                                 .times = 1,
                                 .sequence = sequence};
    if (use.principal == NULL) return;
    const json_t *accesses = json_object_get(record, "access");
    const json_t *items = json_object_get(record, "items"); /* of a batch */
    for (size_t i = 0; items == NULL && i < json_array_size(accesses); i++) {
        const json_t *access = json_array_get(accesses, i);
        count_access(core->ledger, access, json_object_get(access, "key_version"), &use);
        see_secret(core, access, use.at_us);
    }
    for (size_t i = 0; i < json_array_size(items); i++)
        count_item(core->ledger, accesses, json_array_get(items, i), &use);
}

static kms_err count_log(const struct kms_core *core, kms_audit_reader *reader, uint64_t *ret_counted,
                         struct kms_why *why)
{
    struct kms_audit_line line;
    uint64_t from = kms_ledger_loaded(core->ledger), last = from;
    bool more;
    KMS_TRY(kms_audit_reader_next(reader, &line, &more, why));
    for (; more; ++*ret_counted) {
        struct kms_audit_record fixed; /* what was counted before is passed over unparsed */
        uint64_t sequence = kms_audit_scan_record(line.text, &fixed) ? fixed.sequence : 0;
        if (sequence > from) {
            json_t *record = json_loadb((const char *)line.text.ptr, line.text.len, 0, NULL);
            if (record != NULL) count_record(core, record, sequence);
            json_decref(record);
            last = sequence;
        }
        KMS_TRY(kms_audit_reader_next(reader, &line, &more, why));
    }
    kms_ledger_hold(core->ledger);
    kms_ledger_release(core->ledger, last);
    return KMS_OK;
}

static kms_err load_row(void *user, const struct kms_row *row)
{
    const struct kms_core *core = user;
    return kms_ledger_load(core->ledger, row, NULL);
}

kms_err kms_usage_start(struct kms_core *core, const char *audit_dir, struct kms_why *why)
{
    KMS_OWN(kms_audit_reader) reader = NULL;
    uint64_t head, lines = 0;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    KMS_TRY(kms_keystore_scan(core->store, KMS_TABLE_USAGE, "", load_row, core, why));
    kms_audit_head(core->audit, &head, hash);
    if (kms_ledger_loaded(core->ledger) > head) {
        kms_log(KMS_LOG_WARN, "usage",
                "checkpoint=%llu the audit log ends at %llu, so it is another one: all of it "
                "is counted again",
                (unsigned long long)kms_ledger_loaded(core->ledger), (unsigned long long)head);
        kms_ledger_forget_loaded(core->ledger);
    }
    KMS_TRY(kms_audit_reader_open(audit_dir, core->instance, &reader, why));
    KMS_TRY(kms_audit_reader_near(reader, kms_ledger_loaded(core->ledger) + 1, why));
    return count_log(core, reader, &lines, why);
}
