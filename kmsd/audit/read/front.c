/* Few records are attempts: only those are searched, and only the service's own are parsed. */
#include "kmsd/audit/read/front.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool is(const json_t *object, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && strcmp(text, value) == 0;
}

static uint64_t number_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* What was dropped went up to `last`; a crash may have left a part of it, whose records speak for
 * themselves. */
static bool explains(const struct kms_audit_front *front, const json_t *json)
{
    const json_t *extra = json_object_get(json, "extra");
    const char *hash = json_string_value(json_object_get(extra, "last_hash"));
    uint64_t first = number_of(extra, "first_sequence"), last = number_of(extra, "last_sequence");
    uint64_t before = front->sequence - 1;
    if (!is(json, "class", "service") || !is(json, "principal_source", "service") || hash == NULL)
        return false;
    if (first == 0 || before < first || before > last) return false;
    return before < last || strncmp(hash, front->prev, sizeof front->prev) == 0;
}

void kms_audit_front_note(struct kms_audit_front *front, struct kms_bytes line,
                          const struct kms_audit_record *record)
{
    static const char operation[] = "\"operation\":\"" KMS_AUDIT_DROP_OPERATION "\"";
    if (front->sequence == 0) {
        front->sequence = record->sequence;
        memcpy(front->prev, record->prev, sizeof front->prev);
    }
    if (kms_audit_front_good(front) || !kms_bytes_equal(record->kind, kms_bytes_text("attempt")) ||
        memmem(line.ptr, line.len, operation, sizeof operation - 1) == NULL)
        return;
    json_t *json = json_loadb((const char *)line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    front->explained = is(json, "operation", KMS_AUDIT_DROP_OPERATION) && explains(front, json);
    json_decref(json);
}

bool kms_audit_front_good(const struct kms_audit_front *front)
{
    return front->sequence <= 1 || front->explained;
}
