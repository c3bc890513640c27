/* Fuzzes what a driver says of a pod and its objects: refused with words, or the files are safe to make.
 * Then the same bytes are the secret that a member is taken out of. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "csi/secrets_store.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kmsd/dialect/csi.h"

enum { OBJECTS = 8, CONTENTS = 100 };

static const struct kms_pod_principal pods[] = {{"n", "", "all"}, {"n", "s", "one"}};
static const struct kms_door door = {.protocol = KMS_PROTOCOL_CSI,
                                     .pods = pods,
                                     .pod_count = 2,
                                     .mount_objects = OBJECTS,
                                     .mount_bytes = CONTENTS};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_file(const V1alpha1__MountResponse *answer, size_t at)
{
    const V1alpha1__File *file = answer->files[at];
    const char *path = file->path;
    if (path[0] == '\0' || strchr(path, '/') != NULL || strncmp(path, "..", 2) == 0) abort();
    if (strcmp(path, ".") == 0 || strlen(path) > KMS_CSI_NAME_BYTES) abort();
    if (file->mode < 0 || file->mode > 0777) abort();
    for (size_t i = 0; i < at; i++)
        if (strcmp(answer->files[i]->path, path) == 0) abort();
    if (answer->object_version[at]->version[0] == '\0') abort();
}

/* The answer of one object, whose secret is text. */
static bool answer_part(struct kms_call *part, const struct kms_parts *parts, size_t at, const char *text)
{
    Kms__V1__GetSecretValueResponse reply;
    Kms__V1__SecretValue value;
    kms__v1__get_secret_value_response__init(&reply);
    kms__v1__secret_value__init(&value);
    value.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
    value.secret_string = kms_lend(text);
    reply.value = &value;
    reply.version_id = kms_lend("1");
    part->reply = &reply.base;
    if (kms_failed(kms_csi_mount.from(part, parts, at)) || !protobuf_c_message_check(part->request)) abort();
    if (!kms_failed(kms_csi_mount.to(part, parts, at))) return true;
    if (part->why.text[0] == '\0') abort();
    return false;
}

static void answer(struct kms_call *call, const struct kms_parts *parts, const char *text)
{
    struct kms_call part[OBJECTS] = {0};
    const ProtobufCMessage *made;
    bool all = true;
    for (size_t i = 0; i < parts->count; i++) {
        kms_arena_init(&part[i].arena, 1 << 20);
        all &= answer_part(&part[i], parts, i, text);
    }
    if (all) {
        if (kms_failed(kms_csi_mount.join(call, parts, &made)) || !protobuf_c_message_check(made)) abort();
        const V1alpha1__MountResponse *mounted = (const void *)made;
        if (mounted->n_files != parts->count || mounted->n_object_version != parts->count) abort();
        for (size_t i = 0; i < parts->count; i++) check_file(mounted, i);
    }
    for (size_t i = 0; i < parts->count; i++) kms_arena_wipe(&part[i].arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static kms_identity peer = {.refs = 1, .principal = "unix:driver"};
    struct kms_call call = {.err = KMS_OK, .identity = &peer};
    struct kms_parts parts;
    V1alpha1__MountRequest asked;
    if (len > KMS_CSI_OBJECTS_BYTES || !kms_utf8_valid(kms_bytes_of(data, len)) ||
        memchr(data, 0, len) != NULL)
        return 0; /* rpc has refused it */
    kms_arena_init(&call.arena, 4 << 20);
    v1alpha1__mount_request__init(&asked);
    asked.attributes = kms_arena_print(&call.arena, "%.*s", (int)len, (const char *)data);
    if (asked.attributes == NULL) abort();
    if (kms_failed(kms_csi_mount.split(&call, &door, &asked.base, &parts))) {
        if (call.why.text[0] == '\0') abort();
    } else {
        if (parts.count < 1 || parts.count > OBJECTS || parts.principal == NULL) abort();
        answer(&call, &parts, asked.attributes);
    }
    kms_arena_wipe(&call.arena);
    return 0;
}
