/* What a new document changes: for whom, in which actions, under which conditions, in which statements. */
#include "kmsd/policy/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"

#define S(sid, effect, who, action, more)                                                                    \
    "{'Sid':'" sid "','Effect':'" effect "','Principal':" who ",'Action':" action ",'Resource':'*'" more "}"
#define A           "{'AWS':'a:1'}"
#define B           "{'AWS':'b:1'}"
#define WHEN(block) ",'Condition':{" block "}"
#define PAIR(value) WHEN("'StringEquals':{'kms:EncryptionContext:app':'" value "'}")

static kms_err diff(const char *before, const char *after, json_t **ret_report, struct kms_why *why)
{
    char old[4096], new[4096];
    KMS_OWN_BUF kept = {0};
    snprintf(old, sizeof old, "{'Version':'2012-10-17','Statement':[%s]}", before);
    snprintf(new, sizeof new, "{'Version':'2012-10-17','Statement':[%s]}", after);
    struct kms_bytes text = quoted(old);
    KMS_TRY(kms_buf_append(&kept, text.ptr, text.len)); /* quoted has one buffer */
    return kms_policy_diff(KMS_POLICY_KEY, kms_buf_view(&kept), quoted(new), ret_report, why);
}

static void print_actions(const json_t *actions, kms_buf *out)
{
    size_t i;
    json_t *action;
    json_array_foreach(actions, i, action)
        KMS_ASSERT_OK(kms_buf_print(out, "%s%s", i > 0 ? "," : "", json_string_value(action) + 4));
}

/* "WHO CHANGE ACTIONS: BEFORE -> AFTER\n" for each row, then "SID CHANGE\n". */
static char *summary(const json_t *report)
{
    KMS_OWN_BUF out = {0};
    size_t i;
    json_t *row;
    KMS_ASSERT_OK(kms_buf_append(&out, "", 0));
    json_array_foreach(json_object_get(report, "access"), i, row)
    {
        KMS_ASSERT_OK(kms_buf_print(&out, "%s %s ", json_string_value(json_object_get(row, "principal")),
                                    json_string_value(json_object_get(row, "change"))));
        print_actions(json_object_get(row, "actions"), &out);
        KMS_ASSERT_OK(kms_buf_print(&out, ": %s -> %s\n", json_string_value(json_object_get(row, "before")),
                                    json_string_value(json_object_get(row, "after"))));
    }
    json_array_foreach(json_object_get(report, "statements"), i, row)
        KMS_ASSERT_OK(kms_buf_print(&out, "%s %s\n", json_string_value(json_object_get(row, "statement")),
                                    json_string_value(json_object_get(row, "change"))));
    return strdup(out.data != NULL ? (const char *)out.data : "");
}

static void rows_of_changes(void)
{
    static const struct {
        const char *before, *after, *want;
    } rows[] = {
        {S("U", "Allow", A, "'kms:Decrypt'", ""), S("U", "Allow", A, "'kms:Decrypt'", ""), ""},
        /* spelled otherwise, the same for everybody: only the statement has changed */
        {S("U", "Allow", A, "['kms:Sign','kms:Verify']", ""),
         S("U", "Allow", A, "['kms:verify','kms:SIGN']", ""), "U changed\n"},
        {S("U", "Allow", A, "'kms:Decrypt'", ""), S("U", "Allow", A, "['kms:Decrypt','kms:Encrypt']", ""),
         "a:1 gains Encrypt: no -> yes\nU changed\n"},
        {S("U", "Allow", "{'AWS':['a:1','b:1']}", "['kms:Decrypt','kms:Encrypt']", ""),
         S("U", "Allow", A, "['kms:Decrypt','kms:Encrypt']", ""),
         "b:1 loses Encrypt,Decrypt: yes -> no\nU changed\n"},
        {S("U", "Allow", A, "'kms:Decrypt'", ""), S("U", "Allow", A, "'kms:Decrypt'", PAIR("shop")),
         "a:1 changes Decrypt: yes -> when kms:EncryptionContext:app is \"shop\"\nU changed\n"},
        {S("U", "Allow", A, "'kms:Decrypt'", PAIR("shop")), S("U", "Allow", A, "'kms:Decrypt'", PAIR("web")),
         "a:1 changes Decrypt: when kms:EncryptionContext:app is \"shop\" -> when kms:EncryptionContext:app "
         "is "
         "\"web\"\nU changed\n"},
        {S("U", "Allow", A, "'kms:Decrypt'", ""),
         S("U", "Allow", A, "'kms:Decrypt'", "") "," S("D", "Deny", "'*'", "'kms:Decrypt'", PAIR("x")),
         "a:1 changes Decrypt: yes -> unless kms:EncryptionContext:app is \"x\"\nD added\n"},
        {S("U", "Allow", A, "'kms:Decrypt'", "") "," S("D", "Deny", "'*'", "'kms:Decrypt'", ""),
         S("U", "Allow", A, "'kms:Decrypt'", ""), "a:1 gains Decrypt: no -> yes\nD removed\n"},
        {S("U", "Allow", A, "'kms:Sign'", ""), S("U", "Allow", "'*'", "'kms:Sign'", ""),
         "everybody else gains Sign: no -> yes\nU changed\n"},
        {S("U", "Allow", A, "'kms:Sign'", ""), S("U", "Allow", B, "'kms:Sign'", ""),
         "a:1 loses Sign: yes -> no\nb:1 gains Sign: no -> yes\nU changed\n"},
        /* only moved */
        {S("U", "Allow", A, "'kms:Sign'", "") "," S("V", "Allow", B, "'kms:Sign'", ""),
         S("V", "Allow", B, "'kms:Sign'", "") "," S("U", "Allow", A, "'kms:Sign'", ""), ""},
        {"{'Effect':'Allow','Principal':" A ",'Action':'kms:Sign','Resource':'" KEY_A "'}",
         "{'Effect':'Allow','Principal':" A ",'Action':'kms:Sign','Resource':'*'}",
         "a:1 changes Sign: when the key is \"" KEY_A "\" -> yes\n#1 changed\n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why = {""};
        json_t *report = NULL;
        KMS_ASSERT_OK_FATAL(diff(rows[i].before, rows[i].after, &report, &why));
        char *have = summary(report);
        if (strcmp(have, rows[i].want) != 0) printf("\nrow %zu:\n%swanted:\n%s", i, have, rows[i].want);
        CU_ASSERT_STRING_EQUAL(have, rows[i].want);
        free(have);
        json_decref(report);
    }
}

static void statements_in_words(void)
{
    struct kms_why why = {""};
    json_t *report = NULL;
    KMS_ASSERT_OK_FATAL(
        diff(S("U", "Allow", A, "'kms:Sign'", ""), S("U", "Allow", B, "'kms:Sign'", ""), &report, &why));
    const json_t *row = json_array_get(json_object_get(report, "statements"), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "before")), "Allows a:1: kms:Sign");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "after")), "Allows b:1: kms:Sign");
    json_decref(report);
}

static void what_is_refused(void)
{
    struct kms_why why = {""};
    json_t *report = NULL;
    KMS_ASSERT_CODE(diff("{}", S("U", "Allow", A, "'kms:Sign'", ""), &report, &why), MALFORMED_POLICY);
    CU_ASSERT(says(&why, "the old document: "));
    KMS_ASSERT_CODE(diff(S("U", "Allow", A, "'kms:Sign'", ""), "{}", &report, &why), MALFORMED_POLICY);
    CU_ASSERT(says(&why, "the new document: "));
    CU_ASSERT_PTR_NULL(report);
}

/* Is there a row for this principal, or for an account, with this action? */
static bool has_row(const json_t *report, const char *who, const char *action)
{
    size_t i, k;
    json_t *row, *name;
    json_array_foreach(json_object_get(report, "access"), i, row)
    {
        const char *principal = json_string_value(json_object_get(row, "principal"));
        bool account = strstr(principal, ":root") != NULL || strcmp(principal, "111122223333") == 0;
        json_array_foreach(json_object_get(row, "actions"), k,
                           name) if ((account || strcmp(principal, who) == 0) &&
                                     strcmp(json_string_value(name), action) == 0) return true;
    }
    return false;
}

/* Does a Principal or NotPrincipal of the document name it? */
static bool names(json_t *document, struct kms_bytes who)
{
    size_t i, k;
    json_t *statement, *list = json_object_get(document, "Statement"), *name;
    if (!json_is_array(list))
        list = json_pack("[O]", list);
    else
        json_incref(list);
    bool found = false;
    json_array_foreach(list, i, statement)
    {
        json_t *element = json_object_get(statement, "Principal");
        if (element == NULL) element = json_object_get(statement, "NotPrincipal");
        json_t *of = json_is_object(element) ? json_object_get(element, "AWS") : element;
        found = found || (json_is_string(of) && kms_bytes_equal(kms_bytes_text(json_string_value(of)), who));
        json_array_foreach(of, k, name) found =
            found || kms_bytes_equal(kms_bytes_text(json_string_value(name)), who);
    }
    json_decref(list);
    return found;
}

static json_t *random_document(kms_policy **ret_policy, char **ret_text)
{
    for (;;) {
        json_t *document = generate_document(true);
        struct kms_why why;
        *ret_text = json_dumps(document, 0);
        if (!kms_failed(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(*ret_text), ret_policy, &why)))
            return document;
        free(*ret_text);
        json_decref(document);
    }
}

/* Whatever request is decided otherwise, the report has said so. */
static void nothing_is_missed(void)
{
    unsigned changed = 0;
    generate_seed(77);
    for (int i = 0; i < 1500; i++) {
        KMS_OWN(kms_policy) old = NULL;
        KMS_OWN(kms_policy) new = NULL;
        char *old_text, *new_text;
        struct kms_why why = {""};
        json_t *report = NULL, *before = random_document(&old, &old_text),
               *after = random_document(&new, &new_text);
        KMS_ASSERT_OK_FATAL(kms_policy_diff(KMS_POLICY_KEY, kms_bytes_text(old_text),
                                            kms_bytes_text(new_text), &report, &why));
        for (int k = 0; k < 60; k++) {
            struct generated g;
            char who[256];
            generate_request(&g);
            bool was = kms_policy_decide(old, &g.request).effect == KMS_ALLOW;
            if (was == (kms_policy_decide(new, &g.request).effect == KMS_ALLOW)) continue;
            changed++;
            snprintf(who, sizeof who, "%.*s", (int)g.request.principal.len,
                     (const char *)g.request.principal.ptr);
            bool named = names(before, g.request.principal) || names(after, g.request.principal);
            const char *action = kms_action_name(g.request.action);
            bool said = has_row(report, named ? who : "everybody else", action);
            if (!said) printf("\n%s %s\nold %s\nnew %s\n", who, action, old_text, new_text);
            CU_ASSERT_FATAL(said);
        }
        free(old_text);
        free(new_text);
        json_decref(before);
        json_decref(after);
        json_decref(report);
    }
    CU_ASSERT(changed > 1000); /* the documents and requests do meet */
}

/* Documents of secrets: their actions, and their words. */
static void of_secrets(void)
{
    static const char before[] =
        "{'Statement':[" S("S", "Allow", A, "'secretsmanager:GetSecretValue'", "") "]}";
    static const char after[] = "{'Statement':[{'Sid':'S','Effect':'Allow','Principal':" A
                                ",'Action':'secretsmanager:GetSecretValue','Resource':'" SECRET_A "'}]}";
    KMS_OWN_BUF kept = {0};
    json_t *report = NULL;
    struct kms_why why = {""};
    struct kms_bytes text = quoted(before);
    KMS_ASSERT_OK_FATAL(kms_buf_append(&kept, text.ptr, text.len));
    KMS_ASSERT_OK_FATAL(
        kms_policy_diff(KMS_POLICY_SECRET, kms_buf_view(&kept), quoted(after), &report, &why));
    const json_t *row = json_array_get(json_object_get(report, "access"), 0);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(report, "access")), 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "before")), "yes");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "after")),
                           "when the secret is \"" SECRET_A "\"");
    json_decref(report);
    KMS_ASSERT_CODE(kms_policy_diff(KMS_POLICY_KEY, kms_buf_view(&kept), quoted(after), &report, &why),
                    MALFORMED_POLICY);
    CU_ASSERT_TRUE(says(&why, "the old document"));
}

KMS_TEST_MAIN("policy diff", {"of secrets", of_secrets}, {"nothing is missed", nothing_is_missed},
              {"rows of changes", rows_of_changes}, {"statements in words", statements_in_words},
              {"what is refused", what_is_refused})
