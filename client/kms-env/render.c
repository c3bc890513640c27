/* kms-env render: what run would put into an environment, into a file; and templates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/format.h"
#include "client/kms-env/input.h"
#include "client/kms-env/private_file.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"
#include "client/kms-env/template.h"

struct render {
    struct kms_env_arguments arguments;
    struct kms_env_options options;
    struct kms_env_private file;
    enum kms_env_format format;
    const char *template, *out, *owner;
    bool show, formatted;
};

enum {
    OPT_FORMAT = 512,
    OPT_TEMPLATE,
    OPT_MODE,
    OPT_OWNER,
    OPT_ALLOW_DISK,
    OPT_ALLOW_MISSING,
    OPT_UNSAFE_NAMES,
    OPT_SHOW
};

static void check(const struct render *r, const struct argp_state *state)
{
    if (r->template != NULL && (r->formatted || r->arguments.env_file_count > 0))
        argp_error(state, "--template has no variables: no --format and no --env-file with it");
    if (strcmp(r->out, "-") == 0 && isatty(STDOUT_FILENO) && !r->show)
        argp_error(state, "values would go to this terminal: use --out FILE, a pipe, or --show");
}

static error_t parse_file(int key, char *arg, struct argp_state *state)
{
    struct render *r = state->input;
    switch (key) {
    case 'o':
        r->out = arg;
        return 0;
    case OPT_MODE:
        if (!kms_env_mode_parse(arg, &r->file.mode)) argp_error(state, "--mode is like 0400, at most 0777");
        return 0;
    case OPT_OWNER:
        r->owner = arg;
        return 0;
    case OPT_ALLOW_DISK:
        r->file.allow_disk = true;
        return 0;
    case OPT_SHOW:
        r->show = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: files are named by --env-file, --template and --out", arg);
        return 0;
    case ARGP_KEY_END:
        check(r, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct render *r = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &r->arguments, kms_env_one_file_children);
        return 0;
    case 'e':
        kms_env_arguments_add_file(&r->arguments, arg, state);
        return 0;
    case OPT_FORMAT:
        if (!kms_env_format_named(arg, &r->format))
            argp_error(state, "--format is env, dotenv (or compose), shell, json, yaml or systemd");
        r->formatted = true;
        return 0;
    case OPT_TEMPLATE:
        r->template = arg;
        return 0;
    case OPT_ALLOW_MISSING:
        r->options.allow_missing = true;
        return 0;
    case OPT_UNSAFE_NAMES:
        r->options.unsafe_names = true;
        return 0;
    default:
        return parse_file(key, arg, state);
    }
}

static const struct argp_option options[] = {
    {"env-file", 'e', "FILE", 0, "File of variables; may be repeated, later ones win; - is standard input",
     2},
    {"format", OPT_FORMAT, "NAME", 0,
     "How variables are written: env (docker run; the default), dotenv, compose, shell, json, yaml, systemd",
     3},
    {"template", OPT_TEMPLATE, "FILE", 0,
     "Write this file, with values in the places of {{ kms-secret://... }}", 3},
    {"allow-missing", OPT_ALLOW_MISSING, NULL, 0,
     "Leave out values that cannot be had, and files that are not there", 3},
    {"unsafe-names", OPT_UNSAFE_NAMES, NULL, 0, "Write PATH, LD_PRELOAD and the like, too", 3},
    {"out", 'o', "FILE", 0,
     "Where to; a file in memory, unless --allow-disk (- and the default: standard output)", 4},
    {"mode", OPT_MODE, "MODE", 0, "Of that file; 0400", 4},
    {"owner", OPT_OWNER, "USER:GROUP", 0, "Of that file", 4},
    {"allow-disk", OPT_ALLOW_DISK, NULL, 0, "The file may be on disk", 4},
    {"show", OPT_SHOW, NULL, 0, "Print values even to a terminal", 4},
    {0},
};

static kms_err finish(const struct render *r, kms_env_output *output, kms_err err, struct kms_why *why)
{
    if (kms_failed(err) && why->text[0] == '\0') kms_why_set(why, "%s: could not be written", r->out);
    KMS_TRY(err);
    return kms_env_output_commit(output, why);
}

static kms_err write_template(const struct render *r, kms_env_service *service, struct kms_why *why)
{
    KMS_OWN_ENV_FILE file = {0};
    KMS_OWN(kms_env_template) template = NULL;
    KMS_OWN(kms_env_output) output = NULL;
    KMS_OWN_BUF notes = {0};
    struct kms_why cause = {0};
    KMS_TRY(kms_env_file_read(r->template, &file, why));
    kms_err err = kms_env_template_parse(kms_env_file_text(&file), &template, &cause);
    if (kms_failed(err)) kms_why_set(why, "%s: %s", r->template, cause.text);
    KMS_TRY(err);
    /* what cannot be written is told before anything is fetched */
    KMS_TRY(kms_env_private_open(r->out, &r->file, &output, why));
    err = kms_env_template_resolve(template, kms_env_service_providers(service).fetcher, &notes, why);
    kms_env_say_lines(&notes);
    KMS_TRY(err);
    err =
        kms_env_template_write(template, (struct kms_dotenv_sink){.put = kms_env_output_put, .self = output});
    return finish(r, output, err, why);
}

/* The strings of an environment as pairs, but the mark of nesting. *ret_pairs is the caller's. */
static kms_err pairs_of(char *const *environment, struct kms_env_pair **ret_pairs, size_t *ret_count)
{
    size_t count = 0;
    while (environment[count] != NULL) count++;
    struct kms_env_pair *pairs = calloc(count + 1, sizeof *pairs);
    if (pairs == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i + 1 < count; i++) {
        const size_t len = strcspn(environment[i], "=");
        pairs[i] = (struct kms_env_pair){kms_bytes_of(environment[i], len),
                                         kms_bytes_text(environment[i] + len + 1)};
    }
    *ret_pairs = pairs;
    *ret_count = count - 1;
    return KMS_OK;
}

static kms_err write_pairs(const struct render *r, char *const *environment, kms_env_output *output,
                           struct kms_why *why)
{
    struct kms_env_pair *pairs = NULL;
    size_t count = 0;
    KMS_TRY(pairs_of(environment, &pairs, &count));
    kms_err err = kms_env_format_check(r->format, pairs, count, why);
    if (!kms_failed(err))
        err = kms_env_format_write(r->format, pairs, count,
                                   (struct kms_dotenv_sink){.put = kms_env_output_put, .self = output});
    free(pairs);
    return finish(r, output, err, why);
}

static kms_err make_plan(const struct render *r, const kms_env_inputs *inputs, kms_env_plan **ret_plan,
                         struct kms_why *why)
{
    KMS_OWN_BUF notes = {0};
    struct kms_env_sources sources = {
        .environment = environ, .inputs = inputs->inputs, .input_count = inputs->count};
    kms_err err = kms_env_plan_new(sources, &r->options, ret_plan, &notes, why);
    kms_env_say_lines(&notes);
    return err;
}

static kms_err write_variables(const struct render *r, kms_env_service *service, struct kms_why *why)
{
    KMS_OWN_INPUTS inputs = {0};
    KMS_OWN(kms_env_plan) plan = NULL;
    KMS_OWN(kms_env_output) output = NULL;
    KMS_OWN_BUF notes = {0};
    char *const *environment;
    KMS_TRY(kms_env_inputs_read(&r->arguments, r->options.allow_missing, &inputs, why));
    KMS_TRY(make_plan(r, &inputs, &plan, why));
    KMS_TRY(kms_env_private_open(r->out, &r->file, &output, why));
    kms_err err =
        kms_env_plan_resolve(plan, r->arguments.key, kms_env_service_providers(service), &notes, why);
    kms_env_say_lines(&notes);
    KMS_TRY(err);
    KMS_TRY(kms_env_plan_environment(plan, &environment));
    return write_pairs(r, environment, output, why);
}

static kms_err render(struct render *r, struct kms_why *why)
{
    KMS_OWN(kms_env_service) service = NULL;
    r->options.app = r->arguments.app;
    r->options.fallback_app = r->arguments.fallback_app;
    r->options.only = r->arguments.only;
    r->options.pristine = true; /* what is inherited in plain is no business of this file */
    if (r->owner != NULL) KMS_TRY(kms_env_owner_parse(r->owner, &r->file, why));
    KMS_TRY(kms_env_service_new(&r->arguments.settings, &service));
    return r->template != NULL ? write_template(r, service, why) : write_variables(r, service, why);
}

int kms_env_command_render(int argc, char **argv)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Write variables with their values, of env files and those inherited that are ciphertext or "
               "references, or a template, to a file in memory.",
        .children = kms_env_one_file_children};
    struct render r = {.out = "-", .file = {.mode = 0400}};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    kms_env_arguments_from_environment(&r.arguments);
    if (argp_parse(&argp, argc, argv, 0, NULL, &r) != 0) return KMS_ENV_EXIT_FAILED;
    kms_err err = kms_env_shield_up(&shield, &why);
    if (!kms_failed(err)) {
        err = render(&r, &why);
        kms_env_shield_down(&shield);
    }
    if (!kms_failed(err)) return 0;
    kms_env_say_error(err, &why);
    return KMS_ENV_EXIT_FAILED;
}
