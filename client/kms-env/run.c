/* kms-env run: decides the environment, decrypts, becomes the program. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/input.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"

struct run {
    struct kms_env_arguments arguments;
    struct kms_env_options options;
    bool dry_run;
    char **command; /* NULL-terminated, from argv */
};

enum {
    OPT_PRISTINE = 512,
    OPT_NO_OVERWRITE,
    OPT_ALLOW_MISSING,
    OPT_UNSAFE_NAMES,
    OPT_KEEP_SETTINGS,
    OPT_DRY_RUN
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct run *run = state->input;
    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &run->arguments, kms_env_many_files_children);
        return 0;
    case OPT_PRISTINE:
        run->options.pristine = true;
        return 0;
    case OPT_NO_OVERWRITE:
        run->options.no_overwrite = true;
        return 0;
    case OPT_ALLOW_MISSING:
        run->options.allow_missing = true;
        return 0;
    case OPT_UNSAFE_NAMES:
        run->options.unsafe_names = true;
        return 0;
    case OPT_KEEP_SETTINGS:
        run->options.keep_settings = true;
        return 0;
    case OPT_DRY_RUN:
        run->dry_run = true;
        return 0;
    case ARGP_KEY_ARG:
        run->command = &state->argv[state->next - 1];
        state->next = state->argc; /* whatever follows is the program's */
        return 0;
    case ARGP_KEY_END:
        if (run->command == NULL && !run->dry_run)
            argp_error(state, "which program? ... -- PROGRAM [ARGUMENT...]");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"pristine", OPT_PRISTINE, NULL, 0, "Inherit nothing but what was decrypted", 3},
    {"no-overwrite", OPT_NO_OVERWRITE, NULL, 0, "Inherited variables beat those of files", 3},
    {"allow-missing", OPT_ALLOW_MISSING, NULL, 0,
     "Start without files that are not there and without values that cannot be decrypted", 3},
    {"unsafe-names", OPT_UNSAFE_NAMES, NULL, 0, "Let files set PATH, LD_PRELOAD and the like", 3},
    {"keep-settings", OPT_KEEP_SETTINGS, NULL, 0, "The program gets KMS_ENDPOINT and the like too", 3},
    {"dry-run", OPT_DRY_RUN, NULL, 0, "List the names that would be set, decrypt nothing, start nothing", 3},
    {0},
};

static const char *origin_of(const struct kms_env_variable *v)
{
    return v->file != NULL ? v->file : "inherited";
}

static void print_text(const kms_env_plan *plan)
{
    for (size_t i = 0; i < kms_env_plan_count(plan); i++) {
        const struct kms_env_variable *v = kms_env_plan_variable(plan, i);
        if (v->file == NULL && !v->ciphertext) continue;
        printf("%.*s\t%s\t%s", (int)v->name.len, (const char *)v->name.ptr,
               v->ciphertext ? "ciphertext" : "plain", origin_of(v));
        if (v->file != NULL) printf(":%u", v->line);
        putchar('\n');
    }
}

static json_t *to_json(const struct kms_env_variable *v)
{
    json_t *row = json_pack("{s:s%,s:b}", "name", v->name.ptr, v->name.len, "ciphertext", v->ciphertext);
    if (row == NULL) return NULL;
    if (v->ciphertext) json_object_set_new(row, "app", json_stringn((const char *)v->app.ptr, v->app.len));
    if (v->file == NULL) return row;
    json_object_set_new(row, "file", json_string(v->file));
    json_object_set_new(row, "line", json_integer(v->line));
    return row;
}

static kms_err print_json(const kms_env_plan *plan)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (size_t i = 0; good && i < kms_env_plan_count(plan); i++) {
        const struct kms_env_variable *v = kms_env_plan_variable(plan, i);
        if (v->file != NULL || v->ciphertext) good = json_array_append_new(list, to_json(v)) == 0;
    }
    json_t *whole = good ? json_pack("{s:O}", "variables", list) : NULL;
    good = whole != NULL && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(whole);
    json_decref(list);
    return good ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static int dry_run(const struct run *run, const kms_env_plan *plan)
{
    struct kms_why why = {0};
    kms_err err = KMS_OK;
    if (run->arguments.json)
        err = print_json(plan);
    else
        print_text(plan);
    if (kms_failed(err)) kms_env_say_error(err, &why);
    return !kms_failed(err) && kms_env_output_done() ? 0 : KMS_ENV_EXIT_FAILED;
}

/* Everything that may still fail, so that what follows is execve alone. */
static kms_err resolve(const struct run *run, kms_env_plan *plan, char *const **ret_environment,
                       struct kms_why *why)
{
    KMS_OWN_BUF notes = {0};
    kms_err err = kms_env_plan_resolve(plan, run->arguments.key,
                                       kms_env_service_decrypter(&run->arguments.settings), &notes, why);
    kms_env_say_lines(&notes);
    KMS_TRY(err);
    KMS_TRY(kms_env_plan_environment(plan, ret_environment));
    return kms_env_check_size(run->command, *ret_environment, why);
}

static kms_err make_plan(const struct run *run, const kms_env_inputs *inputs, kms_env_plan **ret_plan,
                         struct kms_why *why)
{
    KMS_OWN_BUF notes = {0};
    struct kms_env_sources sources = {
        .environment = environ, .inputs = inputs->inputs, .input_count = inputs->count};
    kms_err err = kms_env_plan_new(sources, &run->options, ret_plan, &notes, why);
    kms_env_say_lines(&notes);
    return err;
}

/* The exit status; does not return when the program was started. */
static int start(const struct run *run, const struct kms_env_shield *shield)
{
    KMS_OWN_INPUTS inputs = {0};
    KMS_OWN(kms_env_plan) plan = NULL;
    struct kms_why why = {0};
    char *const *environment = NULL;
    kms_err err = kms_env_inputs_read(&run->arguments, run->options.allow_missing, &inputs, &why);
    if (!kms_failed(err)) err = make_plan(run, &inputs, &plan, &why);
    if (!kms_failed(err) && run->dry_run) return dry_run(run, plan);
    if (!kms_failed(err)) err = resolve(run, plan, &environment, &why);
    if (kms_failed(err)) {
        kms_env_say_error(err, &why);
        return KMS_ENV_EXIT_FAILED;
    }
    kms_env_shield_core_limit_back(shield);
    int status = kms_env_exec(run->command, environment, getenv("PATH"), &why);
    kms_env_say("%s", why.text);
    return status;
}

int kms_env_command_run(int argc, char **argv)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "-- PROGRAM [ARGUMENT...]",
        .doc = "Decrypt the variables that are ciphertext, inherited or of env files, and start the program.",
        .children = kms_env_many_files_children};
    struct run run = {0};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    kms_env_arguments_from_environment(&run.arguments);
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &run) != 0) return KMS_ENV_EXIT_FAILED;
    run.options.app = run.arguments.app;
    run.options.fallback_app = run.arguments.fallback_app;
    run.options.only = run.arguments.only;
    kms_err err = kms_env_shield_up(&shield, &why);
    if (kms_failed(err)) {
        kms_env_say_error(err, &why);
        return KMS_ENV_EXIT_FAILED;
    }
    int status = start(&run, &shield);
    kms_env_shield_down(&shield);
    return status;
}
