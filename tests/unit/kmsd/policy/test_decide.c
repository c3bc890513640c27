/* Decisions: order, principals, actions, resources. */
#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define STATEMENT(sid, effect, who, action, resource)                                                        \
    "{'Sid':'" sid "','Effect':'" effect "'," who "," action "," resource "}"
#define EVERYBODY "'Principal':'*'"
#define ONLY_APP  "'Principal':{'AWS':'" APP "'}"
#define ANY       "'Resource':'*'"
#define DECRYPT   "'Action':'kms:Decrypt'"

static const struct {
    const char *statements, *request;
    enum kms_effect effect;
    const char *statement;
} rows[] = {
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "action=kms:Encrypt", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "who=" ADMIN, KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT, ANY), "who=cn:x", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT, ANY), "who=", KMS_DENY_IMPLICIT,
     NULL}, /* nobody is not anybody */
    {STATEMENT("a", "Allow", EVERYBODY, "'Action':'*'", ANY), "action=kms:NoSuch", KMS_DENY_IMPLICIT, NULL},
    /* Deny wins wherever it stands */
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY) "," STATEMENT("d", "Deny", EVERYBODY, DECRYPT, ANY), "",
     KMS_DENY_EXPLICIT, "d"},
    {STATEMENT("d", "Deny", EVERYBODY, DECRYPT, ANY) "," STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "",
     KMS_DENY_EXPLICIT, "d"},
    {STATEMENT("d", "Deny", EVERYBODY, "'Action':'kms:Encrypt'", ANY) "," STATEMENT("a", "Allow", ONLY_APP,
                                                                                    DECRYPT, ANY),
     "", KMS_ALLOW, "a"},
    /* the first of several is named; without a Sid its number */
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY) "," STATEMENT("b", "Allow", EVERYBODY, DECRYPT, ANY), "",
     KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, "'Action':'kms:Sign'", ANY) ",{'Effect':'Allow'," EVERYBODY "," DECRYPT
                                                                   "," ANY "}",
     "", KMS_ALLOW, "#2"},
    {STATEMENT("", "Allow", ONLY_APP, DECRYPT, ANY), "", KMS_ALLOW, "#1"},
    /* principals are exact */
    {STATEMENT("a", "Allow", "'Principal':{'AWS':['x','y','" APP "']}", DECRYPT, ANY), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "who=ARN:aws:iam::123456789:role/app-role",
     KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY), "who=" APP "x", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", "'Principal':{'AWS':'123456789'}", DECRYPT, ANY), "", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", "'Principal':{'AWS':'arn:aws:iam::123456789:root'}", DECRYPT, ANY), "",
     KMS_DENY_IMPLICIT, NULL}, /* the root of an account is no delegation here */
    {STATEMENT("a", "Allow", "'Principal':{'AWS':'111122223333'}", DECRYPT, ANY),
     "who=arn:aws:iam::111122223333:root", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", "'Principal':{'AWS':'111122223333'}", DECRYPT, ANY),
     "who=arn:aws:iam::111122223333:user/bob", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'Principal':{'AWS':'111122223333'}", DECRYPT, ANY),
     "who=111122223333", KMS_DENY_EXPLICIT, "d"}, /* somebody of just this name */
    /* an account that is denied takes all its principals along */
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'Principal':{'AWS':'111122223333'}", DECRYPT, ANY),
     "who=arn:aws:iam::111122223333:user/bob", KMS_DENY_EXPLICIT, "d"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'Principal':{'AWS':'arn:aws:iam::1:root'}", DECRYPT, ANY),
     "who=arn:aws:sts::1:assumed-role/a/b", KMS_DENY_EXPLICIT, "d"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'Principal':{'AWS':'arn:aws:iam::1:root'}", DECRYPT, ANY),
     "who=arn:aws:iam::11:user/bob", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'Principal':{'AWS':'arn:aws:iam::1:root'}", DECRYPT, ANY),
     "who=spiffe://corp/app", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'NotPrincipal':{'AWS':'arn:aws:iam::1:root'}", DECRYPT, ANY),
     "who=arn:aws:iam::1:user/bob", KMS_DENY_EXPLICIT, "d"}, /* the root spares itself only */
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'NotPrincipal':{'AWS':'" APP "'}", DECRYPT, ANY),
     "who=" ADMIN, KMS_DENY_EXPLICIT, "d"},
    {STATEMENT("a", "Allow", EVERYBODY, DECRYPT,
               ANY) "," STATEMENT("d", "Deny", "'NotPrincipal':{'AWS':'" APP "'}", DECRYPT, ANY),
     "", KMS_ALLOW, "a"},
    /* actions */
    {STATEMENT("a", "Allow", ONLY_APP, "'Action':['kms:Sign','KMS:dec*']", ANY), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, "'NotAction':'kms:Encrypt'", ANY), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, "'NotAction':['kms:Encrypt','kms:D*']", ANY), "", KMS_DENY_IMPLICIT,
     NULL},
    /* resources */
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'Resource':'" KEY_A "'"), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'Resource':'arn:*:kms:*:*:key/*'"), "", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'Resource':'arn:aws:kms:local:000000000000:key/other'"), "",
     KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'Resource':['arn:aws:kms:::key/other','" KEY_A "']"), "",
     KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'Resource':'" KEY_A "'"), "resource=", KMS_DENY_IMPLICIT,
     NULL},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'NotResource':'" KEY_A "'"), "", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, "'NotResource':'arn:aws:kms:::key/other'"), "", KMS_ALLOW,
     "a"},
    {STATEMENT("a", "Allow", "'Principal':'*'", DECRYPT, "'Resource':'arn:aws:kms:*:*:key/${aws:username}'"),
     "who=arn:aws:iam::1:user/k1|resource=arn:aws:kms:local:1:key/k1", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", "'Principal':'*'", DECRYPT, "'Resource':'arn:aws:kms:*:*:key/${aws:username}'"),
     "who=arn:aws:iam::1:user/k1|resource=arn:aws:kms:local:1:key/k2", KMS_DENY_IMPLICIT, NULL},
    {STATEMENT("a", "Allow", "'Principal':'*'", DECRYPT, "'Resource':'arn:aws:kms:*:*:key/${aws:username}*'"),
     "", KMS_DENY_IMPLICIT, NULL}, /* no value, no match */
    {STATEMENT("a", "Allow", "'Principal':'*'", DECRYPT,
               "'NotResource':'arn:aws:kms:*:*:key/${aws:username}'"),
     "", KMS_ALLOW, "a"},
    /* conditions on a Deny */
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY) "," STATEMENT(
         "d", "Deny", EVERYBODY, DECRYPT, ANY ",'Condition':{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}"),
     "ip=10.0.0.1", KMS_ALLOW, "a"},
    {STATEMENT("a", "Allow", ONLY_APP, DECRYPT, ANY) "," STATEMENT(
         "d", "Deny", EVERYBODY, DECRYPT, ANY ",'Condition':{'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}}"),
     "ip=11.0.0.1", KMS_DENY_EXPLICIT, "d"},
};

static void decides(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[2048];
        snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", rows[i].statements);
        kms_policy *policy = parsed(document);
        struct kms_decision decision = decided(policy, rows[i].request);
        bool same_name = rows[i].statement == NULL ? decision.statement == NULL
                                                   : decision.statement != NULL &&
                                                         strcmp(rows[i].statement, decision.statement) == 0;
        CU_ASSERT_EQUAL(decision.effect, rows[i].effect);
        CU_ASSERT_TRUE(same_name);
        if (decision.effect != rows[i].effect || !same_name)
            fprintf(stderr, "\n%s asked %s: %d %s\n", rows[i].statements, rows[i].request, decision.effect,
                    decision.statement == NULL ? "-" : decision.statement);
        kms_policy_drop(&policy);
    }
}

static void no_policy(void)
{
    CU_ASSERT_EQUAL(decided(NULL, "").effect, KMS_DENY_IMPLICIT);
}

/* Enough names that the filter cannot sort them out and the search has to. */
static void many_principals(void)
{
    char document[KMS_POLICY_BYTES], *at = document;
    at += sprintf(at, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*','Principal':{'AWS':[");
    for (int i = 0; i < 1000; i++) at += sprintf(at, "%s'spiffe://corp/app/%d'", i > 0 ? "," : "", 2 * i);
    sprintf(at, "]}}}");
    kms_policy *policy = parsed(document);
    for (int i = 0; i < 2000; i++) {
        char line[64];
        snprintf(line, sizeof line, "who=spiffe://corp/app/%d", i);
        CU_ASSERT_EQUAL(decided(policy, line).effect, i % 2 == 0 ? KMS_ALLOW : KMS_DENY_IMPLICIT);
    }
    kms_policy_drop(&policy);
}

KMS_TEST_MAIN("policy decide", {"Deny wins, then Allow", decides}, {"no policy denies", no_policy},
              {"finds one name among many", many_principals})
