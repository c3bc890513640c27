/* Each format: what stands there byte for byte, and that its reader reads the values again. */
#include "client/kms-env/format.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/suite.h"

static kms_err put(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

static void write_all(enum kms_env_format format, const struct kms_env_pair *pairs, size_t count,
                      kms_buf *out)
{
    struct kms_why why = {0};
    KMS_ASSERT_OK(kms_env_format_check(format, pairs, count, &why));
    KMS_ASSERT_OK(kms_env_format_write(format, pairs, count, (struct kms_dotenv_sink){put, out}));
    KMS_ASSERT_OK(kms_buf_append(out, "", 0));
}

static struct kms_env_pair pair(const char *name, const char *value)
{
    return (struct kms_env_pair){kms_bytes_text(name), kms_bytes_text(value)};
}

/* Values that some reader or other takes apart. */
static const char *const hostile[] = {
    "",
    "plain",
    " blanks ",
    "a b",
    "$HOME ${X} `id` $(id)",
    "it's",
    "\"quoted\"",
    "back\\slash",
    "ends with \\",
    "ends with '\\",
    "a\\\\b\\n",
    "# no comment",
    "a # b",
    "a=b;c&d|e>f",
    "two\nlines\n",
    "cr\rlf\r\n",
    "tab\tbell\a\x1b\x7f",
    "\xc3\xa4 \xf0\x9f\x98\x80 \xc2\x85 \xe2\x80\xa8 \xef\xbb\xbf",
    "'; rm -rf / #",
    "null",
    "{{ x }} %s !important @at",
};

static bool fits(enum kms_env_format format, const char *value)
{
    return format != KMS_ENV_FORMAT_ENV || strpbrk(value, "\r\n") == NULL;
}

static void readers_read_them_again(void)
{
    static const struct {
        enum kms_env_format format;
        enum kms_dotenv_dialect dialect;
    } rows[] = {{KMS_ENV_FORMAT_ENV, KMS_DOTENV_DOCKER},
                {KMS_ENV_FORMAT_DOTENV, KMS_DOTENV_COMPOSE},
                {KMS_ENV_FORMAT_SYSTEMD, KMS_DOTENV_SYSTEMD}};
    for (size_t r = 0; r < KMS_COUNT(rows); r++) {
        for (size_t i = 0; i < KMS_COUNT(hostile); i++) {
            const struct kms_env_pair pairs[] = {pair("A", "before"), pair("B_1", hostile[i]),
                                                 pair("C", "behind")};
            KMS_OWN_BUF out = {0};
            KMS_OWN(kms_dotenv) document = NULL;
            if (!fits(rows[r].format, hostile[i])) continue;
            write_all(rows[r].format, pairs, 3, &out);
            KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&out), rows[r].dialect, &document, NULL));
            CU_ASSERT_EQUAL_FATAL(kms_dotenv_count(document), 3);
            for (size_t k = 0; k < 3; k++) {
                bool same = kms_bytes_equal(kms_dotenv_entry(document, k)->value, pairs[k].value);
                CU_ASSERT(same);
                if (!same) fprintf(stderr, "\nformat %zu: %s", r, (const char *)out.data);
            }
        }
    }
}

static void json_reads_them_again(void)
{
    for (size_t i = 0; i < KMS_COUNT(hostile); i++) {
        const struct kms_env_pair pairs[] = {pair("A", hostile[i]), pair("B", "1")};
        KMS_OWN_BUF out = {0};
        write_all(KMS_ENV_FORMAT_JSON, pairs, 2, &out);
        json_t *object = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(object);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(object, "A")), hostile[i]);
        CU_ASSERT_EQUAL(json_object_size(object), 2);
        json_decref(object);
    }
}

/* A real sh sources it and compares. */
static void sh_reads_them_again(void)
{
    for (size_t i = 0; i < KMS_COUNT(hostile); i++) {
        const struct kms_env_pair pairs[] = {pair("A", hostile[i])};
        KMS_OWN_BUF script = {0};
        int status = -1;
        write_all(KMS_ENV_FORMAT_SHELL, pairs, 1, &script);
        KMS_ASSERT_OK(kms_buf_print(&script, "test \"$A\" = \"$1\""));
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/sh", "sh", "-c", (char *)script.data, "sh", hostile[i], (char *)NULL);
            _exit(126);
        }
        CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child);
        CU_ASSERT_EQUAL(status, 0);
    }
}

static void bytes(void)
{
    static const struct {
        enum kms_env_format format;
        const char *want;
    } rows[] = {
        {KMS_ENV_FORMAT_ENV, "A=a'b \\\nno=\"$x\"\n"},
        {KMS_ENV_FORMAT_DOTENV, "A=\"a'b \\\\\"\nno='\"$x\"'\n"},
        {KMS_ENV_FORMAT_SHELL, "export A='a'\\''b \\'\nexport no='\"$x\"'\n"},
        {KMS_ENV_FORMAT_JSON, "{\n  \"A\": \"a'b \\\\\",\n  \"no\": \"\\\"$x\\\"\"\n}\n"},
        {KMS_ENV_FORMAT_YAML, "\"A\": \"a'b \\\\\"\n\"no\": \"\\\"$x\\\"\"\n"},
        {KMS_ENV_FORMAT_SYSTEMD, "A=\"a'b \\\\\"\nno=\"\\\"\\$x\\\"\"\n"},
    };
    const struct kms_env_pair pairs[] = {pair("A", "a'b \\"), pair("no", "\"$x\"")};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_BUF out = {0};
        write_all(rows[i].format, pairs, 2, &out);
        CU_ASSERT_STRING_EQUAL((const char *)out.data, rows[i].want);
    }
    KMS_OWN_BUF yaml = {0}, none = {0}, object = {0};
    const struct kms_env_pair odd = pair("A", "\xc2\x85\xe2\x80\xa9\xef\xbb\xbf\x7f\xc3\xa4\n");
    write_all(KMS_ENV_FORMAT_YAML, &odd, 1, &yaml);
    CU_ASSERT_STRING_EQUAL((const char *)yaml.data, "\"A\": \"\\u0085\\u2029\\ufeff\\u007f\xc3\xa4\\n\"\n");
    write_all(KMS_ENV_FORMAT_YAML, NULL, 0, &none);
    CU_ASSERT_STRING_EQUAL((const char *)none.data, "{}\n");
    write_all(KMS_ENV_FORMAT_JSON, NULL, 0, &object);
    CU_ASSERT_STRING_EQUAL((const char *)object.data, "{\n}\n");
}

static void refused(enum kms_env_format format, struct kms_bytes value, const char *words)
{
    const struct kms_env_pair pairs[] = {pair("A", "fine"), {kms_bytes_text("B"), value}};
    struct kms_why why = {0};
    KMS_ASSERT_CODE(kms_env_format_check(format, pairs, 2, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, words);
}

static void what_a_format_cannot_hold(void)
{
    static char line[64 * 1024];
    const struct kms_bytes binary = kms_bytes_text("\xff");
    const struct kms_env_pair odd = {kms_bytes_text("B"), binary};
    memset(line, 'x', sizeof line);
    refused(KMS_ENV_FORMAT_ENV, kms_bytes_text("a\nb"), "B: the format env has no line breaks in a value");
    refused(KMS_ENV_FORMAT_ENV, kms_bytes_text("a\r"), "B: the format env has no line breaks in a value");
    refused(KMS_ENV_FORMAT_ENV, kms_bytes_of(line, sizeof line - 2),
            "B: longer than a line of the format env");
    for (int format = KMS_ENV_FORMAT_ENV; format <= KMS_ENV_FORMAT_SYSTEMD; format++)
        if (format != KMS_ENV_FORMAT_SHELL)
            refused((enum kms_env_format)format, binary, "B: not valid UTF-8");
    KMS_ASSERT_OK(kms_env_format_check(KMS_ENV_FORMAT_SHELL, &odd, 1, NULL));
    const struct kms_env_pair longest = {kms_bytes_text("B"), kms_bytes_of(line, sizeof line - 3)};
    KMS_ASSERT_OK(kms_env_format_check(KMS_ENV_FORMAT_ENV, &longest, 1, NULL));
}

static void names(void)
{
    enum kms_env_format format;
    CU_ASSERT(kms_env_format_named("compose", &format) && format == KMS_ENV_FORMAT_DOTENV);
    CU_ASSERT(kms_env_format_named("yaml", &format) && format == KMS_ENV_FORMAT_YAML);
    CU_ASSERT_FALSE(kms_env_format_named("toml", &format));
}

KMS_TEST_MAIN("client/kms-env/format", {"readers read them again", readers_read_them_again},
              {"JSON reads them again", json_reads_them_again}, {"sh reads them again", sh_reads_them_again},
              {"bytes", bytes}, {"what a format cannot hold", what_a_format_cannot_hold}, {"names", names})
