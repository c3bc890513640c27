/* Any method whose messages carry no secret, in JSON: one function for everything that is administration. */
#include <kms/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/failure.h"
#include "client/lib/json.h"
#include "client/lib/unary.h"
#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/audit.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/grants.pb-c.h"
#include "kms/v1/import.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/policy.pb-c.h"
#include "kms/v1/system.pb-c.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__approval_service__descriptor, &kms__v1__crypto_service__descriptor,
    &kms__v1__import_service__descriptor,   &kms__v1__grant_service__descriptor,
    &kms__v1__key_service__descriptor,      &kms__v1__policy_service__descriptor,
    &kms__v1__system_service__descriptor,   &kms__v1__audit_service__descriptor,
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

/* A call with what it stands on. */
struct prepared {
    kms_arena arena;
    char path[PATH_BYTES];
    struct kms_rpc row;
    struct kms_unary call;
};

static kms_err prepare(struct prepared *p, const char *method, const char *request_json, struct kms_why *why)
{
    const ProtobufCMethodDescriptor *codec = find(method, p->path);
    if (codec == NULL || kms_json_secret(codec->input) || kms_json_secret(codec->output)) {
        kms_why_set(why, "%s: %s", method,
                    codec == NULL ? "no such method" : "carries secrets, which JSON would leave in memory");
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
    kms_err err = prepare(&prepared, method, request_json, &why);
    void *reply = NULL;
    bool ok = !kms_failed(err) && kms_unary_one(client, options, &prepared.call, &reply, error);
    if (kms_failed(err) && error != NULL) kms_error_local(error, err, &why);
    kms_arena_wipe(&prepared.arena);
    if (ok) *ret_reply_json = reply;
    return ok;
}

void kms_json_free(char *json)
{
    free(json);
}
