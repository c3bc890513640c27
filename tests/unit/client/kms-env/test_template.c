/* Templates: what is replaced, and that nothing else is touched. */
#include "client/kms-env/template.h"

#include "tests/unit/client/kms-env/fake_service.h"

static kms_err put(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

static void references_are_replaced(void)
{
    static const struct {
        const char *text, *want;
        size_t fetched;
    } rows[] = {
        {"", "", 0},
        {"no reference, { {{ }} {{ other }} {{{{ }}}} \n{", "no reference, { {{ }} {{ other }} {{{{ }}}} \n{",
         0},
        {"{{ kms-secret://raw }}", "s3cr3t", 1},
        {"{{kms-secret://raw}}\n", "s3cr3t\n", 1},
        {"a {{\tkms-secret://db#user\t}}:{{ kms-secret://db#pass }}@h\r\n", "a u:p w@h\r\n", 1},
        {"{{ kms-secret://raw }}{{ kms-secret://raw?version=v1 }}", "s3cr3tolder", 2},
        {"{{{ kms-secret://raw }}}", "{s3cr3t}", 1},
        {"{{{{ kms-secret://raw }}", "{{ kms-secret://raw }}", 0},
        {"{{{{ kms-secret://raw }} {{ kms-secret://raw }}", "{{ kms-secret://raw }} s3cr3t", 1},
        {"{{{{ other", "{{{{ other", 0},
        {"[{{ kms-secret://empty }}]", "[]", 1},
        {"{{ kms-db://ro#username }}/{{ kms-db://ro#password }}", "ro/made", 1},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_env_template) template = NULL;
        KMS_OWN_BUF notes = {0}, out = {0};
        struct fake_service service = {0};
        struct kms_why why = {0};
        KMS_ASSERT_OK_FATAL(kms_env_template_parse(kms_bytes_text(rows[i].text), &template, &why));
        KMS_ASSERT_OK(kms_env_template_resolve(template, fake_providers(&service).fetcher, &notes, &why));
        KMS_ASSERT_OK(kms_env_template_write(template, (struct kms_dotenv_sink){put, &out}));
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&out), kms_bytes_text(rows[i].want)));
        CU_ASSERT_EQUAL(service.fetched, rows[i].fetched);
    }
}

static void bytes_stay_bytes(void)
{
    static const char text[] = "\0\xff{{ kms-secret://raw }}\0\xfe";
    KMS_OWN(kms_env_template) template = NULL;
    KMS_OWN_BUF notes = {0}, out = {0};
    struct fake_service service = {0};
    KMS_ASSERT_OK_FATAL(kms_env_template_parse(kms_bytes_of(text, sizeof text - 1), &template, NULL));
    KMS_ASSERT_OK(kms_env_template_resolve(template, fake_providers(&service).fetcher, &notes, NULL));
    KMS_ASSERT_OK(kms_env_template_write(template, (struct kms_dotenv_sink){put, &out}));
    CU_ASSERT(kms_bytes_equal(kms_buf_view(&out), kms_bytes_of("\0\xffs3cr3t\0\xfe", 10)));
}

static void wrong_references_are_refused(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"a\nb {{ kms-secret://raw\n}}", "line 2: }} is missing behind a reference"},
        {"{{ kms-secret://raw }", "line 1: }} is missing behind a reference"},
        {"\n\n{{ kms-secret://a b }}",
         "line 3: column 15 of the reference: a name has A-Z a-z 0-9 / _ + = . @ - and nothing else"},
        {"{{ kms-db://ro }}", "line 1: column 12 of the reference: #username or #password was expected"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_env_template *template = NULL;
        struct kms_why why = {0};
        KMS_ASSERT_CODE(kms_env_template_parse(kms_bytes_text(rows[i].text), &template, &why),
                        INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, rows[i].why);
        CU_ASSERT_PTR_NULL(template);
    }
}

static void failures_are_all_told(void)
{
    static const char text[] = "{{ kms-secret://raw }}\n{{ kms-secret://denied }}\n\n{{ kms-secret://db#x }}";
    KMS_OWN(kms_env_template) template = NULL;
    KMS_OWN_BUF notes = {0};
    struct fake_service service = {0};
    struct kms_why why = {0};
    KMS_ASSERT_OK_FATAL(kms_env_template_parse(kms_bytes_text(text), &template, &why));
    KMS_ASSERT_CODE(kms_env_template_resolve(template, fake_providers(&service).fetcher, &notes, &why),
                    ACCESS_DENIED);
    CU_ASSERT_STRING_EQUAL(why.text, "2 values could not be had: nothing was written");
    CU_ASSERT_STRING_EQUAL((const char *)notes.data,
                           "line 2: ACCESS_DENIED: secret denied: not allowed by policy\n"
                           "line 4: NOT_FOUND: secret db, field x: the secret has no such field\n");
    service.down = true;
    KMS_ASSERT_CODE(kms_env_template_resolve(template, fake_providers(&service).fetcher, &notes, &why),
                    CONFIG_INVALID);
}

KMS_TEST_MAIN("client/kms-env/template", {"references are replaced", references_are_replaced},
              {"bytes stay bytes", bytes_stay_bytes},
              {"wrong references are refused", wrong_references_are_refused},
              {"failures are all told", failures_are_all_told})
