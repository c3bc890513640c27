/* Near misses: which statements, in which order, and what of each did not fit. */
#include "kmsd/policy/explain.h"

#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define ALLOW(sid, who, action, more)                                                                        \
    "{'Sid':'" sid "','Effect':'Allow','Principal':{'AWS':'" who "'},'Action':'" action                      \
    "','Resource':'*'" more "}"
#define WHEN(operator, key, value) ",'Condition':{'" operator"':{'" key "':'" value "'}}"

static size_t misses_of(const char *statements, const char *request, struct kms_miss misses[KMS_MISSES])
{
    char document[8192];
    struct asked asked;
    static kms_policy *kept; /* misses borrow from it */
    kms_policy_drop(&kept);
    snprintf(document, sizeof document, "{'Version':'2012-10-17','Statement':[%s]}", statements);
    kept = parsed(document);
    ask(request, &asked);
    size_t count = kms_policy_misses(kept, &asked.request, misses);
    if (request[0] == '!') kms_policy_drop(&kept);
    return count;
}

static void words(void)
{
    static const struct {
        const char *statement, *request, *words;
    } rows[] = {
        {ALLOW("S", APP, "kms:Encrypt", ""), "", "Action does not name kms:Decrypt"},
        {ALLOW("S", ADMIN, "kms:Decrypt", ""), "", "Principal does not name " APP},
        {"{'Sid':'S','Effect':'Allow','Principal':'*','NotAction':'kms:Decrypt','Resource':'*'}", "",
         "NotAction names kms:Decrypt"},
        {"{'Sid':'S','Effect':'Allow','Principal':'*','Action':'kms:Decrypt','Resource':'arn:aws:kms:*:1:key/"
         "x'}",
         "", "Resource does not name " KEY_A},
        {"{'Sid':'S','Effect':'Allow','Principal':'*','Action':'kms:Decrypt','NotResource':'" KEY_A "'}", "",
         "NotResource names " KEY_A},
        {ALLOW("S", APP, "kms:Decrypt", WHEN("StringEquals", "kms:EncryptionContext:app", "shop")), "",
         "StringEquals on kms:EncryptionContext:app does not hold: the request has nothing"},
        {ALLOW("S", APP, "kms:Decrypt", WHEN("StringEquals", "kms:EncryptionContext:app", "shop")),
         "ctx:APP=web", "StringEquals on kms:EncryptionContext:app does not hold: the request has \"web\""},
        {ALLOW("S", APP, "kms:Decrypt", WHEN("BoolIfExists", "aws:SecureTransport", "false")), "",
         "BoolIfExists on aws:SecureTransport does not hold: the request has true"},
        {ALLOW("S", APP, "kms:Decrypt", WHEN("ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "a")),
         "ctx:b=1",
         "ForAnyValue:StringEquals on kms:EncryptionContextKeys does not hold: the request has \"b\""},
        {ALLOW("S", APP, "kms:Decrypt", WHEN("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z")), "",
         "DateLessThan on aws:CurrentTime does not hold: the request has 1795348800"},
        {ALLOW("S", APP, "kms:Encrypt", WHEN("Null", "kms:RequestAlias", "false")), "",
         "Action does not name kms:Decrypt; Null on kms:RequestAlias does not hold: the request has nothing"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_miss misses[KMS_MISSES];
        CU_ASSERT_EQUAL_FATAL(misses_of(rows[i].statement, rows[i].request, misses), 1);
        CU_ASSERT_STRING_EQUAL(misses[0].statement, "S");
        CU_ASSERT_STRING_EQUAL(misses[0].words, rows[i].words);
    }
}

static void nearest_first(void)
{
    struct kms_miss misses[KMS_MISSES];
    size_t count =
        misses_of(ALLOW("OtherAction", APP, "kms:Encrypt", "") "," ALLOW(
                      "OtherPair", APP, "kms:Decrypt",
                      WHEN("StringEquals", "kms:EncryptionContext:a",
                           "b")) "," ALLOW("Nothing", ADMIN, "kms:Encrypt",
                                           "") "," ALLOW("OtherWho", ADMIN, "kms:Decrypt",
                                                         "") ",{'Sid':'D','Effect':'Deny','Principal':'*','"
                                                             "Action':'kms:Encrypt','Resource':'*'}",
                  "", misses);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_STRING_EQUAL(misses[0].statement, "OtherPair");
    CU_ASSERT_STRING_EQUAL(misses[1].statement, "OtherAction");
    CU_ASSERT_STRING_EQUAL(misses[2].statement, "OtherWho");
}

static void at_most_so_many(void)
{
    KMS_OWN_BUF statements = {0};
    struct kms_miss misses[KMS_MISSES];
    for (int i = 0; i < 2 * KMS_MISSES; i++)
        KMS_ASSERT_OK(
            kms_buf_print(&statements, "%s" ALLOW("S%d", APP, "kms:Encrypt", ""), i > 0 ? "," : "", i));
    KMS_ASSERT_OK(kms_buf_print(
        &statements, "," ALLOW("Near", APP, "kms:Decrypt", WHEN("Null", "kms:RequestAlias", "false"))));
    CU_ASSERT_EQUAL_FATAL(misses_of((const char *)statements.data, "", misses), KMS_MISSES);
    CU_ASSERT_STRING_EQUAL(misses[0].statement, "Near");
    CU_ASSERT_STRING_EQUAL(misses[1].statement, "S0");
    CU_ASSERT_STRING_EQUAL(misses[KMS_MISSES - 1].statement, "S6");
}

static void nothing_to_say(void)
{
    struct kms_miss misses[KMS_MISSES];
    struct asked asked;
    ask("", &asked);
    CU_ASSERT_EQUAL(kms_policy_misses(NULL, &asked.request, misses), 0);
    CU_ASSERT_EQUAL(misses_of(ALLOW("S", APP, "kms:Decrypt", ""), "!", misses), 0); /* it is allowed */
}

KMS_TEST_MAIN("policy explain", {"words", words}, {"nearest first", nearest_first},
              {"at most so many", at_most_so_many}, {"nothing to say", nothing_to_say})
