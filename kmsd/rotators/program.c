/* The type program: a question in JSON on its standard input, an answer in JSON on its standard output. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/rotators/internal.h"
#include "kmsd/rotators/runner.h"
#include "kmsd/rotators/said.h"
#include "kmsd/rotators/value.h"

enum { VALUE_BYTES_MAX = 65536 /* of a secret */, MEMBERS = 7 };

/* One member of the question. */
struct member {
    const char *name;
    struct kms_bytes value;
    bool binary;
};

static size_t size_of(const struct member *m)
{
    size_t value = m->binary ? kms_base64_len(m->value.len) + 3 : kms_value_size(m->value);
    return kms_value_size(kms_bytes_text(m->name)) + sizeof "Binary" + value + 2;
}

static uint8_t *put_member(uint8_t *to, const struct member *m)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", m->name, m->binary ? "Binary" : "");
    to = kms_value_put(to, kms_bytes_text(name));
    *to++ = ':';
    if (!m->binary) return kms_value_put(to, m->value);
    *to++ = '"';
    kms_base64(m->value, (char *)to);
    to += kms_base64_len(m->value.len);
    *to++ = '"';
    return to;
}

static struct member member_of(const char *name, const struct kms_rotation_value *value)
{
    return (struct member){name, value->bytes, value->binary || !kms_utf8_valid(value->bytes)};
}

/* The question in locked memory; room for it is the caller's. *ret_size 0 in room NULL: only its size. */
static struct kms_bytes put_question(const struct kms_rotator_call *call, uint8_t *room, size_t *ret_size)
{
    const struct kms_rotation *r = call->rotation;
    const struct member members[MEMBERS] = {
        {"Step", kms_bytes_text(kms_rotation_step_name(call->step)), false},
        {"SecretId", kms_bytes_text(r->arn), false},
        {"SecretName", kms_bytes_text(r->secret_name), false},
        {"ClientRequestToken", kms_bytes_text(r->token), false},
        member_of("Current", &r->current),
        member_of("Pending", &r->pending),
        member_of("Previous", &r->previous),
    };
    uint8_t *to = room;
    *ret_size = 3;
    for (size_t i = 0; i < MEMBERS; i++) *ret_size += size_of(&members[i]);
    if (room == NULL) return (struct kms_bytes){0};
    for (size_t i = 0; i < MEMBERS; i++) {
        if (members[i].value.ptr == NULL) continue; /* there is no such version */
        *to++ = i == 0 ? '{' : ',';
        to = put_member(to, &members[i]);
    }
    *to++ = '}';
    *to++ = '\n';
    return kms_bytes_of(room, (size_t)(to - room));
}

static kms_err not_the_answer(const struct kms_rotator_call *call, const char *cause)
{
    kms_why_set(call->why, "%s", cause);
    return KMS_FAIL(ROTATOR_ANSWER);
}

static kms_err take_binary(const struct kms_rotator_call *call, kms_secret *text)
{
    struct kms_bytes base64 = kms_bytes_of(kms_secret_data(text), kms_secret_len(text) - 1);
    KMS_OWN(kms_secret) room = NULL;
    size_t len;
    KMS_TRY(kms_secret_new(base64.len + 1, &room));
    if (!kms_unbase64(base64, kms_secret_data(room), &len) || len == 0)
        return not_the_answer(call, "SecretBinary is not base64");
    KMS_TRY(kms_secret_new(len, &call->rotation->created));
    kms_copy(kms_secret_data(call->rotation->created), kms_secret_data(room), len);
    call->rotation->created_binary = true;
    return KMS_OK;
}

static kms_err take_string(const struct kms_rotator_call *call, kms_secret *text)
{
    size_t len = kms_secret_len(text) - 1;
    if (len == 0) return not_the_answer(call, "SecretString is empty");
    KMS_TRY(kms_secret_new(len, &call->rotation->created));
    kms_copy(kms_secret_data(call->rotation->created), kms_secret_data(text), len);
    call->rotation->created_binary = false;
    return KMS_OK;
}

static kms_err take_created(const struct kms_rotator_call *call, struct kms_bytes answer)
{
    struct kms_bytes string, binary, raw;
    bool is, has_string = kms_value_member(answer, "SecretString", &string),
             has_binary = kms_value_member(answer, "SecretBinary", &binary);
    if (has_string == has_binary)
        return not_the_answer(call, "not exactly one of SecretString and SecretBinary");
    KMS_OWN(kms_secret) text = NULL;
    raw = has_string ? string : binary;
    KMS_TRY(kms_value_text(raw, &text, &is));
    if (!is || raw.ptr[0] != '"') return not_the_answer(call, "the new value is not a string");
    KMS_TRY(has_string ? take_string(call, text) : take_binary(call, text));
    if (kms_secret_len(call->rotation->created) <= VALUE_BYTES_MAX) return KMS_OK;
    kms_secret_drop(&call->rotation->created);
    call->rotation->created = NULL;
    return not_the_answer(call, "the new value is longer than 65536 bytes");
}

/* Nothing at all is an answer where nothing is asked for. */
static kms_err take_answer(const struct kms_rotator_call *call, struct kms_bytes answer)
{
    struct kms_bytes raw;
    if (answer.len == 0 && call->step != KMS_ROTATION_CREATE) return KMS_OK;
    if (!kms_value_is_object(answer))
        return not_the_answer(call, "the program did not print one JSON object");
    if (kms_value_member(answer, "Error", &raw)) {
        kms_why_set(call->why, "the program answered with Error");
        return KMS_FAIL(ROTATOR_FAILED);
    }
    return call->step == KMS_ROTATION_CREATE ? take_created(call, answer) : KMS_OK;
}

/* An Error is worth as much as what stands on standard error; both go to the log. */
static void add_error(struct kms_runner_result *result, struct kms_bytes answer)
{
    struct kms_bytes raw;
    if (!kms_value_is_object(answer) || !kms_value_member(answer, "Error", &raw)) return;
    size_t room = sizeof result->errors - result->errors_len;
    size_t len = raw.len < room ? raw.len : room;
    kms_copy(result->errors + result->errors_len, raw.ptr, len);
    result->errors_len += len;
    result->errors_cut = result->errors_cut || len < raw.len;
}

static kms_err ask(const struct kms_rotator_call *call, struct kms_bytes question)
{
    struct kms_runner_result result;
    kms_err err =
        kms_runner_run(call->runner, call->item, call->conf->timeout_ms, question, &result, call->why);
    if (result.output == NULL) return err;
    struct kms_bytes answer = kms_bytes_of(kms_secret_data(result.output), result.output_len), fresh = {0};
    if (!kms_failed(err)) err = take_answer(call, answer);
    if (call->rotation->created != NULL)
        fresh =
            kms_bytes_of(kms_secret_data(call->rotation->created), kms_secret_len(call->rotation->created));
    add_error(&result, answer);
    kms_err said =
        kms_rotation_say(call->rotation, fresh, result.errors, result.errors_len, result.errors_cut);
    kms_ignore(said); /* the log says less, then */
    kms_wipe(result.errors, sizeof result.errors);
    kms_secret_free(result.output);
    return err;
}

kms_err kms_rotator_program(const struct kms_rotator_call *call)
{
    size_t size;
    if (call->step == KMS_ROTATION_REVERT) return KMS_OK;
    if (call->step == KMS_ROTATION_REVOKE_PREVIOUS) {
        kms_why_set(call->why, "a program has no step that revokes the previous value");
        return KMS_FAIL(UNSUPPORTED);
    }
    (void)put_question(call, NULL, &size);
    uint8_t *room = kms_locked_alloc(size);
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = ask(call, put_question(call, room, &size));
    kms_locked_free(room, size);
    return err;
}
