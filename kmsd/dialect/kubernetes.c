/*
 * KMS v2 of Kubernetes: the door names one key. Its key_id is that key's id and the version that encrypts, so
 * a rotation is a new one and none comes back; Status and Encrypt read it from the same keyring. Nothing is
 * kept between calls.
 */
#include "kmsd/dialect/kubernetes.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "k8s/kms_v2.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/dialect/request.h"

/* "ID/vVERSION"; arn ends in the id. NULL: no memory. */
static char *key_id_of(struct kms_call *call, const char *arn, uint32_t version)
{
    const char *slash = strrchr(arn, '/');
    return kms_arena_print(&call->arena, "%s/v%u", slash != NULL ? slash + 1 : arn, version);
}

/* The API server's name of the call becomes the correlation id, unless the caller sent one of his own. */
static kms_err take_uid(struct kms_call *call, const char *uid)
{
    if (uid[0] == '\0') return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "uid: there is none");
    if (call->correlation_id[0] == '\0')
        kms_printable(kms_bytes_text(uid), call->correlation_id, sizeof call->correlation_id);
    return KMS_OK;
}

kms_err kms_kubernetes_status_from(struct kms_call *call, const struct kms_door *door,
                                   const ProtobufCMessage *foreign)
{
    (void)foreign;
    Kms__V1__DescribeKeyRequest *request = kms_call_alloc(call, sizeof *request);
    if (request == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__describe_key_request__init(request);
    request->key_id = kms_lend(door->key);
    call->request = &request->base;
    return KMS_OK;
}

static const char *state_name(Kms__V1__KeyState state)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&kms__v1__key_state__descriptor, (int)state);
    return value != NULL ? value->name : "in a state of no name";
}

kms_err kms_kubernetes_status_to(struct kms_call *call, const struct kms_door *door,
                                 const ProtobufCMessage **ret_foreign)
{
    const Kms__V1__KeyMetadata *key =
        ((const Kms__V1__DescribeKeyResponse *)(const void *)call->reply)->key_metadata;
    V2__StatusResponse *answer = kms_call_alloc(call, sizeof *answer);
    if (answer == NULL) return KMS_FAIL(NO_MEMORY);
    v2__status_response__init(answer);
    bool ok = key->key_state == KMS__V1__KEY_STATE__KEY_STATE_ENABLED;
    answer->version = kms_lend("v2");
    answer->healthz =
        ok ? kms_lend("ok")
           : kms_arena_print(&call->arena, "key %s of kmsd is %s", door->key, state_name(key->key_state));
    answer->key_id = key_id_of(call, key->arn, key->current_version);
    if (answer->healthz == NULL || answer->key_id == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_foreign = &answer->base;
    return KMS_OK;
}

static const char *context_text(const void *user, size_t i, bool value)
{
    (void)user, (void)i;
    return value ? KMS_KUBERNETES_CONTEXT_VALUE : KMS_KUBERNETES_CONTEXT_NAME;
}

static const struct kms_foreign_context context = {.count = 1, .text = context_text};

kms_err kms_kubernetes_encrypt_from(struct kms_call *call, const struct kms_door *door,
                                    const ProtobufCMessage *foreign)
{
    const V2__EncryptRequest *asked = (const void *)foreign;
    KMS_TRY(take_uid(call, asked->uid));
    return kms_dialect_encrypt(call, door->key, asked->plaintext, &context);
}

kms_err kms_kubernetes_encrypt_to(struct kms_call *call, const struct kms_door *door,
                                  const ProtobufCMessage **ret_foreign)
{
    (void)door;
    const Kms__V1__EncryptResponse *reply = (const void *)call->reply;
    V2__EncryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    if (answer == NULL) return KMS_FAIL(NO_MEMORY);
    v2__encrypt_response__init(answer);
    answer->ciphertext = reply->ciphertext_blob;
    answer->key_id = key_id_of(call, reply->key_id, reply->key_version);
    if (answer->key_id == NULL) return KMS_FAIL(NO_MEMORY);
    if (answer->ciphertext.len > KMS_KUBERNETES_CIPHERTEXT_BYTES)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                             "plaintext: its ciphertext has %zu bytes, and an API server takes %d",
                             answer->ciphertext.len, KMS_KUBERNETES_CIPHERTEXT_BYTES);
    *ret_foreign = &answer->base;
    return KMS_OK;
}

/* The id before "/v"; the version is looked at when the ciphertext has told its own. NULL: not of ours. */
static const char *id_of_key_id(struct kms_call *call, const char *key_id)
{
    struct kms_id id;
    const char *slash = strchr(key_id, '/');
    if (slash == NULL || slash[1] != 'v') return NULL;
    struct kms_bytes text = kms_bytes_of(key_id, (size_t)(slash - key_id));
    if (!kms_id_parse(text, &id)) return NULL;
    return kms_arena_print(&call->arena, "%.*s", (int)text.len, key_id);
}

static kms_err refuse_key_id(struct kms_call *call)
{
    return kms_call_fail(call, KMS_FAIL(INVALID_CIPHERTEXT),
                         "key_id: not the one that Encrypt answered with this ciphertext");
}

kms_err kms_kubernetes_decrypt_from(struct kms_call *call, const struct kms_door *door,
                                    const ProtobufCMessage *foreign)
{
    (void)door; /* it may have named another key when this was sealed: policy says which are this caller's */
    const V2__DecryptRequest *asked = (const void *)foreign;
    KMS_TRY(take_uid(call, asked->uid));
    if (asked->n_annotations > 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_CIPHERTEXT), "annotations: Encrypt answered none");
    const char *id = id_of_key_id(call, asked->key_id);
    if (id == NULL) return refuse_key_id(call);
    char *said = kms_arena_print(&call->arena, "%s", asked->key_id);
    if (said == NULL) return KMS_FAIL(NO_MEMORY);
    kms_call_say(call, "foreign_key", said);
    return kms_dialect_decrypt(call, id, asked->ciphertext, &context);
}

static const char *said_key_id(const struct kms_call *call)
{
    for (size_t i = 0; i < call->extra_count; i++)
        if (strcmp(call->extra[i].name, "foreign_key") == 0) return call->extra[i].value;
    return "";
}

kms_err kms_kubernetes_decrypt_to(struct kms_call *call, const struct kms_door *door,
                                  const ProtobufCMessage **ret_foreign)
{
    (void)door;
    const Kms__V1__DecryptResponse *reply = (const void *)call->reply;
    V2__DecryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    const char *key_id = key_id_of(call, reply->key_id, reply->key_version);
    if (answer == NULL || key_id == NULL) return KMS_FAIL(NO_MEMORY);
    if (strcmp(key_id, said_key_id(call)) != 0) return refuse_key_id(call);
    v2__decrypt_response__init(answer);
    answer->plaintext = reply->plaintext;
    *ret_foreign = &answer->base;
    return KMS_OK;
}
