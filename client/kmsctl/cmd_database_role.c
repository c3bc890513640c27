/* kmsctl database-role: put, describe, list, get-policy, delete: how users of databases are made. */
#include "base/text.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/pages.h"

#define SERVICE "LeaseService/"
enum { STATEMENT_BYTES = 16384 };

static json_t *of_role(const struct ctl *ctl)
{
    return json_pack("{s:o}", "role_name", ctl_json_text(ctl->arguments[0]));
}

/* ---- put ---- */

/* A new reference; NULL: ctl->error. */
static json_t *statement_of(struct ctl *ctl, const char *path)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {{0}};
    kms_err err = ctl_read_text(path, STATEMENT_BYTES, &text, &why);
    if (!kms_failed(err) && !kms_utf8_valid(kms_buf_view(&text))) {
        kms_why_set(&why, "%s: not text: SQL is UTF-8 without NUL", path);
        err = KMS_FAIL(INVALID_ARGUMENT);
    }
    if (!kms_failed(err)) return json_stringn((const char *)text.data, text.len);
    ctl_fail(ctl, err, &why);
    return NULL;
}

/* One kind of statements, from files or from the command line; none of them is fine. */
static bool put_statements(struct ctl *ctl, json_t *request, const char *kind, const struct ctl_texts *files,
                           const struct ctl_texts *texts)
{
    char name[40];
    json_t *list = json_array();
    snprintf(name, sizeof name, "%s_statements", kind);
    json_object_set_new(request, name, list);
    if (files->count > 0 && texts->count > 0)
        return ctl_fail_usage(ctl, "--%s or --%s-sql, not both: their order would not be clear", kind, kind);
    for (size_t i = 0; i < texts->count; i++) {
        if (!kms_utf8_valid(kms_bytes_text(texts->items[i])))
            return ctl_fail_usage(ctl, "--%s-sql: not UTF-8", kind);
        json_array_append_new(list, json_string(texts->items[i]));
    }
    for (size_t i = 0; i < files->count; i++) {
        json_t *statement = statement_of(ctl, files->items[i]);
        if (statement == NULL) return false;
        json_array_append_new(list, statement);
    }
    return true;
}

static bool put_ttl(struct ctl *ctl, json_t *request, const char *name, const char *option, const char *given)
{
    uint64_t seconds;
    if (given == NULL) return true;
    if (!ctl_seconds(given, &seconds))
        return ctl_fail_usage(ctl, "--%s %s: not like 90s, 30m, 12h or 7d", option, given);
    json_object_set_new(request, name, json_integer((json_int_t)seconds));
    return true;
}

static bool put_policy(struct ctl *ctl, json_t *request)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {{0}};
    ctl_put_flag(request, "bypass_policy_lockout_safety_check", ctl->bypass);
    if (ctl->policy == NULL) return true;
    kms_err err = ctl_read_text(ctl->policy, CTL_RESOURCE_POLICY_BYTES, &text, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    ctl_put_text(request, "resource_policy", (const char *)text.data);
    return true;
}

static bool fill(struct ctl *ctl, json_t *request)
{
    if (ctl->database == NULL)
        return ctl_fail_usage(ctl, "--database NAME: one that the server's configuration declares");
    if (ctl->creation.count + ctl->creation_sql.count == 0)
        return ctl_fail_usage(ctl, "how is a user made? --creation FILE, or --creation-sql SQL");
    ctl_put_text(request, "database", ctl->database);
    return put_statements(ctl, request, "creation", &ctl->creation, &ctl->creation_sql) &&
           put_statements(ctl, request, "renewal", &ctl->renewal, &ctl->renewal_sql) &&
           put_statements(ctl, request, "revocation", &ctl->revocation, &ctl->revocation_sql) &&
           put_ttl(ctl, request, "default_ttl", "default-ttl", ctl->default_ttl) &&
           put_ttl(ctl, request, "max_ttl", "max-ttl", ctl->max_ttl) && put_policy(ctl, request);
}

bool ctl_database_role_put(struct ctl *ctl)
{
    json_t *request = of_role(ctl);
    if (fill(ctl, request)) return ctl_call_print(ctl, SERVICE "PutDatabaseRole", request);
    json_decref(request);
    return false;
}

/* ---- describe ---- */

static void print_statements(const json_t *role, const char *member, const char *title)
{
    const json_t *list = json_object_get(role, member);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char numbered[64];
        snprintf(numbered, sizeof numbered, json_array_size(list) > 1 ? "%s %zu" : "%s", title, i + 1);
        ctl_put_lines(numbered, json_string_value(json_array_get(list, i)), stdout);
    }
}

/* What has several lines stands below the rest, as it was written. */
static bool print_role(struct ctl *ctl, const json_t *role)
{
    static const struct {
        const char *member, *title;
    } lists[] = {{"creation_statements", "Creation statements"},
                 {"renewal_statements", "Renewal statements"},
                 {"revocation_statements", "Revocation statements"}};
    static const char *const ttls[] = {"default_ttl", "max_ttl"};
    const size_t count = sizeof lists / sizeof lists[0];
    const char *policy = json_string_value(json_object_get(role, "resource_policy"));
    json_t *rest = json_copy((json_t *)(uintptr_t)role);
    for (size_t i = 0; i < count; i++) json_object_del(rest, lists[i].member);
    json_object_del(rest, "resource_policy");
    for (size_t i = 0; i < sizeof ttls / sizeof ttls[0]; i++)
        json_object_set_new(rest, ttls[i],
                            ctl_json_span((uint64_t)json_integer_value(json_object_get(role, ttls[i]))));
    if (!ctl_print(ctl, rest)) return false;
    for (size_t i = 0; i < count; i++) print_statements(role, lists[i].member, lists[i].title);
    ctl_put_lines("Policy", policy != NULL ? policy : "", stdout);
    return ctl_flush(ctl);
}

bool ctl_database_role_describe(struct ctl *ctl)
{
    json_t *role;
    if (!ctl_call(ctl, SERVICE "DescribeDatabaseRole", of_role(ctl), &role)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, role);
    bool ok = print_role(ctl, role);
    json_decref(role);
    return ok;
}

bool ctl_database_role_get_policy(struct ctl *ctl)
{
    json_t *role;
    if (!ctl_call(ctl, SERVICE "DescribeDatabaseRole", of_role(ctl), &role)) return false;
    const char *policy = json_string_value(json_object_get(role, "resource_policy"));
    bool ok = ctl_write_line(ctl, policy != NULL ? policy : "");
    json_decref(role);
    return ok;
}

/* ---- the others ---- */

static bool add_roles(struct ctl *ctl, kms_client *client, const struct kms_list_request *page, json_t *rows,
                      kms_buf *marker)
{
    (void)client; /* ctl_call has it */
    json_t *reply, *role;
    size_t i;
    if (!ctl_call(ctl, SERVICE "ListDatabaseRoles", ctl_page_request(page), &reply)) return false;
    json_array_foreach(json_object_get(reply, "roles"), i, role) json_array_append_new(
        rows, json_pack("{s:O, s:O, s:O}", "role_name", json_object_get(role, "role_name"), "database",
                        json_object_get(role, "database"), "arn", json_object_get(role, "arn")));
    bool ok = ctl_page_after(ctl, reply, marker);
    json_decref(reply);
    return ok;
}

bool ctl_database_role_list(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_roles);
}

bool ctl_database_role_delete(struct ctl *ctl)
{
    return ctl_call_print(ctl, SERVICE "DeleteDatabaseRole", of_role(ctl));
}
