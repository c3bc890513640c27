/* kmsd: reads its arguments, starts the stages, waits for signals. */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/boot.h"
#include "kmsd/init.h"
#include "kmsd/process.h"

const char *argp_program_version = "kmsd " KMS_VERSION;

struct arguments {
    const char *config, *command, *accept_rollback;
};

enum { OPTION_ACCEPT_ROLLBACK = 256 };
static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Configuration (default /etc/kmsd/kmsd.yaml)", 0},
    {"accept-rollback", OPTION_ACCEPT_ROLLBACK, "REASON", 0,
     "Serve a keystore that is older than the audit log says, or another one, once; the reason is recorded",
     0},
    {0},
};
static const char about[] = "Envelope-encryption key management with root keys in an HSM.\v"
                            "Commands:\n"
                            "  serve          Serve until SIGTERM (the default); SIGHUP reads certificates,\n"
                            "                 deny list and service policy again and begins\n"
                            "                 a new file of the audit log\n"
                            "  init           Make the root keys on the token and an empty keystore;\n"
                            "                 refuses a token that has them\n"
                            "  check          Read the configuration and say what is wrong with it\n"
                            "  dump-config    Print the options in effect\n"
                            "  sample-config  Print every option with its default and range\n";

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'c':
        arguments->config = arg;
        return 0;
    case OPTION_ACCEPT_ROLLBACK:
        if (arg[0] == '\0') argp_error(state, "--accept-rollback wants a reason");
        arguments->accept_rollback = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) argp_error(state, "one command only");
        arguments->command = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(kms_err err, const struct kms_why *why)
{
    fprintf(stderr, "kmsd: %s: %s%s%s\n", kms_err_reason(err), kms_err_text(err),
            why->text[0] != '\0' ? ": " : "", why->text);
    return EXIT_FAILURE;
}

static int print(kms_err err, const kms_buf *text)
{
    const struct kms_why nothing = {{0}};
    if (kms_failed(err)) return complain(err, &nothing);
    fwrite(text->data, 1, text->len, stdout);
    return EXIT_SUCCESS;
}

/* Signals are blocked in every thread and taken here, one at a time. */
static void wait_for_end(struct kms_boot *boot, const sigset_t *signals)
{
    for (int signal; sigwait(signals, &signal) == 0;) {
        if (signal != SIGHUP) {
            kms_log(KMS_LOG_INFO, "stop", "signal=%s", strsignal(signal));
            return;
        }
        kms_boot_reload(boot);
    }
}

static void block_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct kms_boot *boot, const sigset_t *signals)
{
    struct kms_why why = {{0}};
    kms_err err = kms_boot_start(boot, &why);
    if (kms_failed(err)) return EXIT_FAILURE; /* boot has logged which stage and why */
    kms_log(KMS_LOG_INFO, "ready", "version=%s tls_port=%d unix_sockets=%zu", KMS_VERSION,
            kms_rpc_port(boot->rpc), boot->conf->listen_unix_count);
    wait_for_end(boot, signals);
    kms_boot_stop(boot);
    return EXIT_SUCCESS;
}

static int init(struct kms_boot *boot)
{
    struct kms_why why = {{0}};
    char audit_key_id[2 * KMS_DIGEST_BYTES + 1];
    kms_err err = kms_init(boot, audit_key_id, &why);
    if (kms_failed(err)) return complain(err, &why);
    printf("root keys made on the token, empty keystore at %s\n"
           "heads of the audit log will be signed by key %s\n"
           "Back up token, keystore and audit log together (docs/backup.md): if the token is lost without a "
           "backup,\n"
           "every key and everything encrypted with it is lost.\n",
           boot->conf->keystore_path, audit_key_id);
    return EXIT_SUCCESS;
}

static int check(const struct kmsd_conf *conf)
{
    struct kms_why why = {{0}};
    kms_err err = kms_boot_doors_check(conf, &why);
    return kms_failed(err) ? complain(err, &why) : EXIT_SUCCESS;
}

/* With the spawner running: hardened, as the right user. */
static int run_with_spawner(const struct arguments *arguments, struct kms_boot *boot)
{
    struct kms_why why = {{0}};
    sigset_t signals;
    kms_err err = kms_process_become(boot->conf->process_user, &why);
    if (kms_failed(err)) return complain(err, &why);
    block_signals(&signals);
    return strcmp(arguments->command, "init") == 0 ? init(boot) : serve(boot, &signals);
}

static int run(const struct arguments *arguments, struct kmsd_conf *conf)
{
    struct kms_why why = {{0}};
    struct kms_boot boot = {.conf = conf, .accept_rollback = arguments->accept_rollback, .lock_fd = -1};
    KMS_OWN_BUF text = {0};
    kms_log_level_set(conf->log_level);
    if (strcmp(arguments->command, "check") == 0) return check(conf);
    if (strcmp(arguments->command, "dump-config") == 0) return print(kmsd_conf_print(conf, &text), &text);
    kms_err err = kms_process_harden(&why);
    if (!kms_failed(err)) err = kms_runner_start(conf, &boot.runner, &why);
    if (kms_failed(err)) return complain(err, &why);
    err = kms_spawner_start(&boot.spawner);
    int status = kms_failed(err) ? complain(err, &why) : run_with_spawner(arguments, &boot);
    if (!kms_failed(err)) kms_spawner_stop(boot.spawner);
    kms_runner_stop(boot.runner);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const commands[] = {"serve", "init", "check", "dump-config", "sample-config"};
    struct arguments arguments = {.config = "/etc/kmsd/kmsd.yaml", .command = "serve"};
    const struct argp argp = {options, parse_option, "[COMMAND]", about, NULL, NULL, NULL};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    bool known = false;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        known = known || strcmp(arguments.command, commands[i]) == 0;
    if (!known) {
        fprintf(stderr, "kmsd: no command '%s': see kmsd --help\n", arguments.command);
        return 2;
    }
    KMS_OWN_BUF text = {0};
    if (strcmp(arguments.command, "sample-config") == 0) return print(kmsd_conf_print_sample(&text), &text);
    KMS_OWN(kmsd_conf) conf = NULL;
    struct kms_why why = {{0}};
    kms_err err = kmsd_conf_load(arguments.config, &conf, &why);
    if (!kms_failed(err)) return run(&arguments, conf);
    int status = complain(err, &why);
    if (kms_is(err, KMS_E_IO))
        fputs("hint: --config FILE names another; kmsd sample-config prints one to start from\n", stderr);
    return status;
}
