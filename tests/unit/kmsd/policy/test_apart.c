/* Users of one document and writers by another: never the same principal. */
#include <stdio.h>

#include "kmsd/policy/grant.h"
#include "tests/unit/kmsd/policy/fixture.h"

#define ALLOW      "'Effect':'Allow','Resource':'*',"
#define DENY       "'Effect':'Deny','Resource':'*',"
#define P          "'Principal':{'AWS':'p'},"
#define Q          "'Principal':{'AWS':'q'},"
#define EVERYBODY  "'Principal':'*',"
#define DOES(list) "'Action':[" list "]"
#define IF(body)   ",'Condition':{" body "}"
#define READS      DOES("'secretsmanager:GetSecretValue'")
#define WRITES     DOES("'secretsmanager:PutDatabaseRole'")
#define LATER      IF("'Bool':{'aws:SecureTransport':'true'}")

/* Users of a secret, writers of a role. */
static const struct {
    const char *users, *writers;
    const char *words; /* NULL: apart */
} apart[] = {
    {"{" ALLOW P READS "}", "{" ALLOW Q WRITES "}", NULL},
    {"{" ALLOW P READS "}", "{" ALLOW P DOES("'secretsmanager:DeleteDatabaseRole'") "}", NULL},
    {"{" ALLOW P DOES("'secretsmanager:PutSecretValue'") "}", "{" ALLOW P WRITES "}", NULL},
    {"{" ALLOW P READS "}", "{" ALLOW P WRITES "}", "principal \"p\""},
    {"{" ALLOW P READS LATER "}", "{" ALLOW P WRITES LATER "}", "principal \"p\""},
    {"{" ALLOW P DOES("'secretsmanager:*'") "}", "{" ALLOW P DOES("'*'") "}",
     "the policy of a database role allows secretsmanager:PutDatabaseRole"},
    {"{" ALLOW P "'NotAction':'secretsmanager:GetSecretValue'}", "{" ALLOW P WRITES "}", "principal \"p\""},
    {"{" ALLOW EVERYBODY READS "}", "{" ALLOW P WRITES "}", "principal \"p\""},
    {"{" ALLOW P READS "}", "{" ALLOW EVERYBODY WRITES "}", "principal \"p\""},
    {"{" ALLOW EVERYBODY READS "}", "{" ALLOW EVERYBODY WRITES "}", "principal \"*\""},
    {"{" ALLOW EVERYBODY READS "},{" DENY P READS "}", "{" ALLOW P WRITES "}", NULL},
    {"{" ALLOW EVERYBODY READS "},{" DENY P READS LATER "}", "{" ALLOW P WRITES "}", "principal \"p\""},
    {"{" ALLOW P READS "}", "{" ALLOW EVERYBODY WRITES "},{" DENY P WRITES "}", NULL},
};

static kms_policy *of_kind(enum kms_policy_kind kind, const char *list)
{
    char document[4096];
    kms_policy *policy = NULL;
    struct kms_why why = {""};
    snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", list);
    for (char *at = document; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    kms_err err = kms_policy_parse(kind, kms_bytes_text(document), &policy, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s: %s\n", document, why.text);
    CU_ASSERT_FALSE_FATAL(kms_failed(err));
    return policy;
}

static void two_documents_apart(void)
{
    for (size_t i = 0; i < KMS_COUNT(apart); i++) {
        kms_policy *users = of_kind(KMS_POLICY_SECRET, apart[i].users);
        kms_policy *writers = of_kind(KMS_POLICY_DATABASE_ROLE, apart[i].writers);
        struct kms_why why = {""};
        kms_err err = kms_policy_check_apart(users, writers, KMS_ACT_PUT_DATABASE_ROLE, &why);
        bool good = apart[i].words == NULL
                        ? !kms_failed(err)
                        : kms_is(err, KMS_E_POLICY_NOT_SEPARATED) && says(&why, apart[i].words);
        CU_ASSERT_TRUE(good);
        if (!good) fprintf(stderr, "\n%s\n%s: %s\n", apart[i].users, apart[i].writers, why.text);
        KMS_ASSERT_OK(kms_policy_check_apart(NULL, writers, KMS_ACT_PUT_DATABASE_ROLE, NULL));
        KMS_ASSERT_OK(kms_policy_check_apart(users, NULL, KMS_ACT_PUT_DATABASE_ROLE, NULL));
        kms_policy_drop(&users);
        kms_policy_drop(&writers);
    }
}

KMS_TEST_MAIN("policy apart", {"two documents apart", two_documents_apart})
