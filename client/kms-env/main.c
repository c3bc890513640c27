/* kms-env: environment variables whose values are ciphertext until the program starts. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "client/kms-env/command.h"
#include "client/kms-env/exec.h"

const char *argp_program_version = "kms-env " KMS_VERSION;

static struct command {
    char name[24]; /* what stands in messages, as argv[0] */
    int (*run)(int argc, char **argv);
} commands[] = {
    {"kms-env encrypt", kms_env_command_encrypt}, {"kms-env run", kms_env_command_run},
    {"kms-env check", kms_env_command_check},     {"kms-env render", kms_env_command_render},
    {"kms-env import", kms_env_command_import},   {"kms-env credentials", kms_env_command_credentials},
};

static const char doc[] = "Environment variables whose values are ciphertext until the program starts.\v"
                          "Subcommands:\n"
                          "  encrypt      make the values of an env file ciphertext\n"
                          "  run          decrypt what is ciphertext and start a program with it\n"
                          "  check        say what is ciphertext, and what should be\n"
                          "  render       write values into a file in memory, or into a template\n"
                          "  import       move the plain values of an env file into secrets\n"
                          "  credentials  answer LoadCredential= of systemd units\n\n"
                          "`kms-env SUBCOMMAND --help' lists the options of each; kms-env(1) has it all.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    int *first = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        (void)arg;
        *first = state->next - 1;
        state->next = state->argc; /* the rest is for the subcommand */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    const struct argp argp = {.parser = parse, .args_doc = "SUBCOMMAND [ARGUMENT...]", .doc = doc};
    int first = 0;
    argp_err_exit_status = KMS_ENV_EXIT_FAILED;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first) != 0) return KMS_ENV_EXIT_FAILED;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[first], commands[i].name + strlen("kms-env ")) != 0) continue;
        argv[first] = commands[i].name;
        return commands[i].run(argc - first, argv + first);
    }
    fprintf(
        stderr,
        "kms-env: %s: no such subcommand; there are encrypt, run, check, render, import and credentials\n",
        argv[first]);
    return KMS_ENV_EXIT_FAILED;
}
