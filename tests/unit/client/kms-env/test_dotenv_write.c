/* Writing changes values and nothing else. */
#include <stdlib.h>

#include "tests/unit/client/kms-env/table.h"

static const char replacement[] = "kms:v1:AAAA+/==";

static kms_err put(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

/* Every value with its name in it for which replace is true. */
static void rewrite(const kms_dotenv *document, const char *header, bool replace, kms_buf *out)
{
    size_t count = kms_dotenv_count(document);
    struct kms_bytes *values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; i < count && replace; i++) values[i] = kms_bytes_text(replacement);
    KMS_ASSERT_OK(
        kms_dotenv_write(document, values, kms_bytes_text(header), (struct kms_dotenv_sink){put, out}));
    free(values);
}

static void values_are_replaced_in_place(void)
{
    static const struct {
        enum kms_dotenv_dialect dialect;
        const char *text, *want; /* @ stands for the replacement */
    } rows[] = {
        {KMS_DOTENV_COMPOSE, "", ""},
        {KMS_DOTENV_COMPOSE, "A=1", "A=@"},
        {KMS_DOTENV_COMPOSE, "# c\n\n  export A = 'x y'  # d\n\nB=2 # e\nC\n",
         "# c\n\n  export A = @  # d\n\nB=@ # e\nC\n"},
        {KMS_DOTENV_COMPOSE, "A=\"x\"#y\nB=''#z\nC=''\t#u\nD='' #v\n", "A=@ #y\nB=@ #z\nC=@\t #u\nD=@ #v\n"},
        {KMS_DOTENV_COMPOSE, "A=\"one\ntwo\"\r\nB=3\r\n", "A=@\r\nB=@\r\n"},
        {KMS_DOTENV_COMPOSE,
         "\xef\xbb\xbf"
         "A=1 \t\n",
         "\xef\xbb\xbf"
         "A=@ \t\n"},
        {KMS_DOTENV_DOCKER, "A= 'x' # y \r\n  B=\nC", "A=@\r\n  B=@\nC"},
        {KMS_DOTENV_SYSTEMD, "; c\nA=\"x\" 'y' z\\\nw  \nB = 1 # 2\n", "; c\nA=@  \nB = @\n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_OWN_BUF got = {0}, want = {0};
        KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_bytes_text(rows[i].text), rows[i].dialect, &document, NULL));
        rewrite(document, "", true, &got);
        for (const char *at = rows[i].want; *at != '\0'; at++)
            KMS_ASSERT_OK(*at == '@' ? kms_buf_print(&want, "%s", replacement)
                                     : kms_buf_append(&want, at, 1));
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&got), kms_buf_view(&want)));
    }
}

static void the_header_has_one_place(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "#H\n"},
        {"A=1\n", "#H\nA=1\n"},
        {"A=1\r\n", "#H\r\nA=1\r\n"},
        {"\xef\xbb\xbf"
         "A=1\n",
         "\xef\xbb\xbf#H\nA=1\n"},
        {"#kms-env app=a key=b  \nA=1\n", "#H  \nA=1\n"},
        {"A=1\n#kms-env app=a\nB=2\n", "A=1\n#H\nB=2\n"},
        {"A=1\n#kms-env app=a", "A=1\n#H"},
        {"#kms-env app=a\r\n", "#H\r\n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_OWN_BUF got = {0};
        KMS_ASSERT_OK_FATAL(
            kms_dotenv_parse(kms_bytes_text(rows[i].text), KMS_DOTENV_COMPOSE, &document, NULL));
        rewrite(document, "#H", false, &got);
        CU_ASSERT(kms_bytes_equal(kms_buf_view(&got), kms_bytes_text(rows[i].want)));
    }
}

/* A small generator of its own, so that a failure can be repeated. */
static uint32_t seed = 20261122;
static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void print_any_line(kms_buf *text, int number)
{
    static const char *const values[] = {
        "",    "plain",   "'single #'", "\"double \\n \\\"\"", "'two\nlines'",
        "a#b", "$x ${y}", "\"q\"#c",    "\"q\" # c",           "v # c",
        "a=b", " padded "};
    static const char *const others[] = {"", "# comment", "   ", "#", "  # indented 'quote"};
    if (any(3) == 0) {
        KMS_ASSERT_OK(kms_buf_print(text, "%s", others[any(KMS_COUNT(others))]));
    } else {
        const char *export = any(4) == 0 ? "export " : "", *blank = any(4) == 0 ? " " : "";
        KMS_ASSERT_OK(
            kms_buf_print(text, "%sV%d%s=%s", export, number, blank, values[any(KMS_COUNT(values))]));
    }
    KMS_ASSERT_OK(kms_buf_print(text, "%s", any(5) == 0 ? "\r\n" : "\n"));
}

/* Written without a change it is the same, byte for byte; with every value replaced, only the values differ.
 */
static void any_file_survives(void)
{
    for (int round = 0; round < 500; round++) {
        KMS_OWN_BUF text = {0}, same = {0}, changed = {0};
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_OWN(kms_dotenv) again = NULL;
        int lines = (int)any(20);
        for (int i = 0; i < lines; i++) print_any_line(&text, i);
        KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
        rewrite(document, "", false, &same);
        CU_ASSERT_FATAL(kms_bytes_equal(kms_buf_view(&text), kms_buf_view(&same)));
        rewrite(document, "#kms-env app=a key=k", true, &changed);
        KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&changed), KMS_DOTENV_COMPOSE, &again, NULL));
        CU_ASSERT_EQUAL_FATAL(kms_dotenv_count(again), kms_dotenv_count(document));
        for (size_t i = 0; i < kms_dotenv_count(again); i++) {
            const struct kms_dotenv_entry *e = kms_dotenv_entry(again, i);
            CU_ASSERT(kms_bytes_equal(e->name, kms_dotenv_entry(document, i)->name));
            CU_ASSERT(kms_bytes_equal(e->value, kms_bytes_text(replacement)));
        }
    }
}

/* Every value of printable and control characters, quoted as Compose wants it, is read back exactly. */
static void any_value_round_trips(void)
{
    for (int round = 0; round < 2000; round++) {
        char value[64], quoted[sizeof value * 2 + 8];
        size_t len = any(sizeof value), at = 0;
        at += (size_t)sprintf(quoted, "A=\"");
        for (size_t i = 0; i < len; i++) {
            value[i] = (char)(1 + any(127));
            if (value[i] == '\r') value[i] = ' '; /* its escape has a row in test_compose */
            if (strchr("\"\\$", value[i]) != NULL) quoted[at++] = '\\';
            quoted[at++] = value[i];
        }
        quoted[at++] = '"';
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_bytes_of(quoted, at), KMS_DOTENV_COMPOSE, &document, NULL));
        CU_ASSERT(kms_bytes_equal(kms_dotenv_entry(document, 0)->value, kms_bytes_of(value, len)));
    }
}

static kms_err put_twice(void *self, struct kms_bytes piece)
{
    (void)piece;
    return ++*(int *)self > 2 ? KMS_FAIL(IO) : KMS_OK;
}

static void an_error_of_the_sink_ends_it(void)
{
    KMS_OWN(kms_dotenv) document = NULL;
    struct kms_bytes values[3] = {kms_bytes_text("x"), kms_bytes_text("y"), kms_bytes_text("z")};
    int puts = 0;
    KMS_ASSERT_OK_FATAL(
        kms_dotenv_parse(kms_bytes_text("A=1\nB=2\nC=3"), KMS_DOTENV_COMPOSE, &document, NULL));
    KMS_ASSERT_CODE(
        kms_dotenv_write(document, values, kms_bytes_text(""), (struct kms_dotenv_sink){put_twice, &puts}),
        IO);
    CU_ASSERT_EQUAL(puts, 3);
}

KMS_TEST_MAIN("client/kms-env/dotenv_write", {"values are replaced in place", values_are_replaced_in_place},
              {"the header has one place", the_header_has_one_place},
              {"any file survives", any_file_survives}, {"any value round-trips", any_value_round_trips},
              {"an error of the sink ends it", an_error_of_the_sink_ends_it})
