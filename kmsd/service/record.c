/* What an audit record says of a call: who, what, on which key, under which context, decided how, and what
 * became of it. */
#include "kmsd/service/record.h"

#include "kmsd/policy/replay.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/core.h"

static const char *const class_names[] = {
    [KMS_CLASS_ADMIN] = "admin", [KMS_CLASS_USAGE] = "usage", [KMS_CLASS_READ] = "read"};
static const char *const stage_names[] = {
    [KMS_STAGE_RPC] = "rpc",       [KMS_STAGE_AUTHN] = "authn",  [KMS_STAGE_GATHER] = "gather",
    [KMS_STAGE_DECIDE] = "decide", [KMS_STAGE_PLAN] = "plan",    [KMS_STAGE_HSM] = "hsm",
    [KMS_STAGE_ACT] = "act",       [KMS_STAGE_FINISH] = "finish"};

/* A text of scratch is copied: the next access will write over it. False: no room. */
static bool keep_text(struct kms_record *space, struct kms_bytes *text)
{
    const char *from = (const char *)text->ptr, *scratch = space->scratch.text;
    if (from < scratch || from >= scratch + sizeof space->scratch.text) return true;
    if (text->len > sizeof space->input_text - space->input_text_len) return false;
    char *to = space->input_text + space->input_text_len;
    kms_copy(to, from, text->len);
    space->input_text_len += text->len;
    text->ptr = (const uint8_t *)to;
    return true;
}

static const struct kms_audit_pair *inputs_of(const struct kms_access_request *request,
                                              enum kms_input_scope scope, struct kms_record *space,
                                              size_t *ret_count)
{
    const struct kms_inputs *inputs = &space->scratch;
    struct kms_audit_pair *first = &space->inputs[space->input_count];
    kms_inputs_of(request, scope, &space->scratch);
    size_t count = 0;
    for (; count < inputs->count && space->input_count < KMS_RECORD_INPUTS; count++) {
        struct kms_audit_pair pair = {inputs->pairs[count].name, inputs->pairs[count].value};
        if (!keep_text(space, &pair.name) || !keep_text(space, &pair.value)) break;
        space->inputs[space->input_count++] = pair;
    }
    space->event.cut = space->event.cut || inputs->cut || count < inputs->count;
    *ret_count = count;
    return first;
}

/* The access with this number. What stands for all accesses of the call is taken from the first. */
static struct kms_audit_access access_of(const struct kms_call *call, const struct kms_access *access,
                                         size_t at, struct kms_record *space)
{
    struct kms_question *question = &space->questions[at];
    struct kms_audit_pair *pairs = &space->pairs[space->pair_count];
    size_t count = access->context_count, room = KMS_AUDIT_BATCH_PAIRS - space->pair_count;
    bool decided = call->stage >= KMS_STAGE_DECIDE && !call->by_service;
    if (count > room) count = room;
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct kms_audit_pair){access->context[i].name, access->context[i].value};
    space->pair_count += count;
    kms_question_of(call, access, question);
    if (at == 0)
        space->event.inputs = inputs_of(&question->request, KMS_INPUT_CALL, space, &space->event.input_count);
    size_t input_count;
    if (access->secret != NULL || access->role != NULL)
        question->request.resource = (struct kms_bytes){0}; /* the record has it as `secret` or `role` */
    const struct kms_audit_pair *inputs =
        inputs_of(&question->request, KMS_INPUT_ACCESS, space, &input_count);
    return (struct kms_audit_access){
        .action = kms_action_name(access->action),
        .key_id = question->key_id != NULL ? question->key_id
                  : access->key != NULL    ? access->key->id_text /* that CreateKey has made */
                                           : NULL,
        .secret = access->secret != NULL ? kms_bytes_text(access->secret->arn) : (struct kms_bytes){0},
        .role = access->role != NULL ? kms_bytes_text(access->role->arn) : (struct kms_bytes){0},
        .key_named = access->named.len > 0 ? access->named : access->alias,
        .key_version = access->version,
        .context = pairs,
        .context_count = count,
        .inputs = inputs,
        .input_count = input_count,
        .decision = decided ? kms_effect_word(access->decision.effect) : NULL,
        .statement = access->decision.statement,
        .grant = access->by_grant[0] != '\0' ? access->by_grant : NULL,
    };
}

static enum kms_audit_kind kind_of(const struct kms_call *call)
{
    if (call->attempt) return KMS_AUDIT_ATTEMPT;
    /* An outcome closes an attempt: only what got past the decision has made one. */
    bool admin = call->by_service || kms_action_class_of(call->method->action) == KMS_CLASS_ADMIN;
    bool attempted =
        (admin || call->method->changes || call->method->stream != NULL) && call->stage >= KMS_STAGE_ACT;
    return attempted ? KMS_AUDIT_OUTCOME : KMS_AUDIT_CALL;
}

static void add_extra(struct kms_audit_event *event, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0' || event->extra_count == KMS_AUDIT_EXTRAS) return;
    event->extra[event->extra_count++] = (struct kms_audit_pair){kms_bytes_text(name), kms_bytes_text(value)};
}

static struct kms_audit_item item_of(const struct kms_call *item)
{
    /* What failed between two accesses has been asked about neither. */
    size_t count = item->stage >= KMS_STAGE_DECIDE ? item->access_count : 0;
    struct kms_audit_item result = {.access_count = (uint16_t)(count < 2 ? count : 2), .outcome = item->err};
    for (size_t i = 0; i < result.access_count; i++) {
        result.access[i] = (uint16_t)item->access[i].asked;
        result.key_version[i] = item->access[i].version;
    }
    return result;
}

static void add_batch(const struct kms_call *call, struct kms_record *space)
{
    const struct kms_batch *batch = call->batch;
    for (size_t i = 0; i < batch->asked_count; i++)
        space->access[i] = access_of(call, &batch->asked[i], i, space);
    for (size_t i = 0; i < batch->count; i++) space->items[i] = item_of(&batch->items[i]);
    space->batch = (struct kms_audit_batch){space->access, batch->asked_count, space->items, batch->count};
    space->event.batch = &space->batch;
}

_Static_assert((int)KMS_BATCH_ITEMS <= (int)KMS_AUDIT_ITEMS &&
                   (int)KMS_BATCH_PAIRS <= (int)KMS_AUDIT_BATCH_PAIRS &&
                   (int)KMS_BATCH_ACCESSES <= (int)KMS_AUDIT_BATCH_ACCESSES,
               "a record lists all of a batch");

const struct kms_audit_event *kms_record_of(const struct kms_call *call, struct kms_record *space)
{
    struct kms_audit_event *event = &space->event;
    space->pair_count = space->input_count = space->input_text_len = 0;
    *event = (struct kms_audit_event){
        .kind = kind_of(call),
        .request_id = call->request_id,
        .principal = call->identity != NULL ? call->identity->principal : NULL,
        .principal_source = call->identity != NULL ? call->identity->source : NULL,
        .peer = call->peer,
        .service = call->method->service->name,
        .operation = call->method->rpc,
        .protocol = call->protocol,
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
        event->access[event->access_count++] = access_of(call, &call->access[i], i, space);
    if (call->batch != NULL) add_batch(call, space);
    if (call->attempt) add_extra(event, "new_key_id", call->new_key_id); /* the outcome names it as its key */
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
