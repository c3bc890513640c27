/* What is wide in a document, and what in it does nothing. */
#include "kmsd/policy/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/complain.h"
#include "kmsd/policy/input.h"
#include "kmsd/policy/lint_internal.h"

enum { NAMED = 5 /* actions that a finding names */ };

static void add(struct kms_lint *lint, const char *level, const struct kms_statement *statement,
                const char *code, const char *words)
{
    json_t *finding = json_pack("{s:s, s:s, s:s, s:s}", "level", level, "statement",
                                statement != NULL ? statement->name : "", "code", code, "words", words);
    if (finding == NULL || json_array_append_new(lint->findings, finding) != 0)
        lint->err = KMS_FAIL(NO_MEMORY);
}

void kms_lint_warn(struct kms_lint *lint, const struct kms_statement *statement, const char *code,
                   const char *format, ...)
{
    char words[KMS_WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    add(lint, "warning", statement, code, words);
    lint->warnings++;
}

void kms_lint_error(struct kms_lint *lint, const char *code, const char *format, ...)
{
    char words[KMS_WHY_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    add(lint, "error", NULL, code, words);
    lint->errors++;
}

/* ---- wide ---- */

static void check_everybody(struct kms_lint *lint, const struct kms_statement *s)
{
    if (s->deny || !s->any_principal || kms_through_service(lint->reading->policy, s)) return;
    kms_lint_warn(lint, s, "everybody",
                  s->condition_count == 0
                      ? "Principal \"*\": whoever has a certificate of a client CA may do this"
                      : "Principal \"*\": only the conditions stand between everybody and this");
}

static void check_width(struct kms_lint *lint, const struct kms_statement *s)
{
    check_everybody(lint, s);
    if (!s->deny && s->not_action)
        kms_lint_warn(
            lint, s, "not-action",
            "NotAction allows everything else, actions of later releases too; name what is allowed");
    if (!s->deny && !s->not_action && s->actions == lint->reading->policy->every)
        kms_lint_warn(lint, s, "every-action",
                      "allows every action there is or will be; name what is allowed");
    if (s->deny && s->not_principal)
        kms_lint_warn(
            lint, s, "not-principal",
            "NotPrincipal denies everybody else, whoever comes later too; Principal \"*\" with ArnNotEquals "
            "or StringNotEquals on aws:PrincipalArn says the same and takes patterns");
    if (!s->any_resource)
        kms_lint_warn(lint, s, "resource",
                      "Resource is not \"*\": on a %s that it does not name, the statement does nothing",
                      kms_kind_row(lint->reading->policy->kind)->subject);
}

/* ---- without effect ---- */

static bool unconditional(const struct kms_statement *s)
{
    return s->condition_count == 0 && s->any_resource;
}

/* Does `wider` apply to everybody to whom `s`, which is an Allow, applies? */
static bool covers_all(const struct kms_statement *wider, const struct kms_statement *s)
{
    if (wider->any_principal) return true;
    if (s->any_principal) return false;
    for (size_t i = 0; i < s->principal_count; i++)
        if (!kms_statement_covers(wider, s->principals[i].name, s->principals[i].hash)) return false;
    return true;
}

static void check_shadow(struct kms_lint *lint, const struct kms_statement *s)
{
    kms_actions lost = 0;
    const char *by = NULL;
    KMS_OWN_BUF actions = {0};
    for (size_t i = 0; !s->deny && i < lint->reading->count; i++) {
        const struct kms_statement *deny = lint->reading->statements[i];
        if (!deny->deny || !unconditional(deny) || !covers_all(deny, s) || (deny->actions & s->actions) == 0)
            continue;
        lost |= deny->actions & s->actions;
        by = deny->name;
    }
    if (lost == 0) return;
    if (kms_failed(kms_words_actions(lost, NAMED, &actions))) {
        lint->err = KMS_FAIL(NO_MEMORY);
        return;
    }
    kms_lint_warn(lint, s, "shadowed",
                  lost == s->actions ? "has no effect: %s always denies %s"
                                     : "partly has no effect: %s always denies %s",
                  by, (const char *)actions.data);
}

static bool within(const struct kms_statement *s, const struct kms_statement *wider)
{
    return wider != s && !wider->deny && unconditional(wider) && (s->actions & ~wider->actions) == 0 &&
           covers_all(wider, s);
}

/* Of two that say the same, the later one adds nothing. */
static void check_addition(struct kms_lint *lint, size_t index)
{
    const struct kms_statement *s = lint->reading->statements[index];
    for (size_t i = 0; !s->deny && i < lint->reading->count; i++) {
        const struct kms_statement *wider = lint->reading->statements[i];
        if (!within(s, wider) || (i > index && unconditional(s) && within(wider, s))) continue;
        kms_lint_warn(lint, s, "adds-nothing", "adds nothing: %s allows all of it without conditions",
                      wider->name);
        return;
    }
}

/* ---- what is refused when it is written ---- */

static bool can_administer(const kms_policy *policy, struct kms_bytes principal)
{
    struct kms_why why;
    struct kms_bytes arn = kms_bytes_text(kms_kind_row(policy->kind)->any_arn);
    return !kms_failed(kms_policy_check_lockout(policy, principal, arn, &why));
}

/* Counts who can surely change the document, up to two. */
static size_t administrators(const struct kms_reading *reading, struct kms_bytes *ret_one)
{
    const kms_actions writes = kms_action_bit(kms_kind_row(reading->policy->kind)->written_by);
    size_t count = 0;
    const struct kms_bytes anybody = kms_bytes_text("anybody:");
    for (size_t i = 0; i < reading->count; i++) {
        const struct kms_statement *s = reading->statements[i];
        if (s->deny || (s->actions & writes) == 0) continue;
        if (s->any_principal && can_administer(reading->policy, anybody)) return 2;
        for (size_t k = 0; k < s->principal_count; k++) {
            struct kms_bytes name = s->principals[k].name;
            if (!can_administer(reading->policy, name) || (count > 0 && kms_bytes_equal(name, *ret_one)))
                continue;
            *ret_one = name;
            if (++count == 2) return count;
        }
    }
    return count;
}

static void check_document(struct kms_lint *lint)
{
    struct kms_why why = {""};
    struct kms_bytes one;
    const struct kms_kind_row *kind = kms_kind_row(lint->reading->policy->kind);
    if (kind->written_by == KMS_ACT_COUNT) return; /* a file: it need not say who writes it */
    if (kms_failed(kms_policy_check_separation(lint->reading->policy, &why)))
        kms_lint_error(lint, "separation", "%s", why.text);
    size_t count = administrators(lint->reading, &one);
    if (count == 0)
        kms_lint_error(lint, "lock-out",
                       "nobody could surely call %s afterwards: no statement allows it without conditions on "
                       "time, place or %s",
                       kms_action_name(kind->written_by), kind->subject);
    if (count == 1)
        kms_lint_warn(lint, NULL, "one-administrator",
                      "only %s can change this document: whoever loses that certificate is locked out",
                      kms_show(one).text);
}

/* ---- the report ---- */

static kms_err explain(const struct kms_reading *reading, json_t *list)
{
    for (size_t i = 0; i < reading->count; i++) {
        KMS_OWN_BUF words = {0};
        KMS_TRY(kms_words_statement(reading->policy, reading->texts[i], &words));
        json_t *row = json_pack("{s:s, s:s}", "statement", reading->statements[i]->name, "words",
                                (const char *)words.data);
        if (row == NULL || json_array_append_new(list, row) != 0) return KMS_FAIL(NO_MEMORY);
    }
    return KMS_OK;
}

static void check(struct kms_lint *lint)
{
    for (size_t i = 0; i < lint->reading->count; i++) {
        const struct kms_statement *statement = lint->reading->statements[i];
        check_width(lint, statement);
        kms_lint_principals(lint, statement);
        kms_lint_conditions(lint, statement);
        check_shadow(lint, statement);
        check_addition(lint, i);
    }
    check_document(lint);
}

kms_err kms_policy_lint(enum kms_policy_kind kind, struct kms_bytes document, json_t **ret_report,
                        struct kms_why *why)
{
    KMS_OWN(kms_reading) reading = NULL;
    KMS_TRY(kms_reading_new(kind, document, &reading, why));
    struct kms_lint lint = {.reading = reading, .findings = json_array(), .err = KMS_OK};
    json_t *statements = json_array();
    kms_err err = explain(reading, statements);
    check(&lint);
    json_t *report = json_pack("{s:o, s:o, s:I, s:I}", "statements", statements, "findings", lint.findings,
                               "errors", lint.errors, "warnings", lint.warnings);
    if (!kms_failed(err)) err = report == NULL ? KMS_FAIL(NO_MEMORY) : lint.err;
    if (kms_failed(err))
        json_decref(report);
    else
        *ret_report = report;
    return err;
}
