/* kmsctl key: delete, cancel-deletion, retire, restore, usage, tag, untag, tags, set-description; and
 * kmsctl rotation. */
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"

/* {"key_id": KEY}, and the revision that was seen. */
static json_t *of_key(struct ctl *ctl)
{
    json_t *request = json_pack("{s:o}", "key_id", ctl_json_text(ctl->arguments[0]));
    if (ctl->revision != 0) json_object_set_new(request, "expected_revision", json_integer(ctl->revision));
    return request;
}

static json_t *with(json_t *request, const char *name, json_t *value)
{
    json_object_set_new(request, name, value);
    return request;
}

bool ctl_key_delete(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/ScheduleKeyDeletion",
                          with(of_key(ctl), "pending_window_in_days", json_integer(ctl->days)));
}

bool ctl_key_cancel_deletion(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/CancelKeyDeletion", of_key(ctl));
}

static bool retire(struct ctl *ctl, bool restore)
{
    if (ctl->version == 0) return ctl_fail_usage(ctl, "--key-version N says which one");
    json_t *request = with(of_key(ctl), "version", json_integer(ctl->version));
    with(request, "force", json_boolean(ctl->force));
    return ctl_call_print(ctl, "KeyService/RetireKeyVersion",
                          with(request, "restore", json_boolean(restore)));
}

bool ctl_key_retire(struct ctl *ctl)
{
    return retire(ctl, false);
}

bool ctl_key_restore(struct ctl *ctl)
{
    return retire(ctl, true);
}

/* A row for each version and operation for people; all of it as JSON. */
static json_t *usage_rows(const json_t *reply)
{
    json_t *rows = json_array();
    const json_t *versions = json_object_get(reply, "versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i),
                     *operations = json_object_get(version, "operations");
        const json_t *seen = json_array_get(json_object_get(version, "principals"), 0);
        for (size_t k = 0; k == 0 || k < json_array_size(operations); k++) {
            const json_t *operation = json_array_get(operations, k);
            json_array_append_new(rows,
                                  json_pack("{s:O, s:s*, s:O*, s:O*, s:s*, s:O}", "version",
                                            json_object_get(version, "version"), "action",
                                            json_string_value(json_object_get(operation, "action")), "count",
                                            json_object_get(operation, "count"), "last_use",
                                            json_object_get(version, "last_use_time"), "last_principal",
                                            json_string_value(json_object_get(seen, "principal")),
                                            "may_be_retired", json_object_get(version, "may_be_retired")));
        }
    }
    return rows;
}

bool ctl_key_usage(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, "KeyService/GetKeyUsage", of_key(ctl), &reply)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    json_t *rows = usage_rows(reply);
    json_decref(reply);
    return ctl_print(ctl, rows);
}

json_t *ctl_tag_of(const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    return json_pack("{s:s%, s:s}", "tag_key", text, len, "tag_value", equals != NULL ? equals + 1 : "");
}

bool ctl_key_tag(struct ctl *ctl)
{
    json_t *tags = json_array();
    for (size_t i = 0; i < ctl->tags.count; i++) json_array_append_new(tags, ctl_tag_of(ctl->tags.items[i]));
    return ctl_call_print(ctl, "KeyService/TagResource", with(of_key(ctl), "tags", tags));
}

bool ctl_key_untag(struct ctl *ctl)
{
    json_t *names = json_array();
    for (size_t i = 0; i < ctl->tags.count; i++)
        json_array_append_new(names, ctl_json_text(ctl->tags.items[i]));
    return ctl_call_print(ctl, "KeyService/UntagResource", with(of_key(ctl), "tag_keys", names));
}

bool ctl_key_tags(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/ListResourceTags", of_key(ctl));
}

bool ctl_key_set_description(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/UpdateKeyDescription",
                          with(of_key(ctl), "description", ctl_json_text(ctl->arguments[1])));
}

bool ctl_rotation_enable(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/EnableKeyRotation",
                          with(of_key(ctl), "rotation_period_in_days", json_integer(ctl->days)));
}

bool ctl_rotation_disable(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/DisableKeyRotation", of_key(ctl));
}

bool ctl_rotation_status(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/GetKeyRotationStatus", of_key(ctl));
}

bool ctl_rotation_list(struct ctl *ctl)
{
    return ctl_call_print(ctl, "KeyService/ListKeyRotations", with(of_key(ctl), "limit", json_integer(1000)));
}
