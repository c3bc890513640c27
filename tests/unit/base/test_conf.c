/* The configuration reader: what is read, what is refused and where the message points, what is printed back.
 */
#include "base/conf.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

enum colour { RED, GREEN, BLUE };

#define KMS_CONF_DEF "tests/unit/base/conf_options.def"
#include "base/conf_struct.def"
#define KMS_CONF_DEF "tests/unit/base/conf_options.def"
#include "base/conf_table.def"

static kms_err parse(const char *text, struct sample *ret_sample, struct kms_why *why)
{
    return kms_conf_parse(&sample_section, "/etc/kms/c.yaml", kms_bytes_text(text), ret_sample, why);
}

static void defaults(void)
{
    static const char *const texts[] = {"",   "# nothing\n", "group:\nother:\n", "words: []\nitems:\n",
                                        "{}", "---\n...\n"};
    for (size_t i = 0; i < KMS_COUNT(texts); i++) {
        struct sample s;
        KMS_ASSERT_OK_FATAL(parse(texts[i], &s, NULL));
        CU_ASSERT_STRING_EQUAL(s.title, "none");
        CU_ASSERT_STRING_EQUAL(s.group_path, "/etc/x");
        CU_ASSERT(!s.group_flag && s.group_count == 3 && s.group_mode == 0640);
        CU_ASSERT(s.other_size_bytes == 65536 && s.other_wait_ms == 2000 && s.other_colour == GREEN);
        CU_ASSERT(s.words_count == 0 && s.items_count == 0);
        kms_conf_free(&sample_section, &s);
    }
}

static void every_kind_is_read(void)
{
    struct sample s;
    KMS_ASSERT_OK_FATAL(
        parse("title: \"\"\n"
              "group: {path: keys/a.pem, flag: true, count: 64, mode: 0777}\n"
              "other:\n  size: 8GiB\n  wait: 1h\n  colour: blue\n"
              "words: [one, 'two words']\n"
              "items:\n- name: a\n  file: b\n  inner: [{number: 1}, {number: 9}]\n- name: 'null'\n",
              &s, NULL));
    CU_ASSERT_STRING_EQUAL(s.title, "");
    CU_ASSERT_STRING_EQUAL(s.group_path, "/etc/kms/keys/a.pem");
    CU_ASSERT(s.group_flag && s.group_count == 64 && s.group_mode == 0777);
    CU_ASSERT(s.other_size_bytes == 8589934592 && s.other_wait_ms == 3600000 && s.other_colour == BLUE);
    CU_ASSERT_EQUAL_FATAL(s.words_count, 2);
    CU_ASSERT_STRING_EQUAL(s.words[1], "two words");
    CU_ASSERT_EQUAL_FATAL(s.items_count, 2);
    CU_ASSERT_STRING_EQUAL(s.items[0].name, "a");
    CU_ASSERT_STRING_EQUAL(s.items[0].file, "/etc/kms/b");
    CU_ASSERT_EQUAL_FATAL(s.items[0].inner_count, 2);
    CU_ASSERT_EQUAL(s.items[0].inner[1].number, 9);
    CU_ASSERT_STRING_EQUAL(s.items[1].name, "null");
    CU_ASSERT_STRING_EQUAL(s.items[1].file, "");
    kms_conf_free(&sample_section, &s);
    CU_ASSERT_PTR_NULL(s.items);
}

static const struct {
    const char *text, *why; /* how the message begins, behind the name of the file */
} refused[] = {
    {"nope: 1\n", ":1: option 'nope': no such option; allowed: title, group, other, words, items"},
    {"group:\n  nope: 1\n", ":2: option 'group.nope': no such option; allowed: path, flag, count, mode"},
    {"group.count: 3\n", ":1: option 'group.count': groups are written as mappings"},
    {"title: a\ntitle: b\n", ":2: option 'title': there twice"},
    {"group:\n  count: 1\ngroup:\n  flag: true\n", ":3: option 'group': there twice"},
    {"group: 5\n", ":1: option 'group': not a group of options"},
    {"group: []\n", ":1: option 'group': not a group of options"},
    {"title: [a]\n", ":1: option 'title': not a single value; allowed: text of 0 to 16 bytes"},
    {"title: {a: b}\n", ":1: option 'title': not a single value"},
    {"title:\n", ":1: option 'title': no value"},
    {"title: ~\n", ":1: option 'title': no value"},
    {"title: null\n", ":1: option 'title': no value"},
    {"title: 12345678901234567\n", ":1: option 'title': too long; allowed: text of 0 to 16 bytes"},
    {"title: \"a\\0b\"\n", ":1: option 'title': holds a NUL character"},
    {"\n\ngroup:\n  path: ''\n", ":4: option 'group.path': empty; allowed: a path of 1 to 99 bytes"},
    {"group: {flag: yes}\n", ":1: option 'group.flag': neither true nor false; allowed: true, false"},
    {"group: {flag: True}\n", ":1: option 'group.flag': neither true nor false"},
    {"group:\n  flag: false\n  count: 0\n",
     ":3: option 'group.count': out of range; allowed: 1 to 64 things"},
    {"group: {count: 65}\n", ":1: option 'group.count': out of range"},
    {"group: {count: -1}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: 0x10}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: 1.5}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: ' 1'}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: 1s}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: ''}\n", ":1: option 'group.count': not such a number"},
    {"group: {count: 4294967297}\n", ":1: option 'group.count': out of range"},
    {"group: {count: 99999999999999999999}\n", ":1: option 'group.count': not such a number"},
    {"group: {mode: 0688}\n", ":1: option 'group.mode': not an octal number; allowed: 0000 to 0777"},
    {"group: {mode: 01000}\n", ":1: option 'group.mode': out of range"},
    {"other: {size: 1023}\n", ":1: option 'other.size': out of range; allowed: 1KiB to 8GiB"},
    {"other: {size: 1KB}\n", ":1: option 'other.size': not such a number"},
    {"other: {size: 99999999999GiB}\n", ":1: option 'other.size': not such a number"},
    {"other: {wait: 9}\n", ":1: option 'other.wait': out of range; allowed: 10ms to 1h"},
    {"other: {wait: 2 s}\n", ":1: option 'other.wait': not such a number"},
    {"other: {wait: 61m}\n", ":1: option 'other.wait': out of range"},
    {"other: {colour: pink}\n",
     ":1: option 'other.colour': not one of the choices; allowed: one of: red, green, blue"},
    {"other: {colour: red|green}\n", ":1: option 'other.colour': not one of the choices"},
    {"words: one\n", ":1: option 'words': not a list; allowed: a list of at most 3 texts"},
    {"words: [a, b, c, d]\n", ":1: option 'words': too many items"},
    {"words:\n- a\n- ''\n", ":3: option 'words': empty"},
    {"words:\n- a\n- [b]\n", ":3: option 'words': an item is not a text"},
    {"items: {name: a}\n", ":1: option 'items': not a list; allowed: a list of at most 2 sections"},
    {"items:\n- file: a\n", ":2: option 'items[0].name': missing; allowed: text of 1 to 8 bytes"},
    {"items:\n- name: a\n- nope: b\n",
     ":3: option 'items[1].nope': no such option; allowed: name, file, inner"},
    {"items:\n- name: a\n  inner:\n  - number: 1\n  - number: 10\n",
     ":5: option 'items[0].inner[1].number': out of range"},
    {"items:\n- name\n", ":2: option 'items[0].': not a group of options"},
    {"items: [{name: a}, {name: b}, {name: c}]\n", ":1: option 'items': too many items"},
    {"just a text\n", ":1: option '': not a group of options"},
    {"[a]\n", ":1: option '': not a group of options"},
    {"\"tit\\0le\": a\n", ":1: option 'tit': a name that no option has"},
    {"? [a]\n: b\n", ":1: option '': a name that no option has"},
    {"title: a\n---\ntitle: b\n", ":3: a second document"},
    {"title: 'a\n", ":"},
    {"title: a\n bad: [\n", ":2: not YAML: "},
    {"title: \xff\n", ":1: not YAML: "},
    {"group: &g\n  path: *g\n", ":"},
    {"group: &g\n  group: *g\n", ":2: option 'group.group': no such option"},
};

static void what_is_refused_and_where(void)
{
    for (size_t i = 0; i < KMS_COUNT(refused); i++) {
        struct sample s = {.title = NULL, .group_count = 77};
        struct kms_why why = {{0}};
        char want[512];
        snprintf(want, sizeof want, "/etc/kms/c.yaml%s", refused[i].why);
        kms_err err = parse(refused[i].text, &s, &why);
        bool as_said = strncmp(why.text, want, strlen(want)) == 0;
        if (!as_said) fprintf(stderr, "\n%s\n got: %s\nwant: %s\n", refused[i].text, why.text, want);
        CU_ASSERT(as_said);
        KMS_ASSERT_CODE(err, CONFIG_INVALID);
        CU_ASSERT(s.title == NULL && s.group_count == 77); /* untouched */
        if (!kms_failed(err)) kms_conf_free(&sample_section, &s);
    }
}

static void dump_reads_back_the_same(void)
{
    struct sample s, again;
    KMS_ASSERT_OK_FATAL(
        parse("title: \"q\\\" b\\\\ t\\t é\"\ngroup: {flag: true, count: 7, mode: 0, path: a b}\n"
              "other: {size: 1025, wait: 1500, colour: red}\nwords: ['- x', \"#\"]\n"
              "items: [{name: a, inner: [{number: 2}]}, {name: ': b', file: \"/f\\N\\L\\P\\x80\\uFEFF\"}]\n",
              &s, NULL));
    KMS_OWN_BUF first = {0}, second = {0};
    KMS_ASSERT_OK_FATAL(kms_conf_print_values(&sample_section, &s, &first));
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(
        kms_conf_parse(&sample_section, "/etc/kms/c.yaml", kms_buf_view(&first), &again, &why));
    KMS_ASSERT_OK_FATAL(kms_conf_print_values(&sample_section, &again, &second));
    CU_ASSERT_STRING_EQUAL(first.data, second.data);
    /* U+0085, U+2028 and U+2029 are line breaks in YAML, U+0080 may not stand in a document. */
    CU_ASSERT_STRING_EQUAL(again.items[1].file, "/f\xc2\x85\u2028\u2029\xc2\x80\uFEFF");
    CU_ASSERT_STRING_EQUAL(again.title, "q\" b\\ t\t é");
    CU_ASSERT_STRING_EQUAL(again.group_path, "/etc/kms/a b");
    CU_ASSERT(again.other_size_bytes == 1025 && again.other_wait_ms == 1500 &&
              again.items[0].inner[0].number == 2);
    CU_ASSERT_STRING_EQUAL(again.items[1].name, ": b");
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)first.data, "  wait: 1500ms\n"));
    kms_conf_free(&sample_section, &s);
    kms_conf_free(&sample_section, &again);
}

/* The sample as it is, and with the comment signs of the options taken away. */
static void sample_is_a_configuration(void)
{
    KMS_OWN_BUF text = {0}, values = {0}, bare = {0};
    struct sample s;
    KMS_ASSERT_OK_FATAL(kms_conf_print_sample(&sample_section, &text));
    KMS_ASSERT_OK_FATAL(kms_conf_parse(&sample_section, "s", kms_buf_view(&text), &s, NULL));
    KMS_ASSERT_OK_FATAL(kms_conf_print_values(&sample_section, &s, &values));
    kms_conf_free(&sample_section, &s);
    KMS_ASSERT_OK_FATAL(parse("", &s, NULL));
    KMS_ASSERT_OK_FATAL(kms_conf_print_values(&sample_section, &s, &bare));
    kms_conf_free(&sample_section, &s);
    CU_ASSERT_STRING_EQUAL(values.data, bare.data);
    static const char *const lines[] = {
        "#title: \"none\"\n", "  # a count; 1 to 64 things\n  #count: 3\n",
        "other:\n",           "  # a time; 10ms to 1h\n  #wait: 2s\n",
        "#  - name:\n",       "# a name; text of 1 to 8 bytes; must be given\n"};
    for (size_t i = 0; i < KMS_COUNT(lines); i++)
        CU_ASSERT_PTR_NOT_NULL(strstr((const char *)text.data, lines[i]));

    KMS_OWN_BUF opened = {0};
    for (const char *c = (const char *)text.data; *c != '\0'; c++)
        if (*c != '#' || (c[1] == ' ' && c[2] != ' ')) KMS_ASSERT_OK_FATAL(kms_buf_append(&opened, c, 1));
    struct kms_why why = {{0}};
    kms_err err = kms_conf_parse(&sample_section, "s", kms_buf_view(&opened), &s, &why);
    KMS_ASSERT_CODE(err, CONFIG_INVALID); /* what must be given has no example */
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "'items[0].name': no value"));
}

static void files(void)
{
    char path[128], missing[128];
    snprintf(path, sizeof path, "%s/c.yaml", kms_temp_dir());
    snprintf(missing, sizeof missing, "%s/none.yaml", kms_temp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("group: {path: x.pem}\n", file);
    fclose(file);
    struct sample s;
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_conf_load(&sample_section, path, &s, &why));
    char want[160];
    snprintf(want, sizeof want, "%s/x.pem", kms_temp_dir());
    CU_ASSERT_STRING_EQUAL(s.group_path, want);
    kms_conf_free(&sample_section, &s);
    KMS_ASSERT_CODE(kms_conf_load(&sample_section, missing, &s, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, missing));
    CU_ASSERT_EQUAL_FATAL(truncate(path, KMS_CONF_FILE_BYTES + 1), 0);
    KMS_ASSERT_CODE(kms_conf_load(&sample_section, path, &s, &why), CONFIG_INVALID);
}

static void every_failure_is_clean(void)
{
    FAULTS_EACH () {
        struct sample s;
        KMS_OWN_BUF out = {0};
        kms_err err = parse("title: a\nwords: [a, b]\nitems: [{name: a, inner: [{number: 1}]}]\n", &s, NULL);
        if (!kms_failed(err)) {
            err = kms_conf_print_values(&sample_section, &s, &out);
            kms_conf_free(&sample_section, &s);
        }
        if (!kms_failed(err)) err = kms_conf_print_sample(&sample_section, &out);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT(!kms_failed(err) || kms_is(err, KMS_E_NO_MEMORY));
    }
}

KMS_TEST_MAIN("base/conf", {"defaults", defaults}, {"every kind is read", every_kind_is_read},
              {"what is refused, and where", what_is_refused_and_where},
              {"a dump reads back the same", dump_reads_back_the_same},
              {"the sample is a configuration", sample_is_a_configuration}, {"files", files},
              {"every failure is clean", every_failure_is_clean})
