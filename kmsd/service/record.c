/* What an audit record says of a call: who, what, on which key, under which context, decided how, and what
 * became of it. */
#include "kmsd/service/record.h"

#include "kmsd/policy/replay.h"
#include "kmsd/service/method.h"

static const char *const class_names[] = {
    [KMS_CLASS_ADMIN] = "admin", [KMS_CLASS_USAGE] = "usage", [KMS_CLASS_READ] = "read"};
static const char *const stage_names[] = {
    [KMS_STAGE_RPC] = "rpc",       [KMS_STAGE_AUTHN] = "authn",  [KMS_STAGE_GATHER] = "gather",
    [KMS_STAGE_DECIDE] = "decide", [KMS_STAGE_PLAN] = "plan",    [KMS_STAGE_HSM] = "hsm",
    [KMS_STAGE_ACT] = "act",       [KMS_STAGE_FINISH] = "finish"};

/* Those of access `at`, or, in the last place, of the call. */
static size_t inputs_of(const struct kms_access_request *request, enum kms_input_scope scope,
                        struct kms_record *space, size_t at)
{
    struct kms_inputs *inputs = &space->inputs[at];
    kms_inputs_of(request, scope, inputs);
    for (size_t i = 0; i < inputs->count; i++)
        space->input_pairs[at][i] = (struct kms_audit_pair){inputs->pairs[i].name, inputs->pairs[i].value};
    space->event.cut = space->event.cut || inputs->cut;
    return inputs->count;
}

/* What stands for all accesses of the call is taken from any of them. */
static void add_access(const struct kms_call *call, const struct kms_access *access, struct kms_record *space)
{
    struct kms_audit_event *event = &space->event;
    size_t at = event->access_count++;
    struct kms_question *question = &space->questions[at];
    struct kms_audit_pair *pairs = space->pairs[at];
    size_t count = access->context_count < KMS_CONTEXT_PAIRS ? access->context_count : KMS_CONTEXT_PAIRS;
    bool decided = call->stage >= KMS_STAGE_DECIDE && !call->by_service;
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct kms_audit_pair){access->context[i].name, access->context[i].value};
    kms_question_of(call, access, question);
    event->access[at] = (struct kms_audit_access){
        .action = kms_action_name(access->action),
        .key_id = question->key_id,
        .key_named = access->named.len > 0 ? access->named : access->alias,
        .key_version = access->version,
        .context = pairs,
        .context_count = count,
        .inputs = space->input_pairs[at],
        .input_count = inputs_of(&question->request, KMS_INPUT_ACCESS, space, at),
        .decision = decided ? kms_effect_word(access->decision.effect) : NULL,
        .statement = access->decision.statement,
        .grant = access->by_grant[0] != '\0' ? access->by_grant : NULL,
    };
    event->inputs = space->input_pairs[KMS_CALL_ACCESSES];
    event->input_count = inputs_of(&question->request, KMS_INPUT_CALL, space, KMS_CALL_ACCESSES);
}

static enum kms_audit_kind kind_of(const struct kms_call *call)
{
    if (call->attempt) return KMS_AUDIT_ATTEMPT;
    /* An outcome closes an attempt: only what got past the decision has made one. */
    bool admin = call->by_service || kms_action_class_of(call->method->action) == KMS_CLASS_ADMIN;
    bool changes = admin && call->stage >= KMS_STAGE_ACT;
    return changes ? KMS_AUDIT_OUTCOME : KMS_AUDIT_CALL;
}

static void add_extra(struct kms_audit_event *event, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0' || event->extra_count == KMS_AUDIT_EXTRAS) return;
    event->extra[event->extra_count++] = (struct kms_audit_pair){kms_bytes_text(name), kms_bytes_text(value)};
}

const struct kms_audit_event *kms_record_of(const struct kms_call *call, struct kms_record *space)
{
    struct kms_audit_event *event = &space->event;
    *event = (struct kms_audit_event){
        .kind = kind_of(call),
        .request_id = call->request_id,
        .principal = call->identity != NULL ? call->identity->principal : NULL,
        .principal_source = call->identity != NULL ? call->identity->source : NULL,
        .peer = call->peer,
        .service = call->method->service->name,
        .operation = call->method->rpc,
        .class = call->by_service ? "service" : class_names[kms_action_class_of(call->method->action)],
        .outcome = call->err,
        .detail = call->why.text[0] != '\0' ? call->why.text : NULL,
        .stage = stage_names[call->stage],
        .started_us = call->started_us,
        .client = kms_bytes_text(call->client),
        .correlation_id = kms_bytes_text(call->correlation_id),
        .has_mark = call->changed_store && !call->attempt,
        .store_revision = call->mark.revision,
    };
    kms_copy(event->store_digest, call->mark.digest, sizeof event->store_digest);
    for (size_t i = 0; i < call->access_count && i < KMS_AUDIT_ACCESSES; i++)
        add_access(call, &call->access[i], space);
    add_extra(event, "noted", call->noted);
    for (size_t i = 0; i < call->extra_count; i++)
        add_extra(event, call->extra[i].name, call->extra[i].value);
    if (call->approval.id[0] != '\0') {
        add_extra(event, "approval_id", call->approval.id);
        add_extra(event, "approval", call->approval.event);
        add_extra(event, "approval_of", call->approval.operation);
        add_extra(event, "approved_by", call->approval.by);
    }
    if (call->may_bypass_lockout && call->bypass_lockout) add_extra(event, "bypass_policy_lockout", "true");
    return event;
}
