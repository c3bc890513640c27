/* Which texts of a file are values, what names them, and what a new one replaces. */
#include "client/kmsctl/tree/find.h"

#include "client/kmsctl/tree/nest.h"
#include "tests/harness/faults.h"
#include "tests/unit/client/kmsctl/tree/sample.h"

/* The text again with <line:name> where each value was; "!" behind the name: wrong. */
static void render(const ctl_values *values, kms_buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < values->count; i++) {
        const struct ctl_value *v = &values->items[i];
        CU_ASSERT_FATAL(v->at >= at && v->at + v->len <= values->text.len);
        KMS_ASSERT_OK(kms_buf_append(out, values->text.ptr + at, v->at - at));
        KMS_ASSERT_OK(kms_buf_print(out, "<%u:%s%s>", v->line, v->name, v->wrong != NULL ? "!" : ""));
        if (v->wrong == NULL) CU_ASSERT_EQUAL(v->header.key_version, 1);
        at = v->at + v->len;
    }
    KMS_ASSERT_OK(kms_buf_append(out, values->text.ptr + at, values->text.len - at));
}

struct row {
    enum kms_dotenv_dialect dialect;
    const char *text, *want;
};

static void check(enum ctl_format format, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        KMS_OWN_BUF text = {0}, want = {0}, got = {0};
        struct kms_why why = {0};
        sample_text(rows[i].text, &text);
        sample_text(rows[i].want, &want);
        KMS_OWN_VALUES values = ctl_values_of(kms_buf_view(&text));
        kms_err err = ctl_find(format, rows[i].dialect, &values, &why);
        KMS_ASSERT_OK(kms_buf_append(&got, "", 0));
        if (!kms_failed(err)) render(&values, &got);
        if (kms_failed(err)) err = kms_buf_print(&got, "%s: %s", kms_err_reason(err), why.text);
        if (strcmp((const char *)got.data, (const char *)want.data) != 0)
            printf("row %zu:\n%s\n", i, got.data);
        CU_ASSERT_STRING_EQUAL(got.data, want.data);
    }
}

#define DOTENV KMS_DOTENV_COMPOSE

static void in_env_files(void)
{
    static const struct row rows[] = {
        {DOTENV, "A={V}\n", "A=<1:A>\n"},
        {DOTENV, "A={V}", "A=<1:A>"},
        {DOTENV, "# A={V}\r\n\r\nexport B = \"{V}\"  # {V}\r\nC='{V}'#c\r\n",
         "# A={V}\r\n\r\nexport B = \"<3:B>\"  # {V}\r\nC='<4:C>'#c\r\n"},
        {DOTENV, "A= {V} \nB=x{V}\nC=\"{V} \"\nD\n", "A= <1:A> \nB=x{V}\nC=\"<3:C!>\"\nD\n"},
        {DOTENV, "A=kms:v1:AAAA\nB=KMS:v1:x\nC=kms:v2:AAAA\n", "A=<1:A!>\nB=KMS:v1:x\nC=kms:v2:AAAA\n"},
        {DOTENV, "A=1\nA=2\n", "INVALID_ARGUMENT: line 2: A is set a second time, first on line 1"},
        {KMS_DOTENV_DOCKER, "A={V}\r\nB=\"{V}\"\nC={V} # c\n", "A=<1:A>\r\nB=\"{V}\"\nC=<3:C!>\n"},
        {KMS_DOTENV_SYSTEMD, "A=\"{V}\"\nB=kms:v1:\\\n{V}\n; {V}\n", "A=\"<1:A>\"\nB=<2:B!>8=\n; {V}\n"},
    };
    check(CTL_FORMAT_ENV, rows, KMS_COUNT(rows));
}

static void in_json(void)
{
    static const struct row rows[] = {
        {DOTENV, "{\"A\": \"{V}\", \"B\":\"{V}\"}", "{\"A\": \"<1:A>\", \"B\":\"<1:B>\"}"},
        {DOTENV, "{\r\n\t\"A\":\r\n \"{E}\"\r\n}\r\n", "{\r\n\t\"A\":\r\n \"<3:A>\"\r\n}\r\n"},
        {DOTENV, "{\"a\":{\"b\":[1,{\"c\":true},\"{V}\"],\"d\":\"{V}\"}}",
         "{\"a\":{\"b\":[1,{\"c\":true},\"<1:b>\"],\"d\":\"<1:d>\"}}"},
        {DOTENV,
         "[{\"name\":\"DB\",\"value\":\"{V}\"},{\"value\":\"{V}\",\"name\":\"X\"},{\"value\":\"{V}\"}]",
         "[{\"name\":\"DB\",\"value\":\"<1:DB>\"},{\"value\":\"<1:X>\",\"name\":\"X\"},{\"value\":\"<1:value>"
         "\"}]"},
        {DOTENV, "{\"Env\":[\"A={V}\",\"B=x\",\"C={E}\"]}", "{\"Env\":[\"A=<1:A>\",\"B=x\",\"C=<1:C>\"]}"},
        {DOTENV, "{\"{V}\":1,\"u\":\"x{V}\",\"v\":\"a b={V}\",\"w\":\"{V}\\n\"}",
         "{\"{V}\":1,\"u\":\"x{V}\",\"v\":\"a b={V}\",\"w\":\"<1:w>\\n\"}"},
        {DOTENV, "\"{V}\"", "\"<1:>\""},
        {DOTENV, "\xef\xbb\xbf[\"{V}\"] ", "\xef\xbb\xbf[\"<1:>\"] "},
        {DOTENV, "// {\n/* \"A\": \"{V}\" */{\"\\u00e4\\ud83d\\ude00\\t\": \"{V}\",}",
         "// {\n/* \"A\": \"{V}\" */{\"\\u00e4\\ud83d\\ude00\\t\": \"<2:\xc3\xa4\xf0\x9f\x98\x80\t>\",}"},
        {DOTENV, "{\"A\":\"kms:v1:!\"}", "{\"A\":\"<1:A!>\"}"},
        {DOTENV, "{\"A\":-1.5e3,\"B\":null,\"C\":\"{V}\"}", "{\"A\":-1.5e3,\"B\":null,\"C\":\"<1:C>\"}"},
        {DOTENV, "", ""},
        {DOTENV, "{\n\"A\": \"kms:v1:\n\"}",
         "INVALID_ARGUMENT: not JSON: line 2: a quote that is not closed"},
        {DOTENV, "[\"a\\", "INVALID_ARGUMENT: not JSON: line 1: an unknown escape"},
        {DOTENV, "[\"\\x\"]", "INVALID_ARGUMENT: not JSON: line 1: an unknown escape"},
        {DOTENV, "[\"\\u12\"]", "INVALID_ARGUMENT: not JSON: line 1: \\u without four hex digits"},
        {DOTENV, "[\"\\ud83d\\u0041\"]", "INVALID_ARGUMENT: not JSON: line 1: half of a surrogate pair"},
        {DOTENV, "[\"\\ud83d", "INVALID_ARGUMENT: not JSON: line 1: half of a surrogate pair"},
        {DOTENV, "[\"\\ude00\"]", "INVALID_ARGUMENT: not JSON: line 1: half of a surrogate pair"},
        {DOTENV, "\n[}", "INVALID_ARGUMENT: not JSON: line 2: a bracket that closes nothing"},
        {DOTENV, "]", "INVALID_ARGUMENT: not JSON: line 1: a bracket that closes nothing"},
        {DOTENV, "[\n{", "INVALID_ARGUMENT: not JSON: line 2: it ends inside a bracket"},
        {DOTENV, "/* ", "INVALID_ARGUMENT: not JSON: line 1: a comment that is not closed"},
        {DOTENV, "[/]", "INVALID_ARGUMENT: not JSON: line 1: a value was expected"},
    };
    check(CTL_FORMAT_JSON, rows, KMS_COUNT(rows));
}

static void in_yaml(void)
{
    static const struct row rows[] = {
        {DOTENV, "A: {V}\nB: '{V}' # {V}\r\nC:   \"{V}\"\n",
         "A: <1:A>\nB: '<2:B>' # {V}\r\nC:   \"<3:C>\"\n"},
        {DOTENV, "# \xc3\xa4\xf0\x9f\x98\x80\n\xc3\xa4: {V}\nb: [\"{V}\", x, {V}]\n",
         "# \xc3\xa4\xf0\x9f\x98\x80\n\xc3\xa4: <2:\xc3\xa4>\nb: [\"<3:b>\", x, <3:b>]\n"},
        {DOTENV,
         "\xef\xbb\xbf"
         "A: {V}\n",
         "\xef\xbb\xbf"
         "A: <1:A>\n"},
        {DOTENV, "env:\n- name: DB\n  value: {V}\n- value: {V}\n  name: X\n  other: {V}\n",
         "env:\n- name: DB\n  value: <3:DB>\n- value: <4:X>\n  name: X\n  other: <6:other>\n"},
        {DOTENV, "environment:\n  - A={V}\n  - 'B={V}'\n  - C\n",
         "environment:\n  - A=<2:A>\n  - 'B=<3:B>'\n  - C\n"},
        {DOTENV, "a: |\n  {V}\nb: >-\n  {V}\nc: |-\n\n  {V}\n",
         "a: |\n  <2:a>\nb: >-\n  <4:b>\nc: |-\n\n  {V}\n"},
        {DOTENV, "a: \"{E}\"\n", "a: \"<1:a>\"\n"},
        {DOTENV, "a: &x !!str {V}\nb: *x\nc: !t '{V}'\n*x : {V}\n",
         "a: &x !!str <1:a>\nb: *x\nc: !t '<3:c>'\n*x : <4:>\n"},
        {DOTENV, "---\na: {V}\n...\n---\n- {V}\n", "---\na: <2:a>\n...\n---\n- <5:>\n"},
        {DOTENV, "? [k, {V}]\n: {V}\n? {a: b}\n: {V}\n", "? [k, <1:>]\n: <2:>\n? {a: b}\n: <4:>\n"},
        {DOTENV, "{V}: x\nurl: x{V}\n", "{V}: x\nurl: x{V}\n"},
        {DOTENV, "a: kms:v1:AA AA\n", "a: <1:a!>\n"},
        {DOTENV, "", ""},
        {DOTENV, "a: b\nc: {{ .Values.x }}\nd: 'kms:v1:\n",
         "INVALID_ARGUMENT: not YAML: line 4: found unexpected end of stream"},
        {DOTENV, "a: b\n\tc: d\n",
         "INVALID_ARGUMENT: not YAML: line 2: found a tab character that violates indentation"},
    };
    check(CTL_FORMAT_YAML, rows, KMS_COUNT(rows));
}

static void too_deep(void)
{
    static const enum ctl_format formats[] = {CTL_FORMAT_JSON, CTL_FORMAT_YAML};
    char text[2 * CTL_NEST_DEPTH + 3];
    for (size_t i = 0; i < KMS_COUNT(formats); i++)
        for (size_t depth = CTL_NEST_DEPTH; depth <= CTL_NEST_DEPTH + 1; depth++) {
            struct kms_why why = {0};
            memset(text, '[', depth);
            memset(text + depth, ']', depth);
            KMS_OWN_VALUES values = ctl_values_of(kms_bytes_of(text, 2 * depth));
            kms_err err = ctl_find(formats[i], DOTENV, &values, &why);
            if (depth == CTL_NEST_DEPTH) KMS_ASSERT_OK(err);
            if (depth == CTL_NEST_DEPTH) continue;
            KMS_ASSERT_CODE(err, LIMIT_EXCEEDED);
            CU_ASSERT_STRING_EQUAL(why.text, "nested deeper than 128 levels");
        }
}

/* A line of a mebibyte, with values at its ends. */
static void a_long_line(void)
{
    enum { LONG = 1024 * 1024 };
    KMS_OWN_BUF text = {0}, got = {0};
    char *filling = malloc(LONG + 1);
    memset(filling, 'x', LONG);
    filling[LONG] = '\0';
    KMS_OWN_BUF format = {0};
    KMS_ASSERT_OK_FATAL(kms_buf_print(&format, "{\"A\":\"{V}\",\"%s\":1,\"B\":\"{V}\"}", filling));
    sample_text((const char *)format.data, &text);
    KMS_OWN_VALUES values = ctl_values_of(kms_buf_view(&text));
    KMS_ASSERT_OK(ctl_find(CTL_FORMAT_JSON, DOTENV, &values, NULL));
    CU_ASSERT_EQUAL_FATAL(values.count, 2);
    CU_ASSERT_STRING_EQUAL(values.items[1].name, "B");
    render(&values, &got);
    CU_ASSERT_EQUAL(got.len, LONG + strlen("{\"A\":\"<1:A>\",\"\":1,\"B\":\"<1:B>\"}"));
    CU_ASSERT_STRING_EQUAL(got.data + got.len - strlen(":1,\"B\":\"<1:B>\"}"), ":1,\"B\":\"<1:B>\"}");
    free(filling);
}

static void by_name(void)
{
    static const struct {
        const char *path;
        enum ctl_format format;
    } rows[] = {{".env", CTL_FORMAT_ENV},
                {"a/.env.production", CTL_FORMAT_ENV},
                {"app.ENV", CTL_FORMAT_ENV},
                {".env.json", CTL_FORMAT_JSON},
                {"a.env/b", CTL_FORMAT_UNKNOWN},
                {"x.yml", CTL_FORMAT_YAML},
                {"./x.tar.yaml", CTL_FORMAT_YAML},
                {"a.json/x.toml", CTL_FORMAT_UNKNOWN},
                {"environment", CTL_FORMAT_UNKNOWN},
                {".envrc", CTL_FORMAT_UNKNOWN},
                {"", CTL_FORMAT_UNKNOWN}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) CU_ASSERT_EQUAL(ctl_format_of(rows[i].path), rows[i].format);
}

static void the_application_is_noted(void)
{
    KMS_OWN_VALUES with = ctl_values_of(kms_bytes_text("#kms-env app=shop\nA=1\n"));
    KMS_OWN_VALUES without = ctl_values_of(kms_bytes_text("A=1\n"));
    KMS_ASSERT_OK(ctl_find(CTL_FORMAT_ENV, DOTENV, &with, NULL));
    KMS_ASSERT_OK(ctl_find(CTL_FORMAT_ENV, DOTENV, &without, NULL));
    CU_ASSERT_STRING_EQUAL(with.app, "shop");
    CU_ASSERT_STRING_EQUAL(without.app, "");
}

static void no_memory(void)
{
    static const struct {
        enum ctl_format format;
        const char *text;
    } rows[] = {{CTL_FORMAT_ENV, "A={V}\nB=kms:v1:x\n"},
                {CTL_FORMAT_JSON, "[{\"name\":\"A\",\"value\":\"{E}\"},{\"b\":[\"{V}\"]}]"},
                {CTL_FORMAT_YAML, "[{name: A, value: '{V}'}, {b: ['{V}']}]"}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_BUF text = {0};
        sample_text(rows[i].text, &text);
        FAULTS_EACH () {
            KMS_OWN_VALUES values = ctl_values_of(kms_buf_view(&text));
            kms_err err = ctl_find(rows[i].format, DOTENV, &values, NULL);
            faults_pause();
            CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        }
    }
}

KMS_TEST_MAIN("client/kmsctl/tree/find", {"in env files", in_env_files}, {"in JSON", in_json},
              {"in YAML", in_yaml}, {"too deep", too_deep}, {"a long line", a_long_line},
              {"by name", by_name}, {"the application is noted", the_application_is_noted},
              {"no memory", no_memory})
