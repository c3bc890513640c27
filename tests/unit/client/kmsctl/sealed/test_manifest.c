/* Manifests: what YAML means is what is written again, in both forms; what is not clear is refused by
 * line. */
#include "client/kmsctl/sealed/manifest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "client/kmsctl/sealed/scope.h"
#include "client/kmsctl/sealed/secret.h"
#include "client/kmsctl/sealed/text.h"
#include "tests/harness/suite.h"

static json_t *read_text(const char *text)
{
    struct kms_why why = {{0}};
    json_t *documents = NULL;
    kms_err err = ctl_manifest_read(kms_bytes_text(text), &documents, &why);
    if (kms_failed(err)) printf("\n%s: %s\n", text, why.text);
    KMS_ASSERT_OK_FATAL(err);
    return documents;
}

static void yaml_means_what_it_does_to_kubernetes(void)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"a: 1", "[{\"a\": 1}]"},
        {"a: 1\n---\napiVersion: v1\nkind: List\nitems:\n- b: 2\n-\n- apiVersion: v1\n  kind: List\n  items: "
         "[{c: 3}]\n",
         "[{\"a\": 1}, {\"b\": 2}, {\"c\": 3}]"},
        {"apiVersion: v1\nkind: List\nitems: []", "[]"},
        {"apiVersion: v1\nkind: List\nitems: 1",
         "[{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": 1}]"},
        {"a: -17\nb: 1.5\nc: 1e3", "[{\"a\": -17, \"b\": 1.5, \"c\": 1000.0}]"},
        {"a: yes\nb: Off\nc: n\nd: TRUE", "[{\"a\": true, \"b\": false, \"c\": false, \"d\": true}]"},
        {"a: 'yes'\nb: \"1\"\nc: !!str 1\nd: ! x",
         "[{\"a\": \"yes\", \"b\": \"1\", \"c\": \"1\", \"d\": \"x\"}]"},
        {"a: ~\nb:\nc: null\nd: ''", "[{\"a\": null, \"b\": null, \"c\": null, \"d\": \"\"}]"},
        {"a: 1.2.3\nb: 10.0.0.1\nc: 1a\nd: 2020-01-01\ne: -x\nf: .x",
         "[{\"a\": \"1.2.3\", \"b\": \"10.0.0.1\", \"c\": \"1a\", \"d\": \"2020-01-01\", \"e\": \"-x\", "
         "\"f\": "
         "\".x\"}]"},
        {"a: |\n  x\n  y\nb: >-\n  x\n  y", "[{\"a\": \"x\\ny\\n\", \"b\": \"x y\"}]"},
        {"a: [1, {b: c}, []]\n", "[{\"a\": [1, {\"b\": \"c\"}, []]}]"},
        {"---\na: 1\n---\n---\nb: 2\n...\n", "[{\"a\": 1}, {\"b\": 2}]"},
        {"# nothing\n", "[]"},
        {"{\"a\": 1}\n{\"b\": \"\\u0000\"}\n", "[{\"a\": 1}, {\"b\": \"\\u0000\"}]"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *found = read_text(rows[i].yaml), *want = json_loads(rows[i].json, JSON_ALLOW_NUL, NULL);
        if (!json_equal(found, want)) printf("\n%s\n%s\n", rows[i].yaml, json_dumps(found, 0));
        CU_ASSERT_TRUE(json_equal(found, want));
        json_decref(found);
        json_decref(want);
    }
}

static void what_is_not_clear_is_refused(void)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"a: 0x1f", "line 1: is this a number"},
        {"a: 0755", "line 1: is this a number"},
        {"a: 1_000", "line 1: is this a number"},
        {"a: .inf", "line 1: is this a number"},
        {"a: 12345678901234567890_", "line 1: is this a number"},
        {"a: &x 1\nb: *x", "line 2: aliases are not taken"},
        {"a: !!binary aGk=", "line 1: tags are not taken"},
        {"a: !foo {b: c}", "line 1: tags are not taken"},
        {"a: 1\nb: 2\na: 3", "line 3: this member is there already"},
        {"? [a]\n: b", "line 1: the name of a member is no text"},
        {"\"a\\0b\": c", "line 1: the name of a member is no text"},
        {"a: 'b", "line "},
        {"a: b: c", "line 1: "},
        {"{\"a\": 1, \"a\": 2}", "line 1: this is no JSON"},
        {"{\"a\": 1}\n{\"b\": top-secret}", "line 2: this is no JSON"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why = {{0}};
        json_t *documents = NULL;
        KMS_ASSERT_CODE(ctl_manifest_read(kms_bytes_text(rows[i].text), &documents, &why), INVALID_ARGUMENT);
        if (strncmp(why.text, rows[i].why, strlen(rows[i].why)) != 0)
            printf("\n%s: %s\n", rows[i].text, why.text);
        CU_ASSERT_TRUE(strncmp(why.text, rows[i].why, strlen(rows[i].why)) == 0);
        CU_ASSERT_PTR_NULL(strstr(why.text, "top-secret"));
    }
}

static void limits(void)
{
    CTL_OWN_TEXT deep = {0}, many = {0};
    struct kms_why why = {{0}};
    json_t *documents = NULL;
    for (int i = 0; i < 10000; i++) ctl_text_put(&deep, "[", 1);
    for (int i = 0; i < CTL_MANIFEST_DOCUMENTS + 1; i++) ctl_text_put(&many, "---\na: 1\n", 9);
    KMS_ASSERT_CODE(ctl_manifest_read(kms_bytes_of(deep.data, deep.len), &documents, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "nested too deep"));
    KMS_ASSERT_CODE(ctl_manifest_read(kms_bytes_of(many.data, many.len), &documents, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "more than 256 documents");
}

/* Written and read again. */
static void round_trip(json_t *documents, const char *form)
{
    char path[] = "/tmp/kms-manifest-XXXXXX";
    const int fd = mkstemp(path);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    close(fd);
    struct ctl ctl = {.out = path, .output = form};
    KMS_OWN_BUF text = {0};
    struct kms_why why = {{0}};
    CU_ASSERT_TRUE_FATAL(ctl_manifest_write(&ctl, json_incref(documents)));
    KMS_ASSERT_OK_FATAL(kms_read_file(path, 1 << 20, &text, &why));
    unlink(path);
    json_t *again = read_text((const char *)text.data);
    if (!json_equal(again, documents)) printf("\n%s\n", (const char *)text.data);
    CU_ASSERT_TRUE(json_equal(again, documents));
    json_decref(again);
}

static void what_is_written_reads_the_same(void)
{
    static const char *const texts[] = {"",
                                        "yes",
                                        "No",
                                        "null",
                                        "~",
                                        "1",
                                        "1.5",
                                        "0x1f",
                                        "-",
                                        "- a",
                                        "a: b",
                                        "a #b",
                                        " a",
                                        "a ",
                                        "it's",
                                        "\"x\"",
                                        "\\",
                                        "two\nlines\n",
                                        "\t",
                                        "\x01\x7f",
                                        "ü",
                                        "\xc2\x85",
                                        "\xe2\x80\xa8",
                                        "\xef\xbb\xbf",
                                        "\xf0\x9f\x98\x80",
                                        "#",
                                        "&a",
                                        "*a",
                                        "!a",
                                        "%a",
                                        "@a",
                                        "{",
                                        "[",
                                        "2020-01-01",
                                        "prod/mail",
                                        "kubernetes.io/tls",
                                        "y",
                                        "none",
                                        "=",
                                        "<<",
                                        "|",
                                        ">"};
    json_t *list = json_array(), *object = json_object(), *documents = json_array();
    for (size_t i = 0; i < KMS_COUNT(texts); i++) {
        json_array_append_new(list, json_string(texts[i]));
        json_object_set_new(object, texts[i], json_string(texts[i]));
    }
    json_array_append_new(documents,
                          json_pack("{s:o, s:o, s:{}, s:[], s:b, s:n, s:I, s:f, s:[[i, {s:i}]]}", "list",
                                    list, "object", object, "empty", "none", "flag", 1, "null", "int",
                                    (json_int_t)-5, "real", 0.1, "nested", 1, "a", 2));
    json_array_append_new(documents, json_pack("{s:s}", "second", "document"));
    round_trip(documents, NULL);
    round_trip(documents, "json");
    json_decref(documents);
}

static void scopes_and_labels(void)
{
    static const struct {
        const char *scope, *namespace, *name, *label;
    } rows[] = {{"strict", "prod", "mail", "prod/mail"},
                {NULL, "prod", "mail", "prod/mail"},
                {"namespace-wide", "prod", "mail", "prod"},
                {"namespace-wide", "prod", NULL, "prod"},
                {"cluster-wide", "prod", "mail", ""},
                {"cluster-wide", NULL, NULL, ""},
                {"strict", NULL, "mail", NULL},
                {"strict", "prod", NULL, NULL},
                {"strict", "", "mail", NULL},
                {"namespace-wide", NULL, "mail", NULL}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char label[CTL_LABEL_BYTES];
        struct kms_why why = {{0}};
        kms_err err =
            ctl_scope_label(ctl_scope_named(rows[i].scope), rows[i].namespace, rows[i].name, label, &why);
        CU_ASSERT_EQUAL(kms_failed(err), rows[i].label == NULL);
        if (rows[i].label != NULL) CU_ASSERT_STRING_EQUAL(label, rows[i].label);
        json_t *metadata =
            json_pack("{s:{s:s}}", "annotations", "sealedsecrets.bitnami.com/cluster-wide", "true");
        KMS_ASSERT_OK(ctl_scope_note(metadata, ctl_scope_named(rows[i].scope)));
        CU_ASSERT_EQUAL(ctl_scope_of(metadata), ctl_scope_named(rows[i].scope));
        json_decref(metadata);
    }
    char long_name[600], label[CTL_LABEL_BYTES];
    struct kms_why why = {{0}};
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    KMS_ASSERT_CODE(ctl_scope_label(CTL_SCOPE_NAMESPACE, long_name, NULL, label, &why), INVALID_ARGUMENT);
}

static void base64_of_data(void)
{
    static const struct {
        const char *json, *want;
    } rows[] = {{"\"aGk=\"", "hi"}, {"\"aG\\nk=\\r\\n\"", "hi"}, {"\"\"", ""}, {"null", ""},
                {"\"aGk\"", NULL},  {"\"a Gk=\"", NULL},         {"5", NULL},  {"{}", NULL}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        CTL_OWN_DATA data = {0};
        kms_err err = ctl_data_read(value, &data);
        CU_ASSERT_EQUAL(kms_failed(err), rows[i].want == NULL);
        if (rows[i].want != NULL) CU_ASSERT_TRUE(kms_bytes_equal(data.bytes, kms_bytes_text(rows[i].want)));
        json_decref(value);
    }
}

KMS_TEST_MAIN("client/kmsctl/sealed/manifest",
              {"YAML means what it does to Kubernetes", yaml_means_what_it_does_to_kubernetes},
              {"what is not clear is refused", what_is_not_clear_is_refused}, {"limits", limits},
              {"what is written reads the same", what_is_written_reads_the_same},
              {"scopes and labels", scopes_and_labels}, {"base64 of data", base64_of_data})
