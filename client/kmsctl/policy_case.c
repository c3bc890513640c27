/* Cases: read, checked, decided here or asked of the server. */
#include "client/kmsctl/policy_case.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/input.h"
#include "kmsd/policy/explain.h"
#include "kmsd/policy/input.h"

enum { FILE_BYTES = 4 * 1024 * 1024, CASES = 10000, ASKED_AT_ONCE = 256, FIELDS_AT_ONCE = 1000 };

static json_t *pairs_of(const struct ctl_pairs *pairs)
{
    json_t *object = json_object();
    for (size_t i = 0; i < pairs->count; i++)
        json_object_set_new(object, pairs->entries[i].name, json_string(pairs->entries[i].value));
    return object;
}

/* NAME=VALUE; a name that comes again adds a value. */
static bool add_input(struct ctl *ctl, json_t *inputs, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0')
        return ctl_fail_usage(ctl, "--input wants KEY=VALUE, such as aws:SourceIp=10.0.0.1, not \"%.100s\"",
                              text);
    *equals = '\0';
    json_t *list = json_object_get(inputs, text);
    if (list == NULL) {
        list = json_array();
        json_object_set_new(inputs, text, list);
    }
    json_array_append_new(list, json_string(equals + 1));
    return true;
}

bool ctl_case_of_options(struct ctl *ctl, json_t **ret_case)
{
    struct ctl_pairs pairs;
    struct kms_why why = {0};
    if (ctl->principal == NULL || ctl->action == NULL)
        return ctl_fail_usage(ctl,
                              "who asks for what? --principal PRINCIPAL --action ACTION, or --cases FILE");
    kms_err err = ctl_parse_pairs(&ctl->pairs, &pairs, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    json_t *inputs = json_object();
    bool ok = true;
    for (size_t i = 0; ok && i < ctl->inputs.count; i++)
        ok = add_input(ctl, inputs, (char *)(uintptr_t)ctl->inputs.items[i]);
    json_t *one = json_pack("{s:s, s:s, s:o, s:o, s:s*}", "principal", ctl->principal, "action", ctl->action,
                            "context", pairs_of(&pairs), "inputs", inputs, "expect", ctl->expect);
    if (!ok || one == NULL) {
        json_decref(one);
        return ok ? ctl_fail(ctl, KMS_FAIL(INVALID_ARGUMENT), &(struct kms_why){"an option is not UTF-8"})
                  : false;
    }
    *ret_case = one;
    return true;
}

/* ---- a file of cases ---- */

static kms_err wrong(struct kms_why *why, size_t number, const char *what, const char *name)
{
    kms_why_set(why, "case %zu: %s%.100s", number, what, name);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static bool texts_only(json_t *object, bool lists)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        bool list = lists && json_is_array(value);
        for (size_t i = 0; list && i < json_array_size(value); i++)
            list = json_is_string(json_array_get(value, i));
        if (!json_is_string(value) && !list) return false;
    }
    return true;
}

/* Is a member of a case what it must be? */
static kms_err check_member(const char *name, json_t *value, size_t number, struct kms_why *why)
{
    static const char *const texts[] = {"name", "principal", "action", "expect"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i]) != 0) continue;
        return json_is_string(value) ? KMS_OK : wrong(why, number, "not a text: ", name);
    }
    bool inputs = strcmp(name, "inputs") == 0;
    if (!inputs && strcmp(name, "context") != 0) return wrong(why, number, "unknown member ", name);
    bool good = json_is_object(value) && texts_only(value, inputs);
    return good ? KMS_OK : wrong(why, number, "not an object of texts: ", name);
}

static kms_err check_case(json_t *one, size_t number, struct kms_why *why)
{
    const char *name;
    json_t *value;
    if (!json_is_object(one)) return wrong(why, number, "not an object", "");
    json_object_foreach(one, name, value) KMS_TRY(check_member(name, value, number, why));
    const char *expect = json_string_value(json_object_get(one, "expect"));
    if (json_object_get(one, "principal") == NULL || json_object_get(one, "action") == NULL || expect == NULL)
        return wrong(why, number, "wants principal, action and expect", "");
    if (strcmp(expect, "allow") != 0 && strcmp(expect, "deny") != 0)
        return wrong(why, number, "expect: allow or deny, not ", expect);
    return KMS_OK;
}

static kms_err check_cases(json_t *cases, struct kms_why *why)
{
    size_t count = json_array_size(cases);
    if (!json_is_array(cases) || count < 1 || count > CASES) {
        kms_why_set(why, "cases: an array of 1 to %d objects", CASES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    for (size_t i = 0; i < count; i++) KMS_TRY(check_case(json_array_get(cases, i), i + 1, why));
    return KMS_OK;
}

kms_err ctl_cases_read(const char *path, json_t **ret_cases, struct kms_why *why)
{
    KMS_OWN_BUF text = {0};
    json_error_t place;
    KMS_TRY(ctl_read_text(path, FILE_BYTES, &text, why));
    json_t *all = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &place);
    if (all == NULL) {
        kms_why_set(why, "%s: line %d, column %d: %s", path, place.line, place.column, place.text);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    json_t *cases = json_incref(json_is_object(all) ? json_object_get(all, "cases") : all);
    json_decref(all);
    kms_err err = check_cases(cases, why);
    if (!kms_failed(err)) *ret_cases = json_incref(cases);
    json_decref(cases);
    return err;
}

/* ---- decided here ---- */

static struct kms_bytes bytes_of(const json_t *text)
{
    return kms_bytes_of(json_string_value(text), json_string_length(text));
}

static int by_name(const void *a, const void *b)
{
    struct kms_bytes left = ((const struct kms_pair *)a)->name, right = ((const struct kms_pair *)b)->name;
    size_t len = left.len < right.len ? left.len : right.len;
    int order = len > 0 ? memcmp(left.ptr, right.ptr, len) : 0;
    return order != 0 ? order : left.len < right.len ? -1 : left.len > right.len;
}

static kms_err add_context(json_t *context, struct kms_pair pairs[KMS_CONTEXT_PAIRS],
                           struct kms_access_request *request, struct kms_why *why)
{
    const char *name;
    json_t *value;
    if (json_object_size(context) > KMS_CONTEXT_PAIRS) {
        kms_why_set(why, "context: at most %d pairs", KMS_CONTEXT_PAIRS);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    json_object_foreach(context, name, value) pairs[request->context_count++] =
        (struct kms_pair){kms_bytes_text(name), bytes_of(value)};
    qsort(pairs, request->context_count, sizeof *pairs, by_name);
    request->context = pairs;
    return KMS_OK;
}

static kms_err add_inputs(json_t *inputs, struct kms_access_request *request, struct kms_pool *pool,
                          struct kms_why *why)
{
    const char *name;
    json_t *value;
    json_object_foreach(inputs, name, value)
    {
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < count; i++) {
            json_t *text = json_is_array(value) ? json_array_get(value, i) : value;
            KMS_TRY(
                kms_input_set(request, (struct kms_pair){kms_bytes_text(name), bytes_of(text)}, pool, why));
        }
    }
    return KMS_OK;
}

static json_t *misses_of(const kms_policy *policy, const struct kms_access_request *request)
{
    struct kms_miss misses[KMS_MISSES];
    json_t *list = json_array();
    size_t count = kms_policy_misses(policy, request, misses);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "statement", misses[i].statement, "reason", misses[i].words));
    return list;
}

static kms_err decide(const kms_policy *policy, json_t *one, struct kms_pool *pool, json_t **ret_decision,
                      struct kms_why *why)
{
    static const char *const words[] = {
        [KMS_ALLOW] = "ALLOW", [KMS_DENY_EXPLICIT] = "EXPLICIT_DENY", [KMS_DENY_IMPLICIT] = "IMPLICIT_DENY"};
    struct kms_pair pairs[KMS_CONTEXT_PAIRS];
    struct kms_access_request request = {.principal = bytes_of(json_object_get(one, "principal")),
                                         .now_us = kms_now_us(),
                                         .resource =
                                             kms_bytes_text(kms_policy_kind_arn(kms_policy_kind_of(policy)))};
    const char *action = json_string_value(json_object_get(one, "action"));
    if (!kms_action_find(action, &request.action)) {
        kms_why_set(why, "there is no action %.100s", action);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(add_context(json_object_get(one, "context"), pairs, &request, why));
    kms_inputs_usual(&request);
    request.secure_transport = true;
    KMS_TRY(add_inputs(json_object_get(one, "inputs"), &request, pool, why));
    struct kms_decision said = kms_policy_decide(policy, &request);
    *ret_decision = json_pack("{s:s, s:s, s:o}", "decision", words[said.effect], "statement",
                              said.statement != NULL ? said.statement : "", "near_misses",
                              said.effect == KMS_DENY_IMPLICIT ? misses_of(policy, &request) : json_array());
    return *ret_decision != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err ctl_case_decide(const kms_policy *policy, json_t *one, json_t **ret_decision, struct kms_why *why)
{
    struct kms_pool pool = {NULL};
    kms_err err = decide(policy, one, &pool, ret_decision, why);
    kms_pool_free(&pool);
    return err;
}

/* ---- asked of the server ---- */

/* A SimulatedRequest, and how many fields it has on the wire. */
static json_t *request_of(json_t *one, size_t *ret_fields)
{
    json_t *context = json_object_get(one, "context"), *list = json_array(), *value;
    const char *name;
    json_object_foreach(json_object_get(one, "inputs"), name, value)
    {
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < count; i++)
            json_array_append_new(list, json_pack("{s:s, s:O}", "name", name, "value",
                                                  json_is_array(value) ? json_array_get(value, i) : value));
    }
    *ret_fields = 3 + 3 * (json_object_size(context) + json_array_size(list));
    return json_pack("{s:O, s:O, s:o, s:o}", "principal", json_object_get(one, "principal"), "action",
                     json_object_get(one, "action"), "encryption_context",
                     context != NULL ? json_incref(context) : json_object(), "inputs", list);
}

static bool ask(struct ctl *ctl, const char *key, const char *policy, json_t *requests, json_t *decisions)
{
    json_t *reply, *request = json_pack("{s:s, s:s, s:o}", "key_id", key != NULL ? key : "", "policy",
                                        policy != NULL ? policy : "", "requests", requests);
    if (!ctl_call(ctl, "PolicyService/SimulatePolicy", request, &reply)) return false;
    int failed = json_array_extend(decisions, json_object_get(reply, "decisions"));
    json_decref(reply);
    return failed == 0 ? true : ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
}

bool ctl_cases_ask(struct ctl *ctl, const char *key, const char *policy, json_t *cases,
                   json_t **ret_decisions)
{
    json_t *decisions = json_array(), *requests = json_array();
    size_t fields = 0, more, count = json_array_size(cases);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        json_t *request = request_of(json_array_get(cases, i), &more);
        bool full = fields + more > FIELDS_AT_ONCE || json_array_size(requests) == ASKED_AT_ONCE;
        if (full && json_array_size(requests) > 0) {
            ok = ask(ctl, key, policy, requests, decisions);
            requests = json_array();
            fields = 0;
        }
        json_array_append_new(requests, request);
        fields += more;
    }
    ok = ok && ask(ctl, key, policy, json_incref(requests), decisions);
    json_decref(requests);
    if (ok && json_array_size(decisions) != count) ok = ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    if (ok)
        *ret_decisions = decisions;
    else
        json_decref(decisions);
    return ok;
}

const char *ctl_case_verdict(const json_t *decision)
{
    const char *said = json_string_value(json_object_get(decision, "decision"));
    return said != NULL && strcmp(said, "ALLOW") == 0 ? "allow" : "deny";
}
