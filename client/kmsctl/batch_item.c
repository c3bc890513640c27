/* A line of a batch: {"plaintext": BASE64, "context": {...}, "key": KEY}, as far as its kind has them. */
#include "client/kmsctl/batch_item.h"

#include <string.h>

#include "base/ciphertext.h"
#include "base/secret.h"
#include "base/text.h"

void ctl_batch_item_free(struct ctl_batch_item *item)
{
    kms_locked_free(item->data, item->data_size);
    json_decref(item->line);
    *item = (struct ctl_batch_item){0};
}

static bool read_context(struct ctl_batch_item *item, json_t *object, struct kms_context_entry *pairs,
                         struct kms_context *ret_context)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(object, name, value)
    {
        if (count == CTL_LIST_MAX || !json_is_string(value)) break;
        pairs[count++] = (struct kms_context_entry){name, json_string_value(value)};
    }
    *ret_context = (struct kms_context){pairs, count};
    if (json_is_object(object) && count == json_object_size(object)) return true;
    kms_why_set(&item->fault, "a context is an object of at most %d texts", CTL_LIST_MAX);
    return false;
}

static bool read_payload(struct ctl_batch_item *item, const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = text != NULL ? strlen(text) : 0;
    if (len == 0) {
        kms_why_set(&item->fault, "%s is missing, or no text", name);
        return false;
    }
    if (kms_ciphertext_is_text(kms_bytes_of((const uint8_t *)text, len)))
        text = strrchr(text, ':') + 1; /* kms:v1: and base64 */
    item->data_size = strlen(text) / 4 * 3 + 1;
    item->data = kms_locked_alloc(item->data_size);
    if (item->data == NULL)
        kms_why_set(&item->fault, "%s: no more memory may be locked", name);
    else if (!kms_unbase64(kms_bytes_text(text), item->data, &item->data_len) || item->data_len == 0)
        kms_why_set(&item->fault, "%s is not base64", name);
    return item->fault.text[0] == '\0';
}

static bool read_size(struct ctl_batch_item *item, const json_t *value)
{
    json_int_t bytes = json_integer_value(value);
    if (bytes < 1 || bytes > 1024) {
        kms_why_set(&item->fault, "bytes: 1 to 1024");
        return false;
    }
    item->bytes = (uint32_t)bytes;
    item->spec = KMS_DATA_KEY_BY_BYTES;
    return true;
}

static bool read_text(struct ctl_batch_item *item, const char *name, const json_t *value, const char **to)
{
    *to = json_string_value(value);
    if (*to == NULL) kms_why_set(&item->fault, "%s is no text", name);
    return *to != NULL;
}

static bool read_member(const struct ctl_batch_kind *kind, struct ctl_batch_item *item, const char *name,
                        json_t *value)
{
    bool has_data = kind->payload != NULL;
    if (has_data && strcmp(name, kind->payload) == 0) return read_payload(item, name, value);
    if (strcmp(name, "key") == 0) return read_text(item, name, value, &item->key);
    if (kind->names_to && strcmp(name, "to") == 0) return read_text(item, name, value, &item->to);
    if (strcmp(name, "context") == 0) return read_context(item, value, item->pairs[0], &item->context);
    if (kind->names_to && strcmp(name, "to_context") == 0)
        return read_context(item, value, item->pairs[1], &item->to_context);
    if (!has_data && strcmp(name, "bytes") == 0) return read_size(item, value);
    kms_why_set(&item->fault, "a member that this batch does not have: %.40s", name);
    return false;
}

void ctl_batch_item_read(const struct ctl_batch_kind *kind, struct kms_bytes line,
                         struct ctl_batch_item *item)
{
    json_error_t place;
    const char *name;
    json_t *value;
    item->line = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &place);
    if (!json_is_object(item->line)) {
        /* Not jansson's own words: they quote the line. */
        kms_why_set(&item->fault, "not a JSON object on one line (column %d)",
                    item->line == NULL ? place.column : 1);
        return;
    }
    json_object_foreach(item->line, name, value) if (!read_member(kind, item, name, value)) return;
    if (kind->payload != NULL && item->data == NULL)
        kms_why_set(&item->fault, "%s is missing", kind->payload);
    else if (kind->names_key && item->key == NULL)
        kms_why_set(&item->fault, "under which key? \"key\" in the line, or --key");
    else if (kind->names_to && item->to == NULL)
        kms_why_set(&item->fault, "encrypt under which key? \"to\" in the line, or --to");
}
