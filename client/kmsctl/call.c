/* A method of kmsd, called and printed. */
#include "client/kmsctl/call.h"

#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"

/* "deletion_time_us": 1700000000000000 becomes "deletion_time": "2023-11-14T22:13:20Z", null when it is 0;
 * every "..._us" of the protocol is a point in time. */
static void people_read_times(json_t *value)
{
    const char *name;
    json_t *member;
    void *next;
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) people_read_times(json_array_get(value, i));
        return;
    }
    json_object_foreach_safe(value, next, name, member)
    {
        people_read_times(member);
        size_t len = strlen(name);
        if (!json_is_integer(member) || len < 4 || strcmp(name + len - 3, "_us") != 0) continue;
        char *shorter = strndup(name, len - 3);
        json_int_t us = json_integer_value(member);
        if (shorter != NULL)
            json_object_set_new(value, shorter, us != 0 ? ctl_json_time((uint64_t)us) : json_null());
        free(shorter);
        json_object_del(value, name);
    }
}

/* Takes the reference of request. NULL: ctl->error. */
static char *text_of(struct ctl *ctl, json_t *request)
{
    char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (text == NULL) ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    return text;
}

kms_json_stream *ctl_stream(struct ctl *ctl, const char *method, json_t *request)
{
    kms_json_stream *stream = NULL;
    kms_client *client = ctl_client(ctl);
    char *text = client != NULL ? text_of(ctl, request) : NULL;
    if (client == NULL) json_decref(request);
    if (text != NULL && !kms_client_stream_json(client, method, text, &stream, &ctl->error)) stream = NULL;
    free(text);
    return stream;
}

bool ctl_call(struct ctl *ctl, const char *method, json_t *request, json_t **ret_reply)
{
    kms_client *client = ctl_client(ctl);
    char *text = client != NULL && request != NULL ? json_dumps(request, JSON_COMPACT) : NULL, *answer = NULL;
    json_decref(request);
    if (client == NULL) return false;
    if (text == NULL) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    bool ok = kms_client_call_json(client, method, text, NULL, &answer, &ctl->error);
    free(text);
    if (!ok) return false;
    json_t *reply = json_loads(answer, 0, NULL);
    kms_json_free(answer);
    if (reply == NULL) return ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    people_read_times(reply);
    *ret_reply = reply;
    return true;
}

bool ctl_new_token(struct ctl *ctl, char token[KMS_ID_TEXT])
{
    struct kms_id id;
    kms_err err = kms_id_new(&id);
    if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
    kms_id_text(&id, token);
    return true;
}

bool ctl_call_print(struct ctl *ctl, const char *method, json_t *request)
{
    json_t *reply;
    if (!ctl_call(ctl, method, request, &reply)) return false;
    if (json_object_size(reply) > 0) return ctl_print(ctl, reply);
    json_decref(reply);
    return true;
}

void ctl_put_text(json_t *request, const char *name, const char *text)
{
    if (text != NULL) json_object_set_new(request, name, ctl_json_text(text));
}

void ctl_put_flag(json_t *request, const char *name, bool flag)
{
    if (flag) json_object_set_new(request, name, json_true());
}

bool ctl_call_method(struct ctl *ctl)
{
    struct kms_why why = {{0}};
    json_error_t place;
    json_t *request = ctl->arguments[1] != NULL ? json_loads(ctl->arguments[1], 0, &place) : json_object();
    if (request != NULL) return ctl_call_print(ctl, ctl->arguments[0], request);
    kms_why_set(&why, "JSON, line %d, column %d: %s", place.line, place.column, place.text);
    return ctl_fail(ctl, KMS_FAIL(INVALID_ARGUMENT), &why);
}
