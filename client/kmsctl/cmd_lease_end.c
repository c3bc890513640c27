/* kmsctl lease: revoke-prefix, sweep: what ends or repairs many leases. */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/lease.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"

#define SERVICE   "LeaseService/"
#define SECOND_US UINT64_C(1000000)

/* ---- revoke-prefix ---- */

static bool is_text(const json_t *lease, const char *member, const char *text, size_t len)
{
    const char *has = json_string_value(json_object_get(lease, member));
    return has != NULL && strncmp(has, text, len) == 0;
}

/* Adds those of the role in a state whose ids begin as was asked. */
static bool gather(struct ctl *ctl, const char *role, const char *state, json_t *found)
{
    KMS_OWN_BUF marker = {0};
    const char *prefix = ctl->arguments[0];
    bool ok = true;
    do {
        json_t *leases = json_array(), *lease;
        const struct kms_list_request page = {.limit = CTL_LEASES_PAGE,
                                              .marker = marker.len > 0 ? (const char *)marker.data : NULL};
        size_t i;
        ok = ctl_leases_page(ctl, role, &page, leases, &marker);
        json_array_foreach(leases, i, lease)
        {
            if (is_text(lease, "lease_id", prefix, strlen(prefix)) &&
                is_text(lease, "state", state, strlen(state) + 1))
                json_array_append(found, lease);
        }
        json_decref(leases);
    } while (ok && marker.len > 0);
    return ok;
}

/* How many are ending: their users are still in the database. */
static bool count_ending(struct ctl *ctl, const char *role, uint64_t *ret_count)
{
    json_t *ending = json_array();
    bool ok = gather(ctl, role, "REVOKING", ending);
    *ret_count = json_array_size(ending);
    json_decref(ending);
    return ok;
}

static bool list_wanted(struct ctl *ctl)
{
    char *role = ctl_lease_role(ctl->arguments[0]);
    json_t *wanted = json_array();
    bool ok = role != NULL && gather(ctl, role, "ACTIVE", wanted) && ctl_leases_print(ctl, wanted);
    json_decref(wanted);
    free(role);
    return ok;
}

/* Looks less and less often, up to every two seconds. */
static bool watch(struct ctl *ctl, const char *role, uint64_t until_us, uint64_t total, uint64_t *ret_left)
{
    enum { FIRST_MS = 50, MOST_MS = 2000 };
    struct ctl_progress bar;
    bool ok;
    ctl_progress_start(&bar, "users are gone");
    for (long wait_ms = FIRST_MS;; wait_ms = 2 * wait_ms < MOST_MS ? 2 * wait_ms : MOST_MS) {
        ok = count_ending(ctl, role, ret_left);
        if (!ok || *ret_left == 0 || kms_monotonic_us() >= until_us) break;
        if (*ret_left > total) total = *ret_left;
        ctl_progress_show(&bar, total - *ret_left, total);
        struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000 * 1000};
        nanosleep(&wait, NULL);
    }
    ctl_progress_clear(&bar);
    return ok;
}

static bool wait_for_end(struct ctl *ctl, uint64_t seconds, uint64_t revoked)
{
    struct kms_why why = {{0}};
    uint64_t left = 0;
    char *role = ctl_lease_role(ctl->arguments[0]);
    bool ok = role != NULL && watch(ctl, role, kms_monotonic_us() + seconds * SECOND_US, revoked, &left);
    free(role);
    if (!ok || left == 0) return ok;
    kms_why_set(&why, "%" PRIu64 " users are still in the database; they may not log in once it answers",
                left);
    return ctl_fail(ctl, KMS_FAIL(DEADLINE_EXCEEDED), &why);
}

bool ctl_lease_revoke_prefix(struct ctl *ctl)
{
    uint64_t seconds = 0;
    json_t *reply;
    if (ctl->wait != NULL && !ctl_seconds(ctl->wait, &seconds))
        return ctl_fail_usage(ctl, "--wait %s: not like 90s, 30m or 12h", ctl->wait);
    if (strrchr(ctl->arguments[0], '/') == NULL || ctl->arguments[0][0] == '/')
        return ctl_fail_usage(ctl,
                              "%s: write %s/ for all leases of a role, or ROLE/ and the beginning of one",
                              ctl->arguments[0], ctl->arguments[0]);
    if (ctl->dry_run) return list_wanted(ctl);
    json_t *request = json_pack("{s:o}", "prefix", ctl_json_text(ctl->arguments[0]));
    if (!ctl_call(ctl, SERVICE "RevokePrefix", request, &reply)) return false;
    uint64_t revoked = (uint64_t)json_integer_value(json_object_get(reply, "revoked"));
    return ctl_print(ctl, reply) && (seconds == 0 || wait_for_end(ctl, seconds, revoked));
}

/* ---- sweep ---- */

static const char *const kinds[] = {"orphans", "lost", "failures"};
enum { KINDS = 3, FINDINGS_MOST = 1000 }; /* of each kind in one answer */

/* One call. *ret_more: an answer was full, so there may be more, and nothing stands in the way. */
static bool sweep_once(struct ctl *ctl, json_t *found, bool *ret_more)
{
    json_t *request = json_object(), *reply;
    ctl_put_text(request, "role_name", ctl->arguments[0]);
    ctl_put_flag(request, "report_only", ctl->dry_run);
    if (!ctl_call(ctl, SERVICE "SweepLeases", request, &reply)) return false;
    bool full = false;
    for (size_t i = 0; i < KINDS; i++) {
        full = full || json_array_size(json_object_get(reply, kinds[i])) >= FINDINGS_MOST;
        json_array_extend(json_object_get(found, kinds[i]), json_object_get(reply, kinds[i]));
    }
    *ret_more = full && !ctl->dry_run && json_array_size(json_object_get(reply, "failures")) == 0;
    json_decref(reply);
    return true;
}

static json_t *rows_of(const json_t *found)
{
    static const char *const words[KINDS] = {"user without a lease", "lease without a user", "trouble"};
    json_t *rows = json_array(), *name;
    size_t i;
    for (size_t kind = 0; kind < KINDS; kind++)
        json_array_foreach(json_object_get(found, kinds[kind]), i, name)
            json_array_append_new(rows, json_pack("{s:s, s:O}", "found", words[kind], "what", name));
    return rows;
}

static bool print_findings(struct ctl *ctl, json_t *found)
{
    struct kms_why why = {{0}};
    size_t failures = json_array_size(json_object_get(found, "failures"));
    if (!ctl_print(ctl, ctl_wants_json(ctl) ? json_incref(found) : rows_of(found))) return false;
    if (failures == 0) return true;
    kms_why_set(&why, "%zu could not be looked at or removed, see above", failures);
    return ctl_fail(ctl, KMS_FAIL(DATABASE_FAILED), &why);
}

bool ctl_lease_sweep(struct ctl *ctl)
{
    struct ctl_progress bar;
    json_t *found = json_pack("{s:[], s:[], s:[]}", kinds[0], kinds[1], kinds[2]);
    bool ok = true, more = true;
    ctl_progress_start(&bar, "found");
    while (ok && more) {
        ok = sweep_once(ctl, found, &more);
        ctl_progress_show(&bar,
                          json_array_size(json_object_get(found, kinds[0])) +
                              json_array_size(json_object_get(found, kinds[1])),
                          CTL_PROGRESS_UNKNOWN);
    }
    ctl_progress_clear(&bar);
    if (ok) ok = print_findings(ctl, found);
    json_decref(found);
    return ok;
}
