/* Follows attempts and marks; reads them back with jansson, since only few records of a file concern them. */
#include "kmsd/audit/state.h"

#include <jansson.h>
#include <string.h>

bool kms_audit_state_untouched(const struct kms_audit_event *event)
{
    bool moves = event->kind == KMS_AUDIT_ATTEMPT || event->kind == KMS_AUDIT_OUTCOME ||
                 event->kind == KMS_AUDIT_RECOVERY;
    return !moves && !event->has_mark;
}

/* Operations are names of gRPC methods; what could need escaping is not one. */
static void copy_operation(char to[64], const char *from)
{
    size_t len = 0;
    for (; from != NULL && from[len] != '\0' && len < 63; len++) {
        char c = from[len];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("._:/-", c) != NULL;
        to[len] = plain ? c : '?';
    }
    to[len] = '\0';
}

static kms_err open_attempt(struct kms_audit_state *state, const struct kms_id *request_id,
                            const char *operation)
{
    if (state->open_count == KMS_AUDIT_OPEN_ATTEMPTS) return KMS_FAIL(LIMIT_EXCEEDED);
    struct kms_audit_open_attempt *attempt = &state->open[state->open_count++];
    attempt->request_id = *request_id;
    copy_operation(attempt->operation, operation);
    return KMS_OK;
}

static void close_attempt(struct kms_audit_state *state, const struct kms_id *request_id)
{
    for (size_t i = 0; i < state->open_count; i++) {
        if (!kms_id_equal(&state->open[i].request_id, request_id)) continue;
        state->open_count--;
        memmove(&state->open[i], &state->open[i + 1], (state->open_count - i) * sizeof state->open[0]);
        return;
    }
}

/* Outcomes of changes made at once may come in another order than the changes: only the service itself, which
 * accepts a rollback, goes back. */
static void set_mark(struct kms_audit_state *state, bool back, uint64_t revision,
                     const uint8_t digest[KMS_DIGEST_BYTES])
{
    if (state->has_mark && revision < state->revision && !back) return;
    state->has_mark = true;
    state->revision = revision;
    kms_copy(state->digest, digest, KMS_DIGEST_BYTES);
}

/* What could not be read back is refused here. */
static bool readable_back(const struct kms_audit_event *event)
{
    static const struct kms_id none;
    if (event->kind == KMS_AUDIT_ATTEMPT && kms_id_equal(&event->request_id, &none)) return false;
    return !event->has_mark || event->store_revision <= INT64_MAX;
}

kms_err kms_audit_state_apply(struct kms_audit_state *state, const struct kms_audit_event *event)
{
    if (!readable_back(event)) return KMS_FAIL(INVALID_ARGUMENT);
    if (event->kind == KMS_AUDIT_ATTEMPT) KMS_TRY(open_attempt(state, &event->request_id, event->operation));
    if (event->kind == KMS_AUDIT_OUTCOME || event->kind == KMS_AUDIT_RECOVERY)
        close_attempt(state, &event->request_id);
    if (event->has_mark)
        set_mark(state, event->kind == KMS_AUDIT_SERVICE, event->store_revision, event->store_digest);
    return KMS_OK;
}

static void drop_json(json_t **json)
{
    json_decref(*json);
}
#define OWN_JSON __attribute__((cleanup(drop_json))) json_t *

static bool get_id(const json_t *object, struct kms_id *ret_id)
{
    const char *text = json_string_value(json_object_get(object, "request_id"));
    return text != NULL && kms_id_parse(kms_bytes_text(text), ret_id);
}

static bool read_mark(struct kms_audit_state *state, const json_t *object)
{
    const json_t *revision = json_object_get(object, "store_revision");
    const char *hex = json_string_value(json_object_get(object, "store_digest"));
    uint8_t digest[KMS_DIGEST_BYTES];
    if (hex == NULL) return true;
    if (!json_is_integer(revision) || !kms_unhex(hex, strlen(hex), digest, sizeof digest)) return false;
    const char *kind = json_string_value(json_object_get(object, "kind"));
    bool service = kind != NULL && strcmp(kind, "service") == 0;
    set_mark(state, service, (uint64_t)json_integer_value(revision), digest);
    return true;
}

/* The mark stands just before the hash. No text of the caller's can look like it: quotes in texts are
 * escaped. */
static bool ends_in_mark(const struct kms_audit_record *record)
{
    static const char name[] = ",\"store_digest\":\"";
    size_t len = sizeof name - 1 + KMS_AUDIT_HASH_HEX + 1;
    return record->hashed.len > len &&
           memcmp(record->hashed.ptr + record->hashed.len - len, name, sizeof name - 1) == 0;
}

kms_err kms_audit_state_read(struct kms_audit_state *state, struct kms_bytes line,
                             const struct kms_audit_record *record)
{
    bool attempt = kms_bytes_equal(record->kind, kms_bytes_text("attempt"));
    bool closes = kms_bytes_equal(record->kind, kms_bytes_text("outcome")) ||
                  kms_bytes_equal(record->kind, kms_bytes_text("recovery"));
    if (!attempt && !closes && !ends_in_mark(record)) return KMS_OK;
    OWN_JSON json = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    struct kms_id id;
    bool has_id = get_id(json, &id);
    if (json == NULL || (attempt && !has_id) || !read_mark(state, json)) return KMS_FAIL(CORRUPT);
    if (attempt &&
        kms_failed(open_attempt(state, &id, json_string_value(json_object_get(json, "operation")))))
        return KMS_FAIL(CORRUPT);
    if (closes && has_id) close_attempt(state, &id);
    return KMS_OK;
}

static const char *const because_words[] = {"new",    "start", "crash", "full",
                                            "failed", "age",   "asked", "lost"};

const char *kms_audit_because_text(enum kms_audit_because because)
{
    return because_words[because];
}

static bool read_because(const json_t *word, enum kms_audit_because *ret_because)
{
    if (!json_is_string(word)) return false;
    for (unsigned i = 0; i < sizeof because_words / sizeof because_words[0]; i++) {
        if (strcmp(json_string_value(word), because_words[i]) != 0) continue;
        *ret_because = (enum kms_audit_because)i;
        return true;
    }
    return false;
}

static bool read_file_number(const json_t *value, uint32_t *ret_number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT32_MAX)
        return false;
    *ret_number = (uint32_t)json_integer_value(value);
    return true;
}

static bool read_open(struct kms_audit_state *state, const json_t *list)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        struct kms_id id;
        if (!get_id(item, &id)) return false;
        if (kms_failed(open_attempt(state, &id, json_string_value(json_object_get(item, "operation")))))
            return false;
    }
    return true;
}

bool kms_audit_opening_read(struct kms_bytes line, struct kms_audit_opening *ret_opening,
                            struct kms_audit_state *state)
{
    OWN_JSON json = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    const json_t *segment = json_object_get(json, "segment");
    struct kms_audit_opening opening;
    if (!read_file_number(json_object_get(segment, "number"), &opening.number) ||
        !read_file_number(json_object_get(segment, "after"), &opening.after) ||
        !read_because(json_object_get(segment, "because"), &opening.because))
        return false;
    if (state != NULL) {
        struct kms_audit_state found = {0};
        if (!read_mark(&found, json) || !read_open(&found, json_object_get(segment, "open_attempts")))
            return false;
        *state = found;
    }
    *ret_opening = opening;
    return true;
}
