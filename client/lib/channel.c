/* Opens and closes the connection: target, channel arguments. */
#include "client/lib/channel.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/credentials.h"
#include "client/lib/failure.h"

enum {
    PEM_FILE_BYTES = 128 * 1024,
    TARGET_BYTES = 512,
    RECONNECT_FIRST_MS = 100,
    RECONNECT_LONGEST_MS = 2000
};

static bool is_unix(const char *endpoint)
{
    return strncmp(endpoint, "unix:", 5) == 0;
}

static bool has_port(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    if (colon == NULL || colon == endpoint) return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    bool digits = colon[1] >= '0' && colon[1] <= '9' && *end == '\0';
    bool one_host = endpoint[0] == '[' ? colon[-1] == ']' : strchr(endpoint, ':') == colon;
    return digits && port > 0 && port <= UINT16_MAX && one_host && strpbrk(endpoint, "/ \t") == NULL;
}

kms_err kms_channel_target(const char *endpoint, char *to, size_t size, struct kms_why *why)
{
    const char *scheme = NULL;
    if (endpoint != NULL && is_unix(endpoint) && endpoint[5] == '/') scheme = "";
    if (endpoint != NULL && !is_unix(endpoint) && has_port(endpoint)) scheme = "dns:///";
    int len = scheme != NULL ? snprintf(to, size, "%s%s", scheme, endpoint) : -1;
    if (len > 0 && (size_t)len < size) return KMS_OK;
    kms_why_set(why, "endpoint \"%.100s\" is neither HOST:PORT nor unix:/PATH",
                endpoint != NULL ? endpoint : "");
    return KMS_FAIL(CONFIG_INVALID);
}

static grpc_arg integer_arg(const char *name, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = kms_lend(name), .value.integer = value};
}

static grpc_arg text_arg(const char *name, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = kms_lend(name), .value.string = kms_lend(value)};
}

static grpc_channel *make_channel(const char *target, const char *server_name,
                                  grpc_channel_credentials *credentials)
{
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_ENABLE_RETRIES, 0),    /* unary.c repeats calls; core would do it unseen */
        integer_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0), /* keys do not travel through $http_proxy */
        integer_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1), integer_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        integer_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* a client is a connection of its own */
        /* Below our own pauses, so that a repeated call meets a fresh attempt to connect. */
        integer_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
        integer_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_LONGEST_MS),
        /* Only while a call is open that is silent for so long: a stream whose server vanished ends. */
        integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 60 * 1000),
        integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * 1000),
        integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0), /* that is, no limit */
        text_arg(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "libkms/" KMS_VERSION),
        text_arg(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, server_name), /* last: only if there is one */
    };
    size_t count = sizeof args / sizeof args[0] - (server_name == NULL ? 1 : 0);
    grpc_channel_args all = {.num_args = count, .args = args};
    return grpc_channel_create(target, credentials, &all);
}

static kms_err open_channel(const struct kms_client_options *options, const char *target,
                            grpc_channel **ret_channel, struct kms_why *why)
{
    grpc_channel_credentials *credentials = NULL;
    if (is_unix(options->endpoint))
        credentials = grpc_insecure_credentials_create();
    else
        KMS_TRY(kms_credentials_new(options, &credentials, why));
    *ret_channel = make_channel(target, options->server_name, credentials);
    grpc_channel_credentials_release(credentials);
    return KMS_OK;
}

/* What core has to say comes back in errors; its log would only repeat it on the caller's standard error.
 * GRPC_VERBOSITY=error (or info, debug) brings it back. */
static void quiet_grpc(void)
{
    if (getenv("GRPC_VERBOSITY") == NULL)
        gpr_set_log_verbosity((gpr_log_severity)(GPR_LOG_SEVERITY_ERROR + 1));
}

static kms_err copy_correlation_id(const char *id, char to[KMS_CLIENT_CORRELATION_BYTES], struct kms_why *why)
{
    if (id == NULL) return KMS_OK;
    size_t len = 0;
    while (len < KMS_CLIENT_CORRELATION_BYTES && id[len] >= 0x20 && id[len] < 0x7f) len++;
    if (len == 0 || len == KMS_CLIENT_CORRELATION_BYTES || id[len] != '\0') {
        kms_why_set(why, "a correlation id is 1 to %d characters of printable ASCII",
                    KMS_CLIENT_CORRELATION_BYTES - 1);
        return KMS_FAIL(CONFIG_INVALID);
    }
    kms_copy(to, id, len);
    return KMS_OK;
}

static kms_err client_new(const struct kms_client_options *options, kms_client **ret_client,
                          struct kms_why *why)
{
    char target[TARGET_BYTES];
    KMS_TRY(kms_channel_target(options->endpoint, target, sizeof target, why));
    kms_client *client = calloc(1, sizeof *client);
    if (client == NULL) return KMS_FAIL(NO_MEMORY);
    client->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : KMS_CLIENT_TIMEOUT_MS;
    client->attempts = options->attempts != 0 ? options->attempts : KMS_CLIENT_ATTEMPTS;
    quiet_grpc();
    grpc_init();
    kms_err err = copy_correlation_id(options->correlation_id, client->correlation_id, why);
    if (!kms_failed(err)) err = open_channel(options, target, &client->channel, why);
    if (kms_failed(err)) {
        kms_client_close(client);
        return err;
    }
    *ret_client = client;
    return KMS_OK;
}

bool kms_client_open(const struct kms_client_options *options, kms_client **ret_client,
                     struct kms_error *error)
{
    struct kms_why why = {0};
    kms_error_clear(error);
    kms_err err = client_new(options, ret_client, &why);
    if (kms_failed(err)) kms_error_local(error, err, &why);
    return !kms_failed(err);
}

void kms_client_close(kms_client *client)
{
    if (client == NULL) return;
    if (client->channel != NULL) grpc_channel_destroy(client->channel);
    grpc_shutdown();
    free(client);
}
