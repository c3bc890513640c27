/* What holds in every dialect: bytes, names, doubles, limits, the header line. */
#include <stdlib.h>

#include "base/secret.h"
#include "tests/harness/faults.h"
#include "tests/unit/client/kms-env/table.h"

enum { DIALECTS = 3 };

static void every_dialect(const struct reading *rows, size_t count)
{
    for (int dialect = 0; dialect < DIALECTS; dialect++)
        for (size_t i = 0; i < count; i++) check_reading(&rows[i], (enum kms_dotenv_dialect)dialect);
}

static void common_texts_read_alike(void)
{
    static const struct reading rows[] = {
        {"\xef\xbb\xbf", "", ""},
        {"\xef\xbb\xbf"
         "A=1",
         "A<1>", ""},
        {"A=kms:v1:S01TAQ+/==\nB=2", "A<kms:v1:S01TAQ+/==>B<2>", ""},
        {"A=1\nB=2\nA=3\nB=4", NULL, "line 3: A is set a second time, first on line 1"},
        {"AB=1\nA=2\nABC=3\nAB=", NULL, "line 4: AB is set a second time, first on line 1"},
        {"A=1\nA=1\nA=1", NULL, "line 2: A is set a second time, first on line 1"},
        {"A=\xff", NULL, "line 1, column 3: not valid UTF-8"},
        {"# \xe4\nA=1", NULL, "line 1, column 3: not valid UTF-8"},
        {"A=1\nB=\xc3\xa4\xed\xa0\x80", NULL, "line 2, column 5: not valid UTF-8"},
        {"A=1\nB=\xe2\x82", NULL, "line 2, column 3: not valid UTF-8"},
    };
    every_dialect(rows, KMS_COUNT(rows));
}

static void nul_is_refused(void)
{
    static const char text[] = "A=1\nB=x\0y\n";
    for (int dialect = 0; dialect < DIALECTS; dialect++) {
        kms_dotenv *document = NULL;
        struct kms_why why = {0};
        kms_err err = kms_dotenv_parse(kms_bytes_of(text, sizeof text - 1), (enum kms_dotenv_dialect)dialect,
                                       &document, &why);
        KMS_ASSERT_CODE(err, INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, "line 2, column 4: a NUL byte");
    }
}

static void messages_hold_no_values(void)
{
    static const char *const texts[] = {"P=hunter2\nP=hunter2", "P=\"hunter2", "P='hunter2' hunter2",
                                        "P=\"hunter2\\0\"", "P hunter2"};
    for (size_t i = 0; i < KMS_COUNT(texts); i++) {
        kms_dotenv *document = NULL;
        struct kms_why why = {0};
        KMS_ASSERT_CODE(kms_dotenv_parse(kms_bytes_text(texts[i]), KMS_DOTENV_COMPOSE, &document, &why),
                        INVALID_ARGUMENT);
        CU_ASSERT_PTR_NULL(strstr(why.text, "hunter2"));
        CU_ASSERT(why.text[0] != '\0');
    }
}

static void long_lines_are_whole(void)
{
    enum { LEN = 200 * 1024 };
    char *text = malloc(LEN + 3);
    memset(text, 'x', LEN + 2);
    memcpy(text, "A=", 2);
    for (int dialect = 0; dialect < DIALECTS; dialect++) {
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_ASSERT_OK_FATAL(
            kms_dotenv_parse(kms_bytes_of(text, LEN + 2), (enum kms_dotenv_dialect)dialect, &document, NULL));
        CU_ASSERT_EQUAL(kms_dotenv_entry(document, 0)->value.len, LEN);
    }
    free(text);
}

static void limits_are_kept(void)
{
    KMS_OWN_BUF text = {0};
    kms_dotenv *document = NULL;
    struct kms_why why = {0};
    for (int i = 0; i <= KMS_DOTENV_ENTRIES; i++) KMS_ASSERT_OK_FATAL(kms_buf_print(&text, "V%d=1\n", i));
    KMS_ASSERT_CODE(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, &why),
                    LIMIT_EXCEEDED);
    CU_ASSERT_STRING_EQUAL(why.text, "line 4097: more than 4096 variables: split the file");
    while (text.len <= KMS_DOTENV_BYTES) KMS_ASSERT_OK_FATAL(kms_buf_print(&text, "# padding\n"));
    KMS_ASSERT_CODE(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, &why),
                    LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NULL(document);
}

static void the_header_names_app_and_key(void)
{
    static const struct {
        const char *text, *app, *key;
    } rows[] = {
        {"A=1\n", "", ""},
        {"#kms-env app=shop key=alias/shop\nA=1\n", "shop", "alias/shop"},
        {"\xef\xbb\xbf#kms-env app=shop\r\nA=1\n", "shop", ""},
        {"A=1\n\n#kms-env   key=alias/a\tapp=a.b/c-d  \n", "a.b/c-d", "alias/a"},
        {"#kms-env later=thing app=x\n", "x", ""},
        {"# kms-env app=x\n #kms-env app=y\nA=1 #kms-env app=z\n#kms-environment app=w", "", ""},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_ASSERT_OK_FATAL(
            kms_dotenv_parse(kms_bytes_text(rows[i].text), KMS_DOTENV_COMPOSE, &document, NULL));
        CU_ASSERT(kms_bytes_equal(kms_dotenv_header(document)->app, kms_bytes_text(rows[i].app)));
        CU_ASSERT(kms_bytes_equal(kms_dotenv_header(document)->key, kms_bytes_text(rows[i].key)));
    }
    static const struct reading bad[] = {
        {"A=1\n#kms-env app=a b app=\n", NULL, "line 2, column 18: not the name of an application"},
        {"#kms-env app=a*b\n", NULL, "line 1, column 10: not the name of an application"},
        {"#kms-env key=\n", NULL, "line 1, column 10: not the name of a key"},
        {"#kms-env app=a\n#kms-env app=b\n", NULL, "line 2, column 1: a second #kms-env line"},
    };
    every_dialect(bad, KMS_COUNT(bad));
}

static void names_are_found(void)
{
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_bytes_text("A=1\n\nAB=2"), KMS_DOTENV_COMPOSE, &document, NULL));
    CU_ASSERT_EQUAL(kms_dotenv_find(document, kms_bytes_text("AB"))->line, 3);
    CU_ASSERT_PTR_NULL(kms_dotenv_find(document, kms_bytes_text("B")));
    CU_ASSERT_TRUE(kms_dotenv_name_valid(kms_bytes_text("_a9Z")));
    CU_ASSERT_FALSE(kms_dotenv_name_valid(kms_bytes_text("")));
    CU_ASSERT_FALSE(kms_dotenv_name_valid(kms_bytes_text("9a")));
    CU_ASSERT_FALSE(kms_dotenv_name_valid(kms_bytes_text("a=")));
}

static void failures_leak_nothing(void)
{
    static const char text[] = "#kms-env app=x\nA=1\nB='2'\n";
    FAULTS_EACH () {
        kms_dotenv *document = NULL;
        kms_err err = kms_dotenv_parse(kms_bytes_text(text), KMS_DOTENV_COMPOSE, &document, NULL);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(document == NULL, faults_hit());
        kms_dotenv_free(document);
    }
}

KMS_TEST_MAIN("client/kms-env/dotenv", {"failures leak nothing", failures_leak_nothing},
              {"common texts read alike", common_texts_read_alike}, {"NUL is refused", nul_is_refused},
              {"messages hold no values", messages_hold_no_values},
              {"long lines are whole", long_lines_are_whole}, {"limits are kept", limits_are_kept},
              {"the header names app and key", the_header_names_app_and_key},
              {"names are found", names_are_found})
