/* kmsctl approve, reject; approval list, show, rule, set-rule, clear-rule. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/diff.h"
#include "client/kmsctl/output.h"

/* "APPROVAL_STATE_PENDING" becomes "PENDING". */
static void shorten_state(json_t *approval)
{
    static const char prefix[] = "APPROVAL_STATE_";
    const char *state = json_string_value(json_object_get(approval, "state"));
    if (state != NULL && strncmp(state, prefix, sizeof prefix - 1) == 0)
        json_object_set_new(approval, "state", json_string(state + sizeof prefix - 1));
}

/* The request, which travels as text, as the object that it is. */
static void open_request(json_t *approval)
{
    const char *text = json_string_value(json_object_get(approval, "request"));
    json_t *request = text != NULL ? json_loads(text, 0, NULL) : NULL;
    if (request != NULL) json_object_set_new(approval, "request", request);
}

static json_t *about(const char *approval_id)
{
    return json_pack("{s:s}", "approval_id", approval_id);
}

/* Calls a method that answers an approval; a new reference. */
static bool call(struct ctl *ctl, const char *method, json_t **ret_approval)
{
    json_t *reply;
    if (!ctl_call(ctl, method, about(ctl->arguments[0]), &reply)) return false;
    *ret_approval = json_incref(json_object_get(reply, "approval"));
    json_decref(reply);
    if (*ret_approval == NULL) return ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    shorten_state(*ret_approval);
    return true;
}

/* Who approves or rejects wants to know what it has come to, not the request again. */
static bool print_outcome(struct ctl *ctl, const char *method)
{
    json_t *approval;
    if (!call(ctl, method, &approval)) return false;
    json_object_del(approval, "request");
    return ctl_print(ctl, approval);
}

bool ctl_approve(struct ctl *ctl)
{
    return print_outcome(ctl, "ApprovalService/ApproveRequest");
}

bool ctl_reject(struct ctl *ctl)
{
    return print_outcome(ctl, "ApprovalService/RejectRequest");
}

static bool as_json(const struct ctl *ctl)
{
    return ctl->output != NULL && strcmp(ctl->output, "json") == 0;
}

/* A document as it is compared: one member a line, whoever wrote it. */
static char *pretty(const char *text)
{
    json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    char *lines = document != NULL ? json_dumps(document, JSON_INDENT(2)) : strdup(text);
    json_decref(document);
    return lines;
}

static bool print_diff(struct ctl *ctl, const char *from, const char *to)
{
    char *before = pretty(from), *after = pretty(to);
    kms_err err = before != NULL && after != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!kms_failed(err) && strcmp(before, after) == 0)
        printf("\nThe policy stays what it is.\n");
    else if (!kms_failed(err))
        printf("\nThe policy, from what it is to what is asked for:\n");
    if (!kms_failed(err) && strcmp(before, after) != 0) err = ctl_diff(before, after, stdout);
    free(before);
    free(after);
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : true;
}

/* Against the policy in force, for those who may read it; else the new one alone. */
static bool print_policy(struct ctl *ctl, const char *key, const char *wanted)
{
    json_t *reply;
    if (!ctl_call(ctl, "KeyService/GetKeyPolicy", json_pack("{s:s}", "key_id", key), &reply)) {
        if (strcmp(ctl->error.reason, "ACCESS_DENIED") != 0) return false;
        ctl->error = (struct kms_error){.code = 0};
        return print_diff(ctl, "", wanted);
    }
    const char *now = json_string_value(json_object_get(reply, "policy"));
    bool ok = print_diff(ctl, now != NULL ? now : "", wanted);
    json_decref(reply);
    return ok;
}

/* What is asked for, for people: its members, and a policy as what it changes. */
static bool print_request(struct ctl *ctl, json_t *request)
{
    const char *policy = json_string_value(json_object_get(request, "policy"));
    const char *key = json_string_value(json_object_get(request, "key_id"));
    json_t *members = json_copy(request);
    if (policy != NULL) json_object_del(members, "policy");
    printf("\nAsked for:\n");
    if (!ctl_print(ctl, members)) return false;
    if (policy == NULL) return true;
    return key != NULL ? print_policy(ctl, key, policy) : print_diff(ctl, "", policy);
}

bool ctl_approval_show(struct ctl *ctl)
{
    json_t *approval;
    if (!call(ctl, "ApprovalService/DescribeApproval", &approval)) return false;
    open_request(approval);
    if (as_json(ctl)) return ctl_print(ctl, approval);
    json_t *request = json_incref(json_object_get(approval, "request"));
    json_object_del(approval, "request");
    bool ok = ctl_print(ctl, approval) && (!json_is_object(request) || print_request(ctl, request));
    json_decref(request);
    return ok;
}

static bool list_page(struct ctl *ctl, json_t *rows, const char *marker, char **ret_next)
{
    json_t *reply, *row;
    size_t i;
    if (!ctl_call(ctl, "ApprovalService/ListApprovals",
                  json_pack("{s:s, s:s}", "key_id", ctl->arguments[0], "marker", marker), &reply))
        return false;
    json_array_foreach(json_object_get(reply, "approvals"), i, row)
    {
        shorten_state(row);
        json_array_append_new(rows, json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "approval_id",
                                              json_object_get(row, "approval_id"), "state",
                                              json_object_get(row, "state"), "operation",
                                              json_object_get(row, "operation"), "requester",
                                              json_object_get(row, "requester"), "expiration_time",
                                              json_object_get(row, "expiration_time"), "state_reason",
                                              json_object_get(row, "state_reason")));
    }
    const char *next = json_string_value(json_object_get(reply, "next_marker"));
    *ret_next = json_is_true(json_object_get(reply, "truncated")) && next != NULL ? strdup(next) : NULL;
    json_decref(reply);
    return true;
}

bool ctl_approval_list(struct ctl *ctl)
{
    json_t *rows = json_array();
    char *marker = strdup(""), *next = NULL;
    bool ok = rows != NULL && marker != NULL;
    while (ok && marker != NULL) {
        ok = list_page(ctl, rows, marker, &next);
        free(marker);
        marker = next;
        next = NULL;
    }
    free(marker);
    if (ok) return ctl_print(ctl, rows);
    json_decref(rows);
    return false;
}

bool ctl_approval_rule(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, "ApprovalService/GetApprovalRule", json_pack("{s:s}", "key_id", ctl->arguments[0]),
                  &reply))
        return false;
    json_t *rule = json_object_get(reply, "approval_rule");
    bool ok = ctl_print(ctl, json_is_object(rule) ? json_incref(rule)
                                                  : json_pack("{s:i, s:[]}", "required", 0, "principals"));
    json_decref(reply);
    return ok;
}

bool ctl_approval_set_rule(struct ctl *ctl)
{
    if (ctl->approvers.count == 0)
        return ctl_fail_usage(ctl, "who shall approve? --approver PRINCIPAL, for each");
    json_t *names = json_array();
    for (size_t i = 0; i < ctl->approvers.count; i++)
        json_array_append_new(names, json_string(ctl->approvers.items[i]));
    json_int_t required = ctl->required != 0 ? (json_int_t)ctl->required : (json_int_t)ctl->approvers.count;
    return ctl_call_print(ctl, "ApprovalService/PutApprovalRule",
                          json_pack("{s:s, s:{s:I, s:o}}", "key_id", ctl->arguments[0], "approval_rule",
                                    "required", required, "principals", names));
}

bool ctl_approval_clear_rule(struct ctl *ctl)
{
    return ctl_call_print(ctl, "ApprovalService/PutApprovalRule",
                          json_pack("{s:s}", "key_id", ctl->arguments[0]));
}
