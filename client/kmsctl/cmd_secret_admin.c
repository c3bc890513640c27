/* kmsctl secret: what concerns no value: describe, list, versions, stage, update, delete, restore, rotate,
 * cancel-rotate, tags, policies, rewrap. */
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/pages.h"
#include "client/kmsctl/progress.h"

#define SERVICE "SecretService/"

static json_t *of_secret(const struct ctl *ctl)
{
    return json_pack("{s:o}", "secret_id", ctl_json_text(ctl->arguments[0]));
}

bool ctl_secret_describe(struct ctl *ctl)
{
    return ctl_call_print(ctl, SERVICE "DescribeSecret", of_secret(ctl));
}

bool ctl_secret_versions(struct ctl *ctl)
{
    json_t *request = of_secret(ctl), *reply;
    ctl_put_flag(request, "include_deprecated", ctl->all);
    if (!ctl_call(ctl, SERVICE "ListSecretVersionIds", request, &reply)) return false;
    json_t *versions = json_incref(json_object_get(reply, "versions"));
    json_decref(reply);
    return ctl_print(ctl, versions);
}

bool ctl_secret_stage(struct ctl *ctl)
{
    if (ctl->from == NULL && ctl->to == NULL)
        return ctl_fail_usage(ctl, "--to VERSION, --from VERSION, or both");
    json_t *request = of_secret(ctl);
    ctl_put_text(request, "version_stage", ctl->arguments[1]);
    ctl_put_text(request, "remove_from_version_id", ctl->from);
    ctl_put_text(request, "move_to_version_id", ctl->to);
    return ctl_call_print(ctl, SERVICE "UpdateSecretVersionStage", request);
}

bool ctl_secret_update(struct ctl *ctl)
{
    if (ctl->description == NULL && ctl->key == NULL)
        return ctl_fail_usage(ctl, "change what? --description TEXT, --key KEY");
    json_t *request = of_secret(ctl);
    ctl_put_text(request, "description", ctl->description);
    ctl_put_flag(request, "clear_description", ctl->description != NULL && ctl->description[0] == '\0');
    ctl_put_text(request, "kms_key_id", ctl->key);
    return ctl_call_print(ctl, SERVICE "UpdateSecret", request);
}

bool ctl_secret_delete(struct ctl *ctl)
{
    if (ctl->now && ctl->days != 0) return ctl_fail_usage(ctl, "--now or --days, not both");
    json_t *request = of_secret(ctl);
    if (ctl->days != 0) json_object_set_new(request, "recovery_window_in_days", json_integer(ctl->days));
    ctl_put_flag(request, "force_delete_without_recovery", ctl->now);
    return ctl_call_print(ctl, SERVICE "DeleteSecret", request);
}

bool ctl_secret_restore(struct ctl *ctl)
{
    return ctl_call_print(ctl, SERVICE "RestoreSecret", of_secret(ctl));
}

bool ctl_secret_rotate(struct ctl *ctl)
{
    const bool ruled = ctl->days != 0 || ctl->schedule != NULL || ctl->window != NULL;
    if (ctl->days != 0 && ctl->schedule != NULL) return ctl_fail_usage(ctl, "--days or --schedule, not both");
    if (ctl->now && ctl->later) return ctl_fail_usage(ctl, "--now or --later, not both");
    json_t *request = of_secret(ctl), *rules = json_object();
    ctl_put_text(request, "rotator", ctl->rotator);
    if (ctl->days != 0) json_object_set_new(rules, "automatically_after_days", json_integer(ctl->days));
    ctl_put_text(rules, "schedule_expression", ctl->schedule);
    ctl_put_text(rules, "duration", ctl->window);
    if (ruled) json_object_set(request, "rotation_rules", rules);
    json_decref(rules);
    ctl_put_text(request, "client_request_token", ctl->token);
    ctl_put_flag(request, "do_not_rotate_immediately", ctl->later);
    ctl_put_flag(request, "revoke_previous", ctl->revoke_previous);
    return ctl_call_print(ctl, SERVICE "RotateSecret", request);
}

bool ctl_secret_cancel_rotate(struct ctl *ctl)
{
    return ctl_call_print(ctl, SERVICE "CancelRotateSecret", of_secret(ctl));
}

bool ctl_secret_tag(struct ctl *ctl)
{
    json_t *request = of_secret(ctl), *tags = json_array();
    for (size_t i = 0; i < ctl->tags.count; i++) json_array_append_new(tags, ctl_tag_of(ctl->tags.items[i]));
    json_object_set_new(request, "tags", tags);
    return ctl_call_print(ctl, SERVICE "TagSecret", request);
}

bool ctl_secret_untag(struct ctl *ctl)
{
    json_t *request = of_secret(ctl), *names = json_array();
    for (size_t i = 0; i < ctl->tags.count; i++)
        json_array_append_new(names, ctl_json_text(ctl->tags.items[i]));
    json_object_set_new(request, "tag_keys", names);
    return ctl_call_print(ctl, SERVICE "UntagSecret", request);
}

bool ctl_secret_get_policy(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, SERVICE "GetResourcePolicy", of_secret(ctl), &reply)) return false;
    const char *policy = json_string_value(json_object_get(reply, "resource_policy"));
    bool ok = ctl_write_line(ctl, policy != NULL ? policy : "");
    json_decref(reply);
    return ok;
}

bool ctl_secret_put_policy(struct ctl *ctl)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    kms_err err = ctl_read_text(ctl->arguments[1], CTL_RESOURCE_POLICY_BYTES, &text, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    json_t *request = of_secret(ctl);
    ctl_put_text(request, "resource_policy", (const char *)text.data);
    ctl_put_flag(request, "bypass_policy_lockout_safety_check", ctl->bypass);
    return ctl_call_print(ctl, SERVICE "PutResourcePolicy", request);
}

bool ctl_secret_delete_policy(struct ctl *ctl)
{
    return ctl_call_print(ctl, SERVICE "DeleteResourcePolicy", of_secret(ctl));
}

/* What people read of a secret; JSON has all of it. */
static json_t *row_of(const json_t *entry)
{
    const json_t *deletion = json_object_get(entry, "deletion");
    return json_pack("{s:O, s:O, s:O, s:o, s:O}", "name", json_object_get(entry, "name"), "description",
                     json_object_get(entry, "description"), "rotates",
                     json_object_get(entry, "rotation_enabled"), "deletion",
                     deletion != NULL ? json_incref((json_t *)(uintptr_t)deletion) : json_null(),
                     "last_changed", json_object_get(entry, "last_changed"));
}

static json_t *list_request(const struct ctl *ctl, const struct kms_list_request *page)
{
    json_t *request = ctl_page_request(page);
    ctl_put_text(request, "name_prefix", ctl->prefix);
    ctl_put_flag(request, "include_planned_deletion", ctl->all);
    if (ctl->tags.count == 0) return request;
    json_t *tag = ctl_tag_of(ctl->tags.items[0]);
    json_object_set(request, "tag_key", json_object_get(tag, "tag_key"));
    json_object_set(request, "tag_value", json_object_get(tag, "tag_value"));
    json_decref(tag);
    return request;
}

static bool add_secrets(struct ctl *ctl, kms_client *client, const struct kms_list_request *page,
                        json_t *rows, kms_buf *marker)
{
    (void)client; /* ctl_call has it */
    json_t *reply, *entry;
    size_t i;
    if (!ctl_call(ctl, SERVICE "ListSecrets", list_request(ctl, page), &reply)) return false;
    json_array_foreach(json_object_get(reply, "secrets"), i, entry)
        json_array_append_new(rows, ctl_wants_json(ctl) ? json_incref(entry) : row_of(entry));
    bool ok = ctl_page_after(ctl, reply, marker);
    json_decref(reply);
    return ok;
}

bool ctl_secret_list(struct ctl *ctl)
{
    if (ctl->tags.count > 1) return ctl_fail_usage(ctl, "one --tag at most");
    return ctl_print_pages(ctl, add_secrets);
}

static bool add_names(struct ctl *ctl, json_t *names)
{
    KMS_OWN_BUF marker = {0};
    bool ok = true;
    do {
        struct kms_list_request page = {.limit = 1000,
                                        .marker = marker.len > 0 ? (const char *)marker.data : NULL};
        json_t *reply, *entry;
        size_t i;
        if (!ctl_call(ctl, SERVICE "ListSecrets", list_request(ctl, &page), &reply)) return false;
        json_array_foreach(json_object_get(reply, "secrets"), i, entry)
            json_array_append(names, json_object_get(entry, "name"));
        ok = ctl_page_after(ctl, reply, &marker);
        json_decref(reply);
    } while (ok && marker.len > 0);
    return ok;
}

struct rewrap {
    json_int_t versions, secrets, failed;
    struct kms_error first; /* of those that failed */
};

static void rewrap_one(struct ctl *ctl, const char *name, struct rewrap *sum, struct ctl_progress *bar)
{
    json_t *reply;
    if (ctl_call(ctl, SERVICE "RewrapSecret", json_pack("{s:s}", "secret_id", name), &reply)) {
        json_int_t versions = json_integer_value(json_object_get(reply, "rewrapped"));
        sum->versions += versions;
        sum->secrets += versions > 0;
        json_decref(reply);
        return;
    }
    if (sum->failed++ == 0) sum->first = ctl->error;
    ctl_progress_clear(bar);
    fprintf(stderr, "kmsctl: %s: %s: %s\n", name, ctl->error.reason, ctl->error.message);
}

/* All that can be are rewrapped; what cannot is told, and again at the end by the exit status. */
static bool rewrap_all(struct ctl *ctl, const json_t *names)
{
    struct ctl_progress bar;
    struct rewrap sum = {0};
    const size_t count = json_array_size(names);
    ctl_progress_start(&bar, "secrets");
    for (size_t i = 0; i < count; i++) {
        ctl_progress_show(&bar, i, count);
        rewrap_one(ctl, json_string_value(json_array_get(names, i)), &sum, &bar);
    }
    ctl_progress_clear(&bar);
    bool ok = ctl_print(ctl, json_pack("{s:I, s:I, s:I, s:I}", "secrets", (json_int_t)count, "changed",
                                       sum.secrets, "versions", sum.versions, "failed", sum.failed));
    if (sum.failed > 0) ctl->error = sum.first;
    return ok && sum.failed == 0;
}

bool ctl_secret_rewrap(struct ctl *ctl)
{
    if ((ctl->arguments[0] != NULL) == ctl->all) return ctl_fail_usage(ctl, "NAME, or --all");
    json_t *names = json_array();
    bool ok = true;
    if (ctl->arguments[0] != NULL)
        json_array_append_new(names, ctl_json_text(ctl->arguments[0]));
    else
        ok = add_names(ctl, names);
    if (ok) ok = rewrap_all(ctl, names);
    json_decref(names);
    return ok;
}
