/* Any method whose messages carry no secret, in JSON: one function for everything that is administration. */
#include <kms/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/lib/attempt.h"
#include "client/lib/failure.h"
#include "client/lib/json.h"
#include "client/lib/unary.h"
#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/audit.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/grants.pb-c.h"
#include "kms/v1/import.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/policy.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kms/v1/system.pb-c.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__approval_service__descriptor, &kms__v1__crypto_service__descriptor,
    &kms__v1__import_service__descriptor,   &kms__v1__grant_service__descriptor,
    &kms__v1__key_service__descriptor,      &kms__v1__policy_service__descriptor,
    &kms__v1__system_service__descriptor,   &kms__v1__audit_service__descriptor,
    &kms__v1__secret_service__descriptor,   &kms__v1__lease_service__descriptor,
};

enum { REQUEST_BYTES = 1024 * 1024, PATH_BYTES = 128 };

/* "KeyService/DescribeKey"; NULL: there is none. */
static const ProtobufCMethodDescriptor *find(const char *method, char path[PATH_BYTES])
{
    const char *slash = strchr(method, '/');
    for (size_t i = 0; slash != NULL && i < sizeof services / sizeof services[0]; i++) {
        const char *name = services[i]->short_name;
        if (strlen(name) != (size_t)(slash - method) || strncmp(name, method, strlen(name)) != 0) continue;
        snprintf(path, PATH_BYTES, "/%s/%s", services[i]->name, slash + 1);
        return protobuf_c_service_descriptor_get_method_by_name(services[i], slash + 1);
    }
    return NULL;
}

/* What only looks, or changes nothing, may be asked again. */
static enum kms_repeat repeat_of(const char *rpc)
{
    static const char *const looks[] = {"Describe", "Get",    "List",       "Simulate",
                                        "Sign",     "Verify", "GenerateMac"};
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        if (strncmp(rpc, looks[i], strlen(looks[i])) == 0) return KMS_REPEAT_ALWAYS;
    return KMS_REPEAT_WITH_TOKEN;
}

static kms_err take(const ProtobufCMessage *reply, void **ret_result, struct kms_why *why)
{
    (void)why;
    json_t *value = kms_json_of(reply);
    *ret_result = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    return *ret_result != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* protobuf-c's descriptors do not tell: a rule of ours (tests/lint/protos.py). */
static bool streams(const ProtobufCMethodDescriptor *codec)
{
    return strncmp(codec->name, "Stream", strlen("Stream")) == 0;
}

/* Why the method cannot be called this way; NULL: it can. */
static const char *unfit(const ProtobufCMethodDescriptor *codec, bool stream)
{
    if (codec == NULL) return "no such method";
    if (kms_json_secret(codec->input) || kms_json_secret(codec->output))
        return "carries secrets, which JSON would leave in memory";
    if (streams(codec) && !stream) return "answers with many messages: kms_client_stream_json";
    return streams(codec) || !stream ? NULL : "answers with one message: kms_client_call_json";
}

/* A call with what it stands on. */
struct prepared {
    kms_arena arena;
    char path[PATH_BYTES];
    struct kms_rpc row;
    struct kms_unary call;
};

static kms_err prepare(struct prepared *p, const char *method, const char *request_json, bool stream,
                       struct kms_why *why)
{
    const ProtobufCMethodDescriptor *codec = find(method, p->path);
    const char *fault = unfit(codec, stream);
    if (fault != NULL) {
        kms_why_set(why, "%s: %s", method, fault);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    json_error_t place;
    json_t *object = json_loads(request_json, JSON_REJECT_DUPLICATES, &place);
    ProtobufCMessage *request = NULL;
    kms_err err;
    if (object == NULL) {
        kms_why_set(why, "line %d, column %d: %s", place.line, place.column, place.text);
        err = KMS_FAIL(INVALID_ARGUMENT);
    } else {
        err = kms_json_to(object, codec->input, &p->arena, &request, why);
    }
    const char *token = json_string_value(json_object_get(object, "client_request_token"));
    bool has_token = token != NULL && token[0] != '\0';
    json_decref(object);
    KMS_TRY(err);
    p->row = (struct kms_rpc){
        .path = p->path, .reply = codec->output, .repeat = repeat_of(codec->name), .take = take};
    p->call = (struct kms_unary){.row = &p->row, .request = request, .has_token = has_token};
    return KMS_OK;
}

bool kms_client_call_json(kms_client *client, const char *method, const char *request_json,
                          const struct kms_call_options *options, char **ret_reply_json,
                          struct kms_error *error)
{
    struct prepared prepared;
    struct kms_why why = {{0}};
    kms_arena_init(&prepared.arena, REQUEST_BYTES);
    kms_err err = prepare(&prepared, method, request_json, false, &why);
    void *reply = NULL;
    bool ok = !kms_failed(err) && kms_unary_one(client, options, &prepared.call, &reply, error);
    if (kms_failed(err) && error != NULL) kms_error_local(error, err, &why);
    kms_arena_wipe(&prepared.arena);
    if (ok) *ret_reply_json = reply;
    return ok;
}

struct kms_json_stream {
    struct prepared prepared; /* the row is asked to the end */
    struct kms_lane lane;
    struct kms_attempt attempt;
    bool asked; /* for a message */
    bool none;  /* there is no message any more */
    bool over;  /* the call has ended */
};

static kms_err start(kms_json_stream *stream, const kms_client *client)
{
    const struct prepared *p = &stream->prepared;
    kms_lane_open(client, KMS_ATTEMPT_NEVER, &stream->lane);
    return kms_attempt_start_stream(&stream->attempt, &stream->lane, &p->row, p->call.request);
}

bool kms_client_stream_json(kms_client *client, const char *method, const char *request_json,
                            kms_json_stream **ret_stream, struct kms_error *error)
{
    struct kms_why why = {{0}};
    kms_error_clear(error);
    kms_json_stream *stream = calloc(1, sizeof *stream);
    kms_err err = stream != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (stream != NULL) {
        kms_arena_init(&stream->prepared.arena, REQUEST_BYTES);
        err = prepare(&stream->prepared, method, request_json, true, &why);
    }
    if (!kms_failed(err)) err = start(stream, client);
    if (kms_failed(err)) {
        kms_json_stream_close(stream);
        kms_error_local(error, err, &why);
        return false;
    }
    *ret_stream = stream;
    return true;
}

/* One event at most; *ret_tag NULL: none within the time. */
static void wait_for(kms_json_stream *stream, uint32_t wait_ms, void **ret_tag)
{
    uint64_t due_us = kms_monotonic_us() + wait_ms * UINT64_C(1000);
    grpc_event event = grpc_completion_queue_next(stream->lane.queue, kms_attempt_time(due_us), NULL);
    *ret_tag = event.type == GRPC_OP_COMPLETE ? event.tag : NULL;
}

/* The last message has been read before the end is told: they come in any order. */
bool kms_json_stream_next(kms_json_stream *stream, uint32_t wait_ms, char **ret_reply_json, bool *ret_ended,
                          struct kms_error *error)
{
    void *tag = NULL, *reply = NULL;
    *ret_reply_json = NULL;
    *ret_ended = false;
    while (reply == NULL) {
        if (!stream->asked && !stream->none) stream->none = !kms_attempt_read(&stream->attempt);
        stream->asked = !stream->none;
        if (stream->none && stream->over) break;
        wait_for(stream, wait_ms, &tag);
        if (tag == NULL) return true;
        stream->over = stream->over || tag == &stream->attempt;
        if (tag == &stream->attempt) continue;
        stream->asked = false;
        if (!kms_attempt_take(&stream->attempt, &stream->prepared.row, &reply, error)) return false;
        stream->none = reply == NULL;
    }
    *ret_reply_json = reply;
    *ret_ended = reply == NULL;
    return reply != NULL || kms_attempt_good(&stream->attempt, error);
}

void kms_json_stream_close(kms_json_stream *stream)
{
    if (stream == NULL) return;
    void *tag;
    if (stream->attempt.call != NULL) {
        if (!stream->over) grpc_call_cancel(stream->attempt.call, NULL);
        while (!stream->over || stream->asked) {
            wait_for(stream, UINT32_MAX, &tag);
            if (tag == &stream->attempt) stream->over = true;
            if (tag == kms_attempt_message(&stream->attempt)) stream->asked = false;
        }
        kms_attempt_release(&stream->attempt);
    }
    if (stream->lane.queue != NULL) kms_lane_close(&stream->lane);
    kms_arena_wipe(&stream->prepared.arena);
    free(stream);
}

void kms_json_free(char *json)
{
    free(json);
}
