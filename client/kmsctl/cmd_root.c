/* kmsctl root status, rotate, destroy. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

bool ctl_root_status(struct ctl *ctl)
{
    return ctl_call_print(ctl, "SystemService/GetRootStatus", json_object());
}

/* Which generation to move to: on with the newest while anything is left to move, else the next. */
static bool find_goal(struct ctl *ctl, json_int_t *ret_goal)
{
    json_t *status;
    if (!ctl_call(ctl, "SystemService/GetRootStatus", json_object(), &status)) return false;
    bool settled = json_is_true(json_object_get(status, "settled"));
    *ret_goal = number(status, "root_id") + settled;
    json_decref(status);
    return true;
}

struct rotation {
    json_int_t goal, rewrapped, failed, remaining;
    unsigned conflicts;
};

/* One call. An administrator who changes the same keys comes first, a few times in a row. */
static bool step(struct ctl *ctl, struct rotation *r, struct ctl_progress *bar)
{
    enum { CONFLICTS_MOST = 20 };
    json_t *reply;
    if (!ctl_call(ctl, "SystemService/RotateRoot", json_pack("{s:I}", "root_id", r->goal), &reply))
        return strcmp(ctl->error.reason, "CONFLICT") == 0 && ++r->conflicts < CONFLICTS_MOST;
    json_int_t versions = number(reply, "versions"), rewrapped = number(reply, "rewrapped");
    r->rewrapped += rewrapped;
    r->conflicts = 0;
    r->failed = number(reply, "failed");
    r->remaining = rewrapped > 0 ? number(reply, "remaining") : 0;
    if (rewrapped == 0) r->failed = number(reply, "remaining"); /* nothing moves any more */
    ctl_progress_show(bar, (uint64_t)(versions - number(reply, "remaining")), (uint64_t)versions);
    json_decref(reply);
    return true;
}

/* What is left of older generations, and what that means. */
static bool print_end(struct ctl *ctl, const struct rotation *r)
{
    json_t *status, *generation, *destroyable = json_array();
    size_t i;
    if (!ctl_call(ctl, "SystemService/GetRootStatus", json_object(), &status)) {
        json_decref(destroyable);
        return false;
    }
    json_array_foreach(json_object_get(status, "generations"), i, generation)
    {
        if (json_is_true(json_object_get(generation, "destroyable")))
            json_array_append_new(destroyable, json_integer(number(generation, "root_id")));
    }
    json_decref(status);
    bool any = json_array_size(destroyable) > 0;
    return ctl_print(ctl, json_pack("{s:I, s:I, s:I, s:o, s:s}", "root_id", r->goal, "rewrapped",
                                    r->rewrapped, "failed", r->failed, "destroyable", destroyable, "backups",
                                    any ? "those taken before can be opened until `kmsctl root destroy`"
                                        : "older root keys are still needed, or there are none"));
}

bool ctl_root_rotate(struct ctl *ctl)
{
    struct rotation r = {.remaining = 1};
    struct ctl_progress bar;
    if (!find_goal(ctl, &r.goal)) return false;
    ctl_progress_start(&bar, "key versions");
    bool ok = true;
    while (ok && r.remaining > 0) ok = step(ctl, &r, &bar);
    ctl_progress_clear(&bar);
    if (!ok || !print_end(ctl, &r)) return false;
    struct kms_why why = {{0}};
    if (r.failed == 0) return true;
    kms_why_set(&why, "%lld key versions cannot be opened under their old root keys; kmsd's log names them",
                (long long)r.failed);
    return ctl_fail(ctl, KMS_FAIL(CORRUPT), &why);
}

bool ctl_root_destroy(struct ctl *ctl)
{
    char *end;
    const char *text = ctl->arguments[0];
    unsigned long generation = strtoul(text, &end, 10);
    if (*end != '\0' || generation == 0 || generation > UINT32_MAX)
        return ctl_fail_usage(ctl, "%s: not the number of a generation", text);
    return ctl_call_print(ctl, "SystemService/DestroyRoot",
                          json_pack("{s:I}", "root_id", (json_int_t)generation));
}
