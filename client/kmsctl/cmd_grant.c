/* kmsctl grant: create, list, retirable, retire, revoke. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/pages.h"

#define PREFIX "GRANT_OPERATION_"
enum { OPERATION_BYTES = 128 };

/* "ReEncryptFrom", "kms:ReEncryptFrom" or "RE_ENCRYPT_FROM" becomes "GRANT_OPERATION_RE_ENCRYPT_FROM". */
static void operation_value(const char *given, char value[OPERATION_BYTES])
{
    size_t len = (size_t)snprintf(value, OPERATION_BYTES, PREFIX);
    bool small = false;
    if (strncmp(given, "kms:", 4) == 0) given += 4;
    for (const char *c = given; *c != '\0' && len + 2 < OPERATION_BYTES; c++) {
        if (isupper((unsigned char)*c) && small) value[len++] = '_';
        small = islower((unsigned char)*c) != 0;
        value[len++] = (char)toupper((unsigned char)*c);
    }
    value[len] = '\0';
}

/* "RE_ENCRYPT_FROM" becomes "ReEncryptFrom". */
static json_t *operation_name(const char *value)
{
    char name[OPERATION_BYTES];
    size_t len = 0;
    for (bool first = true; *value != '\0' && len + 1 < OPERATION_BYTES; value++) {
        if (*value != '_') name[len++] = (char)(first ? *value : tolower((unsigned char)*value));
        first = *value == '_';
    }
    return json_stringn(name, len);
}

static json_t *operations_of(const struct ctl_texts *given)
{
    json_t *list = json_array();
    for (size_t i = 0; i < given->count; i++) {
        char value[OPERATION_BYTES];
        operation_value(given->items[i], value);
        json_array_append_new(list, json_string(value));
    }
    return list;
}

/* False: ctl->error. */
static bool put_constraint(struct ctl *ctl, json_t *request, const char *name, const struct ctl_texts *given)
{
    struct ctl_pairs pairs;
    struct kms_why why = {{0}};
    if (given->count == 0) return true;
    kms_err err = ctl_parse_pairs(given, &pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    json_t *map = json_object(), *constraints = json_object_get(request, "constraints");
    for (size_t i = 0; i < pairs.count; i++)
        json_object_set_new(map, pairs.entries[i].name, json_string(pairs.entries[i].value));
    if (constraints == NULL) {
        constraints = json_object();
        json_object_set_new(request, "constraints", constraints);
    }
    json_object_set_new(constraints, name, map);
    return true;
}

static bool fill(struct ctl *ctl, json_t *request)
{
    uint64_t expires_us = ctl->expires != NULL ? ctl_moment_us(ctl->expires) : 0;
    if (ctl->operations.count == 0) return ctl_fail_usage(ctl, "--operation is required, such as Decrypt");
    if (ctl->expires != NULL && expires_us == 0)
        return ctl_fail_usage(ctl, "--expires %s: not like 90d, 12h or 2027-01-31T12:00:00Z", ctl->expires);
    json_object_set_new(request, "operations", operations_of(&ctl->operations));
    if (ctl->retiring != NULL) json_object_set_new(request, "retiring_principal", json_string(ctl->retiring));
    if (ctl->name != NULL) json_object_set_new(request, "name", json_string(ctl->name));
    if (expires_us != 0)
        json_object_set_new(request, "expiration_time_us", json_integer((json_int_t)expires_us));
    return put_constraint(ctl, request, "encryption_context_equals", &ctl->pairs) &&
           put_constraint(ctl, request, "encryption_context_subset", &ctl->subset);
}

bool ctl_grant_create(struct ctl *ctl)
{
    json_t *request =
        json_pack("{s:s, s:s}", "key_id", ctl->arguments[0], "grantee_principal", ctl->arguments[1]);
    if (request != NULL && fill(ctl, request))
        return ctl_call_print(ctl, "GrantService/CreateGrant", request);
    json_decref(request);
    return false;
}

/* "equals app=web, tenant=7" */
static json_t *constraint_text(const json_t *constraints)
{
    KMS_OWN_BUF text = {0};
    const char *kind, *name;
    json_t *map, *value;
    bool first;
    json_object_foreach((json_t *)(uintptr_t)constraints, kind, map)
    {
        if (json_object_size(map) == 0) continue;
        first = true;
        kms_ignore(kms_buf_print(&text, "%s", strstr(kind, "equals") != NULL ? "equals" : "subset"));
        json_object_foreach(map, name, value)
        {
            kms_ignore(kms_buf_print(&text, "%s%s=%s", first ? " " : ", ", name, json_string_value(value)));
            first = false;
        }
    }
    return json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
}

/* What people read of a grant; JSON has all of it. */
static json_t *row_of(json_t *grant)
{
    size_t i;
    json_t *operation, *operations = json_array();
    const json_t *expires = json_object_get(grant, "expiration_time");
    json_array_foreach(json_object_get(grant, "operations"), i, operation)
        json_array_append_new(operations, operation_name(json_string_value(operation)));
    return json_pack("{s:O, s:O, s:O, s:o, s:o, s:o}", "key_id", json_object_get(grant, "key_id"), "grant_id",
                     json_object_get(grant, "grant_id"), "grantee",
                     json_object_get(grant, "grantee_principal"), "operations", operations, "constraint",
                     constraint_text(json_object_get(grant, "constraints")), "expires",
                     json_is_string(expires) ? json_string(json_string_value(expires)) : json_null());
}

/* One page of either list; takes the reference of the request. */
static bool add_page(struct ctl *ctl, const char *method, json_t *request, json_t *rows, kms_buf *marker)
{
    json_t *reply, *grant;
    size_t i;
    bool as_json = ctl->output != NULL && strcmp(ctl->output, "json") == 0;
    if (!ctl_call(ctl, method, request, &reply)) return false;
    json_array_foreach(json_object_get(reply, "grants"), i, grant)
        json_array_append_new(rows, as_json ? json_incref(grant) : row_of(grant));
    bool ok = ctl_page_after(ctl, reply, marker);
    json_decref(reply);
    return ok;
}

static bool add_grants(struct ctl *ctl, kms_client *client, const struct kms_list_request *page, json_t *rows,
                       kms_buf *marker)
{
    (void)client; /* ctl_call has it */
    json_t *request = ctl_page_request(page);
    json_object_set_new(request, "key_id", json_string(ctl->arguments[0]));
    if (ctl->grantee != NULL) json_object_set_new(request, "grantee_principal", json_string(ctl->grantee));
    return add_page(ctl, "GrantService/ListGrants", request, rows, marker);
}

bool ctl_grant_list(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_grants);
}

static bool add_retirable(struct ctl *ctl, kms_client *client, const struct kms_list_request *page,
                          json_t *rows, kms_buf *marker)
{
    (void)client; /* ctl_call has it */
    json_t *request = ctl_page_request(page);
    if (ctl->arguments[0] != NULL)
        json_object_set_new(request, "retiring_principal", json_string(ctl->arguments[0]));
    return add_page(ctl, "GrantService/ListRetirableGrants", request, rows, marker);
}

bool ctl_grant_retirable(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_retirable);
}

bool ctl_grant_retire(struct ctl *ctl)
{
    bool named = ctl->arguments[1] != NULL;
    if (named == (ctl->grant_tokens.count == 1) || ctl->grant_tokens.count > 1 ||
        (!named && ctl->arguments[0] != NULL))
        return ctl_fail_usage(ctl, "KEY and GRANT, or one --grant-token");
    json_t *request =
        named ? json_pack("{s:s, s:s}", "key_id", ctl->arguments[0], "grant_id", ctl->arguments[1])
              : json_pack("{s:s}", "grant_token", ctl->grant_tokens.items[0]);
    return ctl_call_print(ctl, "GrantService/RetireGrant", request);
}

bool ctl_grant_revoke(struct ctl *ctl)
{
    return ctl_call_print(
        ctl, "GrantService/RevokeGrant",
        json_pack("{s:s, s:s}", "key_id", ctl->arguments[0], "grant_id", ctl->arguments[1]));
}
