/* kms-env credentials: the server behind LoadCredential= of systemd units. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "client/kms-env/command.h"
#include "client/kms-env/credential_server.h"
#include "client/kms-env/credential_socket.h"
#include "client/kms-env/exec.h"
#include "client/kms-env/say.h"
#include "client/kms-env/service.h"

struct credentials {
    struct kms_env_arguments arguments;
    const char *socket, *config;
    bool user;
    struct kms_env_credentials map;
};

enum { OPT_SOCKET = 512, OPT_CONFIG, OPT_USER };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct credentials *c = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        kms_env_give_children(state, &c->arguments, kms_env_connection_children);
        return 0;
    case OPT_SOCKET:
        c->socket = arg;
        return 0;
    case OPT_CONFIG:
        c->config = arg;
        return 0;
    case OPT_USER:
        c->user = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: units and secrets stand in the file of --config", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"socket", OPT_SOCKET, "PATH", 0, "Listen here, unless systemd hands a socket over", 1},
    {"config", OPT_CONFIG, "FILE", 0, "Which unit gets what (YAML); /etc/kms-env/credentials.yaml without it",
     1},
    {"user", OPT_USER, NULL, 0, "Serve the service manager of this user in place of the system's (root)", 1},
    {0},
};

/* Before any thread exists, so that all of them leave the signals alone. */
static int hold_signals(struct kms_why *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0) kms_why_set(why, "signals: %s", strerror(errno));
    return fd;
}

static kms_err serve(struct credentials *c, int listen_fd, int signal_fd, struct kms_why *why)
{
    KMS_OWN(kms_env_service) service = NULL;
    KMS_OWN_FD stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop < 0) return KMS_FAIL(IO);
    KMS_TRY(kms_env_service_open(&c->arguments.settings, &service, why));
    const struct kms_env_credential_source source = {.map = &c->map,
                                                     .fetcher = kms_env_service_providers(service).fetcher,
                                                     .manager = c->user ? geteuid() : 0,
                                                     .stop_fd = stop};
    kms_log(KMS_LOG_INFO, "credentials.ready", "entries=%zu uid=%u", c->map.credentials_count,
            (unsigned)source.manager);
    KMS_TRY(kms_env_credential_serve(&source, listen_fd, signal_fd, why));
    kms_log(KMS_LOG_INFO, "credentials.stopped", "entries=%zu", c->map.credentials_count);
    return KMS_OK;
}

static kms_err run(struct credentials *c, struct kms_why *why)
{
    kms_env_credential_socket socket;
    KMS_OWN_FD signals = hold_signals(why);
    if (signals < 0) return KMS_FAIL(IO);
    KMS_TRY(kms_env_credential_map_load(c->config, &c->map, why));
    kms_err err = kms_env_credential_socket_open(c->socket, &socket, why);
    if (!kms_failed(err)) {
        err = serve(c, socket.fd, signals, why);
        kms_env_credential_socket_close(&socket);
    }
    kms_env_credential_map_free(&c->map);
    return err;
}

int kms_env_command_credentials(int argc, char **argv)
{
    const struct argp argp = {.options = options,
                              .parser = parse,
                              .doc = "Answer systemd units that name this socket in LoadCredential= with "
                                     "secrets, as a list says.",
                              .children = kms_env_connection_children};
    struct credentials c = {.config = "/etc/kms-env/credentials.yaml"};
    struct kms_env_shield shield;
    struct kms_why why = {0};
    kms_env_arguments_from_environment(&c.arguments);
    if (argp_parse(&argp, argc, argv, 0, NULL, &c) != 0) return KMS_ENV_EXIT_FAILED;
    kms_err err = kms_env_shield_up(&shield, &why);
    if (!kms_failed(err)) {
        err = run(&c, &why);
        kms_env_shield_down(&shield);
    }
    if (!kms_failed(err)) return 0;
    kms_env_say_error(err, &why);
    return KMS_ENV_EXIT_FAILED;
}
