/* What becomes ciphertext, what stays, and what is refused before anything is written. */
#include "client/kms-env/seal.h"

#include "client/kms-env/bind.h"
#include "tests/unit/client/kms-env/fake_service.h"

static kms_err put(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

struct sealing_test {
    struct kms_env_seal_options options;
    kms_err err;
    struct kms_why why;
    size_t encrypted, already, empty, calls;
    kms_buf out;
};

static void run(struct sealing_test *t, const char *format, const char *app)
{
    KMS_OWN_BUF text = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN_SEALED sealed = {0};
    struct fake_service service = {0};
    if (t->options.fallback_app == NULL) t->options.fallback_app = KMS_ENV_DEFAULT_APP;
    fake_text(&text, app, format);
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
    t->err = kms_env_seal(document, &t->options, fake_encrypter(&service), &sealed, &t->why);
    t->calls = service.calls;
    t->encrypted = sealed.encrypted;
    t->already = sealed.already;
    t->empty = sealed.empty;
    if (!kms_failed(t->err))
        KMS_ASSERT_OK(kms_dotenv_write(document, sealed.values, kms_buf_view(&sealed.header),
                                       (struct kms_dotenv_sink){put, &t->out}));
}

static void values_become_ciphertext(void)
{
    static const struct kms_bytes only_b[] = {{(const uint8_t *)"B", 1}};
    static const struct {
        struct kms_env_seal_options options;
        const char *text, *want;
        size_t encrypted, already, empty;
    } rows[] = {
        {{.key = "alias/right"},
         "# c\nA=1\n\nB='x y' # d\nC=\nD\n",
         "#kms-env app=default key=alias/right\n# c\nA={A=1}\n\nB={B=x y} # d\nC=\nD\n",
         2,
         0,
         1},
        {{.key = "alias/right"},
         "A=1\nB={B=2}\n",
         "#kms-env app=default key=alias/right\nA={A=1}\nB={B=2}\n",
         1,
         1,
         0},
        {{.key = "alias/right", .only = {only_b, 1}},
         "A=1\nB=2\n",
         "#kms-env app=default key=alias/right\nA=1\nB={B=2}\n",
         1,
         0,
         0},
        {{0},
         "#kms-env app=default key=alias/right\nA=1\n",
         "#kms-env app=default key=alias/right\nA={A=1}\n",
         1,
         0,
         0},
        {{.key = "alias/right"},
         "#kms-env app=default key=alias/old\nA={A=1}\n",
         "#kms-env app=default key=alias/right\nA={A=1}\n",
         0,
         1,
         0},
        {{.key = "alias/right"},
         "A=kms-secret://a#b\nB=kms-db://ro#password\nC=1\n",
         "#kms-env app=default key=alias/right\nA=kms-secret://a#b\nB=kms-db://ro#password\nC={C=1}\n",
         1,
         0,
         0},
        {{.key = "alias/right"}, "", "#kms-env app=default key=alias/right\n", 0, 0, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct sealing_test t = {.options = rows[i].options};
        KMS_OWN_BUF want = {0};
        run(&t, rows[i].text, "default");
        KMS_ASSERT_OK(t.err);
        fake_text(&want, "default", rows[i].want);
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&t.out), kms_buf_view(&want)));
        CU_ASSERT_EQUAL(t.encrypted, rows[i].encrypted);
        CU_ASSERT_EQUAL(t.already, rows[i].already);
        CU_ASSERT_EQUAL(t.empty, rows[i].empty);
        kms_buf_free(&t.out);
    }
}

static void the_application_is_bound(void)
{
    struct sealing_test t = {.options = {.key = "alias/right", .app = "shop"}};
    KMS_OWN_BUF want = {0};
    run(&t, "#kms-env app=other\nA=1\n", "shop"); /* no ciphertext yet, so the file may become another's */
    KMS_ASSERT_OK(t.err);
    fake_text(&want, "shop", "#kms-env app=shop key=alias/right\nA={A=1}\n");
    CU_ASSERT(kms_bytes_equal(kms_buf_view(&t.out), kms_buf_view(&want)));
    kms_buf_free(&t.out);
}

static void what_cannot_be_is_refused(void)
{
    static const struct kms_bytes only_z[] = {{(const uint8_t *)"Z", 1}};
    static const struct {
        struct kms_env_seal_options options;
        const char *text;
        enum kms_code code;
        const char *why;
    } rows[] = {
        {{0}, "A=1", KMS_E_INVALID_ARGUMENT, "which key?"},
        {{.key = "a b"}, "A=1", KMS_E_INVALID_ARGUMENT, "which key?"},
        {{.key = "alias/wrong"}, "\nA=1", KMS_E_ACCESS_DENIED, "line 2: A: no such key: alias/wrong"},
        {{.key = "alias/right", .app = "a b"}, "A=1", KMS_E_INVALID_ARGUMENT, "the name of an application"},
        {{.key = "alias/right", .app = "shop"},
         "#kms-env app=other\nA={A=1}\nB=2",
         KMS_E_INVALID_ARGUMENT,
         "the ciphertext in the file is of application other, not of shop"},
        {{.key = "alias/right"}, "A=1\nB=kms:v1:abcd", KMS_E_INVALID_CIPHERTEXT, "line 2: B: ciphertext: "},
        {{.key = "alias/right", .only = {only_z, 1}}, "A=1", KMS_E_INVALID_ARGUMENT, "--only names Z"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct sealing_test t = {.options = rows[i].options};
        run(&t, rows[i].text, "default");
        CU_ASSERT(kms_code_is(t.err, rows[i].code, __FILE__, __LINE__));
        CU_ASSERT_EQUAL(strncmp(t.why.text, rows[i].why, strlen(rows[i].why)), 0);
        CU_ASSERT_EQUAL(t.out.len, 0);
    }
}

static void lengths_are_bounded(void)
{
    char *text = malloc(KMS_PLAINTEXT_BYTES + 16);
    memset(text, 'x', KMS_PLAINTEXT_BYTES + 16);
    memcpy(text, "A=", 2);
    struct sealing_test t = {.options = {.key = "alias/right"}};
    text[2 + KMS_PLAINTEXT_BYTES + 1] = '\0';
    run(&t, text, "default");
    KMS_ASSERT_CODE(t.err, INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(t.why.text, "line 1: A: longer than 65536 bytes");
    CU_ASSERT_EQUAL(t.calls, 0);
    free(text);
    /* many small values: the ciphertext would be longer than what run reads */
    KMS_OWN_BUF many = {0};
    for (int i = 0; i < 3000; i++) KMS_ASSERT_OK_FATAL(kms_buf_print(&many, "V%d=1\n", i));
    run(&t, (char *)many.data, "default");
    KMS_ASSERT_CODE(t.err, LIMIT_EXCEEDED);
    kms_buf_free(&t.out);
}

KMS_TEST_MAIN("client/kms-env/seal", {"values become ciphertext", values_become_ciphertext},
              {"the application is bound", the_application_is_bound},
              {"what cannot be is refused", what_cannot_be_is_refused},
              {"lengths are bounded", lengths_are_bounded})
