/* Two documents, principal by principal, action by action; then statement by statement. */
#include "kmsd/policy/diff.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/words.h"

/* Somebody: a principal that one of the documents names, or everybody else ({NULL, 0}). */
struct somebody {
    struct kms_bytes name;
    uint64_t hash;
};

static bool unconditional(const struct kms_statement *s)
{
    return s->condition_count == 0 && s->any_resource;
}

static bool applies(const struct kms_statement *s, const struct somebody *who, kms_actions action)
{
    return (s->actions & action) != 0 && kms_statement_covers(s, who->name, who->hash);
}

/* ---- what a document says of one principal and action ---- */

static kms_err put_resources(const kms_policy *policy, json_t *statement, kms_buf *out)
{
    json_t *other = json_object_get(statement, "NotResource");
    char *text = json_dumps(other != NULL ? other : json_object_get(statement, "Resource"), JSON_ENCODE_ANY);
    const char *subject = kms_kind_row(policy->kind)->subject;
    kms_err err = text != NULL
                      ? kms_buf_print(out, "the %s is %s%s", subject, other != NULL ? "not " : "", text)
                      : KMS_FAIL(NO_MEMORY);
    free(text);
    return err;
}

/* "when kms:RequestAlias is ..." of one statement. */
static kms_err put_when(const struct kms_reading *reading, size_t index, kms_buf *out)
{
    const struct kms_statement *s = reading->statements[index];
    json_t *text = reading->texts[index];
    const char *front = s->deny ? "unless " : "when ";
    KMS_TRY(kms_buf_print(out, "%s%s", out->len > 0 ? "; " : "", front));
    if (!s->any_resource) KMS_TRY(put_resources(reading->policy, text, out));
    if (!s->any_resource && s->condition_count > 0) KMS_TRY(kms_buf_print(out, " and "));
    return kms_words_conditions(text, out);
}

/* What the unconditional statements say: 'n' no, 'y' yes but for denials with conditions, '?' it depends. */
static char settled(const struct kms_reading *reading, const struct somebody *who, kms_actions action)
{
    bool allowed = false, always = false;
    for (size_t i = 0; i < reading->count; i++) {
        const struct kms_statement *s = reading->statements[i];
        if (!applies(s, who, action)) continue;
        if (s->deny && unconditional(s)) return 'n';
        allowed = allowed || !s->deny;
        always = always || (!s->deny && unconditional(s));
    }
    return always ? 'y' : allowed ? '?' : 'n';
}

static kms_err put_each(const struct kms_reading *reading, const struct somebody *who, kms_actions action,
                        bool deny, kms_buf *out)
{
    for (size_t i = 0; i < reading->count; i++) {
        const struct kms_statement *s = reading->statements[i];
        if (s->deny != deny || !applies(s, who, action)) continue;
        KMS_TRY(put_when(reading, i, out));
    }
    return KMS_OK;
}

/* "no", "yes", or the conditions: of every Allow that applies, then of every Deny. */
static kms_err put_answer(const struct kms_reading *reading, const struct somebody *who, kms_actions action,
                          kms_buf *out)
{
    char answer = settled(reading, who, action);
    if (answer == 'n') return kms_buf_print(out, "no");
    if (answer == '?') KMS_TRY(put_each(reading, who, action, false, out));
    KMS_TRY(put_each(reading, who, action, true, out));
    return out->len == 0 ? kms_buf_print(out, "yes") : KMS_OK;
}

/* ---- principals and actions ---- */

struct report {
    const struct kms_reading *before, *after;
    json_t *access, *statements;
};

static const char *change_of(const char *before, const char *after)
{
    if (strcmp(before, "no") == 0) return "gains";
    return strcmp(after, "no") == 0 ? "loses" : "changes";
}

/* A row of the same principal and answers gets one more action. */
static kms_err add_access(json_t *rows, size_t from, const char *who, enum kms_action action,
                          const char *before, const char *after)
{
    json_t *name = json_string(kms_action_name(action));
    for (size_t i = from; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        if (strcmp(json_string_value(json_object_get(row, "before")), before) != 0 ||
            strcmp(json_string_value(json_object_get(row, "after")), after) != 0)
            continue;
        return json_array_append_new(json_object_get(row, "actions"), name) == 0 ? KMS_OK
                                                                                 : KMS_FAIL(NO_MEMORY);
    }
    json_t *row = json_pack("{s:s, s:s, s:[o], s:s, s:s}", "principal", who, "change",
                            change_of(before, after), "actions", name, "before", before, "after", after);
    return row != NULL && json_array_append_new(rows, row) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err compare(struct report *report, const struct somebody *who)
{
    KMS_OWN_BUF name = {0};
    size_t from = json_array_size(report->access);
    KMS_TRY(who->name.ptr == NULL ? kms_buf_print(&name, "everybody else")
                                  : kms_buf_append(&name, who->name.ptr, who->name.len));
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        KMS_OWN_BUF before = {0}, after = {0};
        KMS_TRY(put_answer(report->before, who, kms_action_bit(action), &before));
        KMS_TRY(put_answer(report->after, who, kms_action_bit(action), &after));
        if (kms_bytes_equal(kms_buf_view(&before), kms_buf_view(&after))) continue;
        KMS_TRY(add_access(report->access, from, (const char *)name.data, action, (const char *)before.data,
                           (const char *)after.data));
    }
    return KMS_OK;
}

static bool names_before(const struct kms_reading *reading, size_t statement, struct kms_bytes name,
                         uint64_t hash)
{
    for (size_t i = 0; i < statement; i++)
        if (kms_statement_names(reading->statements[i], name, hash)) return true;
    return false;
}

/* Everybody that a document names, once; not those that `known` names as well. */
static kms_err compare_named(struct report *report, const struct kms_reading *reading,
                             const struct kms_reading *known)
{
    for (size_t i = 0; i < reading->count; i++) {
        const struct kms_statement *s = reading->statements[i];
        for (size_t k = 0; k < s->principal_count; k++) {
            const struct somebody who = {s->principals[k].name, s->principals[k].hash};
            if (names_before(reading, i, who.name, who.hash)) continue;
            if (known != NULL && names_before(known, known->count, who.name, who.hash)) continue;
            KMS_TRY(compare(report, &who));
        }
    }
    return KMS_OK;
}

/* ---- statements ---- */

static kms_err add_statement(struct report *report, const char *name, const char *change, json_t *before,
                             json_t *after)
{
    KMS_OWN_BUF was = {0}, is = {0};
    const kms_policy *policy = report->after->policy; /* of the same kind */
    KMS_TRY(before != NULL ? kms_words_statement(policy, before, &was) : kms_buf_append(&was, "", 0));
    KMS_TRY(after != NULL ? kms_words_statement(policy, after, &is) : kms_buf_append(&is, "", 0));
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "statement", name, "change", change, "before",
                            before != NULL ? (const char *)was.data : "", "after",
                            after != NULL ? (const char *)is.data : "");
    return row != NULL && json_array_append_new(report->statements, row) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static json_t *called(const struct kms_reading *reading, const char *name)
{
    for (size_t i = 0; i < reading->count; i++)
        if (strcmp(reading->statements[i]->name, name) == 0) return reading->texts[i];
    return NULL;
}

static bool contains(const struct kms_reading *reading, json_t *text)
{
    for (size_t i = 0; i < reading->count; i++)
        if (json_equal(reading->texts[i], text)) return true;
    return false;
}

/* By Sid, or by position for those without; one that only moved has not changed. */
static kms_err compare_statements(struct report *report)
{
    const struct kms_reading *before = report->before, *after = report->after;
    for (size_t i = 0; i < before->count; i++) {
        const char *name = before->statements[i]->name;
        json_t *other = called(after, name);
        if (contains(after, before->texts[i])) continue;
        bool changed = other != NULL && !contains(before, other);
        KMS_TRY(add_statement(report, name, changed ? "changed" : "removed", before->texts[i],
                              changed ? other : NULL));
    }
    for (size_t i = 0; i < after->count; i++) {
        json_t *other = called(before, after->statements[i]->name);
        if (contains(before, after->texts[i]) || (other != NULL && !contains(after, other))) continue;
        KMS_TRY(add_statement(report, after->statements[i]->name, "added", NULL, after->texts[i]));
    }
    return KMS_OK;
}

static kms_err read_one(enum kms_policy_kind kind, struct kms_bytes document, const char *which,
                        struct kms_reading **ret_reading, struct kms_why *why)
{
    struct kms_why what = {""};
    kms_err err = kms_reading_new(kind, document, ret_reading, &what);
    if (kms_failed(err) && what.text[0] != '\0') kms_why_set(why, "the %s document: %s", which, what.text);
    return err;
}

kms_err kms_policy_diff(enum kms_policy_kind kind, struct kms_bytes before, struct kms_bytes after,
                        json_t **ret_report, struct kms_why *why)
{
    KMS_OWN(kms_reading) old = NULL;
    KMS_OWN(kms_reading) new = NULL;
    KMS_TRY(read_one(kind, before, "old", &old, why));
    KMS_TRY(read_one(kind, after, "new", &new, why));
    struct report report = {.before = old, .after = new, .access = json_array(), .statements = json_array()};
    const struct somebody else_who = {{NULL, 0}, 0};
    kms_err err = compare_named(&report, old, NULL);
    if (!kms_failed(err)) err = compare_named(&report, new, old);
    if (!kms_failed(err)) err = compare(&report, &else_who);
    if (!kms_failed(err)) err = compare_statements(&report);
    json_t *object = json_pack("{s:o, s:o}", "access", report.access, "statements", report.statements);
    if (!kms_failed(err) && object == NULL) err = KMS_FAIL(NO_MEMORY);
    if (kms_failed(err))
        json_decref(object);
    else
        *ret_report = object;
    return err;
}
