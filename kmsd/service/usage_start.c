/* The ledger at start: stored entries, completed from the tail of the audit log. */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/audit/chain.h"
#include "kmsd/audit/fields.h"
#include "kmsd/audit/reader.h"
#include "kmsd/service/usage.h"

/* Records are taken apart where they stand (fields.h), since a service that was killed under load has
 * millions behind its checkpoint. */
struct counting {
    const struct kms_core *core;
    char day[sizeof "2026-11-22"]; /* of the record before, as in its time */
    uint64_t day_us;
    struct kms_ledger_use use; /* of the record at hand */
    char principal[KMS_PRINCIPAL_BYTES];
};

static bool is(struct kms_bytes text, const char *value)
{
    return kms_bytes_equal(text, kms_bytes_text(value));
}

/* What an escaped text of a record means. False: more than there is room for. */
static bool copy_text(struct kms_bytes text, char *to, size_t cap)
{
    json_t *json = NULL;
    if (text.len == 0) text = kms_bytes_text("");   /* what is not there has no place */
    if (memchr(text.ptr, '\\', text.len) != NULL) { /* rare: with its quotes it is JSON */
        json = json_loadb((const char *)text.ptr - 1, text.len + 2, JSON_DECODE_ANY, NULL);
        if (json == NULL) return false;
        text = kms_bytes_of(json_string_value(json), json_string_length(json));
    }
    bool fits = text.len < cap;
    if (fits) {
        memcpy(to, text.ptr, text.len);
        to[text.len] = '\0';
    }
    json_decref(json);
    return fits;
}

static uint64_t digits(const char *text, size_t count)
{
    return kms_audit_number(kms_bytes_of(text, count));
}

/* "2026-11-22T15:49:11.477856Z"; 0: not a time. */
static uint64_t read_time(struct counting *counting, struct kms_bytes text)
{
    enum { DAY = sizeof counting->day - 1 };
    const char *at = (const char *)text.ptr;
    if (text.len != KMS_TIME_TEXT - 1) return 0;
    if (memcmp(counting->day, at, DAY) != 0) {
        struct tm tm = {0};
        memcpy(counting->day, at, DAY);
        counting->day[DAY] = '\0';
        const char *rest = strptime(counting->day, "%Y-%m-%d", &tm);
        counting->day_us = rest != NULL && *rest == '\0' ? (uint64_t)timegm(&tm) * 1000000 : 0;
    }
    if (counting->day_us == 0) return 0;
    uint64_t seconds = 3600 * digits(at + 11, 2) + 60 * digits(at + 14, 2) + digits(at + 17, 2);
    return counting->day_us + seconds * 1000000 + digits(at + 20, 6);
}

struct access {
    struct kms_bytes action, key_id, secret, version;
};

static struct access read_access(struct kms_bytes object)
{
    struct access access = {.version = {NULL, 0}};
    struct kms_audit_walk walk = kms_audit_walk(object);
    struct kms_bytes name, value;
    while (kms_audit_walk_next(&walk, &name, &value)) {
        if (is(name, "action")) access.action = kms_audit_inside(value);
        if (is(name, "key_id")) access.key_id = kms_audit_inside(value);
        if (is(name, "secret")) access.secret = kms_audit_inside(value);
        if (is(name, "key_version")) access.version = value;
    }
    return access;
}

/* A secret of that name that was made later is another one. */
static void see_secret(const struct counting *counting, const struct access *access)
{
    const struct kms_core *core = counting->core;
    struct kms_secret_name names[2];
    struct kms_why why;
    size_t count;
    char arn[KMS_SECRET_ARN_BYTES];
    if (access->secret.len == 0 || !is(access->action, kms_action_name(KMS_ACT_GET_SECRET_VALUE)) ||
        !copy_text(access->secret, arn, sizeof arn) ||
        kms_failed(kms_secret_name_parse(&core->secret_arn, kms_bytes_text(arn), names, &count, &why)))
        return;
    KMS_OWN_ENTRY entry = kms_secret_book_resolve(core->secrets, names, count);
    if (entry != NULL && strcmp(entry->arn, arn) == 0) kms_read_day_set(entry->read, counting->use.at_us);
}

static void count_access(struct counting *counting, const struct access *access, struct kms_bytes version)
{
    struct kms_ledger_use *use = &counting->use;
    struct kms_id id;
    char action[64];
    uint64_t number = kms_audit_number(version);
    if (number == 0 || number > UINT32_MAX || !kms_id_parse(access->key_id, &id) ||
        !copy_text(access->action, action, sizeof action) || !kms_action_find(action, &use->action) ||
        kms_action_class_of(use->action) != KMS_CLASS_USAGE)
        return;
    use->version = (uint32_t)number;
    use->key_id = &id;
    kms_ledger_add(counting->core->ledger, use);
}

static struct kms_bytes element(struct kms_bytes array, uint64_t place)
{
    struct kms_audit_walk walk = kms_audit_walk(array);
    struct kms_bytes name, value;
    while (kms_audit_walk_next(&walk, &name, &value))
        if (place-- == 0) return value;
    return (struct kms_bytes){NULL, 0};
}

/* Items of a batch name their access by its place in the record's list, and so many may be alike. */
static void count_item(struct counting *counting, struct kms_bytes accesses, struct kms_bytes item)
{
    static const char *const names[][2] = {{"access", "key_version"}, {"to_access", "to_key_version"}};
    struct kms_bytes times = kms_audit_member(item, "count");
    if (!is(kms_audit_inside(kms_audit_member(item, "outcome")), "OK")) return;
    counting->use.times = times.len > 0 ? kms_audit_number(times) : 1;
    for (size_t i = 0; i < 2; i++) {
        struct kms_bytes place = kms_audit_member(item, names[i][0]);
        if (place.len == 0) continue;
        struct access access = read_access(element(accesses, kms_audit_number(place)));
        count_access(counting, &access, kms_audit_member(item, names[i][1]));
    }
}

static void count_record(struct counting *counting, struct kms_bytes line, uint64_t sequence)
{
    static const char ok[] = "\"outcome\":\"OK\""; /* quotes in texts are escaped: none looks like it */
    struct kms_audit_fields fields;
    if (memmem(line.ptr, line.len, ok, sizeof ok - 1) == NULL || !kms_audit_fields_read(line, &fields) ||
        !is(fields.outcome, "OK") || fields.principal.ptr == NULL ||
        !copy_text(fields.principal, counting->principal, sizeof counting->principal))
        return;
    counting->use = (struct kms_ledger_use){.principal = counting->principal,
                                            .at_us = read_time(counting, fields.time),
                                            .times = 1,
                                            .sequence = sequence};
    bool batch = fields.items.len > 0;
    struct kms_audit_walk walk = kms_audit_walk(batch ? fields.items : fields.access);
    struct kms_bytes name, value;
    while (kms_audit_walk_next(&walk, &name, &value)) {
        if (batch) {
            count_item(counting, fields.access, value);
            continue;
        }
        struct access access = read_access(value);
        count_access(counting, &access, access.version);
        see_secret(counting, &access);
    }
}

static kms_err count_log(const struct kms_core *core, kms_audit_reader *reader, uint64_t *ret_counted,
                         struct kms_why *why)
{
    struct counting counting = {.core = core};
    struct kms_audit_line line;
    uint64_t from = kms_ledger_loaded(core->ledger), last = from;
    bool more;
    KMS_TRY(kms_audit_reader_next(reader, &line, &more, why));
    while (more) {
        struct kms_audit_record fixed; /* what was counted before is passed over unparsed */
        if (kms_audit_scan_record(line.text, &fixed) && fixed.sequence > from) {
            if (is(fixed.kind, "call")) count_record(&counting, line.text, fixed.sequence);
            last = fixed.sequence;
            ++*ret_counted;
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
    uint64_t began_us = kms_monotonic_us();
    KMS_TRY(count_log(core, reader, &lines, why));
    if (lines > 0)
        kms_log(KMS_LOG_INFO, "usage", "records=%llu ms=%llu msg=\"counted behind the last checkpoint\"",
                (unsigned long long)lines, (unsigned long long)(kms_monotonic_us() - began_us) / 1000);
    return KMS_OK;
}
