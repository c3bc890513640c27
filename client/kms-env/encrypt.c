/* kms-env encrypt: a plain env file becomes one whose values are ciphertext. */
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/guard.h"
#include "client/kms-env/input.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"

struct encryption {
    struct kms_env_arguments arguments;
    const char *in, *out; /* "-": standard input, standard output */
    bool in_place;
};

enum { OPT_IN_PLACE = 512, OPT_IN, OPT_OUT };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct encryption *e = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &e->arguments, kms_env_one_file_children);
        return 0;
    case OPT_IN:
        e->in = arg;
        return 0;
    case OPT_OUT:
        e->out = arg;
        return 0;
    case OPT_IN_PLACE:
        e->in_place = true;
        return 0;
    case ARGP_KEY_END:
        if (e->in_place && (e->in == NULL || strcmp(e->in, "-") == 0))
            argp_error(state, "--in-place needs --in FILE");
        if (e->in_place && e->out != NULL) argp_error(state, "--in-place and --out exclude each other");
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: files are named by --in and --out", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"in", OPT_IN, "FILE", 0, "The plain file (- and the default: standard input)", 3},
    {"out", OPT_OUT, "FILE", 0, "Where the result goes, mode 0600 (- and the default: standard output)", 3},
    {"in-place", OPT_IN_PLACE, NULL, 0, "Replace the file of --in in one step; mode and owner are kept", 3},
    {0},
};

static kms_err write_result(const struct encryption *e, const kms_dotenv *document, const kms_env_file *file,
                            const kms_env_sealed *sealed, struct kms_why *why)
{
    KMS_OWN(kms_env_output) output = NULL;
    const char *path = e->in_place ? e->in : e->out != NULL ? e->out : "-";
    KMS_TRY(kms_env_output_open(path, e->in_place ? file : NULL, &output, why));
    kms_err err = kms_dotenv_write(document, sealed->values, kms_buf_view(&sealed->header),
                                   (struct kms_dotenv_sink){.put = kms_env_output_put, .self = output});
    if (kms_failed(err)) kms_why_set(why, "%s: could not be written", path);
    KMS_TRY(err);
    return kms_env_output_commit(output, why);
}

/* run would refuse these; better said now than at the next start. */
static void warn_of_guarded(const kms_dotenv *document)
{
    for (size_t i = 0; i < kms_dotenv_count(document); i++) {
        const struct kms_dotenv_entry *entry = kms_dotenv_entry(document, i);
        if (entry->assigned && kms_env_name_guarded(entry->name))
            kms_env_say("warning: line %u: kms-env run sets %.*s with --unsafe-names only", entry->line,
                        (int)entry->name.len, (const char *)entry->name.ptr);
    }
}

static kms_err encrypt(const struct encryption *e, struct kms_why *why)
{
    const struct kms_env_arguments *arguments = &e->arguments;
    const struct kms_env_seal_options seal_options = {.key = arguments->key,
                                                      .app = arguments->app,
                                                      .fallback_app = arguments->fallback_app,
                                                      .only = arguments->only};
    KMS_OWN_ENV_FILE file = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN(kms_env_service) service = NULL;
    KMS_OWN_SEALED sealed = {0};
    struct kms_why cause = {0};
    KMS_TRY(kms_env_document_read(e->in != NULL ? e->in : "-", arguments->dialect, &file, &document, why));
    warn_of_guarded(document);
    KMS_TRY(kms_env_service_open(&arguments->settings, &service, why));
    kms_err err = kms_env_seal(document, &seal_options, kms_env_service_encrypter(service), &sealed, &cause);
    if (kms_failed(err))
        kms_why_set(why, "%s: nothing was written", cause.text[0] != '\0' ? cause.text : kms_err_text(err));
    KMS_TRY(err);
    KMS_TRY(write_result(e, document, &file, &sealed, why));
    kms_env_say("%zu encrypted, %zu ciphertext already, %zu references, %zu empty", sealed.encrypted,
                sealed.already, sealed.references, sealed.empty);
    return KMS_OK;
}

int kms_env_command_encrypt(int argc, char **argv)
{
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Make the values of an env file ciphertext; comments, order and blank lines stay.",
        .children = kms_env_one_file_children};
    struct encryption e = {0};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    kms_env_arguments_from_environment(&e.arguments);
    if (argp_parse(&argp, argc, argv, 0, NULL, &e) != 0) return KMS_ENV_EXIT_FAILED;
    kms_err err = kms_env_shield_up(&shield, &why);
    if (!kms_failed(err)) {
        err = encrypt(&e, &why);
        kms_env_shield_down(&shield);
    }
    if (!kms_failed(err)) return 0;
    kms_env_say_error(err, &why);
    return KMS_ENV_EXIT_FAILED;
}
