/* One function for each part of a record, in the order of fields.def. */
#include "kmsd/audit/encode.h"

#include <string.h>

#include "kmsd/audit/json.h"

enum {
    WORD_BYTES = 256,       /* names that the service itself chooses */
    PRINCIPAL_BYTES = 2048, /* longer than any that authn accepts */
    PAIRS_MAX = 64,         /* of one encryption context (KMS_CONTEXT_PAIRS_MAX) */
    TEXT_MIN = 48,          /* texts are not made shorter than this, */
    INPUTS_MIN = 16,        /* and so many inputs of an access are kept then; */
    BATCH_TEXT_MIN = 24,    /* those of a batch are */
    BATCH_INPUTS_MIN = 3,
};

/* Longest free text, escaped, in bytes: tried in this order. The last one but one fits whatever the event: 4
 * contexts of 128 texts, 5 times 32 texts of inputs, 31 others, each 48 + 7 bytes, are 38 KiB; the fixed
 * texts are at most 9 KiB. The last one fits whatever the batch: 512 accesses of at most 310 bytes are 155
 * KiB, 3 inputs of each of 2 x 31 bytes 100 KiB, 1024 pairs of context as many bytes 62 KiB, 256 items of 130
 * bytes 33 KiB; the other texts are at most 13 KiB. */
static const size_t text_limits[] = {KMS_AUDIT_BODY_BYTES, 4096, 512, TEXT_MIN, BATCH_TEXT_MIN};

enum field {
#define KMS_FIELD(symbol, parent, name, type, meaning) F_##symbol,
#include "kmsd/audit/fields.def"
#undef KMS_FIELD
    FIELD_COUNT
};

static const struct {
    const char *text; /* `,"name":` */
    size_t len;
} keys[FIELD_COUNT] = {
#define KMS_FIELD(symbol, parent, name, type, meaning)                                                       \
    [F_##symbol] = {.text = ",\"" name "\":", .len = sizeof(",\"" name "\":") - 1},
#include "kmsd/audit/fields.def"
#undef KMS_FIELD
};

static const char *const kinds[] = {
    [KMS_AUDIT_CALL] = "call",         [KMS_AUDIT_ATTEMPT] = "attempt",       [KMS_AUDIT_OUTCOME] = "outcome",
    [KMS_AUDIT_RECOVERY] = "recovery", [KMS_AUDIT_SUPPRESSED] = "suppressed", [KMS_AUDIT_SERVICE] = "service",
    [KMS_AUDIT_HEAD] = "head",
};

static inline void raw(struct kms_audit_json *json, const char *text)
{
    kms_audit_json_raw(json, text, strlen(text));
}

static void key(struct kms_audit_json *json, enum field field)
{
    size_t skip = json->at[-1] == '{' ? 1 : 0; /* no comma before the first member */
    kms_audit_json_raw(json, keys[field].text + skip, keys[field].len - skip);
}

static void put_text(struct kms_audit_json *json, enum field field, struct kms_bytes text, size_t max_len)
{
    if (text.len == 0) return;
    key(json, field);
    kms_audit_json_text(json, text, max_len);
}

static void put_string(struct kms_audit_json *json, enum field field, const char *text, size_t max_len)
{
    if (text != NULL) put_text(json, field, kms_bytes_text(text), max_len);
}

static void put_word(struct kms_audit_json *json, enum field field, const char *text)
{
    put_string(json, field, text, WORD_BYTES);
}

static void put_number(struct kms_audit_json *json, enum field field, uint64_t number)
{
    key(json, field);
    kms_audit_json_number(json, number < INT64_MAX ? number : INT64_MAX); /* what JSON readers can hold */
}

static void put_id(struct kms_audit_json *json, enum field field, const struct kms_id *id)
{
    static const struct kms_id none;
    char text[KMS_ID_TEXT];
    if (kms_id_equal(id, &none)) return;
    kms_id_text(id, text);
    put_word(json, field, text);
}

static size_t most(size_t count, size_t bound)
{
    return count < bound ? count : bound;
}

static void put_pairs(struct kms_audit_json *json, enum field field, const struct kms_audit_pair *pairs,
                      size_t count, size_t max_len)
{
    if (count == 0) return;
    key(json, field);
    raw(json, "{");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) raw(json, ",");
        kms_audit_json_text(json, pairs[i].name, max_len);
        raw(json, ":");
        if (pairs[i].value.ptr == NULL)
            raw(json, "null");
        else
            kms_audit_json_text(json, pairs[i].value, max_len);
    }
    raw(json, "}");
}

/* Names of tags are among them, so that there can be many: some are left out when texts are at their
 * shortest. */
static void put_inputs(struct kms_audit_json *json, enum field field, const struct kms_audit_pair *inputs,
                       size_t count, size_t max_len)
{
    size_t kept = max_len <= BATCH_TEXT_MIN ? most(count, BATCH_INPUTS_MIN)
                  : max_len <= TEXT_MIN     ? most(count, INPUTS_MIN)
                                            : count;
    put_pairs(json, field, inputs, kept, max_len);
    if (kept < count) json->cut = true;
}

static void put_access(struct kms_audit_json *json, const struct kms_audit_access *access, size_t max_len)
{
    size_t pairs = most(access->context_count, PAIRS_MAX);
    raw(json, "{");
    put_word(json, F_ACCESS_ACTION, access->action);
    put_word(json, F_ACCESS_KEY_ID, access->key_id);
    put_text(json, F_ACCESS_SECRET, access->secret, max_len);
    put_text(json, F_ACCESS_ROLE, access->role, max_len);
    put_text(json, F_ACCESS_KEY_NAMED, access->key_named, max_len);
    if (access->key_version != 0) put_number(json, F_ACCESS_VERSION, access->key_version);
    put_pairs(json, F_ACCESS_CONTEXT, access->context, pairs, max_len);
    put_inputs(json, F_ACCESS_INPUTS, access->inputs, access->input_count, max_len);
    put_word(json, F_ACCESS_DECISION, access->decision);
    put_string(json, F_ACCESS_STATEMENT, access->statement, max_len < WORD_BYTES ? max_len : WORD_BYTES);
    put_word(json, F_ACCESS_GRANT, access->grant);
    raw(json, "}");
    if (pairs < access->context_count) json->cut = true;
}

static void put_accesses(struct kms_audit_json *json, const struct kms_audit_access *access, size_t count,
                         size_t max_len)
{
    if (count == 0) return;
    key(json, F_ACCESS);
    raw(json, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) raw(json, ",");
        put_access(json, &access[i], max_len);
    }
    raw(json, "]");
}

static bool alike(const struct kms_audit_item *a, const struct kms_audit_item *b)
{
    if (a->access_count != b->access_count || a->outcome.code != b->outcome.code) return false;
    for (unsigned i = 0; i < a->access_count; i++)
        if (a->access[i] != b->access[i] || a->key_version[i] != b->key_version[i]) return false;
    return true;
}

static void put_item(struct kms_audit_json *json, const struct kms_audit_item *item, size_t count)
{
    static const enum field access[] = {F_ITEM_ACCESS, F_ITEM_TO},
                            version[] = {F_ITEM_VERSION, F_ITEM_TO_VERSION};
    raw(json, "{");
    if (count > 1) put_number(json, F_ITEM_COUNT, count);
    for (unsigned i = 0; i < item->access_count && i < 2; i++) {
        put_number(json, access[i], item->access[i]);
        if (item->key_version[i] != 0) put_number(json, version[i], item->key_version[i]);
    }
    put_word(json, F_ITEM_OUTCOME, kms_err_reason(item->outcome));
    raw(json, "}");
}

static void put_items(struct kms_audit_json *json, const struct kms_audit_item *items, size_t count)
{
    key(json, F_ITEMS);
    raw(json, "[");
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && alike(&items[from], &items[to]);) to++;
        if (from > 0) raw(json, ",");
        put_item(json, &items[from], to - from);
    }
    raw(json, "]");
}

static void put_work(struct kms_audit_json *json, const struct kms_audit_event *event, size_t max_len)
{
    const struct kms_audit_batch *batch = event->batch;
    if (batch == NULL) {
        put_accesses(json, event->access, most(event->access_count, KMS_AUDIT_ACCESSES), max_len);
        return;
    }
    put_accesses(json, batch->access, most(batch->access_count, KMS_AUDIT_BATCH_ACCESSES), max_len);
    put_items(json, batch->items, most(batch->item_count, KMS_AUDIT_ITEMS));
}

static void put_caller(struct kms_audit_json *json, const struct kms_audit_event *event)
{
    put_id(json, F_REQUEST_ID, &event->request_id);
    put_string(json, F_PRINCIPAL, event->principal, PRINCIPAL_BYTES);
    put_word(json, F_PRINCIPAL_SOURCE, event->principal_source);
    put_word(json, F_PEER, event->peer);
    put_word(json, F_SERVICE, event->service);
    put_word(json, F_OPERATION, event->operation);
    put_word(json, F_CLASS, event->class);
    put_word(json, F_PROTOCOL, event->protocol);
}

static void put_result(struct kms_audit_json *json, const struct kms_audit_event *event, uint64_t time_us,
                       size_t max_len)
{
    bool decided = event->kind == KMS_AUDIT_CALL || event->kind == KMS_AUDIT_OUTCOME;
    if (decided || (kms_failed(event->outcome) && event->kind != KMS_AUDIT_ATTEMPT))
        put_word(json, F_OUTCOME, kms_err_reason(event->outcome));
    put_string(json, F_DETAIL, event->detail, max_len);
    put_word(json, F_STAGE, event->stage);
    if (event->started_us != 0) /* 0 when the clock was set back meanwhile */
        put_number(json, F_LATENCY_US, time_us > event->started_us ? time_us - event->started_us : 0);
    if (event->started_us > time_us) put_number(json, F_STARTED_US, event->started_us);
    put_text(json, F_CLIENT, event->client, max_len);
    put_text(json, F_CORRELATION_ID, event->correlation_id, max_len);
    if (event->count != 0) put_number(json, F_COUNT, event->count);
    put_pairs(json, F_EXTRA, event->extra, most(event->extra_count, KMS_AUDIT_EXTRAS), max_len);
}

static void put_mark(struct kms_audit_json *json, uint64_t revision, const uint8_t digest[KMS_DIGEST_BYTES])
{
    char hex[KMS_AUDIT_HASH_HEX + 1];
    kms_hex(digest, KMS_DIGEST_BYTES, hex);
    put_number(json, F_STORE_REVISION, revision);
    put_word(json, F_STORE_DIGEST, hex);
}

static void put_head(struct kms_audit_json *json, const struct kms_audit_signed_head *head)
{
    key(json, F_HEAD);
    raw(json, "{");
    put_number(json, F_HEAD_SEQUENCE, head->sequence);
    put_word(json, F_HEAD_HASH, head->hash);
    put_word(json, F_HEAD_KEY_ID, head->key_id);
    put_word(json, F_HEAD_SIGNATURE, head->signature);
    raw(json, "}");
}

static void put_kind(struct kms_audit_json *json, enum kms_audit_kind kind, const char *instance)
{
    kms_audit_json_raw(json, keys[F_KIND].text, keys[F_KIND].len);
    kms_audit_json_text(json, kms_bytes_text(kinds[kind]), WORD_BYTES);
    put_word(json, F_INSTANCE, instance);
}

kms_err kms_audit_encode(const struct kms_audit_event *event, const char *instance, uint64_t time_us,
                         uint8_t *to, size_t *ret_len)
{
    const size_t room = event->batch != NULL ? KMS_AUDIT_BATCH_BODY_BYTES : KMS_AUDIT_BODY_BYTES;
    for (size_t i = 0; i < sizeof text_limits / sizeof text_limits[0]; i++) {
        struct kms_audit_json json = {.at = to, .end = to + room};
        put_kind(&json, event->kind, instance);
        put_caller(&json, event);
        put_work(&json, event, text_limits[i]);
        put_inputs(&json, F_INPUTS, event->inputs, event->input_count, text_limits[i]);
        put_result(&json, event, time_us, text_limits[i]);
        if (event->head != NULL) put_head(&json, event->head);
        if (json.cut || event->cut) put_number(&json, F_SHORTENED, text_limits[i]);
        if (event->has_mark) put_mark(&json, event->store_revision, event->store_digest);
        if (json.overflow) continue;
        *ret_len = (size_t)(json.at - to);
        return KMS_OK;
    }
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static void put_open(struct kms_audit_json *json, const struct kms_audit_state *state)
{
    key(json, F_SEGMENT_OPEN);
    raw(json, "[");
    for (size_t i = 0; i < state->open_count; i++) {
        raw(json, i > 0 ? ",{" : "{");
        put_id(json, F_OPEN_REQUEST_ID, &state->open[i].request_id);
        put_word(json, F_OPEN_OPERATION, state->open[i].operation);
        raw(json, "}");
    }
    raw(json, "]");
}

kms_err kms_audit_encode_opening(const struct kms_audit_opening *opening, const struct kms_audit_state *state,
                                 const char *instance, uint8_t *to, size_t *ret_len)
{
    struct kms_audit_json json = {.at = to, .end = to + KMS_AUDIT_OPENING_BYTES - KMS_AUDIT_FRAME_BYTES};
    put_kind(&json, KMS_AUDIT_SERVICE, instance);
    key(&json, F_SEGMENT);
    raw(&json, "{");
    put_number(&json, F_SEGMENT_NUMBER, opening->number);
    put_number(&json, F_SEGMENT_AFTER, opening->after);
    put_word(&json, F_SEGMENT_BECAUSE, kms_audit_because_text(opening->because));
    put_open(&json, state);
    raw(&json, "}");
    if (state->has_mark) put_mark(&json, state->revision, state->digest);
    if (json.overflow) return KMS_FAIL(LIMIT_EXCEEDED);
    *ret_len = (size_t)(json.at - to);
    return KMS_OK;
}
