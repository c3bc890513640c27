/* What each kind of document may say, and what its wildcards cover. */
#include <stdio.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/grant.h"
#include "tests/unit/kmsd/policy/fixture.h"

#define KEY    KMS_POLICY_KEY
#define SECRET KMS_POLICY_SECRET
#define ROLE   KMS_POLICY_DATABASE_ROLE
#define ALLOW  "'Sid':'S','Effect':'Allow','Principal':{'AWS':'p'},"
#define DENY   "'Sid':'S','Effect':'Deny','Principal':{'AWS':'p'},"
#define ANY    ",'Resource':'*'"

static const struct {
    enum kms_policy_kind kind;
    const char *statement;
    const char *words; /* NULL: accepted */
} forms[] = {
    {KEY, ALLOW "'Action':'kms:Decrypt'" ANY, NULL},
    {KEY, ALLOW "'Action':'secretsmanager:GetSecretValue'" ANY,
     "Statement 1 (S): action 'secretsmanager:GetSecretValue' never applies in a key policy; put it into the "
     "resource policy of a secret"},
    {KEY, DENY "'Action':'secretsmanager:*'" ANY, "put it into the resource policy of a secret"},
    {KEY, ALLOW "'Action':'secretsmanager:CreateSecret'" ANY, "put it into the service policy"},
    {KEY, ALLOW "'Action':'secretsmanager:GenerateCredentials'" ANY,
     "put it into the policy of a database role"},
    {KEY, ALLOW "'Action':'s3:GetObject'" ANY, "not of this service: name one that begins with 'kms:'"},
    {KEY, ALLOW "'Action':'secretsmanager:GetSecretValues'" ANY, "unknown action"},
    {SECRET, ALLOW "'Action':'secretsmanager:GetSecretValue'" ANY, NULL},
    {SECRET, ALLOW "'Action':['SecretsManager:get*','*']" ANY, NULL},
    {SECRET, ALLOW "'Action':'kms:Decrypt'" ANY,
     "action 'kms:Decrypt' never applies in the resource policy of a secret; put it into a key policy"},
    {SECRET, ALLOW "'Action':'kms:CreateKey'" ANY, "put it into the service policy"},
    {SECRET, ALLOW "'Action':'kms:*'" ANY, "put it into a key policy"},
    {SECRET, ALLOW "'Action':'secretsmanager:GenerateCredentials'" ANY,
     "put it into the policy of a database role"},
    {SECRET, ALLOW "'Action':'secretsmanager:GetSecretValues'" ANY,
     "unknown action 'secretsmanager:GetSecretValues', did you mean secretsmanager:GetSecretValue or "},
    {SECRET, ALLOW "'Action':'s3:GetObject'" ANY, "name one that begins with 'secretsmanager:'"},
    {SECRET, ALLOW "'Action':[]" ANY, "name one, or \"secretsmanager:*\""},
    {SECRET, ALLOW "'NotAction':'*'" ANY, "NotAction leaves no action"},
    {SECRET, ALLOW "'Action':'*','Resource':'arn:aws:secretsmanager:us-east-1:1:secret:a/b_c+d=e.f@g-AbCdEf'",
     NULL},
    {SECRET, ALLOW "'Action':'*','Resource':'arn:aws:secretsmanager:*:*:secret:db/*'", NULL},
    {SECRET, ALLOW "'Action':'*','Resource':'" KEY_A "'",
     "is not a secret: its service must be 'secretsmanager', without a wildcard"},
    {KEY, ALLOW "'Action':'*','Resource':'arn:aws:secretsmanager:::secret:a-AbCdEf'",
     "is not a key: its service must be 'kms'"},
    {ROLE, ALLOW "'Action':'secretsmanager:GenerateCredentials'" ANY, NULL},
    {ROLE, ALLOW "'Action':'secretsmanager:GetSecretValue'" ANY,
     "action 'secretsmanager:GetSecretValue' never applies in the policy of a database role; put it into the "
     "resource policy of a secret"},
    {ROLE, ALLOW "'Action':'kms:Decrypt'" ANY, "put it into a key policy"},
};

static kms_policy *one(enum kms_policy_kind kind, const char *statement, struct kms_why *why)
{
    char document[1024];
    kms_policy *policy = NULL;
    snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[{%s}]}", statement);
    kms_err err = kms_policy_parse(kind, quoted(document), &policy, why);
    CU_ASSERT_EQUAL(policy == NULL, kms_is(err, KMS_E_MALFORMED_POLICY));
    return policy;
}

static void each_kind_has_its_actions(void)
{
    for (size_t i = 0; i < KMS_COUNT(forms); i++) {
        struct kms_why why = {""};
        kms_policy *policy = one(forms[i].kind, forms[i].statement, &why);
        bool good = forms[i].words == NULL ? policy != NULL : policy == NULL && says(&why, forms[i].words);
        CU_ASSERT_TRUE(good);
        if (!good) fprintf(stderr, "\n%zu: %s: %s\n", i, forms[i].statement, why.text);
        kms_policy_drop(&policy);
    }
}

/* "*" and NotAction reach over the actions of the kind and no others. */
static void wildcards_cover_the_kind(void)
{
    static const struct {
        enum kms_policy_kind kind;
        const char *any, *other, *but;
    } rows[] = {
        {KEY, "'Action':'kms:*'", "'NotAction':'kms:Encrypt'", "kms:Encrypt"},
        {SECRET, "'Action':'secretsmanager:*'", "'NotAction':'secretsmanager:TagResource'",
         "secretsmanager:TagResource"},
        {ROLE, "'Action':'secretsmanager:*'", "'NotAction':'secretsmanager:RenewLease'",
         "secretsmanager:RenewLease"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        for (int form = 0; form < 3; form++) {
            char statement[256];
            snprintf(statement, sizeof statement, ALLOW "%s" ANY,
                     form == 0   ? "'Action':'*'"
                     : form == 1 ? rows[i].any
                                 : rows[i].other);
            kms_policy *policy = one(rows[i].kind, statement, NULL);
            for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
                struct kms_access_request request = {.principal = kms_bytes_text("p"), .action = action};
                bool of_kind = (kms_action_kind_bits(rows[i].kind) & kms_action_bit(action)) != 0;
                bool want = of_kind && (form != 2 || action != action_called(rows[i].but));
                CU_ASSERT_EQUAL(kms_policy_decide(policy, &request).effect == KMS_ALLOW, want);
            }
            kms_policy_drop(&policy);
        }
}

#define WRITES(action) ALLOW "'Action':'" action "'" ANY
#define READS(action)  "'Sid':'R','Effect':'Allow','Principal':{'AWS':['p','q']},'Action':'" action "'" ANY
#define BY_NAME        ",'Condition':{'StringEquals':{'aws:PrincipalArn':'p'}}"

static const struct {
    enum kms_policy_kind kind;
    const char *statements;
    const char *separation, *lockout; /* NULL: accepted */
} checks[] = {
    {SECRET, WRITES("secretsmanager:PutResourcePolicy"), NULL, NULL},
    {SECRET, WRITES("secretsmanager:*"),
     "principal \"p\": statement \"S\" allows secretsmanager:PutResourcePolicy (administration) and "
     "statement "
     "\"S\" allows secretsmanager:GetSecretValue (usage)",
     NULL},
    {SECRET, WRITES("secretsmanager:PutSecretValue") "},{" READS("secretsmanager:GetSecretValue"),
     "principal \"p\": statement \"S\" allows secretsmanager:PutSecretValue (administration) and statement "
     "\"R\" "
     "allows secretsmanager:GetSecretValue (usage)",
     "principal \"p\" could not call secretsmanager:PutResourcePolicy afterwards: no statement allows it; "
     "allow "
     "it, or set bypass_policy_lockout_safety_check"},
    {SECRET, WRITES("secretsmanager:RotateSecret") "},{" READS("secretsmanager:*Secret*Value"),
     "RotateSecret", ""},
    {SECRET, WRITES("secretsmanager:Put*") "},{" READS("secretsmanager:Describe*"), NULL, NULL},
    {SECRET, WRITES("secretsmanager:Put*") BY_NAME, NULL, NULL},
    {SECRET, WRITES("secretsmanager:Put*") ",'Condition':{'StringEquals':{'aws:ResourceTag/a':'b'}}", NULL,
     "it depends on time, address or secret in statement S"},
    {ROLE, WRITES("secretsmanager:PutDatabaseRole"), NULL, NULL},
    {ROLE, WRITES("secretsmanager:PutDatabaseRole") "},{" READS("secretsmanager:GenerateCredentials"),
     "allows secretsmanager:GenerateCredentials (usage)", NULL},
    {ROLE, WRITES("secretsmanager:RevokePrefix") "},{" READS("secretsmanager:RevokeLease"),
     "allows secretsmanager:RevokeLease (usage)", "could not call secretsmanager:PutDatabaseRole"},
    {KEY, WRITES("kms:Put*"), NULL, NULL},
    {KEY, WRITES("kms:*"), "kms:PutKeyPolicy (administration)", NULL},
};

static bool fits(kms_err err, enum kms_code code, const char *words, const struct kms_why *why)
{
    return words == NULL ? !kms_failed(err) : err.code == code && says(why, words);
}

static void each_kind_is_checked(void)
{
    static const struct kms_bytes none = {NULL, 0};
    for (size_t i = 0; i < KMS_COUNT(checks); i++) {
        struct kms_why why = {""};
        kms_policy *policy = one(checks[i].kind, checks[i].statements, &why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
        kms_err err = kms_policy_check_separation(policy, &why);
        CU_ASSERT_TRUE(fits(err, KMS_E_POLICY_NOT_SEPARATED, checks[i].separation, &why));
        err = kms_policy_check_lockout(policy, kms_bytes_text("p"), none, &why);
        CU_ASSERT_TRUE(fits(err, KMS_E_POLICY_LOCKOUT, checks[i].lockout, &why));
        kms_policy_drop(&policy);
    }
}

/* Who uses a secret or a role must not write what is said of it, and the words name what it is. */
static void users_and_writers(void)
{
    struct kms_why why = {""};
    kms_policy *policy = one(SECRET, READS("secretsmanager:GetSecretValue"), NULL);
    KMS_ASSERT_CODE(kms_policy_check_writer(policy, kms_bytes_text("q"), &why), POLICY_NOT_SEPARATED);
    CU_ASSERT_TRUE(says(&why, "statement \"R\" would allow it secretsmanager:GetSecretValue (usage)"));
    KMS_ASSERT_OK(kms_policy_check_writer(policy, kms_bytes_text("r"), &why));
    KMS_ASSERT_OK(kms_policy_check_no_admin(policy, kms_bytes_text("q"), &why));
    kms_policy_drop(&policy);
    policy = one(SECRET, WRITES("secretsmanager:DeleteSecret"), NULL);
    KMS_ASSERT_CODE(kms_policy_check_no_admin(policy, kms_bytes_text("p"), &why), POLICY_NOT_SEPARATED);
    CU_ASSERT_TRUE(says(&why, "administers the secret: statement \"S\" allows secretsmanager:DeleteSecret"));
    kms_policy_drop(&policy);
}

static void told_by_its_actions(void)
{
    static const struct {
        const char *document;
        enum kms_policy_kind want;
    } rows[] = {
        {"{'Statement':[{'Action':'kms:Decrypt'}]}", KEY},
        {"{'Statement':{'Action':['kms:*']}}", KEY},
        {"{'Statement':[{'Action':'secretsmanager:GetSecretValue'}]}", SECRET},
        {"{'Statement':{'NotAction':['SecretsManager:Get*']}}", SECRET},
        {"{'Statement':[{'Action':'*'},{'Action':['x',5,'secretsmanager:*']}]}", SECRET},
        {"{'Statement':[{'Action':'secretsmanager:GenerateCredentials'}]}", ROLE},
        {"{'Statement':[{'Action':'secretsmanager:List*'},{'Action':'kms:Decrypt'}]}", KEY}, /* and refused */
        {"{'Statement':[{'Action':'*'}]}", KEY},
        {"{'Statement':[{'Action':'s3:*'},5,null]}", KEY},
        {"{'Statement':5}", KEY},
        {"[]", KEY},
        {"{", KEY},
        {"", KEY},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        CU_ASSERT_EQUAL(kms_policy_kind_told(quoted(rows[i].document)), rows[i].want);
        if (kms_policy_kind_told(quoted(rows[i].document)) != rows[i].want)
            fprintf(stderr, "\n%s\n", rows[i].document);
    }
}

/* Each is found by its name; what stands for no key or secret in particular is a resource of its kind. */
static void names_and_arns(void)
{
    static const char *const names[] = {"key", "service", "secret", "role"};
    enum kms_policy_kind kind;
    for (enum kms_policy_kind i = 0; i < KMS_POLICY_KIND_COUNT; i++) {
        CU_ASSERT_TRUE_FATAL(kms_policy_kind_find(names[i], &kind));
        CU_ASSERT_EQUAL(kind, i);
        if (i == KMS_POLICY_SERVICE) continue;
        char statement[256];
        snprintf(statement, sizeof statement, ALLOW "'Action':'*','Resource':'%s'", kms_policy_kind_arn(i));
        struct kms_why why = {""};
        kms_policy *policy = one(i, statement, &why);
        CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
        CU_ASSERT_EQUAL(kms_policy_kind_of(policy), i);
        kms_policy_drop(&policy);
    }
    CU_ASSERT_FALSE(kms_policy_kind_find("keys", &kind));
    CU_ASSERT_STRING_EQUAL(kms_policy_kind_arn(KMS_POLICY_SERVICE), "");
}

KMS_TEST_MAIN("policy kind", {"each kind has its actions", each_kind_has_its_actions},
              {"wildcards cover the kind", wildcards_cover_the_kind},
              {"told by its actions", told_by_its_actions}, {"names and ARNs", names_and_arns},
              {"each kind is checked", each_kind_is_checked}, {"users and writers", users_and_writers})
