/* Lint: each trap is found, in the statement where it is, and what is sound is left alone. */
#include "kmsd/policy/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"

#define ADMINS                                                                                               \
    "{'Sid':'Admins','Effect':'Allow','Principal':{'AWS':['spiffe://x/a','spiffe://x/b']},"                  \
    "'Action':['kms:PutKeyPolicy','kms:DisableKey'],'Resource':'*'}"
#define ALLOW(who, action, more)                                                                             \
    "{'Sid':'S','Effect':'Allow','Principal':" who ",'Action':" action ",'Resource':'*'" more "}"
#define DENY(who, action, more)                                                                              \
    "{'Sid':'S','Effect':'Deny','Principal':" who ",'Action':" action ",'Resource':'*'" more "}"
#define AWS(who)     "{'AWS':'" who "'}"
#define USER         AWS("spiffe://x/user")
#define WHEN(blocks) ",'Condition':{" blocks "}"

static json_t *report_of(const char *statements)
{
    char document[8192];
    struct kms_why why = {""};
    json_t *report = NULL;
    snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", statements);
    kms_err err = kms_policy_lint(KMS_POLICY_KEY, quoted(document), &report, &why);
    if (kms_failed(err)) printf("\n%s: %s\n", statements, why.text);
    CU_ASSERT_FATAL(!kms_failed(err));
    return report;
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* The finding with this code; NULL: none. */
static const json_t *find(const json_t *report, const char *code)
{
    size_t i;
    json_t *finding;
    json_array_foreach(json_object_get(report, "findings"), i,
                       finding) if (strcmp(text(finding, "code"), code) == 0) return finding;
    return NULL;
}

static void sound_documents(void)
{
    static const char *const rows[] = {
        ADMINS "," ALLOW(USER, "['kms:Encrypt','kms:Decrypt']", ""),
        ADMINS "," ALLOW(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'kms:EncryptionContext:app':'shop'}")),
        /* AWS's way to want one pair and forbid all others */
        ADMINS "," ALLOW(USER, "'kms:Decrypt'",
                         WHEN("'StringEquals':{'kms:EncryptionContext:app':'shop'},"
                              "'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':'app'}")),
        ADMINS "," ALLOW(USER, "'kms:Decrypt'",
                         WHEN("'Null':{'kms:EncryptionContextKeys':'false'},"
                              "'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':'app'}")),
        ADMINS "," DENY("'*'", "'kms:*'", WHEN("'NotIpAddress':{'aws:SourceIp':'10.0.0.0/8'}")) "",
        ADMINS "," ALLOW(USER, "'kms:DescribeKey'", WHEN("'Null':{'kms:RequestAlias':'false'}")),
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *report = report_of(rows[i]);
        json_t *findings = json_object_get(report, "findings");
        bool lockout = i == 4; /* a denial by address is what lock-out is about */
        CU_ASSERT_EQUAL(json_array_size(findings), lockout ? 1 : 0);
        if (json_array_size(findings) != (lockout ? 1 : 0))
            printf("\nrow %zu: %s\n", i, text(json_array_get(findings, 0), "words"));
        json_decref(report);
    }
}

static void traps(void)
{
    static const struct {
        const char *statement, *code, *words;
    } rows[] = {
        {ALLOW("'*'", "'kms:Decrypt'", ""), "everybody", "whoever has a certificate"},
        {ALLOW("'*'", "'kms:Decrypt'", WHEN("'StringEquals':{'kms:EncryptionContext:a':'b'}")), "everybody",
         "only the conditions stand between"},
        {ALLOW(USER, "'kms:*'", ""), "every-action", "every action there is or will be"},
        {"{'Sid':'S','Effect':'Allow','Principal':" USER ",'NotAction':'kms:Decrypt','Resource':'*'}",
         "not-action", "actions of later releases"},
        {"{'Sid':'S','Effect':'Deny','NotPrincipal':" USER ",'Action':'kms:Decrypt','Resource':'*'}",
         "not-principal", "whoever comes later"},
        {"{'Sid':'S','Effect':'Allow','Principal':" USER ",'Action':'kms:Decrypt','Resource':'" KEY_A "'}",
         "resource", "the statement does nothing"},
        /* conditions */
        {ALLOW(USER, "'kms:DescribeKey'", WHEN("'StringEquals':{'kms:EncryptionContext:a':'b'}")), "never",
         "never applies: no request for kms:DescribeKey has kms:EncryptionContext:a"},
        {ALLOW(USER, "['kms:Decrypt','kms:DescribeKey']",
               WHEN("'StringEquals':{'kms:EncryptionContext:a':'b'}")),
         "never", "does not allow kms:DescribeKey: requests for these have no kms:EncryptionContext:a"},
        {ALLOW(USER, "'kms:Sign'", WHEN("'StringEqualsIfExists':{'kms:MacAlgorithm':'HMAC_SHA_256'}")),
         "always", "restricts nothing for kms:Sign"},
        {DENY(USER, "['kms:Sign','kms:Decrypt']",
              WHEN("'StringNotEquals':{'kms:SigningAlgorithm':'ED25519'}")),
         "always", "always denies kms:Decrypt"},
        {DENY(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'aws:SourceVpc':'vpc-1'}")), "never",
         "never applies: no request for kms:Decrypt has aws:SourceVpc"},
        {ALLOW(USER, "['kms:Decrypt','kms:DescribeKey']",
               WHEN("'StringEquals':{'kms:ViaService':'secretsmanager.us-east-1.amazonaws.com'}")),
         "never", "does not allow kms:DescribeKey: requests for these have no kms:ViaService"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'kms:ViaService':'s3.us-east-1.amazonaws.com'}")),
         "service", "no request comes through s3.us-east-1.amazonaws.com"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringNotEquals':{'kms:ViaService':'secretsmanager.x'}")),
         "optional", "when the caller leaves kms:ViaService out"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'secretsmanager:VersionStage':'AWSCURRENT'}")),
         "never", "no request for kms:Decrypt has secretsmanager:VersionStage"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':'a'}")),
         "optional", "add \"Null\": {\"kms:EncryptionContextKeys\": \"false\"}"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringEqualsIfExists':{'kms:EncryptionContext:a':'b'}")),
         "optional", "when the caller leaves kms:EncryptionContext:a out"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringNotEquals':{'kms:RequestAlias':'alias/x'}")), "optional",
         "when the caller leaves kms:RequestAlias out"},
        {DENY(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'kms:RequestAlias':'alias/x'}")), "optional",
         "names the key by its id"},
        /* principals */
        {ALLOW(AWS("app"), "'kms:Decrypt'", ""), "principal", "app is no URI"},
        {ALLOW(AWS("spifee://x/app"), "'kms:Decrypt'", ""), "principal",
         "unusual scheme, did you mean spiffe"},
        {ALLOW(AWS("spiffe://X/app"), "'kms:Decrypt'", ""), "principal", "is no SPIFFE ID"},
        {ALLOW(AWS("spiffe://x"), "'kms:Decrypt'", ""), "principal", "is no SPIFFE ID"},
        {ALLOW(AWS("spiffe://x/app "), "'kms:Decrypt'", ""), "principal", "begins or ends with a blank"},
        {ALLOW(AWS("arn:aws:iam::123456789012:root"), "'kms:Decrypt'", ""), "account", "delegates nothing"},
        {ALLOW(AWS("123456789012"), "'kms:Decrypt'", ""), "account", "delegates nothing"},
        {DENY(AWS("123456789012"), "'kms:Decrypt'", ""), "account", "every principal of that account"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char statements[2048];
        snprintf(statements, sizeof statements, "%s,%s", ADMINS, rows[i].statement);
        json_t *report = report_of(statements);
        const json_t *finding = find(report, rows[i].code);
        if (finding == NULL || strstr(text(finding, "words"), rows[i].words) == NULL)
            printf("\nrow %zu: %s: %s\n", i, rows[i].code,
                   finding != NULL ? text(finding, "words") : "not found");
        CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
        CU_ASSERT_PTR_NOT_NULL(strstr(text(finding, "words"), rows[i].words));
        CU_ASSERT_STRING_EQUAL(text(finding, "level"), "warning");
        CU_ASSERT_STRING_EQUAL(text(finding, "statement"), "S");
        json_decref(report);
    }
}

static void without_effect(void)
{
    static const struct {
        const char *others, *statement, *code, *words;
    } rows[] = {
        {DENY("'*'", "'kms:Dec*'", ""), ALLOW(USER, "'kms:Decrypt'", ""), "shadowed",
         "has no effect: #2 always denies kms:Decrypt"},
        {DENY(USER, "'kms:Decrypt'", ""), ALLOW(USER, "['kms:Encrypt','kms:Decrypt']", ""), "shadowed",
         "partly has no effect: #2 always denies kms:Decrypt"},
        {DENY(AWS("spiffe://x/other"), "'kms:Decrypt'", ""), ALLOW(USER, "'kms:Decrypt'", ""), NULL, NULL},
        {DENY("'*'", "'kms:Decrypt'", WHEN("'Null':{'kms:EncryptionContext:a':'true'}")),
         ALLOW(USER, "'kms:Decrypt'", ""), NULL, NULL},
        {ALLOW(USER, "['kms:Encrypt','kms:Decrypt']", ""),
         ALLOW(USER, "'kms:Decrypt'", WHEN("'StringEquals':{'kms:EncryptionContext:a':'b'}")), "adds-nothing",
         "adds nothing: #2 allows all of it"},
        {ALLOW(USER, "'kms:Decrypt'", ""), ALLOW(USER, "'kms:Decrypt'", ""), "adds-nothing", "#2"},
        {ALLOW(AWS("spiffe://x/other"), "'kms:Decrypt'", ""), ALLOW(USER, "'kms:Decrypt'", ""), NULL, NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char statements[2048], *sid;
        snprintf(statements, sizeof statements, "%s,%s,%s", ADMINS, rows[i].others, rows[i].statement);
        sid = strstr(statements, "'Sid':'S',"); /* only the last one keeps it */
        memset(sid, ' ', strlen("'Sid':'S',"));
        json_t *report = report_of(statements);
        if (rows[i].code == NULL) {
            CU_ASSERT(find(report, "shadowed") == NULL && find(report, "adds-nothing") == NULL);
        } else {
            const json_t *finding = find(report, rows[i].code);
            CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
            CU_ASSERT_PTR_NOT_NULL(strstr(text(finding, "words"), rows[i].words));
            CU_ASSERT_STRING_EQUAL(text(finding, "statement"), "S");
        }
        json_decref(report);
    }
}

static void errors(void)
{
    static const struct {
        const char *statements, *code, *words;
        json_int_t errors;
    } rows[] = {
        {ADMINS "," ALLOW("{'AWS':'spiffe://x/a'}", "'kms:Decrypt'", ""), "separation",
         "statement \"Admins\" allows kms:PutKeyPolicy (administration) and statement \"S\" allows "
         "kms:Decrypt",
         1},
        {ALLOW(USER, "'kms:Decrypt'", ""), "lock-out", "nobody could surely call kms:PutKeyPolicy", 1},
        {ALLOW(USER, "'kms:PutKeyPolicy'", WHEN("'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}")), "lock-out",
         "nobody", 1},
        {ALLOW(USER, "'kms:PutKeyPolicy'", ""), "one-administrator", "only spiffe://x/user can change", 0},
        {ALLOW("'*'", "'kms:PutKeyPolicy'", ""), "everybody", "whoever", 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *report = report_of(rows[i].statements);
        const json_t *finding = find(report, rows[i].code);
        CU_ASSERT_PTR_NOT_NULL_FATAL(finding);
        CU_ASSERT_PTR_NOT_NULL(strstr(text(finding, "words"), rows[i].words));
        CU_ASSERT_STRING_EQUAL(text(finding, "level"), rows[i].errors > 0 ? "error" : "warning");
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(report, "errors")), rows[i].errors);
        json_decref(report);
    }
    json_t *none = NULL;
    struct kms_why why = {""};
    KMS_ASSERT_CODE(kms_policy_lint(KMS_POLICY_KEY, kms_bytes_text("{"), &none, &why), MALFORMED_POLICY);
    CU_ASSERT(says(&why, "line 1"));
    CU_ASSERT_PTR_NULL(none);
}

static void in_words(void)
{
    static const struct {
        const char *statement, *words;
    } rows[] = {
        {ALLOW(USER, "['kms:Encrypt','kms:Decrypt']", ""),
         "Allows spiffe://x/user: kms:Encrypt and kms:Decrypt"},
        {ALLOW("{'AWS':['spiffe://x/a','spiffe://x/b','spiffe://x/c']}", "'kms:Decrypt'", ""),
         "Allows spiffe://x/a, spiffe://x/b and spiffe://x/c: kms:Decrypt"},
        {DENY("'*'", "'kms:*'", ""), "Denies everybody: everything"},
        {"{'Sid':'S','Effect':'Deny','NotPrincipal':" USER
         ",'NotAction':['kms:Get*','kms:List*'],'Resource':'*'}",
         "Denies everybody but spiffe://x/user: everything but kms:Get* and kms:List*"},
        {"{'Sid':'S','Effect':'Allow','Principal':" USER ",'Action':'kms:Decrypt','Resource':'" KEY_A "'}",
         "Allows spiffe://x/user: kms:Decrypt, on keys like " KEY_A},
        {"{'Sid':'S','Effect':'Allow','Principal':" USER ",'Action':'kms:Decrypt','NotResource':'" KEY_A "'}",
         "Allows spiffe://x/user: kms:Decrypt, on keys other than " KEY_A},
        {ALLOW(USER, "'kms:Decrypt'",
               WHEN("'StringEquals':{'kms:EncryptionContext:a':['b','c']},'NotIpAddress':{'aws:SourceIp':'10."
                    "0.0.0/8'}")),
         "Allows spiffe://x/user: kms:Decrypt, when kms:EncryptionContext:a is \"b\" or \"c\" and "
         "aws:SourceIp is not in "
         "\"10.0.0.0/8\""},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'StringNotLike':{'kms:RequestAlias':['alias/a*','alias/b']}")),
         "Allows spiffe://x/user: kms:Decrypt, when kms:RequestAlias is not like \"alias/a*\" nor "
         "\"alias/b\""},
        {ALLOW(USER, "'kms:Decrypt'",
               WHEN("'DateGreaterThanEquals':{'aws:CurrentTime':'2026-01-01'},"
                    "'NumericLessThan':{'aws:EpochTime':5}")),
         "Allows spiffe://x/user: kms:Decrypt, when aws:CurrentTime is not before \"2026-01-01\" and "
         "aws:EpochTime is less "
         "than 5"},
        {ALLOW(USER, "'kms:Decrypt'",
               WHEN("'ForAnyValue:StringLikeIfExists':{'kms:EncryptionContextKeys':'a*'},"
                    "'Null':{'kms:RequestAlias':true}")),
         "Allows spiffe://x/user: kms:Decrypt, when some one of kms:EncryptionContextKeys is like \"a*\" (or "
         "absent) and "
         "kms:RequestAlias is absent"},
        {ALLOW(USER, "'kms:Decrypt'",
               WHEN("'ArnNotLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/a'},"
                    "'BinaryEquals':{'kms:EncryptionContext:a':'YQ=='},"
                    "'Null':{'kms:RequestAlias':['true','false']}")),
         "Allows spiffe://x/user: kms:Decrypt, when aws:PrincipalArn is no ARN like "
         "\"arn:aws:iam::*:role/a\" and "
         "kms:EncryptionContext:a is, in base64, \"YQ==\" and kms:RequestAlias is absent or present"},
        {ALLOW(USER, "'kms:Decrypt'", WHEN("'BoolIfExists':{'aws:SecureTransport':true}")),
         "Allows spiffe://x/user: kms:Decrypt, when aws:SecureTransport is true (or absent)"},
        {ALLOW(USER,
               "['kms:Encrypt','kms:Decrypt','kms:Sign','kms:Verify','kms:GenerateMac','kms:VerifyMac',"
               "'kms:DescribeKey','kms:ReEncrypt*','kms:GetPublicKey','kms:ListGrants']",
               ""),
         "Allows spiffe://x/user: kms:Encrypt, kms:Decrypt, kms:Sign, kms:Verify, kms:GenerateMac, "
         "kms:VerifyMac, "
         "kms:DescribeKey, kms:ReEncrypt* and 2 more"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *report = report_of(rows[i].statement);
        const json_t *row = json_array_get(json_object_get(report, "statements"), 0);
        CU_ASSERT_STRING_EQUAL(text(row, "statement"), "S");
        if (strcmp(text(row, "words"), rows[i].words) != 0)
            printf("\nhave %s\nwant %s\n", text(row, "words"), rows[i].words);
        CU_ASSERT_STRING_EQUAL(text(row, "words"), rows[i].words);
        json_decref(report);
    }
}

#define SECRET_ADMINS                                                                                        \
    "{'Sid':'Admins','Effect':'Allow','Principal':{'AWS':['spiffe://x/a','spiffe://x/b']},"                  \
    "'Action':['secretsmanager:PutResourcePolicy','secretsmanager:RotateSecret'],'Resource':'*'}"

/* The same of documents that are not attached to keys, in words that say what they are. */
static void other_kinds(void)
{
    static const struct {
        enum kms_policy_kind kind;
        const char *statements, *code, *words; /* code NULL: nothing found */
        json_int_t errors;
    } rows[] = {
        {KMS_POLICY_SECRET, SECRET_ADMINS "," ALLOW(USER, "'secretsmanager:GetSecretValue'", ""), NULL, NULL,
         0},
        {KMS_POLICY_SECRET,
         SECRET_ADMINS "," ALLOW(USER, "'secretsmanager:GetSecretValue'",
                                 WHEN("'StringEquals':{'secretsmanager:VersionStage':'AWSCURRENT'}")),
         NULL, NULL, 0},
        {KMS_POLICY_SECRET, SECRET_ADMINS "," ALLOW(USER, "'secretsmanager:*'", ""), "every-action",
         "every action", 1},
        {KMS_POLICY_SECRET, SECRET_ADMINS "," ALLOW(USER, "'*'", ""), "separation",
         "secretsmanager:GetSecretValue (usage)", 1},
        {KMS_POLICY_SECRET, ALLOW(USER, "'secretsmanager:GetSecretValue'", ""), "lock-out",
         "nobody could surely call secretsmanager:PutResourcePolicy afterwards: no statement allows it "
         "without "
         "conditions on time, place or secret",
         1},
        {KMS_POLICY_SECRET, ALLOW(USER, "'secretsmanager:PutResourcePolicy'", ""), "one-administrator",
         "only", 0},
        {KMS_POLICY_SECRET,
         SECRET_ADMINS ",{'Sid':'S','Effect':'Allow','Principal':" USER
                       ",'Action':'secretsmanager:GetSecretValue','Resource':'" SECRET_A "'}",
         "resource", "on a secret that it does not name", 0},
        {KMS_POLICY_SECRET,
         SECRET_ADMINS "," ALLOW(USER, "['secretsmanager:GetSecretValue','secretsmanager:DescribeSecret']",
                                 WHEN("'StringEquals':{'secretsmanager:VersionId':'1'}")),
         "never",
         "does not allow secretsmanager:DescribeSecret: requests for these have no secretsmanager:VersionId",
         0},
        {KMS_POLICY_SECRET,
         SECRET_ADMINS "," ALLOW(USER, "'secretsmanager:GetSecretValue'",
                                 WHEN("'StringEqualsIfExists':{'kms:EncryptionContext:a':'b'}")),
         "always", "restricts nothing for secretsmanager:GetSecretValue", 0},
        {KMS_POLICY_DATABASE_ROLE, ALLOW(USER, "'secretsmanager:GenerateCredentials'", ""), "lock-out",
         "secretsmanager:PutDatabaseRole afterwards", 1},
        {KMS_POLICY_SERVICE, ALLOW(USER, "['secretsmanager:CreateSecret','kms:CreateKey']", ""), NULL, NULL,
         0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char document[2048];
        struct kms_why why = {""};
        json_t *report = NULL;
        snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", rows[i].statements);
        KMS_ASSERT_OK_FATAL(kms_policy_lint(rows[i].kind, quoted(document), &report, &why));
        CU_ASSERT_EQUAL(json_integer_value(json_object_get(report, "errors")), rows[i].errors);
        json_t *findings = json_object_get(report, "findings");
        const json_t *finding = rows[i].code != NULL ? find(report, rows[i].code) : NULL;
        bool good = rows[i].code == NULL
                        ? json_array_size(findings) == 0
                        : finding != NULL && strstr(text(finding, "words"), rows[i].words) != NULL;
        CU_ASSERT_TRUE(good);
        if (!good) json_dumpf(findings, stderr, JSON_INDENT(1));
        json_decref(report);
    }
}

static void words_of_secrets(void)
{
    static const char document[] =
        "{'Statement':[{'Sid':'S','Effect':'Deny','Principal':" USER
        ",'Action':'secretsmanager:*','Resource':'" SECRET_A
        "'},{'Effect':'Allow','Principal':'*','Action':'secretsmanager:Get*','NotResource':'" SECRET_A "'}]}";
    struct kms_why why = {""};
    json_t *report = NULL;
    KMS_ASSERT_OK_FATAL(kms_policy_lint(KMS_POLICY_SECRET, quoted(document), &report, &why));
    json_t *rows = json_object_get(report, "statements");
    CU_ASSERT_STRING_EQUAL(text(json_array_get(rows, 0), "words"),
                           "Denies spiffe://x/user: everything, on secrets like " SECRET_A);
    CU_ASSERT_STRING_EQUAL(text(json_array_get(rows, 1), "words"),
                           "Allows everybody: secretsmanager:Get*, on secrets other than " SECRET_A);
    json_decref(report);
    KMS_ASSERT_CODE(kms_policy_lint(KMS_POLICY_KEY, quoted(document), &report, &why), MALFORMED_POLICY);
}

/* A statement that is said to have no effect never decides anything; any document can be explained. */
static void random_documents(void)
{
    unsigned shadowed = 0;
    generate_seed(5);
    for (int i = 0; i < 3000; i++) {
        KMS_OWN(kms_policy) policy = NULL;
        json_t *document = generate_document(i % 2 == 0), *report = NULL;
        char *text_of_it = json_dumps(document, 0);
        struct kms_bytes bytes = kms_bytes_text(text_of_it);
        struct kms_why why = {""};
        bool good = !kms_failed(kms_policy_parse(KMS_POLICY_KEY, bytes, &policy, &why));
        CU_ASSERT_EQUAL(!kms_failed(kms_policy_lint(KMS_POLICY_KEY, bytes, &report, &why)), good);
        const json_t *finding = good ? find(report, "shadowed") : NULL;
        bool whole = finding != NULL && strncmp(text(finding, "words"), "has no effect", 13) == 0;
        shadowed += whole;
        for (int k = 0; whole && k < 200; k++) {
            struct generated g;
            generate_request(&g);
            struct kms_decision said = kms_policy_decide(policy, &g.request);
            CU_ASSERT(said.statement == NULL || strcmp(said.statement, text(finding, "statement")) != 0);
        }
        json_decref(report);
        free(text_of_it);
        json_decref(document);
    }
    CU_ASSERT(shadowed > 10);
}

KMS_TEST_MAIN("policy lint", {"other kinds", other_kinds}, {"words of secrets", words_of_secrets},
              {"random documents", random_documents}, {"sound documents", sound_documents}, {"traps", traps},
              {"without effect", without_effect}, {"errors", errors}, {"in words", in_words})
