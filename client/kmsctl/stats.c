/* Names are kept as they stand in the log, escaped, and found by a hash; they become text when they are told.
 * */
#include "client/kmsctl/stats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/kmsctl/output.h"
#include "kmsd/audit/fields.h"

enum { SLOTS = 2 * CTL_STATS_NAMES, ACCESSES = 512 /* of a batch */, HOUR_TEXT = 13, DAY_TEXT = 10 };

struct tally {
    uint64_t calls[CTL_RESULTS];
    struct ctl_latency latency;
};

struct group {
    uint64_t seen; /* number of the last record that was counted here: its latency counts once */
    struct tally tally;
    size_t len;
    char name[];
};

struct ctl_stats {
    enum ctl_stats_by by;
    struct tally total, other;
    struct group *slots[SLOTS];
    size_t names;
    uint64_t records, suppressed, other_seen;
    char first[32], last[32]; /* earliest and latest time */
    struct ctl_timeline timeline;
    struct kms_bytes keys[ACCESSES]; /* of the accesses of the record at hand, where they are asked for */
    size_t key_count;
};

/* What a record says of so many calls alike. */
struct use {
    struct kms_bytes name; /* of the group */
    enum ctl_result result;
    uint64_t calls;
};

kms_err ctl_stats_new(enum ctl_stats_by by, ctl_stats **ret_stats)
{
    ctl_stats *stats = calloc(1, sizeof *stats);
    if (stats == NULL) return KMS_FAIL(NO_MEMORY);
    stats->by = by;
    *ret_stats = stats;
    return KMS_OK;
}

void ctl_stats_free(ctl_stats *stats)
{
    if (stats == NULL) return;
    for (size_t i = 0; i < SLOTS; i++) free(stats->slots[i]);
    free(stats);
}

void ctl_stats_drop(ctl_stats **stats)
{
    ctl_stats_free(*stats);
}

const struct ctl_timeline *ctl_stats_timeline(const ctl_stats *stats)
{
    return &stats->timeline;
}

/* FNV-1a. Who chooses names to collide makes this slower, at most by the number of names. */
static size_t hash(struct kms_bytes name)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < name.len; i++) h = (h ^ name.ptr[i]) * UINT64_C(1099511628211);
    return (size_t)(h % SLOTS);
}

/* NULL in *ret_group: one name too many, it counts as other. */
static kms_err find(ctl_stats *stats, struct kms_bytes name, struct group **ret_group)
{
    size_t at = hash(name);
    for (; stats->slots[at] != NULL; at = (at + 1) % SLOTS) {
        *ret_group = stats->slots[at];
        if (kms_bytes_equal(kms_bytes_of(stats->slots[at]->name, stats->slots[at]->len), name)) return KMS_OK;
    }
    *ret_group = NULL;
    if (stats->names == CTL_STATS_NAMES) return KMS_OK;
    struct group *group = calloc(1, sizeof *group + name.len);
    if (group == NULL) return KMS_FAIL(NO_MEMORY);
    group->len = name.len;
    kms_copy(group->name, name.ptr, name.len);
    stats->slots[at] = *ret_group = group;
    stats->names++;
    return KMS_OK;
}

static kms_err count(ctl_stats *stats, const struct use *use, uint64_t latency_us)
{
    struct group *group;
    KMS_TRY(find(stats, use->name, &group));
    struct tally *tally = group != NULL ? &group->tally : &stats->other;
    uint64_t *seen = group != NULL ? &group->seen : &stats->other_seen;
    tally->calls[use->result] += use->calls;
    if (*seen != stats->records && latency_us > 0) ctl_latency_add(&tally->latency, latency_us);
    *seen = stats->records;
    return KMS_OK;
}

static struct kms_bytes text(const char *t)
{
    return kms_bytes_text(t);
}

static struct kms_bytes or_dash(struct kms_bytes name)
{
    return name.len > 0 ? name : text("-");
}

static struct kms_bytes key_of(struct kms_bytes access)
{
    struct kms_bytes id = kms_audit_inside(kms_audit_member(access, "key_id"));
    return or_dash(id.len > 0 ? id : kms_audit_inside(kms_audit_member(access, "key_named")));
}

static struct kms_bytes name_of(const ctl_stats *stats, const struct kms_audit_fields *fields,
                                struct kms_bytes outcome)
{
    switch (stats->by) {
    case CTL_BY_PRINCIPAL:
        return or_dash(fields->principal);
    case CTL_BY_OPERATION:
        return or_dash(fields->operation);
    case CTL_BY_HOUR:
        return kms_bytes_of(fields->time.ptr, HOUR_TEXT);
    case CTL_BY_DAY:
        return kms_bytes_of(fields->time.ptr, DAY_TEXT);
    default:
        return or_dash(outcome);
    }
}

/* Calls that were not recorded one by one were refused; attempts and the like have no outcome. */
static enum ctl_result result_of(const struct kms_audit_fields *fields, struct kms_bytes outcome)
{
    if (outcome.len == 0 && !kms_bytes_equal(fields->kind, text("suppressed"))) return CTL_RESULT_OK;
    if (kms_bytes_equal(outcome, text("ACCESS_DENIED"))) return CTL_RESULT_DENIED;
    return kms_bytes_equal(outcome, text("OK")) ? CTL_RESULT_OK : CTL_RESULT_FAILED;
}

static uint64_t second_of(struct kms_bytes time)
{
    struct tm tm = {0};
    char copy[32];
    size_t len = time.len < sizeof copy ? time.len : sizeof copy - 1;
    kms_copy(copy, time.ptr, len);
    copy[len] = '\0';
    if (strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) return 0;
    time_t second = timegm(&tm);
    return second > 0 ? (uint64_t)second : 0;
}

/* In the sum and in the picture. */
static void count_total(ctl_stats *stats, const struct kms_audit_fields *fields, enum ctl_result result,
                        uint64_t calls)
{
    stats->total.calls[result] += calls;
    ctl_timeline_add(&stats->timeline, second_of(fields->time), result, calls);
}

static void read_keys(ctl_stats *stats, struct kms_bytes access)
{
    struct kms_audit_walk walk = kms_audit_walk(access);
    struct kms_bytes name, value;
    stats->key_count = 0;
    while (stats->by == CTL_BY_KEY && stats->key_count < ACCESSES &&
           kms_audit_walk_next(&walk, &name, &value))
        stats->keys[stats->key_count++] = key_of(value);
}

static bool is_among(const struct kms_bytes *names, size_t n, struct kms_bytes name)
{
    for (size_t i = 0; i < n; i++)
        if (kms_bytes_equal(names[i], name)) return true;
    return false;
}

/* For each of the keys once; for "-" when there are none. */
static kms_err count_keys(ctl_stats *stats, struct use use, const struct kms_bytes *keys, size_t n,
                          uint64_t latency_us)
{
    use.name = text("-");
    if (n == 0) return count(stats, &use, latency_us);
    for (size_t i = 0; i < n; i++) {
        if (is_among(keys, i, keys[i])) continue;
        use.name = keys[i];
        KMS_TRY(count(stats, &use, latency_us));
    }
    return KMS_OK;
}

static kms_err count_call(ctl_stats *stats, const struct kms_audit_fields *fields, uint64_t calls)
{
    struct use use = {.name = name_of(stats, fields, fields->outcome),
                      .result = result_of(fields, fields->outcome),
                      .calls = calls};
    count_total(stats, fields, use.result, calls);
    if (stats->by == CTL_BY_KEY)
        return count_keys(stats, use, stats->keys, stats->key_count, fields->latency_us);
    return count(stats, &use, fields->latency_us);
}

/* The keys of an item: one, or two of ReEncrypt. */
static size_t keys_of_item(const ctl_stats *stats, struct kms_bytes item, struct kms_bytes keys[2])
{
    static const char *const members[] = {"access", "to_access"};
    size_t found = 0;
    for (size_t i = 0; i < 2; i++) {
        struct kms_bytes place = kms_audit_member(item, members[i]);
        if (place.len > 0 && kms_audit_number(place) < stats->key_count)
            keys[found++] = stats->keys[kms_audit_number(place)];
    }
    return found;
}

static kms_err count_items(ctl_stats *stats, const struct kms_audit_fields *fields)
{
    struct kms_audit_walk walk = kms_audit_walk(fields->items);
    struct kms_bytes member, item, keys[2];
    while (kms_audit_walk_next(&walk, &member, &item)) {
        struct kms_bytes outcome = kms_audit_inside(kms_audit_member(item, "outcome"));
        uint64_t alike = kms_audit_number(kms_audit_member(item, "count"));
        struct use use = {.name = name_of(stats, fields, outcome),
                          .result = result_of(fields, outcome),
                          .calls = alike > 0 ? alike : 1};
        count_total(stats, fields, use.result, use.calls);
        if (stats->by == CTL_BY_KEY)
            KMS_TRY(count_keys(stats, use, keys, keys_of_item(stats, item, keys), fields->latency_us));
        else
            KMS_TRY(count(stats, &use, fields->latency_us));
    }
    return KMS_OK;
}

static void note_time(ctl_stats *stats, struct kms_bytes time)
{
    char copy[sizeof stats->first];
    size_t len = time.len < sizeof copy ? time.len : sizeof copy - 1;
    kms_copy(copy, time.ptr, len);
    copy[len] = '\0';
    if (stats->first[0] == '\0' || strcmp(copy, stats->first) < 0) kms_copy(stats->first, copy, len + 1);
    if (strcmp(copy, stats->last) > 0) kms_copy(stats->last, copy, len + 1);
}

kms_err ctl_stats_add(ctl_stats *stats, struct kms_bytes line, bool every_kind)
{
    struct kms_audit_fields fields;
    if (!kms_audit_fields_read(line, &fields) || fields.time.len < HOUR_TEXT) return KMS_OK;
    bool suppressed = kms_bytes_equal(fields.kind, text("suppressed"));
    bool call = kms_bytes_equal(fields.kind, text("call")) || kms_bytes_equal(fields.kind, text("outcome"));
    if (!call && !suppressed && !every_kind) return KMS_OK;
    stats->records++;
    note_time(stats, fields.time);
    if (suppressed) stats->suppressed += fields.count;
    if (fields.latency_us > 0) ctl_latency_add(&stats->total.latency, fields.latency_us);
    read_keys(stats, fields.access);
    if (fields.items.len > 2) return count_items(stats, &fields);
    return count_call(stats, &fields, suppressed ? fields.count : 1);
}

static uint64_t sum(const uint64_t calls[CTL_RESULTS])
{
    return calls[CTL_RESULT_OK] + calls[CTL_RESULT_FAILED] + calls[CTL_RESULT_DENIED];
}

static void tell(json_t *to, const struct tally *tally)
{
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {{"calls", sum(tally->calls)},
                   {"ok", tally->calls[CTL_RESULT_OK]},
                   {"denied", tally->calls[CTL_RESULT_DENIED]},
                   {"failed", tally->calls[CTL_RESULT_FAILED]},
                   {"mean_us", ctl_latency_mean(&tally->latency)},
                   {"p50_us", ctl_latency_percentile(&tally->latency, 50)},
                   {"p99_us", ctl_latency_percentile(&tally->latency, 99)},
                   {"max_us", tally->latency.max_us}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(to, numbers[i].name, json_integer((json_int_t)numbers[i].number));
}

static json_t *name_json(const ctl_stats *stats, const struct group *group)
{
    KMS_OWN_BUF quoted = {0};
    const char *behind = stats->by == CTL_BY_HOUR ? ":00Z" : "";
    if (kms_failed(kms_buf_print(&quoted, "\"%.*s%s\"", (int)group->len, group->name, behind))) return NULL;
    return json_loadb((const char *)quoted.data, quoted.len, JSON_DECODE_ANY, NULL);
}

static int by_name(const void *a, const void *b)
{
    const struct group *left = *(struct group *const *)a, *right = *(struct group *const *)b;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = len > 0 ? memcmp(left->name, right->name, len) : 0;
    return order != 0 ? order : left->len < right->len ? -1 : left->len > right->len;
}

static int by_calls(const void *a, const void *b)
{
    const struct group *left = *(struct group *const *)a, *right = *(struct group *const *)b;
    uint64_t l = sum(left->tally.calls), r = sum(right->tally.calls);
    return l > r ? -1 : l < r ? 1 : by_name(a, b);
}

static size_t sorted(const ctl_stats *stats, struct group *groups[CTL_STATS_NAMES])
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (stats->slots[i] != NULL) groups[n++] = stats->slots[i];
    bool in_order = stats->by == CTL_BY_HOUR || stats->by == CTL_BY_DAY;
    if (n > 0) qsort(groups, n, sizeof groups[0], in_order ? by_name : by_calls);
    return n;
}

static json_t *groups_json(const ctl_stats *stats, size_t rows, struct tally *other)
{
    struct group *groups[CTL_STATS_NAMES];
    size_t n = sorted(stats, groups);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        if (i < rows) {
            json_t *row = json_pack("{s:o*}", "name", name_json(stats, groups[i]));
            tell(row, &groups[i]->tally);
            json_array_append_new(list, row);
            continue;
        }
        for (int k = 0; k < CTL_RESULTS; k++) other->calls[k] += groups[i]->tally.calls[k];
        ctl_latency_join(&other->latency, &groups[i]->tally.latency);
    }
    if (sum(other->calls) == 0) return list;
    json_t *row = json_pack("{s:s}", "name", "(other)");
    tell(row, other);
    json_array_append_new(list, row);
    return list;
}

static json_t *timeline_json(const struct ctl_timeline *timeline)
{
    json_t *list = json_array();
    for (size_t i = 0; i < timeline->count; i++) {
        const uint64_t *calls = timeline->bins[i].calls;
        json_t *bin = json_object();
        json_object_set_new(bin, "time", ctl_json_time(ctl_timeline_start(timeline, i) * 1000000));
        json_object_set_new(bin, "ok", json_integer((json_int_t)calls[CTL_RESULT_OK]));
        json_object_set_new(bin, "denied", json_integer((json_int_t)calls[CTL_RESULT_DENIED]));
        json_object_set_new(bin, "failed", json_integer((json_int_t)calls[CTL_RESULT_FAILED]));
        json_array_append_new(list, bin);
    }
    return list;
}

json_t *ctl_stats_json(const ctl_stats *stats, size_t rows)
{
    json_t *all = json_pack("{s:s, s:s, s:I}", "first", stats->first, "last", stats->last, "records",
                            (json_int_t)stats->records);
    struct tally other = stats->other;
    if (all == NULL) return NULL;
    tell(all, &stats->total);
    json_object_set_new(all, "suppressed", json_integer((json_int_t)stats->suppressed));
    json_object_set_new(all, "names", json_integer((json_int_t)stats->names));
    json_object_set_new(all, "groups", groups_json(stats, rows, &other));
    json_object_set_new(all, "other_calls", json_integer((json_int_t)sum(other.calls)));
    json_object_set_new(all, "interval_s", json_integer((json_int_t)stats->timeline.seconds));
    json_object_set_new(all, "timeline", timeline_json(&stats->timeline));
    return all;
}
