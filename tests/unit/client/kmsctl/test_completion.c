/* What may follow on a command line. */
#include "client/kmsctl/completion.h"

#include "tests/harness/suite.h"

static void candidates(void)
{
    static const struct {
        const char *words[6]; /* the last one is being typed */
        const char *want;
    } rows[] = {
        {{"st"}, "status\n"},
        {{"re"}, "reject\nre-encrypt\nreencrypt\n"},
        {{"reencrypt", "--dialect", ""}, "dotenv\ndocker\nsystemd\n"},
        {{"reencrypt", ""}, ""},
        {{"file", ""}, "encrypt\ndecrypt\ninspect\n"},
        {{"file", "decrypt", "--o"}, "--output\n--out\n--offset\n"},
        {{"database-role", ""}, "put\ndescribe\nlist\nget-policy\ndelete\n"},
        {{"database-role", "put", "--cr"}, "--creation\n--creation-sql\n"},
        {{"lease", "g"}, "generate\n"},
        {{"lease", "re"}, "renew\nrevoke\nrevoke-prefix\n"},
        {{"appro"}, "approve\napproval\n"},
        {{"comp"}, "completion\n"},
        {{"audit", ""}, "tail\nquery\nstats\nverify\nhead\nkey\n"},
        {{"key", "d"}, "describe\ndisable\ndelete\n"},
        {{"--out"}, "--output\n"},
        {{"-o", ""}, "table\njson\n"},
        {{"-o", "json", "audit", "v"}, "verify\n"},
        {{"--context", "key", "alias", "c"}, "create\n"}, /* "key" is a value here */
        {{"key", "create", "--pro"}, "--protection\n"},
        {{"key", "create", "--protection", "s"}, "software\n"},
        {{"key", "create", "--alias", ""}, ""}, /* anything: file names of the shell */
        {{"data-key", "--spec", ""}, "AES_128\nAES_256\n"},
        {{"decrypt", "--con"}, "--context\n"},
        {{"completion", "w"}, ""}, /* hidden */
        {{"nonsense", "x"}, ""},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct ctl_texts words = {0};
        while (words.count < 6 && rows[i].words[words.count] != NULL) {
            words.items[words.count] = rows[i].words[words.count];
            words.count++;
        }
        KMS_OWN_BUF out = {0};
        KMS_ASSERT_OK(ctl_complete(&words, &out));
        const char *got = out.len > 0 ? (const char *)out.data : "";
        if (strcmp(got, rows[i].want) != 0) printf("row %zu: %s", i, got);
        CU_ASSERT_STRING_EQUAL(got, rows[i].want);
    }
    KMS_OWN_BUF all = {0};
    KMS_ASSERT_OK(ctl_complete(&(struct ctl_texts){0}, &all));
    CU_ASSERT_PTR_NOT_NULL(
        strstr((const char *)all.data,
               "key\nrotation\nalias\ngrant\nsecret\ndatabase-role\nlease\npolicy\napprove\nreject\n"));
}

KMS_TEST_MAIN("client/kmsctl/completion", {"candidates", candidates})
