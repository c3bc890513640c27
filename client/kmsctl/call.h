/* Calls of administration: a JSON object goes in, one comes out (kms_client_call_json), times in RFC 3339. */
#ifndef KMS_CLIENT_KMSCTL_CALL_H
#define KMS_CLIENT_KMSCTL_CALL_H

#include <jansson.h>

#include "base/id.h"
#include "client/kmsctl/ctl.h"

/* Takes the reference of request; NULL: memory ran out. *ret_reply is a new reference. False: ctl->error. */
bool ctl_call(struct ctl *ctl, const char *method, json_t *request, json_t **ret_reply);
/* The same with many messages in answer: NULL: ctl->error. */
kms_json_stream *ctl_stream(struct ctl *ctl, const char *method, json_t *request);
/* The same, and prints the reply; an empty one prints nothing. */
bool ctl_call_print(struct ctl *ctl, const char *method, json_t *request);
/* Members of a request that are there only when they say something: text NULL and flag false add nothing. */
void ctl_put_text(json_t *request, const char *name, const char *text);
void ctl_put_flag(json_t *request, const char *name, bool flag);
/* For client_request_token: makes a call safe to repeat. False: ctl->error. */
bool ctl_new_token(struct ctl *ctl, char token[KMS_ID_TEXT]);
/* "team=web" -> {"tag_key": "team", "tag_value": "web"}; without "=" the value is "". A new reference. */
json_t *ctl_tag_of(const char *text);

#endif
