/* Condition keys of Secrets Manager, in the policy of a secret. */
#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define GET    "action=secretsmanager:GetSecretValue|resource=" SECRET_A
#define REMOVE "action=secretsmanager:DeleteSecret|resource=" SECRET_A
#define ROTATE "action=secretsmanager:RotateSecret|resource=" SECRET_A

/* What the policy of a secret can ask. */
static const struct {
    const char *condition, *request;
    bool holds;
} of_secrets[] = {
    {"{'StringEquals':{'secretsmanager:SecretId':'" SECRET_A "'}}", GET, true},
    {"{'ArnLike':{'secretsmanager:SecretId':'arn:aws:secretsmanager:*:*:secret:shop/*'}}", GET, true},
    {"{'ArnLike':{'secretsmanager:SecretId':'arn:aws:secretsmanager:*:*:secret:web/*'}}", GET, false},
    {"{'Null':{'secretsmanager:SecretId':'true'}}", "action=secretsmanager:ListSecrets|resource=", true},
    {"{'StringEquals':{'secretsmanager:ResourceTag/team':'a','aws:ResourceTag/team':'a'}}", GET "|tag:team=a",
     true},
    {"{'StringEquals':{'secretsmanager:ResourceTag/team':'a'}}", GET "|tag:team=b", false},
    {"{'StringEquals':{'secretsmanager:SecretPrimaryRegion':'us-east-1','aws:RequestedRegion':'us-east-1'}}",
     GET, true},
    {"{'StringEquals':{'secretsmanager:VersionStage':'AWSCURRENT'}}", GET "|stage=AWSCURRENT", true},
    {"{'StringEquals':{'secretsmanager:VersionStage':'AWSCURRENT'}}", GET "|stage=AWSPREVIOUS", false},
    {"{'Null':{'secretsmanager:VersionId':'true'}}", GET "|stage=AWSCURRENT", true},
    {"{'StringEquals':{'secretsmanager:VersionId':'1'}}", GET "|version=1", true},
    {"{'StringLike':{'secretsmanager:Name':'shop/*'}}",
     "action=secretsmanager:CreateSecret|resource=|name=shop/db", true},
    {"{'StringEquals':{'secretsmanager:KmsKeyId':'alias/x','secretsmanager:KmsKeyArn':'" KEY_A "'}}",
     "action=secretsmanager:UpdateSecret|kmskey=alias/x|kmsarn=" KEY_A "|resource=" SECRET_A, true},
    {"{'NumericGreaterThanEquals':{'secretsmanager:RecoveryWindowInDays':'14'}}",
     REMOVE "|recovery=30|force=0", true},
    {"{'NumericGreaterThanEquals':{'secretsmanager:RecoveryWindowInDays':'14'}}",
     REMOVE "|recovery=7|force=0", false},
    {"{'NumericGreaterThanEquals':{'secretsmanager:RecoveryWindowInDays':'14'}}", REMOVE "|force=1", false},
    {"{'Bool':{'secretsmanager:ForceDeleteWithoutRecovery':'true'}}", REMOVE "|force=1", true},
    {"{'Bool':{'secretsmanager:ForceDeleteWithoutRecovery':'true'}}", REMOVE "|force=0|recovery=7", false},
    {"{'Bool':{'secretsmanager:BlockPublicPolicy':'true'}}",
     "action=secretsmanager:PutResourcePolicy|resource=" SECRET_A, false},
    {"{'Bool':{'secretsmanager:ModifyRotationRules':'true'}}", ROTATE "|rules=1|now=0", true},
    {"{'Bool':{'secretsmanager:RotateImmediately':'true'}}", ROTATE "|rules=1|now=0", false},
    {"{'Null':{'secretsmanager:RotateImmediately':'true'}}", GET, true},
    {"{'Bool':{'secretsmanager:ForceOverwriteReplicaSecret':'true'}}", GET, false}, /* nobody has it here */
    {"{'Null':{'kms:MultiRegion':'true','kms:KeySpec':'true','kms:ViaService':'true'}}", GET, true},
    {"{'StringEquals':{'kms:CallerAccount':'123456789'}}", GET, true},
    {"{'Bool':{'kms:BypassPolicyLockoutSafetyCheck':'false'}}",
     "action=secretsmanager:PutResourcePolicy|bypass=0|resource=" SECRET_A, true},
};

static void holds_for_secrets(void)
{
    for (size_t i = 0; i < KMS_COUNT(of_secrets); i++) {
        char document[1024];
        kms_policy *policy = NULL;
        snprintf(document, sizeof document,
                 "{'Version':'2012-10-17','Statement':{'Effect':'Allow','Principal':'*','Action':'*','"
                 "Resource':'*','Condition':%s}}",
                 of_secrets[i].condition);
        KMS_ASSERT_OK_FATAL(kms_policy_parse(KMS_POLICY_SECRET, quoted(document), &policy, NULL));
        bool allowed = decided(policy, of_secrets[i].request).effect == KMS_ALLOW;
        CU_ASSERT_EQUAL(allowed, of_secrets[i].holds);
        if (allowed != of_secrets[i].holds)
            fprintf(stderr, "\n%s with %s\n", of_secrets[i].condition, of_secrets[i].request);
        kms_policy_drop(&policy);
    }
}

KMS_TEST_MAIN("policy condition_secret", {"holds for secrets", holds_for_secrets})
