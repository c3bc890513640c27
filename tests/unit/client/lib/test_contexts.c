/* The file of contexts: read, searched, and changed in one line only. */
#include "client/lib/contexts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/harness/suite.h"

static const char *write_file(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/kmsctl.yaml", kms_temp_dir());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static const char two[] = "# mine\ncurrent_context: test # for now\ncontexts:\n"
                          "- {name: test, endpoint: 'unix:/run/kmsd.sock'}\n"
                          "- {name: prod, endpoint: 'kms:8443', ca: ca.pem, server_name: kms.example.com}\n";

static void read_and_find(void)
{
    const char *path = write_file(two);
    struct kmsctl_contexts contexts;
    const struct kmsctl_context *context = NULL;
    struct kms_why why;
    KMS_ASSERT_OK_FATAL(kmsctl_contexts_load(path, &contexts, &why));
    KMS_ASSERT_OK(kmsctl_contexts_find(&contexts, NULL, &context, NULL));
    CU_ASSERT_STRING_EQUAL(context->name, "test");
    KMS_ASSERT_OK(kmsctl_contexts_find(&contexts, "prod", &context, NULL));
    CU_ASSERT_STRING_EQUAL(context->server_name, "kms.example.com");
    CU_ASSERT_EQUAL(strncmp(context->ca, kms_temp_dir(), strlen(kms_temp_dir())), 0); /* beside the file */
    KMS_ASSERT_CODE(kmsctl_contexts_find(&contexts, "lab", &context, &why), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(why.text, "no context \"lab\"; there is: test, prod");
    kmsctl_contexts_free(&contexts);
}

static void no_context_is_chosen(void)
{
    static const char text[] = "contexts: [{name: a, endpoint: 'h:1'}]\n";
    struct kmsctl_contexts contexts;
    const struct kmsctl_context *context = NULL;
    KMS_ASSERT_OK_FATAL(kmsctl_contexts_load(write_file(text), &contexts, NULL));
    KMS_ASSERT_OK(kmsctl_contexts_find(&contexts, "a", &context, NULL));
    KMS_ASSERT_OK(kmsctl_contexts_find(&contexts, NULL, &context, NULL));
    CU_ASSERT_PTR_NULL(context);
    KMS_ASSERT_CODE(kmsctl_contexts_find(&contexts, "", &context, NULL), NOT_FOUND);
    kmsctl_contexts_free(&contexts);
}

static void what_is_given_wins(void)
{
    char endpoint[] = "theirs:1", ca[] = "ca.pem", empty[] = "";
    const struct kmsctl_context context = {.endpoint = endpoint, .ca = ca, .cert = empty};
    struct kms_client_options options = {.endpoint = "mine:1"};
    kmsctl_context_fill(&context, &options);
    CU_ASSERT_STRING_EQUAL(options.endpoint, "mine:1");
    CU_ASSERT_STRING_EQUAL(options.ca_file, "ca.pem");
    CU_ASSERT(options.cert_file == NULL && options.server_name == NULL);
    kmsctl_context_fill(NULL, &options);
    CU_ASSERT_STRING_EQUAL(options.endpoint, "mine:1");
}

static void where_the_file_is(void)
{
    struct kmsctl_contexts contexts;
    struct kms_why why;
    setenv("KMSCTL_CONFIG", write_file(two), 1);
    KMS_ASSERT_OK_FATAL(kmsctl_contexts_load(NULL, &contexts, &why));
    CU_ASSERT_EQUAL(contexts.contexts_count, 2);
    kmsctl_contexts_free(&contexts);
    unsetenv("KMSCTL_CONFIG");
    setenv("HOME", "/nonexistent", 1);
    KMS_ASSERT_OK_FATAL(kmsctl_contexts_load(NULL, &contexts, &why)); /* no file: no contexts */
    CU_ASSERT_EQUAL(contexts.contexts_count, 0);
    kmsctl_contexts_free(&contexts);
    CU_ASSERT_TRUE(kms_failed(kmsctl_contexts_load("/nonexistent/k.yaml", &contexts, &why))); /* asked for */
}

static void use_changes_one_line(void)
{
    static const struct {
        const char *before, *name, *after; /* NULL: refused, unchanged */
    } rows[] = {
        {two, "prod",
         "# mine\ncurrent_context: \"prod\"\ncontexts:\n- {name: test, endpoint: 'unix:/run/kmsd.sock'}\n"
         "- {name: prod, endpoint: 'kms:8443', ca: ca.pem, server_name: kms.example.com}\n"},
        {"contexts: [{name: a, endpoint: 'h:1'}]\n", "a",
         "current_context: \"a\"\ncontexts: [{name: a, endpoint: 'h:1'}]\n"},
        {"contexts: [{name: a, endpoint: 'h:1'}]\ncurrent_context: b", "a",
         "contexts: [{name: a, endpoint: 'h:1'}]\ncurrent_context: \"a\"\n"},
        {two, "lab", NULL},
        {two, "\"\nx: \"", NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        const char *path = write_file(rows[i].before);
        struct kms_why why;
        kms_err err = kmsctl_contexts_use(path, rows[i].name, &why);
        CU_ASSERT_EQUAL(kms_failed(err), rows[i].after == NULL);
        KMS_OWN_BUF text = {0};
        KMS_ASSERT_OK(kms_read_file(path, 4096, &text, NULL));
        CU_ASSERT_STRING_EQUAL((const char *)text.data,
                               rows[i].after != NULL ? rows[i].after : rows[i].before);
    }
    struct kms_why why;
    CU_ASSERT_TRUE(kms_failed(kmsctl_contexts_use("/nonexistent/k.yaml", "a", &why)));
}

static void mode_stays(void)
{
    const char *path = write_file(two);
    chmod(path, 0640);
    KMS_ASSERT_OK(kmsctl_contexts_use(path, "prod", NULL));
    struct stat now;
    CU_ASSERT_EQUAL(stat(path, &now), 0);
    CU_ASSERT_EQUAL(now.st_mode & 0777, 0640);
}

KMS_TEST_MAIN("client/lib/contexts", {"read and find", read_and_find},
              {"no context is chosen", no_context_is_chosen}, {"what is given wins", what_is_given_wins},
              {"where the file is", where_the_file_is}, {"use changes one line", use_changes_one_line},
              {"its mode stays", mode_stays})
