/*
 * Most lines are turned away by what is cheap: the time at its fixed place, and a search for the bytes that a
 * matching line must hold. Only those that are left are taken apart. Terms are escaped as the writer escapes
 * (json.h), so that bytes are compared, not texts.
 */
#include "kmsd/audit/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/audit/chain.h"
#include "kmsd/audit/fields.h"
#include "kmsd/audit/json.h"

static const struct {
    const char *name;
    bool star;
} rows[KMS_AUDIT_TERM_COUNT] = {
#define KMS_AUDIT_TERM(symbol, name_, star_) [KMS_AUDIT_BY_##symbol] = {.name = (name_), .star = (star_)},
#include "kmsd/audit/filter.def"
#undef KMS_AUDIT_TERM
};

struct term {
    kms_buf text;   /* escaped; empty: any */
    kms_buf needle; /* stands in every line that matches; empty: nothing can be said */
    bool prefix;
};

struct kms_audit_query {
    char since[KMS_TIME_TEXT], until[KMS_TIME_TEXT];
    struct term terms[KMS_AUDIT_TERM_COUNT];
    bool failed; /* outcome: all but OK */
    bool own;    /* protocol: kms, which records do not say */
};

static kms_err escape(struct kms_bytes text, kms_buf *to)
{
    uint8_t memory[6 * KMS_AUDIT_TERM_BYTES + 2];
    struct kms_audit_json json = {.at = memory, .end = memory + sizeof memory};
    kms_audit_json_text(&json, text, sizeof memory);
    return kms_buf_append(to, memory + 1, (size_t)(json.at - memory) - 2);
}

static bool is_kind(const char *text)
{
    static const char *const kinds[] = {"call",       "attempt", "outcome", "recovery",
                                        "suppressed", "service", "head"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i], text) == 0) return true;
    return false;
}

static bool is_reason(const char *text)
{
    for (int code = 0; code < KMS_E_COUNT; code++)
        if (strcmp(kms_err_reason((kms_err){(enum kms_code)code}), text) == 0) return true;
    return false;
}

static kms_err check(enum kms_audit_term which, const char *text, struct kms_why *why)
{
    const char *fault = NULL;
    if (strlen(text) > KMS_AUDIT_TERM_BYTES)
        fault = "is too long";
    else if (!kms_utf8_valid(kms_bytes_text(text)))
        fault = "is not UTF-8";
    else if (which == KMS_AUDIT_BY_KIND && !is_kind(text))
        fault = "is call, attempt, outcome, recovery, suppressed, service or head";
    else if (which == KMS_AUDIT_BY_OUTCOME && !is_reason(text))
        fault = "is OK, denied, failed, or a reason such as ACCESS_DENIED";
    if (fault == NULL) return KMS_OK;
    kms_why_set(why, "%s %s", rows[which].name, fault);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* What the words mean: "denied", "failed", protocol "kms", an action without its "kms:". */
static kms_err set_text(kms_audit_query *query, enum kms_audit_term which, const char *given,
                        struct kms_why *why)
{
    struct term *term = &query->terms[which];
    if (which == KMS_AUDIT_BY_OUTCOME && strcmp(given, "denied") == 0) given = "ACCESS_DENIED";
    if (which == KMS_AUDIT_BY_OUTCOME && strcmp(given, "failed") == 0) {
        query->failed = true;
        return KMS_OK;
    }
    if (which == KMS_AUDIT_BY_PROTOCOL && strcmp(given, "kms") == 0) {
        query->own = true;
        return KMS_OK;
    }
    KMS_TRY(check(which, given, why));
    struct kms_bytes text = kms_bytes_text(given);
    term->prefix = rows[which].star && text.len > 0 && given[text.len - 1] == '*';
    if (term->prefix) text.len--;
    if (which == KMS_AUDIT_BY_ACTION && strchr(given, ':') == NULL)
        KMS_TRY(kms_buf_print(&term->text, "kms:"));
    return escape(text, &term->text);
}

static kms_err set_needle(struct term *term, enum kms_audit_term which)
{
    const char *text = (const char *)term->text.data;
    if (term->text.len == 0) return KMS_OK;
    if (which == KMS_AUDIT_BY_KEY || which == KMS_AUDIT_BY_OUTCOME)
        return kms_buf_print(&term->needle, "%s", text);
    return kms_buf_print(&term->needle, "\"%s\":\"%s%s", rows[which].name, text, term->prefix ? "" : "\"");
}

static kms_err set_range(kms_audit_query *query, const struct kms_audit_filter *filter, struct kms_why *why)
{
    if (filter->since_us != 0) kms_time_text(filter->since_us, query->since);
    if (filter->until_us != 0) kms_time_text(filter->until_us, query->until);
    if (filter->since_us == 0 || filter->until_us == 0 || filter->since_us < filter->until_us) return KMS_OK;
    kms_why_set(why, "the range of time is empty: it begins at %s and ends at %s", query->since,
                query->until);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err kms_audit_query_new(const struct kms_audit_filter *filter, kms_audit_query **ret_query,
                            struct kms_why *why)
{
    KMS_OWN(kms_audit_query) query = calloc(1, sizeof *query);
    if (query == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(set_range(query, filter, why));
    for (int i = 0; i < KMS_AUDIT_TERM_COUNT; i++) {
        enum kms_audit_term which = (enum kms_audit_term)i;
        if (filter->terms[i] == NULL) continue;
        KMS_TRY(set_text(query, which, filter->terms[i], why));
        KMS_TRY(set_needle(&query->terms[i], which));
    }
    *ret_query = KMS_GIVE(query);
    return KMS_OK;
}

void kms_audit_query_free(kms_audit_query *query)
{
    if (query == NULL) return;
    for (int i = 0; i < KMS_AUDIT_TERM_COUNT; i++) {
        kms_buf_free(&query->terms[i].text);
        kms_buf_free(&query->terms[i].needle);
    }
    free(query);
}

void kms_audit_query_drop(kms_audit_query **query)
{
    kms_audit_query_free(*query);
}

const char *kms_audit_query_since(const kms_audit_query *query)
{
    return query->since;
}
const char *kms_audit_query_until(const kms_audit_query *query)
{
    return query->until;
}

static bool in_range(const kms_audit_query *query, const char *time)
{
    const size_t len = KMS_TIME_TEXT - 1;
    if (query->since[0] != '\0' && memcmp(time, query->since, len) < 0) return false;
    return query->until[0] == '\0' || memcmp(time, query->until, len) < 0;
}

static bool holds_needles(const kms_audit_query *query, struct kms_bytes line)
{
    for (int i = 0; i < KMS_AUDIT_TERM_COUNT; i++) {
        const kms_buf *needle = &query->terms[i].needle;
        if (needle->len > 0 && memmem(line.ptr, line.len, needle->data, needle->len) == NULL) return false;
    }
    return true;
}

static bool is_term(const struct term *term, struct kms_bytes text)
{
    if (term->text.data == NULL) return true; /* any */
    if (text.len < term->text.len || (!term->prefix && text.len != term->text.len)) return false;
    return term->text.len == 0 || memcmp(text.ptr, term->text.data, term->text.len) == 0;
}

/* "alias/NAME" as the caller wrote it, asked for as NAME. */
static bool is_alias(const struct term *term, struct kms_bytes named)
{
    static const char alias[] = "alias/";
    const size_t len = sizeof alias - 1;
    return named.len > len && memcmp(named.ptr, alias, len) == 0 &&
           is_term(term, kms_bytes_of(named.ptr + len, named.len - len));
}

static bool is_key(const struct term *term, struct kms_bytes access)
{
    struct kms_bytes named = kms_audit_inside(kms_audit_member(access, "key_named"));
    return is_term(term, kms_audit_inside(kms_audit_member(access, "key_id"))) || is_term(term, named) ||
           is_alias(term, named);
}

/* One access has both, when both are asked for. */
static bool has_access(const kms_audit_query *query, struct kms_bytes list)
{
    const struct term *key = &query->terms[KMS_AUDIT_BY_KEY], *action = &query->terms[KMS_AUDIT_BY_ACTION];
    if (key->text.data == NULL && action->text.data == NULL) return true;
    struct kms_audit_walk walk = kms_audit_walk(list);
    struct kms_bytes name, access;
    while (kms_audit_walk_next(&walk, &name, &access)) {
        if (action->text.data != NULL &&
            !is_term(action, kms_audit_inside(kms_audit_member(access, "action"))))
            continue;
        if (key->text.data == NULL || is_key(key, access)) return true;
    }
    return false;
}

static bool is_outcome(const kms_audit_query *query, struct kms_bytes outcome)
{
    if (outcome.len == 0) return false;
    if (query->failed) return !kms_bytes_equal(outcome, kms_bytes_text("OK"));
    return is_term(&query->terms[KMS_AUDIT_BY_OUTCOME], outcome);
}

static bool has_outcome(const kms_audit_query *query, const struct kms_audit_fields *fields)
{
    if (!query->failed && query->terms[KMS_AUDIT_BY_OUTCOME].text.data == NULL) return true;
    if (is_outcome(query, fields->outcome)) return true;
    struct kms_audit_walk walk = kms_audit_walk(fields->items);
    struct kms_bytes name, item;
    while (kms_audit_walk_next(&walk, &name, &item))
        if (is_outcome(query, kms_audit_inside(kms_audit_member(item, "outcome")))) return true;
    return false;
}

/* Calls are of some protocol; other records are of none. */
static bool has_protocol(const kms_audit_query *query, const struct kms_audit_fields *fields)
{
    if (!query->own) return is_term(&query->terms[KMS_AUDIT_BY_PROTOCOL], fields->protocol);
    return fields->protocol.len == 0 && (kms_bytes_equal(fields->kind, kms_bytes_text("call")) ||
                                         kms_bytes_equal(fields->kind, kms_bytes_text("attempt")) ||
                                         kms_bytes_equal(fields->kind, kms_bytes_text("outcome")));
}

enum kms_audit_match kms_audit_query_match(const kms_audit_query *query, struct kms_bytes line)
{
    struct kms_audit_record record;
    struct kms_audit_fields fields;
    if (!kms_audit_scan_record(line, &record)) return KMS_AUDIT_NO_RECORD;
    if (!in_range(query, record.time) || !holds_needles(query, line)) return KMS_AUDIT_OTHER;
    if (!kms_audit_fields_read(line, &fields)) return KMS_AUDIT_NO_RECORD;
    const struct term *terms = query->terms;
    bool match = is_term(&terms[KMS_AUDIT_BY_KIND], fields.kind) &&
                 is_term(&terms[KMS_AUDIT_BY_PRINCIPAL], fields.principal) &&
                 is_term(&terms[KMS_AUDIT_BY_OPERATION], fields.operation) &&
                 is_term(&terms[KMS_AUDIT_BY_REQUEST_ID], fields.request_id) &&
                 is_term(&terms[KMS_AUDIT_BY_CORRELATION_ID], fields.correlation_id) &&
                 has_protocol(query, &fields) && has_outcome(query, &fields) &&
                 has_access(query, fields.access);
    return match ? KMS_AUDIT_MATCH : KMS_AUDIT_OTHER;
}
