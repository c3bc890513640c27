/* The options that subcommands share, by argp. */
#include "client/kms-env/settings.h"

#include <stdlib.h>
#include <string.h>

#include "client/kms-env/bind.h"

enum {
    OPT_ENDPOINT = 256,
    OPT_CA,
    OPT_CERT,
    OPT_KEY_FILE,
    OPT_SERVER_NAME,
    OPT_CONTEXT,
    OPT_APP,
    OPT_ONLY,
    OPT_DIALECT
};

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

void kms_env_arguments_from_environment(struct kms_env_arguments *arguments)
{
    arguments->fallback_app = kms_env_fallback_app();
    arguments->settings = (struct kms_env_settings){
        .endpoint = from_environment("KMS_ENDPOINT"),
        .ca_file = from_environment("KMS_CA"),
        .cert_file = from_environment("KMS_CERT"),
        .key_file = from_environment("KMS_KEY_FILE"),
        .server_name = from_environment("KMS_SERVER_NAME"),
        .context = from_environment("KMS_CONTEXT"),
    };
}

void kms_env_give_children(struct argp_state *state, struct kms_env_arguments *arguments,
                           const struct argp_child *children)
{
    for (size_t i = 0; children[i].argp != NULL; i++) state->child_inputs[i] = arguments;
}

static error_t parse_connection(int key, char *arg, struct argp_state *state)
{
    struct kms_env_arguments *arguments = state->input;
    struct kms_env_settings *settings = &arguments->settings;
    switch (key) {
    case OPT_ENDPOINT:
        settings->endpoint = arg;
        return 0;
    case OPT_CA:
        settings->ca_file = arg;
        return 0;
    case OPT_CERT:
        settings->cert_file = arg;
        return 0;
    case OPT_KEY_FILE:
        settings->key_file = arg;
        return 0;
    case OPT_SERVER_NAME:
        settings->server_name = arg;
        return 0;
    case OPT_CONTEXT:
        settings->context = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option connection_options[] = {
    {.doc = "Connection:", .group = 20},
    {"endpoint", OPT_ENDPOINT, "HOST:PORT", 0, "The kmsd to call, or unix:/PATH (KMS_ENDPOINT)", 20},
    {"ca", OPT_CA, "FILE", 0, "Who its certificate must come from (KMS_CA)", 20},
    {"cert", OPT_CERT, "FILE", 0, "The caller's certificate (KMS_CERT)", 20},
    {"key-file", OPT_KEY_FILE, "FILE", 0, "Its private key (KMS_KEY_FILE)", 20},
    {"server-name", OPT_SERVER_NAME, "NAME", 0,
     "The name in its certificate, when it is not HOST (KMS_SERVER_NAME)", 20},
    {"context", OPT_CONTEXT, "NAME", 0, "Context of kmsctl to take the rest from (KMS_CONTEXT)", 20},
    {0},
};

static const struct argp connection_argp = {.options = connection_options, .parser = parse_connection};

static void take_only(struct kms_env_arguments *arguments, const char *list, const struct argp_state *state)
{
    for (const char *at = list;; at++) {
        struct kms_bytes name = kms_bytes_of(at, strcspn(at, ","));
        if (!kms_dotenv_name_valid(name)) argp_error(state, "--only wants names with commas between: A,B");
        if (arguments->only.count == KMS_ENV_NAMES)
            argp_error(state, "--only takes at most %d names", KMS_ENV_NAMES);
        arguments->only_names[arguments->only.count++] = name;
        at += name.len;
        if (*at == '\0') break;
    }
    arguments->only.names = arguments->only_names;
}

static void take_dialect(struct kms_env_arguments *arguments, const char *name,
                         const struct argp_state *state)
{
    if (!kms_dotenv_dialect_named(name, &arguments->dialect))
        argp_error(state, "--dialect is dotenv, docker or systemd");
}

static error_t parse_values(int key, char *arg, struct argp_state *state)
{
    struct kms_env_arguments *arguments = state->input;
    switch (key) {
    case OPT_APP:
        if (!kms_dotenv_app_valid(kms_bytes_text(arg)))
            argp_error(state, "--app has 1 to %d of A-Z a-z 0-9 . _ / -", KMS_DOTENV_APP_BYTES);
        arguments->app = arg;
        return 0;
    case 'k':
        if (!kms_dotenv_key_valid(kms_bytes_text(arg)))
            argp_error(state, "--key wants an id, alias/NAME or an ARN");
        arguments->key = arg;
        return 0;
    case OPT_ONLY:
        take_only(arguments, arg, state);
        return 0;
    case OPT_DIALECT:
        take_dialect(arguments, arg, state);
        return 0;
    case ARGP_KEY_END:
        if (!kms_dotenv_app_valid(kms_bytes_text(arguments->fallback_app)))
            argp_error(state, "KMS_ENV_APP has 1 to %d of A-Z a-z 0-9 . _ / -", KMS_DOTENV_APP_BYTES);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option values_options[] = {
    {"app", OPT_APP, "NAME", 0,
     "Application that the values belong to (else the #kms-env line of the file, KMS_ENV_APP, \"default\")",
     1},
    {"key", 'k', "KEY", 0,
     "encrypt: key to encrypt under; run, check --online: the key that values must be under", 1},
    {"only", OPT_ONLY, "A,B", 0, "These variables alone", 1},
    {"dialect", OPT_DIALECT, "NAME", 0,
     "How files are read: dotenv (as Docker Compose; the default), docker, systemd", 1},
    {0},
};

static const struct argp values_argp = {.options = values_options, .parser = parse_values};

void kms_env_arguments_add_file(struct kms_env_arguments *arguments, const char *path,
                                const struct argp_state *state)
{
    if (arguments->env_file_count == KMS_ENV_FILES) argp_error(state, "at most %d files", KMS_ENV_FILES);
    arguments->env_files[arguments->env_file_count++] = path;
}

static error_t parse_files(int key, char *arg, struct argp_state *state)
{
    struct kms_env_arguments *arguments = state->input;
    switch (key) {
    case 'e':
        kms_env_arguments_add_file(arguments, arg, state);
        return 0;
    case 'o':
        if (strcmp(arg, "json") != 0 && strcmp(arg, "text") != 0)
            argp_error(state, "--output is text or json");
        arguments->json = strcmp(arg, "json") == 0;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option files_options[] = {
    {"env-file", 'e', "FILE", 0, "File of variables; may be repeated, later ones win; - is standard input",
     2},
    {"output", 'o', "FORMAT", 0, "What is listed is written as text (the default) or json", 2},
    {0},
};

static const struct argp files_argp = {.options = files_options, .parser = parse_files};

const struct argp_child kms_env_one_file_children[] = {
    {&values_argp, 0, NULL, 0}, {&connection_argp, 0, NULL, 0}, {0}};
const struct argp_child kms_env_many_files_children[] = {
    {&values_argp, 0, NULL, 0}, {&files_argp, 0, NULL, 0}, {&connection_argp, 0, NULL, 0}, {0}};
const struct argp_child kms_env_connection_children[] = {{&connection_argp, 0, NULL, 0}, {0}};
