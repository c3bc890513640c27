/* Can the writer of a document write the next one? */
#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define ALLOW_PUT     "{'Sid':'a','Effect':'Allow','Principal':{'AWS':'p'},'Action':'kms:Put*','Resource':'*'"
#define DENY_PUT(who) "{'Sid':'d','Effect':'Deny'," who ",'Action':'kms:PutKeyPolicy','Resource':'*'"
#define P             "'Principal':{'AWS':'p'}"
#define IF(body)      ",'Condition':{" body "}"

static const struct {
    const char *statements;
    const char *words; /* NULL: may write */
} rows[] = {
    {ALLOW_PUT "}", NULL},
    {"{'Effect':'Allow','Principal':'*','Action':'*','Resource':'*'}", NULL},
    {"{'Effect':'Allow','Principal':{'AWS':'q'},'Action':'kms:*','Resource':'*'}", "no statement allows it"},
    {"{'Effect':'Allow','Principal':{'AWS':'p'},'Action':'kms:Decrypt','Resource':'*'}",
     "principal \"p\" could not call kms:PutKeyPolicy afterwards: no statement allows it; allow it, or set "
     "bypass_policy_lockout_safety_check"},
    {"{'Effect':'Allow','Principal':'*','NotAction':'kms:Decrypt','Resource':'*'}", NULL},
    {"{'Effect':'Allow','Principal':'*','NotAction':'kms:Put*','Resource':'*'}", "no statement allows it"},
    {ALLOW_PUT "},{'Sid':'d','Effect':'Deny','Principal':'*','NotAction':'kms:Decrypt','Resource':'*'}",
     "it is denied by statement d"},
    {ALLOW_PUT
     "},{'Sid':'d','Effect':'Deny','NotPrincipal':{'AWS':'q'},'NotAction':'kms:Decrypt','Resource':'*'}",
     "it is denied by statement d"},
    {ALLOW_PUT "},{'Sid':'d','Effect':'Deny','NotPrincipal':{'AWS':['q','p']},'Action':'*','Resource':'*'}",
     NULL},
    {ALLOW_PUT "}," DENY_PUT("'Principal':{'AWS':'111122223333'}") "}", NULL}, /* p is of no account */
    /* variables */
    {ALLOW_PUT IF("'StringEquals':{'aws:PrincipalArn':'${aws:PrincipalArn}'}") "}", NULL},
    {ALLOW_PUT IF("'StringEquals':{'aws:PrincipalArn':'${aws:username}'}") "}", "no statement allows it"},
    {ALLOW_PUT IF("'StringLike':{'aws:PrincipalArn':'${kms:KeySpec}'}") "}", "it depends on"},
    {ALLOW_PUT "}," DENY_PUT(P) IF("'StringEquals':{'aws:PrincipalArn':'${aws:SourceIp}'}") "}",
     "it may be denied by statement d"},
    {ALLOW_PUT "}," DENY_PUT(P) IF("'StringNotEquals':{'aws:PrincipalArn':'${aws:username}'}") "}",
     "it is denied by statement d"}, /* no value, no match: not equal */
    {"{'Sid':'a','Effect':'Allow','Principal':'*','Action':'*','Resource':'arn:aws:kms:*:*:key/"
     "${kms:KeySpec}'}",
     "it depends on"},
    {ALLOW_PUT "},{'Sid':'d','Effect':'Deny','Principal':'*','Action':'*','Resource':"
               "'arn:aws:kms:*:*:key/${aws:ResourceTag/x}'}",
     "it may be denied by statement d"},
    {ALLOW_PUT "},{'Sid':'d','Effect':'Deny','Principal':'*','Action':'*','Resource':"
               "'arn:aws:kms:*:*:key/${aws:username}'}",
     NULL},
    /* what nobody has */
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'") IF("'StringNotEquals':{'kms:ViaService':'x'}") "}",
     "it is denied by statement d"},
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'") IF("'StringEquals':{'kms:ViaService':'x'}") "}", NULL},
    {ALLOW_PUT IF("'StringEquals':{'aws:ResourceTag/x':'y'}") "}", "it depends on"},
    {"{'Effect':'Allow','Principal':{'AWS':'p'},'Action':'kms:Put*','Resource':'" KEY_A "'}", NULL},
    {"{'Effect':'Allow','Principal':{'AWS':'p'},'Action':'kms:Put*','Resource':'arn:aws:kms:::key/x'}",
     "no statement"},
    {ALLOW_PUT "}," DENY_PUT(P) "}", "it is denied by statement d"},
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'") "}", "it is denied by statement d"},
    {ALLOW_PUT "}," DENY_PUT("'NotPrincipal':{'AWS':'p'}") "}", NULL},
    {ALLOW_PUT "}," DENY_PUT("'NotPrincipal':{'AWS':'q'}") "}", "it is denied by statement d"},
    /* time, address, key: not the caller's to choose */
    {ALLOW_PUT IF("'DateLessThan':{'aws:CurrentTime':'2099'}") "}",
     "it depends on time, address or key in statement a"},
    {ALLOW_PUT IF("'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}") "}", "it depends on"},
    {ALLOW_PUT IF("'NumericLessThan':{'aws:EpochTime':5}") "}", "it depends on"},
    {ALLOW_PUT IF("'StringEquals':{'kms:KeySpec':'SYMMETRIC_DEFAULT'}") "}", "it depends on"},
    {ALLOW_PUT "}," DENY_PUT(P) IF("'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}") "}",
     "it may be denied by statement d"},
    {ALLOW_PUT "}," DENY_PUT(P) IF("'DateGreaterThan':{'aws:CurrentTime':'2099'}") "}",
     "it may be denied by statement d"},
    {ALLOW_PUT IF("'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}") "},{'Effect':'Allow'," P
                                                              ",'Action':'kms:PutKeyPolicy','Resource':'*'}",
     NULL},
    /* what the caller chooses, or is */
    {ALLOW_PUT IF("'StringEquals':{'aws:PrincipalArn':'p'}") "}", NULL},
    {ALLOW_PUT IF("'StringEquals':{'aws:PrincipalArn':'q'}") "}", "no statement allows it"},
    {ALLOW_PUT IF("'StringEquals':{'kms:RequestAlias':'alias/a'}") "}", "no statement allows it"},
    {ALLOW_PUT IF("'StringEquals':{'kms:EncryptionContext:a':'b'}") "}", "no statement allows it"},
    {ALLOW_PUT IF("'Bool':{'aws:SecureTransport':'true'}") "}", NULL},
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'") IF("'Bool':{'aws:SecureTransport':'false'}") "}", NULL},
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'")
         IF("'Bool':{'kms:BypassPolicyLockoutSafetyCheck':'true'}") "}",
     NULL},
    {ALLOW_PUT "}," DENY_PUT("'Principal':'*'")
         IF("'Bool':{'aws:SecureTransport':'false'},'IpAddress':{'aws:SourceIp':'::/0'}") "}",
     NULL}, /* one condition that never holds is enough */
};

static void locks_out(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[2048];
        struct kms_why why = {""};
        snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", rows[i].statements);
        kms_policy *policy = parsed(document);
        kms_err err = kms_policy_check_lockout(policy, kms_bytes_text("p"), kms_bytes_text(KEY_A), &why);
        bool good = rows[i].words == NULL ? !kms_failed(err)
                                          : kms_is(err, KMS_E_POLICY_LOCKOUT) && says(&why, rows[i].words);
        CU_ASSERT_TRUE(good);
        if (!good) fprintf(stderr, "\n%s: %s\n", rows[i].statements, why.text);
        kms_policy_drop(&policy);
    }
}

static void nobody(void)
{
    kms_policy *policy =
        parsed("{'Statement':{'Effect':'Allow','Principal':'*','Action':'*','Resource':'*'}}");
    KMS_ASSERT_CODE(kms_policy_check_lockout(NULL, kms_bytes_text("p"), kms_bytes_text(KEY_A), NULL),
                    POLICY_LOCKOUT);
    KMS_ASSERT_CODE(kms_policy_check_lockout(policy, kms_bytes_of(NULL, 0), kms_bytes_text(KEY_A), NULL),
                    POLICY_LOCKOUT);
    kms_policy_drop(&policy);
}

/* The same question of another action, without the way around that PutKeyPolicy has. */
static void another_action(void)
{
    struct kms_why why = {""};
    kms_policy *policy = parsed("{'Statement':[{'Sid':'A','Effect':'Allow','Principal':{'AWS':'p'},"
                                "'Action':'kms:ApproveRequest','Resource':'*'}]}");
    KMS_ASSERT_OK(kms_policy_check_allowed(policy, KMS_ACT_APPROVE_REQUEST, kms_bytes_text("p"),
                                           kms_bytes_text(KEY_A), &why));
    KMS_ASSERT_CODE(kms_policy_check_allowed(policy, KMS_ACT_APPROVE_REQUEST, kms_bytes_text("q"),
                                             kms_bytes_text(KEY_A), &why),
                    POLICY_LOCKOUT);
    CU_ASSERT_TRUE(says(&why, "\"q\" could not call kms:ApproveRequest"));
    CU_ASSERT_FALSE(says(&why, "bypass"));
    KMS_ASSERT_CODE(kms_policy_check_allowed(policy, KMS_ACT_PUT_KEY_POLICY, kms_bytes_text("p"),
                                             kms_bytes_text(KEY_A), &why),
                    POLICY_LOCKOUT);
    kms_policy_drop(&policy);
}

KMS_TEST_MAIN("policy lockout", {"another action", another_action},
              {"who can write the next document", locks_out}, {"no policy, no caller", nobody})
