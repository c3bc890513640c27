/* From a line of the audit log to requests. Names of members are those of kmsd/audit/fields.def. */
#include "kmsd/policy/replay.h"

#include <jansson.h>
#include <string.h>

#include "kmsd/policy/complain.h"
#include "kmsd/policy/input.h"
#include "kmsd/policy/value.h"

static const char *const effects[] = {
    [KMS_DENY_IMPLICIT] = "no-match", [KMS_DENY_EXPLICIT] = "deny", [KMS_ALLOW] = "allow"};

const char *kms_effect_word(enum kms_effect effect)
{
    return effects[effect];
}

static kms_err corrupt(struct kms_why *why, const char *what, const char *text)
{
    kms_why_set(why, "%s '%s' is not known here", what,
                text != NULL ? kms_show(kms_bytes_text(text)).text : "");
    return KMS_FAIL(CORRUPT);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* {NULL, 0}: not a text. */
static struct kms_bytes bytes_of(const json_t *value)
{
    return kms_bytes_of(json_string_value(value), json_string_length(value));
}

static uint64_t number_of(const json_t *object, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(object, name));
    return number > 0 ? (uint64_t)number : 0;
}

/* The call began latency_us before the record's time, unless the clock was set back between. */
static kms_err read_start(struct kms_replay *replay, const json_t *record, struct kms_why *why)
{
    int64_t time_us;
    replay->started_us = number_of(record, "started_us");
    if (replay->started_us != 0) return KMS_OK;
    if (!kms_value_date(bytes_of(json_object_get(record, "time")), &time_us))
        return corrupt(why, "time", text_of(record, "time"));
    replay->started_us = (uint64_t)time_us - number_of(record, "latency_us");
    return KMS_OK;
}

static kms_err read_inputs(struct kms_replay *replay, struct kms_access_request *request,
                           enum kms_input_scope scope, json_t *object, struct kms_why *why)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(object, "inputs"), name, value)
    {
        const struct kms_pair input = {kms_bytes_text(name), bytes_of(value)};
        kms_err err = kms_input_read(request, scope, input, &replay->pool);
        if (kms_is(err, KMS_E_INVALID_ARGUMENT)) return corrupt(why, "input", name);
        KMS_TRY(err);
    }
    return KMS_OK;
}

static kms_err read_decision(const json_t *access, struct kms_decision *ret_decision, struct kms_why *why)
{
    const char *name = text_of(access, "decision");
    for (enum kms_effect effect = 0; name != NULL && effect <= KMS_ALLOW; effect++) {
        if (strcmp(effects[effect], name) != 0) continue;
        *ret_decision = (struct kms_decision){.effect = effect, .statement = text_of(access, "statement")};
        return KMS_OK;
    }
    return corrupt(why, "decision", name);
}

/* The ARN follows from the id under the default arn.* options; else the record has it as an input. */
static kms_err read_resource(json_t *access, struct kms_replayed *replayed)
{
    replayed->key_id = text_of(access, "key_id");
    replayed->secret = text_of(access, "secret");
    if (replayed->secret == NULL) replayed->secret = text_of(access, "role");
    if (replayed->secret != NULL) replayed->request.resource = kms_bytes_text(replayed->secret);
    if (replayed->key_id == NULL) return KMS_OK;
    json_t *arn = json_sprintf("%s%s", KMS_INPUT_DEFAULT_ARN, replayed->key_id);
    if (arn == NULL || json_object_set_new(access, "resource", arn) != 0) return KMS_FAIL(NO_MEMORY);
    replayed->request.resource = bytes_of(arn); /* the record owns it now */
    return KMS_OK;
}

static kms_err read_context(struct kms_replay *replay, json_t *access, struct kms_access_request *request)
{
    json_t *context = json_object_get(access, "context"), *value;
    const char *name;
    struct kms_pair *pairs = kms_pool_alloc(&replay->pool, (json_object_size(context) + 1) * sizeof *pairs);
    if (pairs == NULL) return KMS_FAIL(NO_MEMORY);
    request->context = pairs;
    json_object_foreach(context, name, value) pairs[request->context_count++] =
        (struct kms_pair){kms_bytes_text(name), bytes_of(value)};
    return KMS_OK;
}

static kms_err read_access(struct kms_replay *replay, json_t *record, json_t *access,
                           struct kms_replayed *replayed, struct kms_why *why)
{
    struct kms_access_request *request = &replayed->request;
    *replayed = (struct kms_replayed){.key_id = NULL};
    *request = (struct kms_access_request){.principal = bytes_of(json_object_get(record, "principal")),
                                           .now_us = replay->started_us};
    const char *action = text_of(access, "action");
    if (action == NULL || !kms_action_find(action, &request->action)) return corrupt(why, "action", action);
    KMS_TRY(read_decision(access, &replayed->recorded, why));
    replayed->service = json_object_get(access, "key_id") == NULL &&
                        json_object_get(access, "key_named") == NULL &&
                        json_object_get(access, "secret") == NULL &&
                        json_object_get(access, "role") == NULL && kms_action_of_service(request->action);
    replayed->beside_policy = replayed->recorded.effect == KMS_ALLOW && replayed->recorded.statement == NULL;
    KMS_TRY(read_resource(access, replayed));
    KMS_TRY(read_context(replay, access, request));
    kms_inputs_usual(request);
    KMS_TRY(read_inputs(replay, request, KMS_INPUT_CALL, record, why));
    return read_inputs(replay, request, KMS_INPUT_ACCESS, access, why);
}

/* Attempts have been decided, and so have calls that got that far: their accesses say how. */
static bool has_decisions(const json_t *record, json_t *accesses)
{
    const char *kind = text_of(record, "kind");
    if (kind == NULL || (strcmp(kind, "call") != 0 && strcmp(kind, "attempt") != 0)) return false;
    return text_of(json_array_get(accesses, 0), "decision") != NULL;
}

kms_err kms_replay_read(struct kms_replay *replay, struct kms_bytes line, struct kms_why *why)
{
    kms_replay_free(replay);
    json_t *record = replay->json = json_loadb((const char *)line.ptr, line.len, 0, NULL);
    if (!json_is_object(record)) return corrupt(why, "record", NULL);
    json_t *accesses = json_object_get(record, "access"), *access;
    if (!has_decisions(record, accesses)) return KMS_OK;
    replay->sequence = number_of(record, "seq");
    replay->operation = text_of(record, "operation");
    replay->outcome = text_of(record, "outcome");
    replay->shortened = json_object_get(record, "shortened") != NULL;
    KMS_TRY(read_start(replay, record, why));
    struct kms_replayed *read = kms_pool_alloc(&replay->pool, json_array_size(accesses) * sizeof *read);
    if (read == NULL) return KMS_FAIL(NO_MEMORY);
    size_t i;
    json_array_foreach(accesses, i, access) KMS_TRY(read_access(replay, record, access, &read[i], why));
    replay->accesses = read;
    replay->count = json_array_size(accesses);
    return KMS_OK;
}

void kms_replay_free(struct kms_replay *replay)
{
    json_decref(replay->json);
    kms_pool_free(&replay->pool);
    *replay = (struct kms_replay){.count = 0};
}
