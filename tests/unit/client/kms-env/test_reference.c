/* Which texts are references, and what is said of those that are wrong. */
#include "client/kms-env/reference.h"

#include <stdio.h>

#include "tests/harness/suite.h"

#define S "kms-secret://"
#define D "kms-db://"

static struct kms_bytes part(const char *text)
{
    return text != NULL ? kms_bytes_text(text) : kms_bytes_of(NULL, 0);
}

static void both_orders_mean_the_same(void)
{
    static const struct {
        const char *text, *name, *field, *stage, *version;
    } rows[] = {
        {S "db", "db", NULL, "AWSCURRENT", NULL},
        {S "prod/shop/db", "prod/shop/db", NULL, "AWSCURRENT", NULL},
        {S "a_b+c=d.e@f-G9", "a_b+c=d.e@f-G9", NULL, "AWSCURRENT", NULL},
        {S "a..b/...", "a..b/...", NULL, "AWSCURRENT", NULL},
        {S "db#password", "db", "password", "AWSCURRENT", NULL},
        {S "db#pass word/ü%23", "db", "pass word/ü%23", "AWSCURRENT", NULL},
        {S "db?stage=AWSPREVIOUS", "db", NULL, "AWSPREVIOUS", NULL},
        {S "db#p?stage=blue=1", "db", "p", "blue=1", NULL},
        {S "db?stage=blue#p", "db", "p", "blue", NULL},
        {S "db#p?version=0123-ab", "db", "p", NULL, "0123-ab"},
        {S "db?version=0123-ab#p", "db", "p", NULL, "0123-ab"},
        {D "shop/ro#username", "shop/ro", "username", NULL, NULL},
        {D "ro#password", "ro", "password", NULL, NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_env_reference r;
        CU_ASSERT(kms_env_reference_is(kms_bytes_text(rows[i].text)));
        KMS_ASSERT_OK_FATAL(kms_env_reference_parse(kms_bytes_text(rows[i].text), &r, NULL));
        CU_ASSERT_EQUAL(r.kind, rows[i].text[4] == 's' ? KMS_ENV_REFERENCE_SECRET : KMS_ENV_REFERENCE_DB);
        CU_ASSERT(kms_bytes_equal(r.name, part(rows[i].name)));
        CU_ASSERT(kms_bytes_equal(r.field, part(rows[i].field)));
        CU_ASSERT(kms_bytes_equal(r.stage, part(rows[i].stage)));
        CU_ASSERT(kms_bytes_equal(r.version, part(rows[i].version)));
    }
}

static void wrong_ones_say_where(void)
{
    static const char parts[] = "an empty part, \".\" or \"..\" between slashes";
    static const char bytes[] = "a name has A-Z a-z 0-9 / _ + = . @ - and nothing else";
    static const struct {
        const char *text;
        size_t column;
        const char *what;
    } rows[] = {
        {"kms-secret:/db", 1, "kms-secret:// or kms-db:// was expected"},
        {S, 14, "a name was expected"},
        {S "#p", 14, "a name was expected"},
        {S "..", 14, parts},
        {S "a/../b", 16, parts},
        {S "a/./b", 16, parts},
        {S "/a", 14, parts},
        {S "a//b", 16, parts},
        {S "a/", 16, parts},
        {S "a%2fb", 15, bytes},
        {S "a b", 15, bytes},
        {S "arn:aws:x", 17, bytes},
        {S "bücher", 15, bytes},
        {S "a#", 16, "the name of a field was expected"},
        {S "a#?stage=x", 16, "the name of a field was expected"},
        {S "a#b#c", 17, "a second field"},
        {S "a#b\tc", 17, "a control character"},
        {S "a#b\xff", 16, "not valid UTF-8"},
        {S "a?", 16, "stage= or version= was expected"},
        {S "a?stages=x", 16, "stage= or version= was expected"},
        {S "a?stage=", 22, "a value was expected behind ="},
        {S "a?version=#b", 24, "a value was expected behind ="},
        {S "a?stage=x y", 23, "not visible ASCII"},
        {S "a?stage=x&version=y", 23, "stage and version exclude each other"},
        {S "a?version=x&stage=y", 25, "stage and version exclude each other"},
        {S "a?stage=x?version=y", 23, "a second stage or version"},
        {S "a?stage=x#b?stage=x", 25, "a second stage or version"},
        {D "ro", 12, "#username or #password was expected"},
        {D "ro#host", 13, "username or password was expected"},
        {D "ro#username?stage=x", 1, "a database role has neither stage nor version"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_env_reference r = {0};
        struct kms_why why = {0};
        char want[KMS_WHY_BYTES];
        snprintf(want, sizeof want, "column %zu of the reference: %s", rows[i].column, rows[i].what);
        KMS_ASSERT_CODE(kms_env_reference_parse(kms_bytes_text(rows[i].text), &r, &why), INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, want);
        CU_ASSERT_EQUAL(r.name.len, 0);
    }
}

static void a_nul_byte_is_no_end(void)
{
    static const char name[] = S "a\0b", field[] = S "a#b\0c", stage[] = S "a?stage=b\0";
    struct kms_env_reference r;
    struct kms_why why;
    KMS_ASSERT_CODE(kms_env_reference_parse(kms_bytes_of(name, sizeof name - 1), &r, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "column 15 "));
    KMS_ASSERT_CODE(kms_env_reference_parse(kms_bytes_of(field, sizeof field - 1), &r, &why),
                    INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "column 17 "));
    KMS_ASSERT_CODE(kms_env_reference_parse(kms_bytes_of(stage, sizeof stage - 1), &r, &why),
                    INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "column 23 "));
}

/* A text of prefix and count times 'a'. */
static kms_err with_length(const char *prefix, size_t count, struct kms_env_reference *r, struct kms_why *why)
{
    static char text[1024];
    int len = snprintf(text, sizeof text, "%s", prefix);
    memset(text + len, 'a', count);
    return kms_env_reference_parse(kms_bytes_of(text, (size_t)len + count), r, why);
}

static void lengths_end(void)
{
    static const struct {
        const char *prefix;
        size_t most;
        const char *what;
    } rows[] = {
        {S, 512, "column 526 of the reference: a name has at most 512 bytes"},
        {D, 512, "column 522 of the reference: a name has at most 512 bytes"},
        {S "n#", 256, "column 272 of the reference: a field has at most 256 bytes"},
        {S "n?stage=", 256, "column 278 of the reference: too long"},
        {S "n?version=", 64, "column 88 of the reference: too long"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_env_reference r;
        struct kms_why why = {0};
        kms_err err = with_length(rows[i].prefix, rows[i].most, &r, &why);
        if (i == 1) {
            KMS_ASSERT_CODE(err, INVALID_ARGUMENT); /* its field is missing, its length is fine */
            CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "#username"));
        } else {
            KMS_ASSERT_OK(err);
        }
        KMS_ASSERT_CODE(with_length(rows[i].prefix, rows[i].most + 1, &r, &why), INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, rows[i].what);
    }
}

static void inside_of_text_they_are_nothing(void)
{
    static const char *const rows[] = {"", "x" S "db", "kms-secret:/", "KMS-SECRET://db", " " D "a#username"};
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_FALSE(kms_env_reference_is(kms_bytes_text(rows[i])));
    CU_ASSERT_FALSE(kms_env_reference_is(kms_bytes_of(NULL, 0)));
}

KMS_TEST_MAIN("client/kms-env/reference", {"both orders mean the same", both_orders_mean_the_same},
              {"wrong ones say where", wrong_ones_say_where}, {"a NUL byte is no end", a_nul_byte_is_no_end},
              {"lengths end", lengths_end},
              {"inside of text they are nothing", inside_of_text_they_are_nothing})
