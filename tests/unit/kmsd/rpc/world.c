/* The doubles and the certificates. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kms/v1/audit.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "tests/harness/suite.h"

static const struct kms_stream_row streams;
const struct kms_method world_methods[] = {
    {.service = &kms__v1__crypto_service__descriptor, .rpc = "Encrypt", .lane = KMS_LANE_CRYPTO},
    {.service = &kms__v1__crypto_service__descriptor, .rpc = "Decrypt", .lane = KMS_LANE_CRYPTO},
    {.service = &kms__v1__key_service__descriptor, .rpc = "DescribeKey", .lane = KMS_LANE_ADMIN},
    {.service = &kms__v1__audit_service__descriptor,
     .rpc = "StreamAuditRecords",
     .lane = KMS_LANE_ADMIN,
     .stream = &streams},
};
const struct kms_dialect *world_dialects;
size_t world_dialect_count;
const size_t world_method_count = KMS_COUNT(world_methods);

const ProtobufCMethodDescriptor *kms_method_codec(const struct kms_method *method)
{
    return protobuf_c_service_descriptor_get_method_by_name(method->service, method->rpc);
}

void kms_method_path(const struct kms_method *method, char path[KMS_METHOD_PATH_BYTES])
{
    snprintf(path, KMS_METHOD_PATH_BYTES, "/%s/%s", method->service->name, method->rpc);
}

/* --- pipeline --- */

static void look(struct kms_pipeline *pipeline, const struct kms_call *call)
{
    struct seen *s = &pipeline->last;
    *s = (struct seen){
        .err = call->err.code, .decoded = call->request != NULL, .has_deadline = call->deadline_us != 0};
    if (s->has_deadline) s->deadline_in_us = call->deadline_us - kms_monotonic_us();
    snprintf(s->why, sizeof s->why, "%s", call->why.text);
    snprintf(s->principal, sizeof s->principal, "%s",
             call->identity != NULL ? call->identity->principal : "");
    snprintf(s->peer, sizeof s->peer, "%s", call->peer);
    snprintf(s->source_ip, sizeof s->source_ip, "%s", call->source_ip);
    snprintf(s->client, sizeof s->client, "%s", call->client);
    snprintf(s->correlation_id, sizeof s->correlation_id, "%s", call->correlation_id);
    if (kms_failed(call->err) && call->arena.total > 0) pipeline->refused_arenas++;
}

static kms_err echo(struct kms_call *call)
{
    if (call->method != &world_methods[0]) return KMS_FAIL(UNSUPPORTED);
    const Kms__V1__EncryptRequest *request = (const void *)call->request;
    if (strcmp(request->key_id, "fail") == 0) {
        kms_why_set(&call->why, "it is off");
        return KMS_FAIL(KEY_DISABLED);
    }
    Kms__V1__EncryptResponse *reply = kms_call_alloc(call, sizeof *reply);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__encrypt_response__init(reply);
    reply->ciphertext_blob = request->plaintext;
    reply->key_id = request->key_id;
    call->reply = &reply->base;
    return KMS_OK;
}

/* One record of many bytes; false: there are no more. The mark's revision counts pages. */
static bool make_page(struct kms_pipeline *pipeline, struct kms_call *call)
{
    const Kms__V1__StreamAuditRecordsRequest *request = (const void *)call->request;
    if (atomic_load(&pipeline->ending)) call->err = KMS_FAIL(SHUTTING_DOWN);
    if (kms_failed(call->err) || (request->limit != 0 && call->mark.revision == request->limit)) return false;
    Kms__V1__StreamAuditRecordsResponse *reply = kms_call_alloc(call, sizeof *reply);
    char *text = kms_call_alloc(call, request->last + 1), **records = kms_call_alloc(call, sizeof *records);
    CU_ASSERT_FATAL(reply != NULL && text != NULL && records != NULL);
    kms__v1__stream_audit_records_response__init(reply);
    memset(text, 'r', request->last);
    records[0] = text;
    reply->records = records;
    reply->n_records = 1;
    reply->bytes_left = ++call->mark.revision;
    call->reply = &reply->base;
    pipeline->pages++;
    return true;
}

/* A page takes its memory from the arena, which is given back by a trick: none of it is needed again. */
static void stream(struct kms_pipeline *pipeline, struct kms_call *call)
{
    const kms_arena request = call->arena;
    kms_arena_init(&call->arena, request.limit);
    call->page = make_page(pipeline, call);
    if (call->page) pipeline->transport.encode(pipeline->transport.self, call);
    kms_arena_wipe(&call->arena);
    call->arena = request;
    const Kms__V1__StreamAuditRecordsRequest *asked = (const void *)call->request;
    if (!call->page && !kms_failed(call->err) && strcmp(asked->marker, "fail") == 0)
        call->err = KMS_FAIL(KEY_DISABLED);
}

static void answer(struct kms_pipeline *pipeline, struct kms_call *call)
{
    call->request_id.bytes[0] = 7;
    call->page = false;
    if (call->method->stream != NULL) {
        stream(pipeline, call);
        pipeline->gone = atomic_load(&call->gone);
        if (call->page) return;
    } else if (!kms_failed(call->err)) {
        call->err = echo(call);
    }
    pipeline->transport.encode(pipeline->transport.self, call);
    if (!pipeline->commit_fails) return;
    call->err = KMS_FAIL(AUDIT_UNAVAILABLE);
    kms_why_set(&call->why, "disk /secret/path is full");
    pipeline->transport.encode(pipeline->transport.self, call);
}

static void finish(struct kms_pipeline *pipeline, struct kms_call *calls)
{
    struct kms_call *batch[64];
    while (calls != NULL) {
        size_t count = 0, over = 0;
        struct kms_call *page = NULL;
        for (; calls != NULL && count < KMS_COUNT(batch); count++) {
            batch[count] = calls;
            calls = calls->next;
            answer(pipeline, batch[count]);
            over += !batch[count]->page;
            if (batch[count]->page) page = batch[count];
        }
        pthread_mutex_lock(&pipeline->lock);
        pipeline->released += over;
        pipeline->writing = page;
        pthread_mutex_unlock(&pipeline->lock);
        pipeline->transport.release(pipeline->transport.self, batch, count);
    }
}

static void *run(void *self)
{
    struct kms_pipeline *pipeline = self;
    pthread_mutex_lock(&pipeline->lock);
    while (!pipeline->stopping) {
        struct kms_call *calls = pipeline->held ? NULL : pipeline->calls;
        if (calls == NULL) {
            pthread_cond_wait(&pipeline->changed, &pipeline->lock);
            continue;
        }
        pipeline->calls = NULL;
        pthread_mutex_unlock(&pipeline->lock);
        finish(pipeline, calls);
        pthread_mutex_lock(&pipeline->lock);
    }
    pthread_mutex_unlock(&pipeline->lock);
    return NULL;
}

void pipeline_open(struct kms_pipeline *pipeline)
{
    *pipeline = (struct kms_pipeline){.held = false};
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_cond_init(&pipeline->changed, NULL);
    pthread_create(&pipeline->thread, NULL, run, pipeline);
}

void pipeline_close(struct kms_pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->stopping = true;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
    pthread_join(pipeline->thread, NULL);
    pthread_cond_destroy(&pipeline->changed);
    pthread_mutex_destroy(&pipeline->lock);
}

void pipeline_hold(struct kms_pipeline *pipeline, bool held)
{
    pthread_mutex_lock(&pipeline->lock);
    pipeline->held = held;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_wait_begun(struct kms_pipeline *pipeline, size_t count)
{
    pthread_mutex_lock(&pipeline->lock);
    while (pipeline->begun < count) pthread_cond_wait(&pipeline->changed, &pipeline->lock);
    pthread_mutex_unlock(&pipeline->lock);
}

struct seen pipeline_last(struct kms_pipeline *pipeline)
{
    pthread_mutex_lock(&pipeline->lock);
    struct seen last = pipeline->last;
    pthread_mutex_unlock(&pipeline->lock);
    return last;
}

void kms_pipeline_set_transport(kms_pipeline *pipeline, const struct kms_transport *transport)
{
    pipeline->transport = *transport;
}

void kms_pipeline_begin(kms_pipeline *pipeline, unsigned lane, struct kms_call *call)
{
    (void)lane;
    pthread_mutex_lock(&pipeline->lock);
    look(pipeline, call);
    pipeline->begun++;
    bool direct = pipeline->direct;
    call->next = direct ? NULL : pipeline->calls;
    if (!direct) pipeline->calls = call; /* and from the unlocking on somebody else's */
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
    if (direct) finish(pipeline, call);
}

void kms_pipeline_written(kms_pipeline *pipeline, struct kms_call *call, bool ok)
{
    pthread_mutex_lock(&pipeline->lock);
    if (!ok) {
        pipeline->unwritten++;
        call->err = KMS_FAIL(CANCELLED);
    }
    if (pipeline->writing == call) pipeline->writing = NULL;
    call->next = pipeline->calls;
    pipeline->calls = call;
    pthread_cond_broadcast(&pipeline->changed);
    pthread_mutex_unlock(&pipeline->lock);
}

void pipeline_cancel(struct kms_pipeline *pipeline, kms_err err)
{
    pthread_mutex_lock(&pipeline->lock);
    if (pipeline->writing != NULL)
        pipeline->transport.cancel(pipeline->transport.self, pipeline->writing, err);
    pthread_mutex_unlock(&pipeline->lock);
}

void kms_pipeline_end_streams(kms_pipeline *pipeline)
{
    pipeline->ending = true;
    pipeline_cancel(pipeline, KMS_FAIL(SHUTTING_DOWN));
}

void kms_pipeline_flush(kms_pipeline *pipeline, unsigned lane)
{
    (void)lane;
    pthread_mutex_lock(&pipeline->lock);
    pipeline->flushed++;
    pthread_mutex_unlock(&pipeline->lock);
}

void kms_call_end(struct kms_call *call)
{
    kms_identity_unref(call->identity);
    kms_arena_wipe(&call->arena);
}

/* --- certificates --- */

const char *world_path(const char *name)
{
    static char paths[64][512];
    char path[512];
    size_t at = 0;
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), name);
    while (paths[at][0] != '\0' && strcmp(paths[at], path) != 0) at++;
    CU_ASSERT_FATAL(at + 1 < KMS_COUNT(paths));
    memcpy(paths[at], path, sizeof path);
    return paths[at];
}

bool world_certificates(void)
{
    static const char script[] =
        "cd \"$WORLD\" && umask 077 && exec 2>/dev/null && "
        "ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$1 "
        "-keyout $1.key "
        "-out $1.pem; } && "
        "leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$2 -keyout $1.key "
        "-out $1.csr "
        "&& printf 'subjectAltName=DNS:localhost' > ext && "
        "openssl x509 -req -in $1.csr -CA $3.pem -CAkey $3.key -CAcreateserial -days 2 -extfile ext -out "
        "$1.pem; } && "
        "ca ca && ca foreign && leaf server localhost ca && leaf other other ca && leaf client client ca && "
        "leaf stranger stranger foreign && "
        "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days -1 -out expired.pem";
    return setenv("WORLD", kms_temp_dir(), 1) == 0 && system(script) == 0;
}

void world_copy(const char *from, const char *to)
{
    char command[1200];
    snprintf(command, sizeof command, "cp '%s' '%s'", world_path(from), world_path(to));
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

struct kms_rpc_options world_options(void)
{
    return (struct kms_rpc_options){.address = "127.0.0.1:0",
                                    .certificate = world_path("server.pem"),
                                    .key = world_path("server.key"),
                                    .client_ca = world_path("ca.pem"),
                                    .threads = 2,
                                    .calls = 2000,
                                    .connections = 64,
                                    .streams_per_connection = 1000,
                                    .health_watches = 100,
                                    .reflection = true,
                                    .reflection_streams = 10,
                                    .stream_age_ms = 3600000,
                                    .keepalive_ms = 60000,
                                    .keepalive_timeout_ms = 20000,
                                    .message_bytes = 70000,
                                    .grpc_memory_bytes = 64 << 20,
                                    .arena_bytes = 256 << 10,
                                    .drain_ms = 30000};
}

kms_err world_start(struct kms_rpc_options *options, kms_authn *authn, kms_pipeline *pipeline,
                    kms_rpc **ret_rpc, struct kms_why *why)
{
    struct kms_rpc_parts parts = {.methods = world_methods,
                                  .method_count = world_method_count,
                                  .dialects = world_dialects,
                                  .dialect_count = world_dialect_count,
                                  .authn = authn,
                                  .pipeline = pipeline};
    return kms_rpc_start(options, &parts, ret_rpc, why);
}
