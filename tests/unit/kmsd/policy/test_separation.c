/* Separation of administration from usage, and users within users: evasions first. */
#include <stdio.h>

#include "kmsd/policy/grant.h"
#include "tests/unit/kmsd/policy/fixture.h"

#define ROOT       "arn:aws:iam::111122223333:root"
#define ALLOW      "'Effect':'Allow','Resource':'*',"
#define DENY       "'Effect':'Deny','Resource':'*',"
#define P          "'Principal':{'AWS':'p'},"
#define Q          "'Principal':{'AWS':'q'},"
#define EVERYBODY  "'Principal':'*',"
#define DOES(list) "'Action':[" list "]"
#define IF(body)   ",'Condition':{" body "}"

/* The document of the issue: AWS's grammar, two roles. */
#define ISSUE                                                                                                \
    "{'Statement':[{'Sid':'AdminKey','Effect':'Allow','Principal':{'AWS':'" ADMIN "'},"                      \
    "'Action':['kms:Create*','kms:Delete*','kms:Put*'],'Resource':'*'},"                                     \
    "{'Sid':'AppUsage','Effect':'Allow','Principal':{'AWS':'" APP "'},"                                      \
    "'Action':['kms:Decrypt','kms:GenerateDataKey'],'Resource':'*'}]}"

/* What AWS's console makes: the account, administrators, users, grants for AWS resources. */
#define CONSOLE                                                                                              \
    "{'Version':'2012-10-17','Id':'key-consolepolicy-3','Statement':["                                       \
    "{'Sid':'Enable IAM User Permissions','Effect':'Allow','Principal':{'AWS':'" ROOT "'},"                  \
    "'Action':'kms:*','Resource':'*'},"                                                                      \
    "{'Sid':'Allow access for Key Administrators','Effect':'Allow','Principal':{'AWS':'" ADMIN "'},"         \
    "'Action':['kms:Create*','kms:Describe*','kms:Enable*','kms:List*','kms:Put*','kms:Update*',"            \
    "'kms:Revoke*','kms:Disable*','kms:Get*','kms:Delete*','kms:TagResource','kms:UntagResource',"           \
    "'kms:ScheduleKeyDeletion','kms:CancelKeyDeletion','kms:RotateKeyOnDemand'],'Resource':'*'},"            \
    "{'Sid':'Allow use of the key','Effect':'Allow','Principal':{'AWS':'" APP "'},'Action':["                \
    "'kms:Encrypt','kms:Decrypt','kms:ReEncrypt*','kms:GenerateDataKey*','kms:DescribeKey'],"                \
    "'Resource':'*'},"                                                                                       \
    "{'Sid':'Allow attachment of persistent resources','Effect':'Allow','Principal':{'AWS':'" APP "'},"      \
    "'Action':['kms:CreateGrant','kms:ListGrants','kms:RevokeGrant'],'Resource':'*',"                        \
    "'Condition':{'Bool':{'kms:GrantIsForAWSResource':'true'}}}]}"

#define BOB     "'Principal':{'AWS':'arn:aws:iam::111122223333:user/bob'},"
#define ACCOUNT "'Principal':{'AWS':'111122223333'},"

#define VIA "'StringEquals':{'kms:ViaService':'secretsmanager.us-east-1.amazonaws.com'}"
/* An administrator, and use by everybody under a condition. */
#define PUT_AND(condition)                                                                                   \
    "{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW EVERYBODY DOES("'kms:Decrypt','kms:GenerateDataKey'")         \
        IF(condition) "}"

static kms_policy *statements(const char *list)
{
    char document[4096];
    snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", list);
    return parsed(document);
}

static const struct {
    const char *statements;
    const char *words; /* NULL: separated */
} rows[] = {
    {"{" ALLOW P DOES("'kms:PutKeyPolicy'") "},{" ALLOW Q DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:*'") "}",
     "principal \"p\": statement \"#1\" allows kms:PutKeyPolicy (administration) and "
     "statement \"#1\" allows kms:Encrypt (usage)"},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "}", "principal \"p\""},
    {"{" ALLOW P DOES("'kms:DeleteAlias'") "},{" ALLOW P DOES("'kms:Sign'") "}",
     "statement \"#1\" allows kms:DeleteAlias (administration) and statement \"#2\" allows kms:Sign (usage)"},
    {"{" ALLOW P DOES("'kms:Describe*','kms:Decrypt'") "}", NULL}, /* reading goes with either */
    {"{" ALLOW P DOES("'kms:Put*','kms:Get*','kms:List*'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Generate*','kms:GetStatus'") "}", NULL},
    /* globs and case */
    {"{" ALLOW P DOES("'kms:Put*','kms:*crypt*'") "}", "kms:Encrypt (usage)"},
    {"{" ALLOW P DOES("'kms:Put*','KMS:DECRYPT'") "}", "kms:Decrypt (usage)"},
    {"{" ALLOW P DOES("'kms:Put*','kms:?ecryp?'") "}", "kms:Decrypt (usage)"},
    {"{" ALLOW P DOES("'kms:P?tKeyPolicy','kms:Decrypt'") "}", "kms:PutKeyPolicy (administration)"},
    {"{" ALLOW P DOES("'kms:Decrypt','kms:*Grant'") "}", "kms:CreateGrant (administration)"},
    {"{" ALLOW P DOES("'*'") "}", "principal \"p\""},
    /* NotAction is every action */
    {"{" ALLOW P "'NotAction':['kms:Put*','kms:Create*']}", "NotAction counting as every action"},
    {"{" ALLOW P "'NotAction':'kms:*crypt*'}", "principal \"p\""},
    /* everybody */
    {"{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}",
     "principal \"p\": statement \"#1\" allows kms:PutKeyPolicy (administration) and statement \"#2\" allows "
     "kms:Decrypt "
     "(usage) to everybody"},
    {"{" ALLOW EVERYBODY DOES("'kms:Put*'") "},{" ALLOW Q DOES("'kms:Decrypt'") "}", "principal \"q\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Put*'") "},{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}",
     "principal \"*\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW
     "'Principal':{'AWS':['a','b','p','*']}," DOES("'kms:Put*'") "},{" ALLOW Q DOES("'kms:Decrypt'") "}",
     "to everybody"},
    {"{" ALLOW "'Principal':{'AWS':['a','p']}," DOES(
         "'kms:Put*'") "},{" ALLOW "'Principal':{'AWS':['p','q']}," DOES("'kms:Sign'") "}",
     "principal \"p\""},
    /* conditions and resources of an Allow are put aside */
    {"{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW P DOES("'kms:Decrypt'")
         IF("'DateLessThan':{'aws:CurrentTime':'1999'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW EVERYBODY DOES("'kms:Decrypt'")
         IF("'StringEquals':{'aws:PrincipalArn':'q'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*'") "},{'Effect':'Allow','Resource':'arn:aws:kms:::key/none'," P DOES(
         "'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*'") "},{'Effect':'Allow','NotResource':'arn:aws:kms:::key/none'," P DOES(
         "'kms:Decrypt'") "}",
     "principal \"p\""},
    /* only a Deny that always applies subtracts */
    {"{" ALLOW P DOES("'kms:*'") "},{" DENY P DOES(
         "'kms:*crypt*','kms:Generate*','kms:Sign','kms:Verify*','kms:Derive*'") "}",
     NULL},
    {"{" ALLOW P DOES("'kms:*'") "},{" DENY EVERYBODY "'NotAction':['kms:Put*','kms:Get*']}", NULL},
    {"{" ALLOW P DOES("'kms:*'") "},{" DENY EVERYBODY "'NotAction':['kms:Put*','kms:Sign']}",
     "kms:Sign (usage)"},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY Q DOES("'kms:Decrypt'") "}", "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'") IF("") "}", NULL},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'Bool':{'aws:SecureTransport':'false'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'Null':{'aws:CurrentTime':'false'}") "}",
     "principal \"p\""}, /* always true, but a condition */
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{'Effect':'Deny','Resource':'" KEY_A
                                                  "'," P DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{'Effect':'Deny','NotResource':'" KEY_A
                                                  "'," P DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY
                                                  "'NotPrincipal':{'AWS':'p'}," DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY
                                                  "'NotPrincipal':{'AWS':'q'}," DOES("'kms:Decrypt'") "}",
     NULL},
    {"{" ALLOW EVERYBODY DOES("'kms:*'") "},{" DENY "'NotPrincipal':{'AWS':'p'},'NotAction':'kms:Decrypt'}"
                                         ",{" DENY P DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'") "}",
     "principal \"*\""},
    /* an account that is denied takes all its principals along, and no other */
    {"{" ALLOW BOB DOES("'kms:Put*','kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW BOB DOES("'kms:Put*','kms:Decrypt'") "},{" DENY "'Principal':{'AWS':'222222222222'}," DOES(
         "'kms:Decrypt'") "}",
     "principal \"arn:aws:iam::111122223333:user/bob\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Put*','kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'") "}",
     "principal \"*\""},
    {"{" ALLOW BOB DOES("'kms:Put*','kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'")
         IF("'Bool':{'aws:SecureTransport':'false'}") "}",
     "user/bob"},
    /* an account by its number is its root by name */
    {"{" ALLOW "'Principal':{'AWS':'111122223333'}," DOES(
         "'kms:Put*'") "},{" ALLOW
                       "'Principal':{'AWS':'arn:aws:iam::111122223333:root'}," DOES("'kms:Sign'") "}",
     "principal \"arn:aws:iam::111122223333:root\""},
    {"{" ALLOW "'Principal':{'AWS':'arn:aws:iam::111122223333:root'}," DOES(
         "'kms:Put*'") "},{" ALLOW BOB DOES("'kms:Decrypt'") "}",
     NULL}, /* the root delegates nothing */
    /* variables narrow nothing */
    {"{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW EVERYBODY DOES("'kms:Decrypt'")
         IF("'StringEquals':{'kms:RequestAlias':'${aws:username}'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*'") "},{'Effect':'Allow','Resource':'arn:aws:kms:::key/${aws:username}'," P
         DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES(
         "'kms:Put*','kms:Decrypt'") "},{'Effect':'Deny','Resource':'arn:aws:kms:*:*:key/${aws:username}'," P
         DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    /* conditions that can never hold, or always do, are conditions */
    {"{" ALLOW P DOES("'kms:Put*'") "},{" ALLOW P DOES("'kms:Decrypt'")
         IF("'StringEquals':{'aws:SourceVpc':'vpc-1'}") "}",
     "principal \"p\""},
    /* what only a service does for the principal is no usage of its own */
    {PUT_AND("'StringEquals':{'kms:ViaService':'secretsmanager.us-east-1.amazonaws.com'}"), NULL},
    {PUT_AND("'StringLike':{'kms:ViaService':'secretsmanager.*'}"), NULL},
    {PUT_AND("'StringEqualsIgnoreCase':{'KMS:viaservice':['a','b']}"), NULL},
    {PUT_AND("'ForAnyValue:StringEquals':{'kms:ViaService':'a'}"), NULL},
    {PUT_AND("'StringEquals':{'kms:ViaService':'a','kms:CallerAccount':'1'},'Bool':{'aws:SecureTransport':'"
             "true'}"),
     NULL},
    {PUT_AND("'StringEqualsIfExists':{'kms:ViaService':'a'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'StringNotEquals':{'kms:ViaService':'a'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'StringNotLike':{'kms:ViaService':'a*'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'ForAllValues:StringEquals':{'kms:ViaService':'a'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'Null':{'kms:ViaService':'true'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'Null':{'kms:ViaService':'false'}"), "kms:Decrypt (usage) to everybody"},
    {PUT_AND("'StringEquals':{'kms:EncryptionContext:kms:ViaService':'a'}"),
     "kms:Decrypt (usage) to everybody"},
    {PUT_AND(VIA) ",{" ALLOW P DOES("'kms:Sign'") "}",
     "allows kms:Sign (usage)"}, /* that Allow and no other */
    {"{" ALLOW P DOES("'kms:*'") IF(VIA) "},{" ALLOW P DOES("'kms:Decrypt'") "}",
     "kms:PutKeyPolicy (administration)"}, /* of usage only: administration counts */
    {"{" ALLOW P DOES("'kms:*'") IF(VIA) "}", NULL},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'BinaryEquals':{'kms:EncryptionContext:a':'QQ=='}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'ArnNotEquals':{'aws:PrincipalArn':'arn:aws:iam::1:role/x'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Put*','kms:Decrypt'") "},{" DENY
                                                  "'NotPrincipal':{'AWS':['q','p']}," DOES("'kms:*'") "}",
     "principal \"p\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Put*','kms:Decrypt'") "},{" DENY "'NotPrincipal':{'AWS':'p'}," DOES(
         "'kms:Put*'") "},{" DENY "'NotPrincipal':{'AWS':'q'}," DOES("'kms:Decrypt'") "}",
     NULL},
};

static void separates(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_policy *policy = statements(rows[i].statements);
        struct kms_why why = {""};
        kms_err err = kms_policy_check_separation(policy, &why);
        bool good = rows[i].words == NULL
                        ? !kms_failed(err)
                        : kms_is(err, KMS_E_POLICY_NOT_SEPARATED) && says(&why, rows[i].words);
        CU_ASSERT_TRUE(good);
        if (!good) fprintf(stderr, "\n%s: %s\n", rows[i].statements, why.text);
        kms_policy_drop(&policy);
    }
    KMS_ASSERT_OK(kms_policy_check_separation(NULL, NULL));
}

static void issue_document(void)
{
    kms_policy *policy = parsed(ISSUE);
    KMS_ASSERT_OK(kms_policy_check_separation(policy, NULL));
    KMS_ASSERT_OK(kms_policy_check_lockout(policy, kms_bytes_text(ADMIN), kms_bytes_text(KEY_A), NULL));
    KMS_ASSERT_CODE(kms_policy_check_lockout(policy, kms_bytes_text(APP), kms_bytes_text(KEY_A), NULL),
                    POLICY_LOCKOUT);
    CU_ASSERT_STRING_EQUAL(decided(policy, "who=" ADMIN "|action=kms:PutKeyPolicy").statement, "AdminKey");
    CU_ASSERT_STRING_EQUAL(decided(policy, "action=kms:GenerateDataKey").statement, "AppUsage");
    CU_ASSERT_EQUAL(decided(policy, "who=" ADMIN).effect, KMS_DENY_IMPLICIT);
    CU_ASSERT_EQUAL(decided(policy, "action=kms:PutKeyPolicy").effect, KMS_DENY_IMPLICIT);
    kms_policy_drop(&policy);
}

static void console_document(void)
{
    kms_policy *policy = parsed(CONSOLE);
    struct kms_why why = {""};
    KMS_ASSERT_CODE(kms_policy_check_separation(policy, &why), POLICY_NOT_SEPARATED);
    CU_ASSERT_STRING_EQUAL(
        why.text,
        "principal \"" ROOT "\": statement \"Enable IAM User Permissions\" allows kms:PutKeyPolicy "
        "(administration) and statement \"Enable IAM User Permissions\" allows kms:Encrypt (usage); "
        "give them to different principals or remove one");
    kms_policy_drop(&policy);
}

/* The writer may use the key through a service, too; a grant's grantee and the key an alias moves to are read
 * as before. */
static void through_a_service(void)
{
    kms_policy *policy = statements(PUT_AND(VIA)),
               *none = statements("{" ALLOW Q DOES("'kms:GetKeyPolicy'") "}");
    struct kms_why why = {""};
    KMS_ASSERT_OK(kms_policy_check_writer(policy, kms_bytes_text("p"), &why));
    KMS_ASSERT_CODE(kms_policy_check_no_admin(policy, kms_bytes_text("p"), &why), POLICY_NOT_SEPARATED);
    KMS_ASSERT_OK(kms_policy_check_no_admin(policy, kms_bytes_text("q"), &why));
    KMS_ASSERT_CODE(kms_policy_check_users_within(policy, none, &why), APPROVAL_NEEDED);
    KMS_ASSERT_OK(kms_policy_check_users_within(policy, policy, &why));
    CU_ASSERT_EQUAL(kms_policy_sure_operations(policy, kms_bytes_text("q")), 0);
    CU_ASSERT_EQUAL(decided(policy, "who=p").effect, KMS_DENY_IMPLICIT);
    CU_ASSERT_EQUAL(decided(policy, "who=p|via=secretsmanager.us-east-1.amazonaws.com").effect, KMS_ALLOW);
    kms_policy_drop(&policy);
    kms_policy_drop(&none);
    policy =
        statements("{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEqualsIfExists':{'kms:ViaService':'a'}") "}");
    KMS_ASSERT_CODE(kms_policy_check_writer(policy, kms_bytes_text("p"), &why), POLICY_NOT_SEPARATED);
    kms_policy_drop(&policy);
}

/* A key whose users are the inner document's; the alias points to one of the outer document's. */
static const struct {
    const char *inner, *outer;
    const char *words; /* NULL: within */
} pairs[] = {
    {"{" ALLOW P DOES("'kms:Decrypt'") "}", "{" ALLOW P DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") "}",
     "{" ALLOW "'Principal':{'AWS':['q','p']}," DOES("'kms:*crypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") "}", "{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Put*','kms:Get*'") "}", "{" ALLOW Q DOES("'kms:Decrypt'") "}",
     NULL}, /* no users at all */
    {"{" ALLOW P DOES("'kms:Decrypt','kms:Encrypt'") "}", "{" ALLOW P DOES("'kms:Decrypt'") "}",
     "principal \"p\" would newly be allowed kms:Encrypt, by statement \"#1\""},
    {"{" ALLOW Q DOES("'kms:Decrypt'") "}", "{" ALLOW P DOES("'kms:Decrypt'") "}", "principal \"q\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}", "{" ALLOW P DOES("'kms:Decrypt'") "}", "principal \"*\""},
    {"{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}",
     "{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "},{" DENY Q DOES("'kms:Decrypt'") "}",
     "principal \"q\" would newly be allowed kms:Decrypt, by statement \"#1\" to everybody"},
    /* Denies: the inner one must always apply, the outer one counts whenever it could */
    {"{" ALLOW P DOES("'kms:*'") "},{" DENY P DOES("'kms:Encrypt','kms:*Encrypt*'") "}",
     "{" ALLOW P DOES("'kms:*'") "},{" DENY P DOES("'kms:Encrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") "}",
     "{" ALLOW P DOES("'kms:*'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'Bool':{'aws:SecureTransport':'false'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") "},{" DENY P DOES("'kms:Decrypt'")
         IF("'Bool':{'aws:SecureTransport':'false'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") "},{" DENY EVERYBODY DOES("'kms:*'")
         IF("'Bool':{'aws:SecureTransport':'false'}") "}",
     NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") "}",
     "{" ALLOW P DOES("'kms:*'") "},{'Effect':'Deny','Resource':'" KEY_A "'," P DOES("'kms:Decrypt'") "}",
     "principal \"p\""},
    /* conditions: the same ones, or fewer in the outer document */
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:EncryptionContext:App':'a'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'KMS:EncryptionContext:APP':'a'}") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:EncryptionContext:App':'a'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:EncryptionContext:App':'a'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:EncryptionContext:App':'a'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:EncryptionContext:App':'b'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'IpAddress':{'aws:SourceIp':['10.9.0.0/8']}") "}", NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'IpAddress':{'aws:SourceIp':'10.0.0.0/16'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:KeySpec':'RSA_2048'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:KeySpec':'RSA_2048'}") "}",
     "principal \"p\""}, /* true of one key says nothing of the other */
    {"{" ALLOW P DOES("'kms:Decrypt'") "}",
     "{'Effect':'Allow','Resource':'" KEY_A "'," P DOES("'kms:Decrypt'") "}", "principal \"p\""},
    {"{'Effect':'Allow','Resource':'" KEY_A "'," P DOES("'kms:Decrypt'") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW P "'NotAction':'kms:Decrypt'}", "{" ALLOW P "'NotAction':'kms:Decrypt'}",
     "kms:Decrypt"}, /* conservative */
    /* variables: the same text, unless it depends on the key */
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringLike':{'kms:RequestAlias':'alias/${aws:username}-*'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringLike':{'kms:RequestAlias':'alias/${aws:username}-*'}") "}",
     NULL},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:RequestAlias':'alias/${aws:username}'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'")
         IF("'StringEquals':{'kms:RequestAlias':'alias/${aws:PrincipalType}'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:RequestAlias':'alias/${kms:KeyOrigin}'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:RequestAlias':'alias/${kms:KeyOrigin}'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:RequestAlias':'a${aws:ResourceTag/x}'}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'StringEquals':{'kms:RequestAlias':'a${aws:ResourceTag/x}'}") "}",
     "principal \"p\""},
    {"{" ALLOW P DOES("'kms:Decrypt'") IF("'BinaryEquals':{'kms:EncryptionContext:a':'QQ=='}") "}",
     "{" ALLOW P DOES("'kms:Decrypt'") IF("'BinaryEquals':{'kms:EncryptionContext:A':'QQ=='}") "}", NULL},
    {"{" ALLOW P DOES("'kms:Sign'") IF("'StringEquals':{'kms:SigningAlgorithm':'ECDSA_SHA_256'}") "}",
     "{" ALLOW P DOES("'kms:Sign'") IF("'StringEquals':{'kms:SigningAlgorithm':'ECDSA_SHA_256'}") "}",
     "principal \"p\""},
    /* an account that the outer document denies could be anybody's */
    {"{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}",
     "{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'") "}", "kms:Decrypt"},
    {"{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:*'") "}",
     "{" ALLOW EVERYBODY DOES("'kms:Decrypt'") "}", NULL},
    {"{" ALLOW BOB DOES("'kms:Decrypt'") "}",
     "{" ALLOW BOB DOES("'kms:Decrypt'") "},{" DENY ACCOUNT DOES("'kms:Decrypt'") "}", "user/bob"},
};

static void users_within(void)
{
    for (size_t i = 0; i < KMS_COUNT(pairs); i++) {
        kms_policy *inner = statements(pairs[i].inner), *outer = statements(pairs[i].outer);
        struct kms_why why = {""};
        kms_err err = kms_policy_check_users_within(inner, outer, &why);
        bool good = pairs[i].words == NULL ? !kms_failed(err)
                                           : kms_is(err, KMS_E_APPROVAL_NEEDED) && says(&why, pairs[i].words);
        CU_ASSERT_TRUE(good);
        if (!good) fprintf(stderr, "\n%s\n%s: %s\n", pairs[i].inner, pairs[i].outer, why.text);
        kms_policy_drop(&inner);
        kms_policy_drop(&outer);
    }
}

static void users_of_nothing(void)
{
    kms_policy *policy = parsed(ISSUE);
    KMS_ASSERT_OK(kms_policy_check_users_within(NULL, policy, NULL));
    KMS_ASSERT_OK(kms_policy_check_users_within(NULL, NULL, NULL));
    KMS_ASSERT_OK(kms_policy_check_users_within(policy, policy, NULL));
    KMS_ASSERT_CODE(kms_policy_check_users_within(policy, NULL, NULL), APPROVAL_NEEDED);
    kms_policy_drop(&policy);
}

KMS_TEST_MAIN("policy separation", {"through a service", through_a_service},
              {"one principal never has both", separates}, {"the issue's document passes", issue_document},
              {"the console's document is refused", console_document},
              {"users are within users", users_within}, {"no policy has no users", users_of_nothing})
