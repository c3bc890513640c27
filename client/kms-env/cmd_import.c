/* kms-env import: plain values of a file become secrets, and the file names them. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/input.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"

enum {
    OPT_IN = 512,
    OPT_OUT,
    OPT_IN_PLACE,
    OPT_PREFIX,
    OPT_JSON_SECRET,
    OPT_REPLACE,
    OPT_POLICY,
    OPT_DRY_RUN
};
enum { POLICY_BYTES = 20480 };

struct importing {
    struct kms_env_arguments arguments;
    struct kms_env_import_options options;
    const char *in, *out, *policy;
    bool in_place, dry_run, json;
};

static void check(const struct importing *i, const struct argp_state *state)
{
    if (i->in_place && (i->in == NULL || strcmp(i->in, "-") == 0))
        argp_error(state, "--in-place needs --in FILE");
    if (i->in_place && i->out != NULL) argp_error(state, "--in-place and --out exclude each other");
    if ((i->options.prefix != NULL) == (i->options.json_secret != NULL))
        argp_error(state, "where to? --prefix PREFIX: a secret for each; --json-secret NAME: one for all");
}

static error_t parse_what(int key, char *arg, struct argp_state *state)
{
    struct importing *i = state->input;
    switch (key) {
    case OPT_PREFIX:
        i->options.prefix = arg;
        return 0;
    case OPT_JSON_SECRET:
        i->options.json_secret = arg;
        return 0;
    case OPT_REPLACE:
        i->options.replace = true;
        return 0;
    case OPT_POLICY:
        i->policy = arg;
        return 0;
    case OPT_DRY_RUN:
        i->dry_run = true;
        return 0;
    case 'o':
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json");
        i->json = strcmp(arg, "json") == 0;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: files are named by --in and --out", arg);
        return 0;
    case ARGP_KEY_END:
        check(i, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct importing *i = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &i->arguments, kms_env_one_file_children);
        return 0;
    case OPT_IN:
        i->in = arg;
        return 0;
    case OPT_OUT:
        i->out = arg;
        return 0;
    case OPT_IN_PLACE:
        i->in_place = true;
        return 0;
    default:
        return parse_what(key, arg, state);
    }
}

static const struct argp_option options[] = {
    {"in", OPT_IN, "FILE", 0, "The plain file (- and the default: standard input)", 3},
    {"out", OPT_OUT, "FILE", 0,
     "Where the file of names goes, mode 0600 (- and the default: standard output)", 3},
    {"in-place", OPT_IN_PLACE, NULL, 0, "Replace the file of --in in one step; mode and owner are kept", 3},
    {"prefix", OPT_PREFIX, "PREFIX", 0, "Each value becomes a secret of its own: PREFIX/VARIABLE", 4},
    {"json-secret", OPT_JSON_SECRET, "NAME", 0, "All values become fields of one secret", 4},
    {"replace", OPT_REPLACE, NULL, 0, "Store a new version where a secret has another value", 4},
    {"policy", OPT_POLICY, "FILE", 0, "Policy of new secrets; without it you administer and nobody reads", 4},
    {"dry-run", OPT_DRY_RUN, NULL, 0, "List what would be stored, by name; store and write nothing", 4},
    {"output", 'o', "FORMAT", 0, "What --dry-run lists is written as text (the default) or json", 4},
    {0},
};

static kms_err list_json(const kms_env_import *import)
{
    json_t *rows = json_array();
    bool good = rows != NULL;
    for (size_t i = 0; good && i < kms_env_import_count(import); i++) {
        const struct kms_env_import_row row = kms_env_import_row(import, i);
        good = json_array_append_new(rows, json_pack("{s:s%,s:I,s:s,s:s}", "name", row.variable.ptr,
                                                     row.variable.len, "line", (json_int_t)row.line, "action",
                                                     kms_env_import_action_name(row.action), "reference",
                                                     row.reference)) == 0;
    }
    json_t *whole = good ? json_pack("{s:O}", "variables", rows) : NULL;
    good = whole != NULL && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(whole);
    json_decref(rows);
    return good ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err list(const struct importing *how, const kms_env_import *import)
{
    if (how->json) return list_json(import);
    for (size_t i = 0; i < kms_env_import_count(import); i++) {
        const struct kms_env_import_row row = kms_env_import_row(import, i);
        printf("%.*s\t%s\t%s\n", (int)row.variable.len, (const char *)row.variable.ptr,
               kms_env_import_action_name(row.action), row.reference);
    }
    return KMS_OK;
}

static kms_err write_names(const struct importing *how, const kms_dotenv *document,
                           const kms_env_import *import, kms_env_output *output, struct kms_why *why)
{
    kms_err err = kms_dotenv_write(document, kms_env_import_values(import), kms_bytes_of(NULL, 0),
                                   (struct kms_dotenv_sink){.put = kms_env_output_put, .self = output});
    if (!kms_failed(err)) return kms_env_output_commit(output, why);
    kms_why_set(why, "%s: could not be written", how->in_place ? how->in : how->out);
    return err;
}

/* The file is opened before anything is stored, and replaced after everything is: a value is in the one, in
 * the other or in both. */
static kms_err carry_out(const struct importing *how, const kms_dotenv *document, const kms_env_file *file,
                         kms_env_import *import, struct kms_env_store store, struct kms_why *why)
{
    KMS_OWN(kms_env_output) output = NULL;
    const char *path = how->in_place ? how->in : how->out;
    KMS_TRY(kms_env_output_open(path, how->in_place ? file : NULL, &output, why));
    KMS_TRY(kms_env_import_store(import, store, why));
    return write_names(how, document, import, output, why);
}

static kms_err import_file(struct importing *how, struct kms_why *why)
{
    KMS_OWN_ENV_FILE file = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN(kms_env_service) service = NULL;
    KMS_OWN(kms_env_import) import = NULL;
    KMS_OWN_BUF policy = {0};
    struct kms_env_service_store store = {.key = how->arguments.key};
    how->options.only = how->arguments.only;
    KMS_TRY(kms_env_document_read(how->in != NULL ? how->in : "-", how->arguments.dialect, &file, &document,
                                  why));
    if (how->policy != NULL) KMS_TRY(kms_read_file(how->policy, POLICY_BYTES, &policy, why));
    if (how->policy != NULL) store.policy = (const char *)policy.data;
    KMS_TRY(kms_env_service_new(&how->arguments.settings, &service));
    store.service = service;
    KMS_TRY(kms_env_import_new(document, &how->options, &import, why));
    KMS_TRY(kms_env_import_look(import, kms_env_service_keeper(&store), why));
    if (how->dry_run) return list(how, import);
    KMS_TRY(carry_out(how, document, &file, import, kms_env_service_keeper(&store), why));
    kms_env_say("%zu moved into secrets, %zu left as they were", kms_env_import_count(import),
                kms_dotenv_count(document) - kms_env_import_count(import));
    return KMS_OK;
}

int kms_env_command_import(int argc, char **argv)
{
    const struct argp argp = {.options = options,
                              .parser = parse,
                              .doc = "Move the plain values of an env file into secrets; what is written "
                                     "names them and keeps comments, "
                                     "order and blank lines.",
                              .children = kms_env_one_file_children};
    struct importing how = {.out = NULL};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    kms_env_arguments_from_environment(&how.arguments);
    if (argp_parse(&argp, argc, argv, 0, NULL, &how) != 0) return KMS_ENV_EXIT_FAILED;
    if (how.out == NULL) how.out = "-";
    kms_err err = kms_env_shield_up(&shield, &why);
    if (!kms_failed(err)) {
        err = import_file(&how, &why);
        kms_env_shield_down(&shield);
    }
    if (!kms_failed(err)) return kms_env_output_done() ? 0 : KMS_ENV_EXIT_FAILED;
    kms_env_say_error(err, &why);
    return KMS_ENV_EXIT_FAILED;
}
