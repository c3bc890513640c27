/* kms-env run: decides the environment, decrypts, becomes the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/kms-env/command.h"
#include "client/kms-env/run.h"
#include "client/kms-env/say.h"

enum {
    OPT_PRISTINE = 512,
    OPT_NO_OVERWRITE,
    OPT_ALLOW_MISSING,
    OPT_UNSAFE_NAMES,
    OPT_KEEP_SETTINGS,
    OPT_DRY_RUN,
    OPT_WATCH,
    OPT_WATCH_INTERVAL,
    OPT_WATCH_SIGNAL,
    OPT_WATCH_GRACE
};

enum { INTERVAL_MS = 60 * 1000, GRACE_MS = 30 * 1000, LONGEST_MS = 24 * 60 * 60 * 1000 };

/* "500ms", "10s", "2m", "1h"; as kmsctl --timeout. */
static uint32_t duration_ms(const char *text, const char *option, const struct argp_state *state)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    const size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; digits > 0 && digits <= 8 && i < sizeof units / sizeof units[0]; i++) {
        const uint64_t ms = strtoull(text, NULL, 10) * units[i].ms;
        if (strcmp(text + digits, units[i].unit) == 0 && ms > 0 && ms <= LONGEST_MS) return (uint32_t)ms;
    }
    argp_error(state, "%s is like 500ms, 30s, 5m or 1h, and at most 24h", option);
    return 0;
}

static int signal_named(const char *name, const struct argp_state *state)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    if (strncmp(name, "SIG", 3) == 0) name += 3;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (strcmp(name, sigabbrev_np(signals[i])) == 0) return signals[i];
    argp_error(state, "--watch-signal is HUP, INT, QUIT, TERM, USR1 or USR2");
    return 0;
}

static error_t parse_watch(int key, char *arg, struct argp_state *state)
{
    struct kms_env_run *run = state->input;
    switch (key) {
    case OPT_WATCH:
        run->watch = true;
        return 0;
    case OPT_WATCH_INTERVAL:
        run->interval_ms = duration_ms(arg, "--watch-interval", state);
        return 0;
    case OPT_WATCH_SIGNAL:
        run->change_signal = signal_named(arg, state);
        return 0;
    case OPT_WATCH_GRACE:
        run->grace_ms = duration_ms(arg, "--watch-grace", state);
        return 0;
    case ARGP_KEY_END:
        if (!run->watch && (run->interval_ms != 0 || run->grace_ms != 0 || run->change_signal != 0))
            argp_error(state, "--watch-interval, --watch-signal and --watch-grace go with --watch");
        if (run->interval_ms == 0) run->interval_ms = INTERVAL_MS;
        if (run->grace_ms == 0) run->grace_ms = GRACE_MS;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct kms_env_run *run = state->input;
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
        return parse_watch(key, arg, state);
    default:
        return parse_watch(key, arg, state);
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
    {"watch", OPT_WATCH, NULL, 0,
     "Stay, and start the program again when a secret of it has changed, or a lease cannot last longer", 4},
    {"watch-interval", OPT_WATCH_INTERVAL, "DURATION", 0, "How often to look; 60s", 4},
    {"watch-signal", OPT_WATCH_SIGNAL, "NAME", 0, "Send the program this signal in place of a restart", 4},
    {"watch-grace", OPT_WATCH_GRACE, "DURATION", 0, "From SIGTERM to SIGKILL at a restart; 30s", 4},
    {0},
};

kms_err kms_env_run_resolve(const struct kms_env_run *run, kms_env_plan *plan, kms_env_service *service,
                            char *const **ret_environment, struct kms_why *why)
{
    KMS_OWN_BUF notes = {0};
    kms_err err =
        kms_env_plan_resolve(plan, run->arguments.key, kms_env_service_providers(service), &notes, why);
    kms_env_say_lines(&notes);
    KMS_TRY(err);
    KMS_TRY(kms_env_plan_environment(plan, ret_environment));
    return kms_env_check_size(run->command, *ret_environment, why);
}

/* The connection is closed before the program starts. */
static kms_err resolve(const struct kms_env_run *run, kms_env_plan *plan, char *const **ret_environment,
                       struct kms_why *why)
{
    KMS_OWN(kms_env_service) service = NULL;
    KMS_TRY(kms_env_service_new(&run->arguments.settings, &service));
    return kms_env_run_resolve(run, plan, service, ret_environment, why);
}

kms_err kms_env_run_plan(const struct kms_env_run *run, const kms_env_inputs *inputs, bool quiet,
                         kms_env_plan **ret_plan, struct kms_why *why)
{
    KMS_OWN_BUF notes = {0};
    struct kms_env_sources sources = {
        .environment = environ, .inputs = inputs->inputs, .input_count = inputs->count};
    kms_err err = kms_env_plan_new(sources, &run->options, ret_plan, &notes, why);
    if (!quiet) kms_env_say_lines(&notes);
    return err;
}

/* Does not return when the program was started. */
static int become(const struct kms_env_run *run, kms_env_plan *plan, const struct kms_env_shield *shield)
{
    struct kms_why why = {0};
    char *const *environment = NULL;
    kms_err err = resolve(run, plan, &environment, &why);
    if (kms_failed(err)) {
        kms_env_say_error(err, &why);
        return KMS_ENV_EXIT_FAILED;
    }
    kms_env_shield_core_limit_back(shield);
    int status = kms_env_exec(run->command, environment, getenv("PATH"), &why);
    kms_env_say("%s", why.text);
    return status;
}

/* The exit status. */
static int start(const struct kms_env_run *run, const struct kms_env_shield *shield)
{
    KMS_OWN_INPUTS inputs = {0};
    KMS_OWN(kms_env_plan) plan = NULL;
    struct kms_why why = {0};
    kms_err err = kms_env_inputs_read(&run->arguments, run->options.allow_missing, &inputs, &why);
    if (!kms_failed(err)) err = kms_env_run_plan(run, &inputs, false, &plan, &why);
    if (kms_failed(err)) {
        kms_env_say_error(err, &why);
        return KMS_ENV_EXIT_FAILED;
    }
    if (run->dry_run) return kms_env_run_list(run, plan);
    if (run->watch || kms_env_plan_has_roles(plan))
        return kms_env_run_child(run, &inputs, KMS_GIVE(plan), shield);
    return become(run, plan, shield);
}

int kms_env_command_run(int argc, char **argv)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "-- PROGRAM [ARGUMENT...]",
        .doc =
            "Decrypt the variables that are ciphertext, fetch those that refer to secrets, inherited or of "
            "env files, and start the program.",
        .children = kms_env_many_files_children};
    struct kms_env_run run = {0};
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
