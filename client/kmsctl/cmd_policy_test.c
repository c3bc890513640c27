/* kmsctl policy test: what does a policy say of a request, and is it what was expected? */
#include <string.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/policy_case.h"
#include "client/kmsctl/policy_document.h"

/* Of each case what is decided: here when there is no key, else by the server. */
static bool decide_here(struct ctl *ctl, const kms_buf *document, json_t *cases, json_t **ret_decisions)
{
    KMS_OWN(kms_policy) policy = NULL;
    struct kms_why why = {0};
    json_t *decisions = json_array(), *decision;
    struct kms_bytes text = kms_buf_view(document);
    kms_err err = kms_policy_parse(ctl_policy_kind(ctl, text), text, &policy, &why);
    for (size_t i = 0; !kms_failed(err) && i < json_array_size(cases); i++) {
        err = ctl_case_decide(policy, json_array_get(cases, i), &decision, &why);
        if (!kms_failed(err)) json_array_append_new(decisions, decision);
    }
    if (!kms_failed(err)) {
        *ret_decisions = decisions;
        return true;
    }
    json_decref(decisions);
    return ctl_fail(ctl, err, &why);
}

static bool decide(struct ctl *ctl, json_t *cases, json_t **ret_decisions)
{
    KMS_OWN_BUF document = {0};
    struct kms_why why = {0};
    if (ctl->arguments[0] == NULL && ctl->key == NULL)
        return ctl_fail_usage(ctl, "which policy? FILE, --key KEY, or both: FILE as if it were that key's");
    if (ctl->arguments[0] != NULL) {
        kms_err err = ctl_read_text(ctl->arguments[0], CTL_POLICY_BYTES, &document, &why);
        if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    }
    if (ctl->key == NULL) return decide_here(ctl, &document, cases, ret_decisions);
    if (!ctl_only_keys(ctl)) return false;
    const char *text = ctl->arguments[0] != NULL ? (const char *)document.data : NULL;
    return ctl_cases_ask(ctl, ctl->key, text, cases, ret_decisions);
}

/* "EXPLICIT_DENY" as people write it. */
static const char *words_of(const json_t *decision)
{
    const char *said = json_string_value(json_object_get(decision, "decision"));
    if (said != NULL && strcmp(said, "ALLOW") == 0) return "allow";
    return said != NULL && strcmp(said, "EXPLICIT_DENY") == 0 ? "explicit deny" : "implicit deny";
}

static bool as_expected(const json_t *one, const json_t *decision)
{
    return strcmp(json_string_value(json_object_get(one, "expect")), ctl_case_verdict(decision)) == 0;
}

static json_t *row_of(json_t *one, size_t number, const json_t *decision)
{
    bool passed = as_expected(one, decision);
    json_t *name = json_object_get(one, "name");
    const json_t *miss = json_array_get(json_object_get(decision, "near_misses"), 0);
    const char *why = json_string_value(json_object_get(miss, "reason"));
    return json_pack("{s:o, s:s, s:O, s:s, s:O, s:s}", "case",
                     name != NULL ? json_incref(name) : json_sprintf("#%zu", number), "result",
                     passed ? "pass" : "FAIL", "expected", json_object_get(one, "expect"), "decision",
                     words_of(decision), "statement", json_object_get(decision, "statement"), "near_miss",
                     !passed && why != NULL ? why : "");
}

static bool print_cases(struct ctl *ctl, json_t *cases, json_t *decisions)
{
    json_t *rows = json_array(), *one;
    json_int_t failed = 0;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        failed += !as_expected(one, json_array_get(decisions, i));
        json_array_append_new(rows, row_of(one, i + 1, json_array_get(decisions, i)));
    }
    ctl->answer = failed == 0 ? CTL_OK : CTL_FAILED;
    return ctl_print(ctl, json_pack("{s:I, s:I, s:o}", "passed", (json_int_t)json_array_size(cases) - failed,
                                    "failed", failed, "cases", rows));
}

static bool print_one(struct ctl *ctl, json_t *one, json_t *decision)
{
    bool good =
        ctl->expect != NULL ? as_expected(one, decision) : strcmp(ctl_case_verdict(decision), "allow") == 0;
    ctl->answer = good ? CTL_OK : CTL_FAILED;
    return ctl_print(ctl, json_pack("{s:s, s:O, s:O}", "decision", words_of(decision), "statement",
                                    json_object_get(decision, "statement"), "near_misses",
                                    json_object_get(decision, "near_misses")));
}

static bool read_cases(struct ctl *ctl, json_t **ret_cases)
{
    struct kms_why why = {0};
    json_t *one = NULL;
    if (ctl->cases == NULL) {
        if (!ctl_case_of_options(ctl, &one)) return false;
        *ret_cases = json_pack("[o]", one);
        return *ret_cases != NULL ? true : ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    }
    if (ctl->principal != NULL || ctl->action != NULL || ctl->expect != NULL || ctl->pairs.count > 0 ||
        ctl->inputs.count > 0)
        return ctl_fail_usage(ctl, "--cases says all: leave the options of a single case out");
    kms_err err = ctl_cases_read(ctl->cases, ret_cases, &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}

bool ctl_policy_test(struct ctl *ctl)
{
    json_t *cases, *decisions = NULL;
    ctl->answers = true;
    if (!read_cases(ctl, &cases)) return false;
    bool ok = decide(ctl, cases, &decisions);
    if (ok)
        ok = ctl->cases != NULL ? print_cases(ctl, cases, decisions)
                                : print_one(ctl, json_array_get(cases, 0), json_array_get(decisions, 0));
    json_decref(decisions);
    json_decref(cases);
    return ok;
}
