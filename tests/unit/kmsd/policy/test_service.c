/* The service policy grants only what concerns no single key. */
#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define BODY(effect, action) "'Sid':'S','Effect':'" effect "','Principal':{'AWS':'" ADMIN "'}," action

static const struct {
    const char *statement;
    const char *words; /* NULL: accepted */
} rows[] = {
    {BODY("Allow", "'Action':['kms:CreateKey','kms:ListKeys','kms:ListAliases','kms:GenerateRandom','kms:"
                   "GetStatus','kms:SimulatePolicy']") ",'Resource':'*'",
     NULL},
    {BODY("Allow", "'Action':['kms:RotateRoot','kms:GetRootStatus','kms:DestroyRoot','kms:GetAuditHead','kms:"
                   "GetAuditKey','kms:ListAuditRecords']") ",'Resource'"
                                                           ":'*'",
     NULL},
    {BODY("Allow", "'Action':'kms:Rotate*'") ",'Resource':'*'", "allows kms:RotateKeyOnDemand"},
    {BODY("Allow", "'Action':'kms:GenerateR*'") ",'Resource':'*'", NULL},
    {BODY("Deny", "'Action':'kms:*'") ",'Resource':'*'", NULL},
    {BODY("Allow", "'Action':'kms:*'") ",'Resource':'*'",
     "line 1, column 103: Statement 1 (S): it allows kms:EnableKey, but of these the service policy grants "
     "nothing but kms:CreateKey, kms:RotateRoot, kms:DestroyRoot, kms:ListKeys, kms:ListAliases, "
     "kms:ListRetirableGrants, kms:SimulatePolicy, kms:GenerateRandom, kms:GetRootStatus, kms:GetAuditHead, "
     "kms:GetAuditKey, kms:ListAuditRecords, kms:GetStatus and kms:GetMetrics"},
    {BODY("Allow",
          "'Action':['secretsmanager:CreateSecret','secretsmanager:ListSecrets','secretsmanager:GetRandom*',"
          "'secretsmanager:PutDatabaseRole','secretsmanager:ListDatabaseRoles','secretsmanager:SweepLeases',"
          "'secretsmanager:ListLeases']") ",'Resource':'*'",
     NULL},
    {BODY("Allow", "'Action':'secretsmanager:*'") ",'Resource':'*'",
     "it allows secretsmanager:PutSecretValue, but of these the service policy grants nothing but "
     "secretsmanager:CreateSecret, secretsmanager:ListSecrets, secretsmanager:GetRandomPassword, "
     "secretsmanager:PutDatabaseRole, secretsmanager:SweepLeases, secretsmanager:ListDatabaseRoles and "
     "secretsmanager:ListLeases"},
    {BODY("Allow", "'Action':'secretsmanager:GetSecretValue'") ",'Resource':'*'",
     "allows secretsmanager:Get"},
    {BODY("Allow", "'Action':'secretsmanager:GenerateCredentials'") ",'Resource':'*'",
     "allows secretsmanager"},
    {BODY("Deny", "'Action':['secretsmanager:*','kms:Decrypt']") ",'Resource':'*'", NULL},
    {BODY("Allow", "'Action':'s3:GetObject'") ",'Resource':'*'",
     "not of this service: name one that begins with 'kms:' or 'secretsmanager:'"},
    {BODY("Allow", "'Action':'*'") ",'Resource':'*'", "Statement 1 (S): it allows"},
    {BODY("Allow", "'Action':'kms:Create*'") ",'Resource':'*'", "it allows kms:CreateAlias"},
    {BODY("Allow", "'Action':'kms:List*'") ",'Resource':'*'", "allows kms:ListKeyRotations"},
    {BODY("Allow", "'Action':['kms:CreateKey','KMS:DECRYPT']") ",'Resource':'*'", "allows kms:Decrypt"},
    {BODY("Allow", "'NotAction':'kms:Decrypt'") ",'Resource':'*'", "Statement 1 (S): it allows"},
    {BODY("Allow",
          "'Action':'kms:Decrypt'") ",'Resource':'*','Condition':{'Bool':{'aws:SecureTransport':'false'}}",
     "allows kms:Decrypt"},
    {BODY("Allow", "'Action':'kms:CreateKey'") ",'Resource':'" KEY_A "'",
     "Statement 1 (S): in the service policy Resource"},
    {BODY("Allow", "'Action':'kms:CreateKey'") ",'NotResource':'" KEY_A "'", "Resource must be \"*\""},
    {BODY("Allow", "'Action':'kms:CreateKey'"), "Statement 1 (S): Resource is missing"},
};

static void grants(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[1024];
        kms_policy *policy = NULL;
        struct kms_why why = {""};
        snprintf(document, sizeof document, "{'Statement':[{%s}]}", rows[i].statement);
        kms_err err = kms_policy_parse(KMS_POLICY_SERVICE, quoted(document), &policy, &why);
        CU_ASSERT_TRUE(rows[i].words == NULL
                           ? !kms_failed(err)
                           : kms_is(err, KMS_E_MALFORMED_POLICY) && says(&why, rows[i].words));
        CU_ASSERT_EQUAL(policy == NULL, rows[i].words != NULL);
        kms_policy_drop(&policy);
    }
}

static void decides(void)
{
    kms_policy *policy = NULL;
    KMS_ASSERT_OK_FATAL(kms_policy_parse(
        KMS_POLICY_SERVICE,
        quoted("{'Statement':{" BODY("Allow", "'Action':'kms:CreateKey','Resource':'*'") "}}"), &policy,
        NULL));
    CU_ASSERT_EQUAL(decided(policy, "who=" ADMIN "|action=kms:CreateKey|resource=").effect, KMS_ALLOW);
    CU_ASSERT_EQUAL(decided(policy, "who=" ADMIN "|action=kms:ListKeys|resource=").effect, KMS_DENY_IMPLICIT);
    kms_policy_drop(&policy);
}

KMS_TEST_MAIN("policy service", {"grants a few actions and no other", grants},
              {"decides without a resource", decides})
