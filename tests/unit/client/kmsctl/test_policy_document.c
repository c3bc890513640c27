/* The policy of `key create`, and the check of form. */
#include "client/kmsctl/policy_document.h"

#include <jansson.h>
#include <stdio.h>

#include "tests/harness/suite.h"

static const struct {
    const char *name, *class, *documents;
} all_actions[] = {
#define KMS_ACTION(symbol, name, class, documents) {name, #class, #documents},
#include "kmsd/policy/action.def"
#undef KMS_ACTION
};

static bool listed(const char *const *actions, const char *name)
{
    for (; *actions != NULL; actions++)
        if (strcmp(*actions, name) == 0) return true;
    return false;
}

/* What a policy of a key is asked about; of what the service policy grants, only this. */
static bool of_keys(const char *name, const char *documents)
{
    bool service = strstr(documents, "SERVICE") != NULL && strcmp(name, "kms:SimulatePolicy") != 0;
    return strstr(documents, "KEY") != NULL && !service;
}

static void administrators_get_all_but_usage(void)
{
    for (size_t i = 0; i < KMS_COUNT(all_actions); i++) {
        bool want = strcmp(all_actions[i].class, "USAGE") != 0 &&
                    of_keys(all_actions[i].name, all_actions[i].documents);
        if (listed(ctl_admin_actions, all_actions[i].name) != want) printf("%s\n", all_actions[i].name);
        CU_ASSERT_EQUAL(listed(ctl_admin_actions, all_actions[i].name), want);
        if (strcmp(all_actions[i].class, "ADMIN") == 0)
            CU_ASSERT_FALSE(listed(ctl_usage_actions, all_actions[i].name));
    }
}

static void shape(void)
{
    struct ctl_texts admins = {.items = {"spiffe://x/admin"}, .count = 1};
    struct ctl_texts users = {.items = {"spiffe://x/app", "cn:batch \"1\""}, .count = 2};
    KMS_OWN_BUF out = {0};
    KMS_ASSERT_OK_FATAL(ctl_policy_build(&admins, &users, &out, NULL));
    json_t *document = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(document);
    const char *sid0, *sid1, *admin, *user, *action;
    CU_ASSERT_EQUAL(json_unpack(document, "{s:s, s:[{s:s, s:s, s:{s:[s]}, s:s}, {s:s, s:{s:[s, s]}, s:[s]}]}",
                                "Version", &action, "Statement", "Sid", &sid0, "Effect", &action, "Principal",
                                "AWS", &admin, "Resource", &action, "Sid", &sid1, "Principal", "AWS", &action,
                                &user, "Action", &action),
                    0);
    CU_ASSERT_STRING_EQUAL(sid0, "KeyAdministration");
    CU_ASSERT_STRING_EQUAL(sid1, "KeyUsage");
    CU_ASSERT_STRING_EQUAL(admin, "spiffe://x/admin");
    CU_ASSERT_STRING_EQUAL(user, "cn:batch \"1\"");
    CU_ASSERT_STRING_EQUAL(action, "kms:Encrypt");
    json_decref(document);
    KMS_ASSERT_OK(ctl_policy_check(KMS_POLICY_KEY, kms_buf_view(&out), NULL));
}

static void lists_of_principals(void)
{
    static const struct {
        struct ctl_texts admins, users;
        bool ok;
        size_t statements;
    } rows[] = {
        {{.count = 0}, {.count = 0}, true, 0},
        {{.items = {"a"}, .count = 1}, {.count = 0}, true, 1},
        {{.count = 0}, {.items = {"a"}, .count = 1}, true, 1},
        {{.items = {"a"}, .count = 1}, {.items = {"a"}, .count = 1}, false, 0},
        {{.items = {"a", "a"}, .count = 2}, {.count = 0}, false, 0},
        {{.items = {""}, .count = 1}, {.count = 0}, false, 0},
        {{.items = {"\xff"}, .count = 1}, {.count = 0}, false, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_BUF out = {0};
        struct kms_why why;
        kms_err err = ctl_policy_build(&rows[i].admins, &rows[i].users, &out, &why);
        CU_ASSERT_EQUAL(!kms_failed(err), rows[i].ok);
        if (rows[i].statements == 0) CU_ASSERT_EQUAL(out.len, 0);
    }
}

static void check_is_the_servers(void)
{
#define USE(principal)                                                                                       \
    "\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" principal                                               \
    "\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\""
    static const struct {
        const char *text, *want; /* NULL: fine */
        enum kms_code code;
    } rows[] = {
        {"{\"Statement\":[{" USE("a") "}]}", NULL, KMS_E_OK},
        {"{\"Statement\":[]}", "Statement", KMS_E_MALFORMED_POLICY},
        {"{\n\"Statement\": [}", "line 2", KMS_E_MALFORMED_POLICY},
        {"{\"Statement\":[{" USE("a") ",\"Actions\":\"x\"}]}", "Actions", KMS_E_MALFORMED_POLICY},
        {"{\"Statement\":[{\"Sid\":\"All\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"a\"},"
         "\"Action\":\"kms:*\",\"Resource\":\"*\"}]}",
         "All", KMS_E_POLICY_NOT_SEPARATED},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why = {0};
        kms_err err = ctl_policy_check(KMS_POLICY_KEY, kms_bytes_text(rows[i].text), &why);
        CU_ASSERT_EQUAL(err.code, rows[i].code);
        if (rows[i].want == NULL) continue;
        if (strstr(why.text, rows[i].want) == NULL) printf("row %zu: %s\n", i, why.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].want));
    }
}

/* --kind, or what the actions tell. */
static void kinds(void)
{
    static const char secret[] = "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"a\"},"
                                 "\"Action\":\"secretsmanager:CreateSecret\",\"Resource\":\"*\"}]}";
    struct kms_bytes text = kms_bytes_text(secret);
    struct ctl ctl = {0};
    CU_ASSERT_EQUAL(ctl_policy_kind(&ctl, text), KMS_POLICY_SECRET);
    KMS_ASSERT_OK(ctl_policy_check(KMS_POLICY_SECRET, text, NULL));
    KMS_ASSERT_CODE(ctl_policy_check(KMS_POLICY_KEY, text, NULL), MALFORMED_POLICY);
    ctl.kind = "service";
    CU_ASSERT_EQUAL(ctl_policy_kind(&ctl, text), KMS_POLICY_SERVICE);
    KMS_ASSERT_OK(ctl_policy_check(KMS_POLICY_SERVICE, text, NULL));
    CU_ASSERT_FALSE(ctl_only_keys(&ctl));
    ctl.kind = "key";
    CU_ASSERT_TRUE(ctl_only_keys(&ctl));
    CU_ASSERT_EQUAL(ctl_policy_kind(&ctl, text), KMS_POLICY_KEY);
}

KMS_TEST_MAIN("client/kmsctl/policy_document", {"kinds", kinds},
              {"administrators get all but usage", administrators_get_all_but_usage}, {"shape", shape},
              {"lists of principals", lists_of_principals}, {"check is the server's", check_is_the_servers})
