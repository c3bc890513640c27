/* What moves where, what is left alone, and that a failure leaves everything in the file. */
#include "client/kms-env/import.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/suite.h"

/* A store of four secrets at most. */
struct shelf {
    struct {
        char name[64], value[256];
        bool hidden; /* may not be read */
    } secrets[4];
    size_t count;
    unsigned creates, puts;
    const char *broken; /* this one cannot be stored */
};

static kms_err get(void *self, const char *name, kms_secret **ret_value, struct kms_why *why)
{
    struct shelf *shelf = self;
    (void)why;
    for (size_t i = 0; i < shelf->count; i++) {
        if (strcmp(shelf->secrets[i].name, name) != 0) continue;
        if (shelf->secrets[i].hidden) return KMS_FAIL(ACCESS_DENIED);
        const size_t len = strlen(shelf->secrets[i].value);
        KMS_ASSERT_OK_FATAL(kms_secret_new(len, ret_value));
        kms_copy(kms_secret_data(*ret_value), shelf->secrets[i].value, len);
        return KMS_OK;
    }
    return KMS_FAIL(NOT_FOUND);
}

static kms_err store(struct shelf *shelf, size_t at, const char *name, struct kms_bytes value)
{
    snprintf(shelf->secrets[at].name, sizeof shelf->secrets[at].name, "%s", name);
    snprintf(shelf->secrets[at].value, sizeof shelf->secrets[at].value, "%.*s", (int)value.len,
             (const char *)value.ptr);
    if (at == shelf->count) shelf->count++;
    return KMS_OK;
}

static kms_err create(void *self, const char *name, struct kms_bytes value, struct kms_why *why)
{
    struct shelf *shelf = self;
    (void)why;
    shelf->creates++;
    if (shelf->broken != NULL && strcmp(name, shelf->broken) == 0) return KMS_FAIL(KEYSTORE_UNAVAILABLE);
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(shelf->secrets[i].name, name) == 0) return KMS_FAIL(ALREADY_EXISTS);
    return store(shelf, shelf->count, name, value);
}

static kms_err put(void *self, const char *name, struct kms_bytes value, struct kms_why *why)
{
    struct shelf *shelf = self;
    (void)why;
    shelf->puts++;
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(shelf->secrets[i].name, name) == 0) return store(shelf, i, name, value);
    return KMS_FAIL(NOT_FOUND);
}

static void place(struct shelf *shelf, const char *name, const char *value)
{
    KMS_ASSERT_OK(store(shelf, shelf->count, name, kms_bytes_text(value)));
}

static const char *value_of(const struct shelf *shelf, const char *name)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(shelf->secrets[i].name, name) == 0) return shelf->secrets[i].value;
    return "(none)";
}

static kms_err append(void *self, struct kms_bytes piece)
{
    return kms_buf_append(self, piece.ptr, piece.len);
}

/* file: what it would be afterwards; "" when the import failed. why: of the failure. */
struct done {
    kms_err err;
    struct kms_why why;
    char file[512], plan[256];
};

static kms_err run(kms_env_import *import, struct kms_env_store keeper, struct done *done)
{
    KMS_TRY(kms_env_import_look(import, keeper, &done->why));
    for (size_t i = 0; i < kms_env_import_count(import); i++) {
        const struct kms_env_import_row row = kms_env_import_row(import, i);
        const size_t len = strlen(done->plan);
        snprintf(done->plan + len, sizeof done->plan - len, "%.*s:%s ", (int)row.variable.len,
                 (const char *)row.variable.ptr, kms_env_import_action_name(row.action));
    }
    return kms_env_import_store(import, keeper, &done->why);
}

static struct done moved(struct shelf *shelf, const char *text, struct kms_env_import_options options)
{
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN(kms_env_import) import = NULL;
    KMS_OWN_BUF out = {0};
    struct done done = {.file = ""};
    const struct kms_env_store keeper = {get, create, put, shelf};
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_bytes_text(text), KMS_DOTENV_COMPOSE, &document, NULL));
    done.err = kms_env_import_new(document, &options, &import, &done.why);
    if (!kms_failed(done.err)) done.err = run(import, keeper, &done);
    if (kms_failed(done.err)) return done;
    KMS_ASSERT_OK(kms_dotenv_write(document, kms_env_import_values(import), kms_bytes_of(NULL, 0),
                                   (struct kms_dotenv_sink){append, &out}));
    snprintf(done.file, sizeof done.file, "%s", out.len > 0 ? (char *)out.data : "");
    return done;
}

static const char mixed[] = "# head\nA=1\n\nB='x y' # note\nC=\nD\nE=kms-secret://other\nF=kms:v1:S01T\n";

static void a_secret_for_each(void)
{
    struct shelf shelf = {.count = 0};
    struct done done = moved(&shelf, mixed, (struct kms_env_import_options){.prefix = "shop/dev"});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.file,
                           "# head\nA=kms-secret://shop/dev/A\n\nB=kms-secret://shop/dev/B # note\nC=\nD\n"
                           "E=kms-secret://other\nF=kms:v1:S01T\n");
    CU_ASSERT_STRING_EQUAL(done.plan, "A:create B:create ");
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "shop/dev/A"), "1");
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "shop/dev/B"), "x y");
    CU_ASSERT_EQUAL(shelf.count, 2);
    /* what was written has nothing to move any more */
    char file[512];
    snprintf(file, sizeof file, "%s", done.file);
    done = moved(&shelf, file, (struct kms_env_import_options){.prefix = "shop/dev"});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.file, file);
    CU_ASSERT_STRING_EQUAL(done.plan, "");
    CU_ASSERT_EQUAL(shelf.creates, 2);
}

static void again_after_a_crash(void)
{
    struct shelf shelf = {.broken = "p/B"};
    struct done done = moved(&shelf, "A=1\nB=2\nC=3\n", (struct kms_env_import_options){.prefix = "p"});
    KMS_ASSERT_CODE(done.err, KEYSTORE_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(done.why.text, "secret p/B: the keystore does not answer: retry later");
    CU_ASSERT_STRING_EQUAL(done.file, "");
    shelf.broken = NULL;
    done = moved(&shelf, "A=1\nB=2\nC=3\n", (struct kms_env_import_options){.prefix = "p"});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.plan, "A:same B:create C:create ");
    CU_ASSERT_EQUAL(shelf.puts, 0);
    CU_ASSERT_EQUAL(shelf.count, 3);
}

static void another_value_is_there(void)
{
    struct shelf shelf = {.count = 0};
    place(&shelf, "p/B", "old");
    struct done done = moved(&shelf, "A=1\nB=2\n", (struct kms_env_import_options){.prefix = "p"});
    KMS_ASSERT_CODE(done.err, ALREADY_EXISTS);
    CU_ASSERT_STRING_EQUAL(
        done.why.text, "p/B has another value already: nothing was stored; --replace stores a new version");
    CU_ASSERT_EQUAL(shelf.count, 1);
    done = moved(&shelf, "A=1\nB=2\n", (struct kms_env_import_options){.prefix = "p", .replace = true});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.plan, "A:create B:put ");
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "p/B"), "2");
}

static void what_may_not_be_read(void)
{
    struct shelf shelf = {.count = 0};
    place(&shelf, "p/A", "1");
    shelf.secrets[0].hidden = true;
    struct done done = moved(&shelf, "A=1\n", (struct kms_env_import_options){.prefix = "p"});
    KMS_ASSERT_CODE(done.err, ALREADY_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(done.why.text, "you may not read it: --replace stores a new version"));
    done = moved(&shelf, "A=2\n", (struct kms_env_import_options){.prefix = "p", .replace = true});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "p/A"), "2");
    done = moved(&shelf, "B=2\n", (struct kms_env_import_options){.json_secret = "p/A", .replace = true});
    KMS_ASSERT_CODE(done.err, ALREADY_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(done.why.text, "its other fields would be lost"));
}

static void one_secret_for_all(void)
{
    struct shelf shelf = {.count = 0};
    struct done done = moved(&shelf, "A=1\nB='say \"hi\" \\ there'\nN=\"a\\nb\"\n",
                             (struct kms_env_import_options){.json_secret = "shop"});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.file,
                           "A=kms-secret://shop#A\nB=kms-secret://shop#B\nN=kms-secret://shop#N\n");
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "shop"),
                           "{\"A\":\"1\",\"B\":\"say \\\"hi\\\" \\\\ there\",\"N\":\"a\\u000ab\"}");
    /* later ones join those that are there */
    done =
        moved(&shelf, "A=kms-secret://shop#A\nC=3\n", (struct kms_env_import_options){.json_secret = "shop"});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_STRING_EQUAL(done.plan, "C:put ");
    CU_ASSERT_PTR_NOT_NULL(strstr(value_of(&shelf, "shop"), "\"N\":\"a\\u000ab\",\"C\":\"3\"}"));
    done = moved(&shelf, "C=3\n", (struct kms_env_import_options){.json_secret = "shop"});
    CU_ASSERT_STRING_EQUAL(done.plan, "C:same ");
    CU_ASSERT_EQUAL(shelf.puts, 1);
    done = moved(&shelf, "A=2\n", (struct kms_env_import_options){.json_secret = "shop"});
    KMS_ASSERT_CODE(done.err, ALREADY_EXISTS);
    CU_ASSERT_STRING_EQUAL(
        done.why.text, "shop, field A, is there already: nothing was stored; --replace stores a new version");
    done = moved(&shelf, "A=2\n", (struct kms_env_import_options){.json_secret = "shop", .replace = true});
    KMS_ASSERT_OK(done.err);
    CU_ASSERT_EQUAL(strncmp(value_of(&shelf, "shop"), "{\"A\":\"2\",\"B\"", 12), 0);
}

static void what_is_refused(void)
{
    static const struct kms_bytes only_z[] = {{(const uint8_t *)"Z", 1}};
    struct shelf shelf = {.count = 0};
    place(&shelf, "list", "[1]");
    struct done done = moved(&shelf, "A=1\n", (struct kms_env_import_options){.prefix = "a b"});
    KMS_ASSERT_CODE(done.err, INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(done.why.text,
                           "line 1: A: its secret would have a name that is none: see --prefix");
    done = moved(&shelf, "A=1\n", (struct kms_env_import_options){.prefix = "p", .only = {only_z, 1}});
    KMS_ASSERT_CODE(done.err, INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(done.why.text, "--only names Z, which the file does not set");
    done = moved(&shelf, "A=1\n", (struct kms_env_import_options){.json_secret = "list"});
    KMS_ASSERT_CODE(done.err, ALREADY_EXISTS);
    done = moved(&shelf, "A=1\n", (struct kms_env_import_options){.json_secret = "list", .replace = true});
    KMS_ASSERT_CODE(done.err, INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(value_of(&shelf, "list"), "[1]");
}

KMS_TEST_MAIN("client/kms-env/import", {"a secret for each", a_secret_for_each},
              {"again after a crash", again_after_a_crash},
              {"another value is there", another_value_is_there},
              {"what may not be read", what_may_not_be_read}, {"one secret for all", one_secret_for_all},
              {"what is refused", what_is_refused})
