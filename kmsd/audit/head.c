/* Texts of signed heads. Reading them is rare, so it is left to jansson. */
#include "kmsd/audit/head.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "kmsd/audit/segment.h"

struct kms_bytes kms_audit_head_text(const char *instance, const struct kms_audit_signed_head *head,
                                     char text[KMS_AUDIT_HEAD_TEXT])
{
    int len =
        snprintf(text, KMS_AUDIT_HEAD_TEXT, "%s\n%" PRIu64 "\n%s\n", instance, head->sequence, head->hash);
    return kms_bytes_of(text, (size_t)len);
}

size_t kms_audit_anchor_line(const char *instance, const struct kms_audit_signed_head *head,
                             char line[KMS_AUDIT_ANCHOR_BYTES])
{
    char time[KMS_TIME_TEXT];
    kms_time_text(head->time_us, time);
    int len = snprintf(line, KMS_AUDIT_ANCHOR_BYTES,
                       "{\"time\":\"%s\",\"instance\":\"%s\",\"head\":{\"sequence\":%" PRIu64
                       ",\"hash\":\"%s\",\"key_id\":\"%s\",\"signature\":\"%s\"}}\n",
                       time, instance, head->sequence, head->hash, head->key_id, head->signature);
    return (size_t)len;
}

static bool take_text(const json_t *object, const char *name, char *to, size_t room)
{
    const json_t *value = json_object_get(object, name);
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= room) return false;
    kms_copy(to, json_string_value(value), len + 1);
    return true;
}

/* As written here: lower case. */
static bool take_digest(const json_t *object, const char *name, char hex[2 * KMS_DIGEST_BYTES + 1])
{
    return take_text(object, name, hex, 2 * KMS_DIGEST_BYTES + 1) &&
           strspn(hex, "0123456789abcdef") == (size_t)2 * KMS_DIGEST_BYTES;
}

static bool take_head(const json_t *record, char instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                      struct kms_audit_signed_head *ret_head)
{
    const json_t *object = json_object_get(record, "head"), *sequence = json_object_get(object, "sequence");
    struct kms_audit_signed_head head = {.time_us = 0};
    if (!take_text(record, "instance", instance, KMS_AUDIT_INSTANCE_BYTES + 1) ||
        !kms_audit_instance_valid(instance) || !json_is_integer(sequence) ||
        json_integer_value(sequence) < 1 || !take_digest(object, "hash", head.hash) ||
        !take_digest(object, "key_id", head.key_id) ||
        !take_text(object, "signature", head.signature, sizeof head.signature))
        return false;
    head.sequence = (uint64_t)json_integer_value(sequence);
    *ret_head = head;
    return true;
}

bool kms_audit_head_read(struct kms_bytes line, char instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                         struct kms_audit_signed_head *ret_head)
{
    json_t *json = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    bool is = take_head(json, instance, ret_head);
    json_decref(json);
    return is;
}
