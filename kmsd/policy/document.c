/* From the text of a document to a compiled policy. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/policy/compile.h"

#define OWN_JSON __attribute__((cleanup(json_drop))) json_t *

static void json_drop(json_t **json)
{
    json_decref(*json);
}

kms_err kms_complain(const struct kms_compile *compile, const char *format, ...)
{
    char words[KMS_WHY_BYTES], where[48] = "", what[KMS_SHOWN_BYTES + 40] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (compile->json.len > 0) {
        struct kms_place place = kms_locate(compile->json, &compile->path);
        snprintf(where, sizeof where, "line %zu, column %zu: ", place.line, place.column);
    }
    if (compile->number > 0 && compile->sid.len == 0)
        snprintf(what, sizeof what, "Statement %zu: ", compile->number);
    else if (compile->number > 0)
        snprintf(what, sizeof what, "Statement %zu (%s): ", compile->number,
                 kms_show_short(compile->sid).text);
    /* Statement, its number, the element: other elements' words name theirs. */
    const struct kms_step *element = compile->path.depth > 2 ? &compile->path.steps[2] : NULL;
    bool condition = element != NULL && element->member != NULL && strcmp(element->member, "Condition") == 0;
    kms_why_set(compile->why, "%s%s%s%s", where, what, condition ? "Condition: " : "", words);
    return KMS_FAIL(MALFORMED_POLICY);
}

void kms_enter(struct kms_compile *compile, const char *member)
{
    compile->path.steps[compile->path.depth++] = (struct kms_step){.member = member};
}

void kms_enter_item(struct kms_compile *compile, size_t index)
{
    compile->path.steps[compile->path.depth++] = (struct kms_step){.index = index};
}

void kms_leave(struct kms_compile *compile)
{
    compile->path.depth--;
}

struct kms_bytes kms_json_text(const json_t *string)
{
    return kms_bytes_of(json_string_value(string), json_string_length(string));
}

size_t kms_json_list_len(json_t *list)
{
    if (list == NULL) return 0;
    return json_is_array(list) ? json_array_size(list) : 1;
}

json_t *kms_json_list_at(json_t *list, size_t index)
{
    return json_is_array(list) ? json_array_get(list, index) : list;
}

/* Printable ASCII, Latin-1 supplement, tab, line feed, carriage return (AWS's rule for key policies). */
static kms_err check_text(const struct kms_compile *compile, struct kms_bytes json)
{
    if (json.len == 0) return kms_complain(compile, "the document is empty; write {\"Statement\": [...]}");
    if (json.len > KMS_POLICY_BYTES)
        return kms_complain(compile, "the document is %zu bytes long, more than %d; shorten it", json.len,
                            KMS_POLICY_BYTES);
    if (!kms_utf8_valid(json))
        return kms_complain(compile, "the document is not UTF-8, or has a NUL; save it as UTF-8");
    for (size_t at = 0; at < json.len; at++) {
        uint8_t c = json.ptr[at];
        bool ascii = (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
        if (ascii || (c & 0xc0) == 0x80) continue; /* the lead byte speaks for what continues it */
        size_t len = at + 1 < json.len ? 2 : 1;
        if (kms_text_printable(kms_bytes_of(json.ptr + at, len))) continue;
        struct kms_place place = kms_place_of(json, at);
        return kms_complain(
            compile,
            "line %zu, column %zu: a character outside of printable ASCII and Latin-1; replace "
            "it, in a string by \\u and four digits",
            place.line, place.column);
    }
    return KMS_OK;
}

static kms_err load(const struct kms_compile *compile, struct kms_bytes text, json_t **ret_json)
{
    json_error_t error;
    json_t *json = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL && json_error_code(&error) == json_error_out_of_memory) return KMS_FAIL(NO_MEMORY);
    if (json == NULL)
        return kms_complain(
            compile, "line %d, column %d: %s%s", error.line, error.column,
            kms_show(kms_bytes_text(error.text)).text,
            json_error_code(&error) == json_error_duplicate_key ? "; each member may stand there once" : "");
    *ret_json = json;
    return KMS_OK;
}

/* Version decides what "${...}" means; Id is for its writer. */
static kms_err check_top(struct kms_compile *compile, json_t *json)
{
    static const char *const known[] = {"Version", "Id", "Statement"};
    const char *name;
    json_t *value;
    if (!json_is_object(json)) return kms_complain(compile, "the document must be a JSON object: {...}");
    json_object_foreach(json, name, value)
    {
        kms_enter(compile, name);
        if (strcmp(name, "Version") != 0 && strcmp(name, "Id") != 0 && strcmp(name, "Statement") != 0)
            return kms_complain(compile, "unknown element '%s'%s", kms_show(kms_bytes_text(name)).text,
                                kms_similar_or(kms_bytes_text(name), known, 3, "; remove it").text);
        if (strcmp(name, "Id") == 0 && !json_is_string(value))
            return kms_complain(compile, "Id must be a string");
        if (strcmp(name, "Version") == 0) {
            const char *date = json_is_string(value) ? json_string_value(value) : "";
            compile->variables = strcmp(date, "2012-10-17") == 0;
            if (!compile->variables && strcmp(date, "2008-10-17") != 0)
                return kms_complain(compile, "Version must be \"2012-10-17\" or \"2008-10-17\"");
        }
        kms_leave(compile);
    }
    return KMS_OK;
}

static bool says_deny(json_t *statement)
{
    const char *effect = json_string_value(json_object_get(statement, "Effect"));
    return effect != NULL && strcmp(effect, "Deny") == 0;
}

/* Sids name statements in decisions, so no two may share one. */
static kms_err check_sid_once(struct kms_compile *compile, const char *name, size_t denies, size_t allows)
{
    const struct kms_policy *policy = compile->policy;
    bool there = false;
    for (size_t i = 0; i < denies; i++) there = there || strcmp(policy->statements[i].name, name) == 0;
    for (size_t i = 0; i < allows; i++)
        there = there || strcmp(policy->statements[policy->deny_count + i].name, name) == 0;
    if (!there) return KMS_OK;
    kms_enter(compile, "Sid");
    return kms_complain(compile, "another statement has the same Sid; give each its own");
}

static kms_err compile_statements(struct kms_compile *compile, json_t *list)
{
    struct kms_policy *policy = compile->policy;
    size_t count = kms_json_list_len(list), denies = 0, allows = 0;
    if (count == 0) return kms_complain(compile, "Statement is missing or empty; a policy has at least one");
    if (count > KMS_POLICY_STATEMENTS)
        return kms_complain(compile, "%zu statements, more than %d; join some", count, KMS_POLICY_STATEMENTS);
    kms_enter(compile, "Statement");
    policy->statements = kms_pool_alloc(&policy->pool, count * sizeof *policy->statements);
    if (policy->statements == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) policy->deny_count += says_deny(kms_json_list_at(list, i));
    for (size_t i = 0; i < count; i++) {
        struct kms_statement statement;
        compile->number = i + 1;
        compile->sid = kms_bytes_of(NULL, 0);
        kms_enter_item(compile, i);
        KMS_TRY(kms_compile_statement(compile, kms_json_list_at(list, i), &statement));
        KMS_TRY(check_sid_once(compile, statement.name, denies, allows));
        if (policy->kind == KMS_POLICY_SERVICE) KMS_TRY(kms_check_service(compile, &statement));
        kms_leave(compile);
        policy->statements[statement.deny ? denies++ : policy->deny_count + allows++] = statement;
    }
    policy->statement_count = (uint16_t)count;
    return KMS_OK;
}

kms_err kms_policy_parse(enum kms_policy_kind kind, struct kms_bytes json, kms_policy **ret_policy,
                         struct kms_why *why)
{
    struct kms_compile compile = {.why = why};
    KMS_OWN(kms_policy) policy = calloc(1, sizeof *policy);
    OWN_JSON document = NULL;
    if (policy == NULL) return KMS_FAIL(NO_MEMORY);
    atomic_init(&policy->references, 1);
    policy->kind = kind;
    policy->every = kind == KMS_POLICY_SERVICE ? KMS_ALL_ACTIONS : kms_action_kind_bits(kind);
    compile.policy = policy;
    KMS_TRY(check_text(&compile, json));
    KMS_TRY(load(&compile, json, &document));
    compile.json = json;
    KMS_TRY(check_top(&compile, document));
    KMS_TRY(compile_statements(&compile, json_object_get(document, "Statement")));
    KMS_TRY(kms_pool_copy(&policy->pool, json, &policy->source));
    *ret_policy = KMS_GIVE(policy);
    return KMS_OK;
}

const char *kms_policy_source(const kms_policy *policy)
{
    return (const char *)policy->source.ptr; /* the pool put a NUL behind it */
}

bool kms_policy_shared(const kms_policy *policy)
{
    return atomic_load_explicit(&policy->references, memory_order_acquire) > 1;
}

kms_policy *kms_policy_ref(kms_policy *policy)
{
    if (policy != NULL) atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void kms_policy_unref(kms_policy *policy)
{
    if (policy == NULL || atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1)
        return;
    kms_pool_free(&policy->pool);
    free(policy);
}

void kms_policy_drop(kms_policy **policy)
{
    kms_policy_unref(*policy);
    *policy = NULL;
}
