/* kmsctl lease: list, describe, renew, revoke: what one lease, or a list of them, is about. */
#include <kms/leases.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/lease.h"
#include "client/kmsctl/output.h"

#define SERVICE "LeaseService/"

/* ---- lists ---- */

/* "LEASE_STATE_ACTIVE" becomes "ACTIVE". */
static void shorten_state(json_t *lease)
{
    static const char prefix[] = "LEASE_STATE_";
    const char *state = json_string_value(json_object_get(lease, "state"));
    if (state != NULL && strncmp(state, prefix, sizeof prefix - 1) == 0)
        json_object_set_new(lease, "state", json_string(state + sizeof prefix - 1));
}

bool ctl_leases_page(struct ctl *ctl, const char *role, const struct kms_list_request *page, json_t *leases,
                     kms_buf *marker)
{
    json_t *request = ctl_page_request(page), *reply, *lease;
    size_t i;
    ctl_put_text(request, "role_name", role);
    if (!ctl_call(ctl, SERVICE "ListLeases", request, &reply)) return false;
    json_array_foreach(json_object_get(reply, "leases"), i, lease)
    {
        shorten_state(lease);
        json_array_append(leases, lease);
    }
    bool ok = ctl_page_after(ctl, reply, marker);
    json_decref(reply);
    return ok;
}

/* What people read of a lease; JSON has all of it. */
static json_t *row_of(const json_t *lease)
{
    return json_pack("{s:O, s:O, s:O, s:O, s:O}", "lease_id", json_object_get(lease, "lease_id"), "state",
                     json_object_get(lease, "state"), "expires", json_object_get(lease, "expires"),
                     "username", json_object_get(lease, "username"), "owner",
                     json_object_get(lease, "owner"));
}

static void add_rows(const struct ctl *ctl, const json_t *leases, json_t *rows)
{
    size_t i;
    json_t *lease;
    json_array_foreach(leases, i, lease)
        json_array_append_new(rows, ctl_wants_json(ctl) ? json_incref(lease) : row_of(lease));
}

bool ctl_leases_print(struct ctl *ctl, const json_t *leases)
{
    json_t *rows = json_array();
    add_rows(ctl, leases, rows);
    return ctl_print(ctl, rows);
}

static bool add_leases(struct ctl *ctl, kms_client *client, const struct kms_list_request *page, json_t *rows,
                       kms_buf *marker)
{
    (void)client; /* ctl_call has it */
    json_t *leases = json_array();
    bool ok = ctl_leases_page(ctl, ctl->arguments[0], page, leases, marker);
    add_rows(ctl, leases, rows);
    json_decref(leases);
    return ok;
}

bool ctl_lease_list(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_leases);
}

/* ---- one ---- */

char *ctl_lease_role(const char *lease_id)
{
    const char *slash = strrchr(lease_id, '/');
    return slash != NULL && slash != lease_id ? strndup(lease_id, (size_t)(slash - lease_id)) : NULL;
}

/* A new reference to the lease among them, or NULL. */
static json_t *find(const json_t *leases, const char *lease_id)
{
    size_t i;
    json_t *lease;
    json_array_foreach(leases, i, lease)
    {
        const char *id = json_string_value(json_object_get(lease, "lease_id"));
        if (id != NULL && strcmp(id, lease_id) == 0) return json_incref(lease);
    }
    return NULL;
}

/* No call gives one lease: it is looked for among those of its role. *ret_lease NULL: there is none. */
static bool look_up(struct ctl *ctl, const char *role, const char *lease_id, json_t **ret_lease)
{
    KMS_OWN_BUF marker = {0};
    bool ok = true;
    do {
        json_t *leases = json_array();
        const struct kms_list_request page = {.limit = CTL_LEASES_PAGE,
                                              .marker = marker.len > 0 ? (const char *)marker.data : NULL};
        ok = ctl_leases_page(ctl, role, &page, leases, &marker);
        *ret_lease = ok ? find(leases, lease_id) : NULL;
        json_decref(leases);
    } while (ok && *ret_lease == NULL && marker.len > 0);
    return ok;
}

bool ctl_lease_describe(struct ctl *ctl)
{
    const char *lease_id = ctl->arguments[0];
    char *role = ctl_lease_role(lease_id);
    json_t *lease = NULL;
    struct kms_why why = {{0}};
    if (role == NULL)
        return ctl_fail_usage(ctl, "%s: a lease is ROLE/LETTERS, as lease list shows it", lease_id);
    bool ok = look_up(ctl, role, lease_id, &lease);
    free(role);
    if (!ok) return false;
    if (lease != NULL) return ctl_print(ctl, lease);
    kms_why_set(&why, "no lease %.300s: it has ended, or never was", lease_id);
    return ctl_fail(ctl, KMS_FAIL(NOT_FOUND), &why);
}

json_t *ctl_lease_span(const struct ctl *ctl, uint64_t seconds)
{
    return ctl_wants_json(ctl) ? json_integer((json_int_t)seconds) : ctl_json_span(seconds);
}

bool ctl_lease_ttl(struct ctl *ctl, uint64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (ctl->ttl == NULL || ctl_seconds(ctl->ttl, ret_seconds)) return true;
    return ctl_fail_usage(ctl, "--ttl %s: not like 90s, 30m, 12h or 7d", ctl->ttl);
}

bool ctl_lease_renew(struct ctl *ctl)
{
    struct kms_renew_lease_request request = {.lease_id = ctl->arguments[0]};
    struct kms_lease_end end;
    if (!ctl_lease_ttl(ctl, &request.increment_s)) return false;
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !kms_client_renew_lease(client, &request, NULL, &end, &ctl->error)) return false;
    return ctl_print(ctl, json_pack("{s:o, s:o, s:o}", "lease_id", ctl_json_text(request.lease_id),
                                    "lease_duration", ctl_lease_span(ctl, end.lease_duration_s), "expires",
                                    ctl_json_time(end.expires_us)));
}

bool ctl_lease_revoke(struct ctl *ctl)
{
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_revoke_lease(client, ctl->arguments[0], NULL, &ctl->error);
}
