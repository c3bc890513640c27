/* Puts the transport together, and takes it apart again without losing calls. */
#include <dlfcn.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/rpc/guest.h"

/* What gRPC has to say (failed handshakes, mostly): strangers can cause it, so one line a second. */
static void log_grpc(gpr_log_func_args *args)
{
    static atomic_ullong last_us;
    static atomic_uint dropped;
    if (args->severity < GPR_LOG_SEVERITY_ERROR) return;
    unsigned long long last = atomic_load(&last_us), now = kms_monotonic_us();
    if (now - last < 1000000 || !atomic_compare_exchange_strong(&last_us, &last, now)) {
        atomic_fetch_add(&dropped, 1);
        return;
    }
    char text[300];
    snprintf(text, sizeof text, "%s", args->message);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '"' || (unsigned char)*c < 0x20) *c = '\'';
    kms_log(KMS_LOG_WARN, "rpc.grpc", "dropped=%u msg=\"%s\"", atomic_exchange(&dropped, 0), text);
}

static kms_err raise_descriptors(uint32_t connections, struct kms_why *why)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)connections + KMS_RPC_RESERVED_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return KMS_FAIL(INTERNAL);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < needed || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        kms_why_set(why, "%u connections need %llu descriptors, but RLIMIT_NOFILE is %llu: raise LimitNOFILE",
                    connections, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
        return KMS_FAIL(CONFIG_INVALID);
    }
    return KMS_OK;
}

static uint32_t longest_request(const struct kms_rpc_options *o)
{
    return o->batch_message_bytes > o->message_bytes ? o->batch_message_bytes : o->message_bytes;
}

static kms_err check_options(const struct kms_rpc_options *o, struct kms_why *why)
{
    const char *wrong = NULL;
    if (o->address[0] == '\0' && o->socket_count == 0)
        wrong = "neither a TLS address nor a Unix socket to listen on";
    if (o->threads == 0 || o->threads > KMS_RPC_THREADS) wrong = "rpc threads must be 1 to 64";
    if (o->calls == 0 || o->calls > 1000000) wrong = "active calls must be 1 to 1000000";
    if (o->streams_per_connection == 0 || o->streams_per_connection > INT32_MAX)
        wrong = "streams per connection out of range";
    if (o->message_bytes == 0 || longest_request(o) > INT32_MAX) wrong = "message bytes out of range";
    if (wrong == NULL) return raise_descriptors(o->connections, why);
    kms_why_set(why, "%s", wrong);
    return KMS_FAIL(CONFIG_INVALID);
}

static grpc_arg integer(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = kms_lend(key), .value = {.integer = value}};
}

/* Measured one by one. Keepalive finds peers that vanished; a handshake may not dawdle. Compressed
 * requests are taken as they are, since gRPC would inflate a few bytes to many and then ask how many there
 * may be (message.h asks first). Replies are never compressed: they hold secrets beside text that others
 * chose. */
static grpc_server *create_server(const struct kms_rpc_options *o)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("kmsd");
    grpc_resource_quota_resize(quota, (size_t)o->grpc_memory_bytes);
    grpc_arg args[] = {
        {.type = GRPC_ARG_POINTER,
         .key = kms_lend(GRPC_ARG_RESOURCE_QUOTA),
         .value = {.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}}},
        integer(GRPC_ARG_ALLOW_REUSEPORT, 0), /* a second daemon must not take half of the connections */
        integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)longest_request(o)),
        integer(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)o->streams_per_connection),
        integer(GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024),
        integer(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
                1 << GRPC_COMPRESS_NONE | 1 << GRPC_COMPRESS_DEFLATE | 1 << GRPC_COMPRESS_GZIP),
        integer(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        integer(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        integer(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0), /* the pipeline knows the deadline */
        integer(GRPC_ARG_ENABLE_CHANNELZ, 0),
        integer(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        integer(GRPC_ARG_KEEPALIVE_TIME_MS, (int)o->keepalive_ms),
        integer(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, (int)o->keepalive_timeout_ms),
        integer(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10 * 1000),
        integer(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10 * 1000),
    };
    grpc_channel_args all = {.num_args = sizeof args / sizeof args[0], .args = args};
    grpc_server *server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static kms_err start_queues(struct kms_rpc *rpc)
{
    rpc->batch_room.limit = rpc->options.batch_memory_bytes;
    rpc->queues = calloc(rpc->options.threads, sizeof *rpc->queues);
    if (rpc->queues == NULL) return KMS_FAIL(NO_MEMORY);
    for (unsigned lane = 0; lane < rpc->options.threads; lane++) {
        rpc->queue_count++;
        KMS_TRY(kms_queue_start(rpc, lane));
    }
    return KMS_OK;
}

static kms_err listen_tls(struct kms_rpc *rpc, struct kms_why *why)
{
    const struct kms_rpc_options *o = &rpc->options;
    if (o->address[0] == '\0') return KMS_OK;
    KMS_TRY(kms_tls_new(o->certificate, o->key, o->client_ca, &rpc->tls, why));
    grpc_server_credentials *credentials = kms_tls_credentials(rpc->tls);
    if (credentials == NULL) return KMS_FAIL(INTERNAL);
    rpc->listening = true;
    rpc->port = grpc_server_add_http2_port(rpc->server, o->address, credentials);
    grpc_server_credentials_release(credentials);
    if (rpc->port > 0) return KMS_OK;
    kms_why_set(why, "cannot listen on %s: in use, not an address of this machine, or not allowed",
                o->address);
    return KMS_FAIL(IO);
}

/*
 * Debian builds gRPC and absl with assertions, and then each use of an absl mutex looks for a cycle in the
 * order of locks, under one spin lock for all threads: 2 % of a call, to abort the daemon where gRPC might
 * deadlock one day. absl has a switch for it, in C++; without that symbol the search goes on.
 */
static void search_no_deadlocks(void)
{
    enum { IGNORE = 0 }; /* absl::OnDeadlockCycle::kIgnore */
    static const char name[] = "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE";
    void (*set_mode)(int);
    void *symbol = dlsym(RTLD_DEFAULT, name);
    memcpy(&set_mode, &symbol, sizeof set_mode); /* as dlsym(3) says */
    if (symbol != NULL) set_mode(IGNORE);
}

static void let_go(struct kms_rpc *rpc, bool serving)
{
    pthread_mutex_lock(&rpc->lock);
    rpc->go = true;
    rpc->serving = serving;
    pthread_cond_broadcast(&rpc->changed);
    pthread_mutex_unlock(&rpc->lock);
}

static void fire_drained(struct kms_tag *tag, bool ok)
{
    struct kms_rpc *rpc = (struct kms_rpc *)tag;
    (void)ok;
    pthread_mutex_lock(&rpc->lock);
    rpc->drained = true;
    pthread_cond_broadcast(&rpc->changed);
    pthread_mutex_unlock(&rpc->lock);
}

static kms_err start(struct kms_rpc *rpc, struct kms_why *why)
{
    rpc->server = create_server(&rpc->options);
    KMS_TRY(kms_rows_register(rpc, why));
    KMS_TRY(kms_guests_register(rpc, why));
    KMS_TRY(kms_reflect_start(rpc));
    KMS_TRY(kms_peers_new(rpc->parts.authn, rpc->options.connections, &rpc->peers));
    KMS_TRY(kms_listener_bind(rpc->options.sockets, rpc->options.socket_count, &rpc->listener, why));
    KMS_TRY(start_queues(rpc));
    KMS_TRY(kms_health_start(rpc));
    KMS_TRY(listen_tls(rpc, why));
    rpc->listening = true;
    grpc_server_start(rpc->server);
    let_go(rpc, true);
    return kms_listener_run(rpc->listener, rpc->server, rpc->peers);
}

static void encode(void *self, struct kms_call *call)
{
    (void)self;
    kms_slot_encode(call);
}

static void release(void *self, struct kms_call **calls, size_t count)
{
    kms_queue_release(self, calls, count);
}

static void cancel(void *self, struct kms_call *call, kms_err err)
{
    (void)self;
    kms_slot_cancel(call->transport, err);
}

kms_err kms_rpc_start(const struct kms_rpc_options *options, const struct kms_rpc_parts *parts,
                      kms_rpc **ret_rpc, struct kms_why *why)
{
    KMS_TRY(check_options(options, why));
    KMS_TRY(kms_tls_only_13());
    kms_tls_limit_connections(options->connections);
    kms_rpc *rpc = calloc(1, sizeof *rpc);
    if (rpc == NULL) return KMS_FAIL(NO_MEMORY);
    rpc->drained_tag.fire = fire_drained;
    rpc->options = *options;
    rpc->parts = *parts;
    kms_cond_init(&rpc->changed);
    pthread_mutex_init(&rpc->lock, NULL);
    gpr_set_log_function(log_grpc);
    search_no_deadlocks();
    grpc_init();
    struct kms_transport transport = {.self = rpc, .encode = encode, .release = release, .cancel = cancel};
    kms_pipeline_set_transport(parts->pipeline, &transport);
    kms_err err = start(rpc, why);
    if (kms_failed(err))
        kms_rpc_free(rpc);
    else
        *ret_rpc = rpc;
    return err;
}

int kms_rpc_port(const kms_rpc *rpc)
{
    return rpc->port;
}
unsigned kms_rpc_active(const kms_rpc *rpc)
{
    return atomic_load(&rpc->active);
}

kms_err kms_rpc_reload(kms_rpc *rpc, struct kms_why *why)
{
    return rpc->tls == NULL ? KMS_OK : kms_tls_reload(rpc->tls, why);
}

static bool is_quiet(const struct kms_rpc *rpc)
{
    return atomic_load(&rpc->active) == 0 && kms_guests_active(rpc) == 0;
}

/* True: no call is active, and no connection is left either if drained is asked for. deadline NULL: as long
 * as it takes. */
static bool wait_until_quiet(struct kms_rpc *rpc, bool drained, const struct timespec *deadline)
{
    int err = 0;
    pthread_mutex_lock(&rpc->lock);
    while (err == 0 && (!is_quiet(rpc) || (drained && !rpc->drained)))
        err = deadline == NULL ? pthread_cond_wait(&rpc->changed, &rpc->lock)
                               : pthread_cond_timedwait(&rpc->changed, &rpc->lock, deadline);
    pthread_mutex_unlock(&rpc->lock);
    return err == 0;
}

/* gRPC cancels calls that cross its GOAWAY, and CANCELLED tells nobody to try elsewhere: whoever calls now
 * hears SHUTTING_DOWN first. */
static void say_farewell(struct kms_rpc *rpc)
{
    enum { FAREWELL_MS = 200 };
    uint32_t ms = rpc->options.drain_ms < FAREWELL_MS ? rpc->options.drain_ms : FAREWELL_MS;
    atomic_store(&rpc->closing, true);
    kms_guests_wake(rpc);                          /* who watches hears NOT_SERVING */
    kms_pipeline_end_streams(rpc->parts.pipeline); /* they would not end by themselves */
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
    kms_guests_leave(rpc);
}

/*
 * gRPC tells a client to go (GOAWAY), waits for its ping to come back, and closes the connection after the
 * last reply. A client that is writing at that moment meets a closed connection and drops replies that it
 * has not read. So it is told in a moment when no call is active, if one comes soon.
 */
static void shut_down(struct kms_rpc *rpc)
{
    if (rpc->serving) say_farewell(rpc);
    uint32_t quiet_ms = rpc->options.drain_ms < KMS_RPC_QUIET_MS ? rpc->options.drain_ms : KMS_RPC_QUIET_MS;
    struct timespec deadline = kms_in_ms(rpc->options.drain_ms), soon = kms_in_ms(quiet_ms);
    pthread_mutex_lock(&rpc->lock);
    rpc->stopping = true;
    pthread_mutex_unlock(&rpc->lock);
    wait_until_quiet(rpc, false, &soon);
    grpc_server_shutdown_and_notify(rpc->server, rpc->queues[0].cq, &rpc->drained_tag);
    if (wait_until_quiet(rpc, true, &deadline)) return;
    kms_log(KMS_LOG_WARN, "rpc.drain", "active=%u msg=\"time is up: what is left is cancelled\"",
            kms_rpc_active(rpc));
    grpc_server_cancel_all_calls(rpc->server); /* also ends connections whose client is frozen */
    wait_until_quiet(rpc, true, NULL);
}

void kms_rpc_drain_and_stop(kms_rpc *rpc)
{
    if (rpc->stopped) return;
    rpc->stopped = true;
    kms_health_stop(rpc);
    kms_listener_close(rpc->listener);
    rpc->listener = NULL;
    if (!rpc->go) let_go(rpc, false);
    if (rpc->listening) shut_down(rpc);
    for (unsigned i = 0; i < rpc->queue_count; i++) kms_queue_stop(&rpc->queues[i]);
}

void kms_rpc_free(kms_rpc *rpc)
{
    if (rpc == NULL) return;
    kms_rpc_drain_and_stop(rpc);
    grpc_server_destroy(rpc->server);
    for (unsigned i = 0; i < rpc->queue_count; i++) kms_queue_clear(&rpc->queues[i]);
    kms_health_free(rpc);
    kms_reflect_free(rpc);
    kms_peers_free(rpc->peers);
    kms_tls_free(rpc->tls);
    free(rpc->queues);
    free(rpc->rows);
    grpc_shutdown();
    pthread_cond_destroy(&rpc->changed);
    pthread_mutex_destroy(&rpc->lock);
    free(rpc);
}

void kms_rpc_drop(kms_rpc **rpc)
{
    kms_rpc_free(*rpc);
}
