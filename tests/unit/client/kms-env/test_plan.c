/* Which variables the child gets: order, precedence, guards. */
#include "client/kms-env/plan.h"

#include "tests/unit/client/kms-env/resolving.h"

static const struct kms_bytes only_a[] = {{(const uint8_t *)"A", 1}};
static const struct kms_bytes only_z[] = {{(const uint8_t *)"Z", 1}};

static void the_environment_is_what_was_asked_for(void)
{
    static const struct {
        struct resolving in;
        const char *want, *notes;
    } rows[] = {
        {{.inherited = {"A=1", "B=2"}}, "A=1|B=2|", ""},
        {{.inherited = {"A=1", "B=2", "A=3", "odd"}}, "A=1|B=2|A=3|odd|", ""},
        {{.inherited = {"A=1"}, .files = {"B=2\nC=3"}}, "A=1|B=2|C=3|", ""},
        {{.inherited = {"A=1", "B=2", "A=3"}, .files = {"A=4"}},
         "B=2|A=4|",
         "warning: a.env:1: A overwrites the inherited value\n"},
        {{.inherited = {"A=1"}, .files = {"A=4\nB=5"}, .options = {.no_overwrite = true}}, "A=1|B=5|", ""},
        {{.files = {"A=1\nB=1", "\nA=2", "A=3"}},
         "B=1|A=3|",
         "warning: b.env:2: A overwrites a.env:1\nwarning: c.env:1: A overwrites b.env:2\n"},
        {{.files = {"A=1", "A=2"}, .options = {.no_overwrite = true}},
         "A=2|",
         "warning: b.env:1: A overwrites a.env:1\n"},
        {{.inherited = {"A={A=s}", "B=2"}}, "A=s|B=2|", ""},
        {{.inherited = {"A={A=s}", "B=2"}, .files = {"C=3"}, .options = {.pristine = true}}, "A=s|C=3|", ""},
        {{.inherited = {"A=1", "B=2"}, .files = {"A=3"}, .options = {.pristine = true}}, "A=3|", ""},
        {{.inherited = {"A=1", "B=2"}, .files = {"B\nC\nD=4"}, .options = {.pristine = true}},
         "B=2|D=4|",
         ""},
        {{.inherited = {"A=1"}, .files = {"A"}}, "A=1|", ""},
        {{.inherited = {"PATH=/bin", "LD_PRELOAD=x"}, .files = {"A=1"}}, "PATH=/bin|LD_PRELOAD=x|A=1|", ""},
        {{.inherited = {"PATH=/bin"}, .files = {"PATH=/x"}, .options = {.unsafe_names = true}},
         "PATH=/x|",
         "warning: a.env:1: PATH overwrites the inherited value\n"},
        {{.inherited = {"KMS_ENV=1", "KMS_KEY_FILE=/k", "KMS_CERT=/c", "KMS_CA=/a", "KMS_ENDPOINT=e",
                        "KMS_CONTEXT=c", "A=1"}},
         "A=1|",
         ""},
        {{.inherited = {"KMS_ENV=1", "KMS_ENDPOINT=e"}, .options = {.keep_settings = true}},
         "KMS_ENDPOINT=e|",
         ""},
        {{.inherited = {"KMS_ENDPOINT=e"}, .files = {"KMS_ENDPOINT=f"}}, "KMS_ENDPOINT=f|", ""},
        {{.files = {"A=1\nB=2"}, .options = {.only = {only_a, 1}}}, "A=1|", ""},
        {{.inherited = {"C=3"}, .files = {"A=1\nPATH=/x"}, .options = {.only = {only_a, 1}}}, "C=3|A=1|", ""},
        {{.files = {"A=1"}, .options = {.only = {only_z, 1}, .allow_missing = true}}, "", ""},
        {{.files = {""}}, "", ""},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct resolving r = rows[i].in;
        resolve(&r);
        KMS_ASSERT_OK(r.err);
        CU_ASSERT_STRING_EQUAL(text_of(&r.got), rows[i].want);
        CU_ASSERT_STRING_EQUAL(text_of(&r.notes), rows[i].notes);
        resolving_done(&r);
    }
}

static void only_leaves_other_ciphertext_alone(void)
{
    struct resolving r = {.inherited = {"A={A=s}", "B={B=t}"}, .options = {.only = {only_a, 1}}};
    resolve(&r);
    KMS_ASSERT_OK(r.err);
    CU_ASSERT_EQUAL(strncmp(text_of(&r.got), "A=s|B=kms:v1:", 13), 0);
    CU_ASSERT_EQUAL(r.service.values, 1);
    resolving_done(&r);
}

static void bad_names_are_all_told(void)
{
    static const struct {
        struct resolving in;
        enum kms_code code;
        const char *notes, *why;
    } rows[] = {
        {{.files = {"PATH=/x\nA=1\nLD_PRELOAD=y"}},
         KMS_E_INVALID_ARGUMENT,
         "PATH: refused without --unsafe-names: it can make a program run other code\n"
         "LD_PRELOAD: refused without --unsafe-names: it can make a program run other code\n",
         "2 names are refused: nothing was started"},
        {{.inherited = {"LD_PRELOAD={LD_PRELOAD=/x.so}"}},
         KMS_E_INVALID_ARGUMENT,
         "LD_PRELOAD: refused without --unsafe-names: it can make a program run other code\n",
         "1 name is refused: nothing was started"},
        {{.inherited = {"a.b={a.b=1}"}, .options = {.unsafe_names = true}},
         KMS_E_INVALID_ARGUMENT,
         "a.b: not a valid name\n",
         "1 name is refused: nothing was started"},
        {{.files = {"A=1"}, .options = {.only = {only_z, 1}}},
         KMS_E_NOT_FOUND,
         "",
         "--only names Z, which nothing sets (--allow-missing starts without it)"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct resolving r = rows[i].in;
        resolve(&r);
        CU_ASSERT(kms_code_is(r.err, rows[i].code, __FILE__, __LINE__));
        CU_ASSERT_STRING_EQUAL(text_of(&r.notes), rows[i].notes);
        CU_ASSERT_STRING_EQUAL(r.why.text, rows[i].why);
        CU_ASSERT_EQUAL(r.service.calls, 0);
        resolving_done(&r);
    }
}

KMS_TEST_MAIN("client/kms-env/plan",
              {"the environment is what was asked for", the_environment_is_what_was_asked_for},
              {"--only leaves other ciphertext alone", only_leaves_other_ciphertext_alone},
              {"bad names are all told", bad_names_are_all_told})
