/* Groups of changed decisions. */
#include "client/kmsctl/policy_changes.h"

#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/output.h"

static const char *words_of(enum kms_effect effect)
{
    return effect == KMS_ALLOW ? "allow" : effect == KMS_DENY_EXPLICIT ? "explicit deny" : "implicit deny";
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

kms_err ctl_changes_begin(struct ctl_changes *changes)
{
    *changes = (struct ctl_changes){.groups = json_object()};
    return changes->groups != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static json_t *new_group(const struct kms_replayed *past, const struct kms_decision *now)
{
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:I}", "principal",
                     json_stringn((const char *)past->request.principal.ptr, past->request.principal.len),
                     "action", kms_action_name(past->request.action), "before",
                     words_of(past->recorded.effect), "by", or_empty(past->recorded.statement), "after",
                     words_of(now->effect), "now_by", or_empty(now->statement), "count", (json_int_t)0);
}

/* The group of a change; NULL: there are too many already, or memory ran out (*ret_err). */
static json_t *group_of(struct ctl_changes *changes, const struct kms_replayed *past,
                        const struct kms_decision *now, kms_err *ret_err)
{
    KMS_OWN_BUF key = {0};
    struct kms_bytes who = past->request.principal;
    *ret_err = kms_buf_print(&key, "%d %d %d %zu %s/%s/%.*s", (int)past->request.action,
                             (int)past->recorded.effect, (int)now->effect,
                             strlen(or_empty(past->recorded.statement)), or_empty(past->recorded.statement),
                             or_empty(now->statement), (int)who.len, (const char *)who.ptr);
    if (kms_failed(*ret_err)) return NULL;
    json_t *group = json_object_get(changes->groups, (const char *)key.data);
    if (group != NULL) return group;
    if (json_object_size(changes->groups) == CTL_CHANGE_GROUPS) return NULL;
    group = new_group(past, now);
    if (group == NULL || json_object_set_new(changes->groups, (const char *)key.data, group) != 0)
        *ret_err = KMS_FAIL(NO_MEMORY);
    return kms_failed(*ret_err) ? NULL : group;
}

static void count_in(json_t *group, const struct kms_replay *replay)
{
    json_int_t count = json_integer_value(json_object_get(group, "count"));
    json_object_set_new(group, "count", json_integer(count + 1));
    if (count == 0) {
        json_object_set_new(group, "first", ctl_json_time(replay->started_us));
        json_object_set_new(group, "first_sequence", json_integer((json_int_t)replay->sequence));
    }
    json_object_set_new(group, "last", ctl_json_time(replay->started_us));
    json_object_set_new(group, "last_sequence", json_integer((json_int_t)replay->sequence));
}

kms_err ctl_changes_add(struct ctl_changes *changes, const struct kms_replay *replay,
                        const struct kms_replayed *past, const struct kms_decision *now)
{
    kms_err err;
    bool still = past->beside_policy && now->effect == KMS_DENY_IMPLICIT;
    bool was = past->recorded.effect == KMS_ALLOW, is = now->effect == KMS_ALLOW || still;
    changes->decisions++;
    if (was == is) {
        bool same = now->effect == (past->beside_policy ? KMS_DENY_IMPLICIT : past->recorded.effect) &&
                    strcmp(or_empty(now->statement), or_empty(past->recorded.statement)) == 0;
        changes->otherwise += !same;
        return KMS_OK;
    }
    changes->changed++;
    json_t *group = group_of(changes, past, now, &err);
    if (group == NULL) {
        changes->ungrouped++;
        return err;
    }
    count_in(group, replay);
    return KMS_OK;
}

static int larger_first(const void *a, const void *b)
{
    json_int_t left = json_integer_value(json_object_get(*(json_t *const *)a, "count"));
    json_int_t right = json_integer_value(json_object_get(*(json_t *const *)b, "count"));
    return left > right ? -1 : left < right;
}

static json_t *sorted(json_t *groups)
{
    json_t *list = json_array(), *group;
    const char *key;
    size_t count = 0;
    json_t **rows = calloc(json_object_size(groups) + 1, sizeof *rows);
    if (rows == NULL || list == NULL) return NULL;
    json_object_foreach(groups, key, group) rows[count++] = group;
    qsort(rows, count, sizeof *rows, larger_first);
    for (size_t i = 0; i < count; i++) json_array_append(list, rows[i]);
    free(rows);
    return list;
}

json_t *ctl_changes_end(struct ctl_changes *changes)
{
    json_t *list = sorted(changes->groups);
    json_decref(changes->groups);
    changes->groups = NULL;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "records", (json_int_t)changes->records,
                     "decisions", (json_int_t)changes->decisions, "changed", (json_int_t)changes->changed,
                     "changed_in_no_group", (json_int_t)changes->ungrouped, "same_by_another_statement",
                     (json_int_t)changes->otherwise, "shortened_records", (json_int_t)changes->shortened,
                     "changes", list);
}
