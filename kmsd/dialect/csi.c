/*
 * Mount: whose pod it is says who reads, the list of objects what. The driver writes the files, so nothing
 * here touches a target path; which versions it has is not asked, since it wants all files each time.
 */
#include "kmsd/dialect/csi.h"

#include <stdlib.h>
#include <string.h>

#include "base/field.h"
#include "base/text.h"
#include "csi/secrets_store.pb-c.h"
#include "kms/v1/secrets.pb-c.h"

typedef V1alpha1__MountRequest mount_request;
typedef V1alpha1__MountResponse mount_response;

struct plan {
    struct kms_csi_file *files;
    size_t count;
    uint64_t bytes, most_bytes; /* of contents so far; that there may be */
};

kms_err kms_csi_version(struct kms_call *call, const ProtobufCMessage *foreign,
                        const ProtobufCMessage **ret_foreign)
{
    (void)foreign; /* the driver says which it speaks, and there is only one */
    V1alpha1__VersionResponse *answer = kms_call_alloc(call, sizeof *answer);
    if (answer == NULL) return KMS_FAIL(NO_MEMORY);
    v1alpha1__version_response__init(answer);
    answer->version = kms_lend("v1alpha1");
    answer->runtime_name = kms_lend("kmsd");
    answer->runtime_version = kms_lend(KMS_VERSION);
    *ret_foreign = &answer->base;
    return KMS_OK;
}

/* ---- what the driver says of the pod ---- */

/* A member of attributes, in the arena; "" if it is not there. */
static kms_err attribute(struct kms_call *call, const mount_request *asked, const char *name,
                         const char **ret_text)
{
    KMS_OWN(kms_secret) value = NULL; /* there are tokens beside it */
    struct kms_why why = {{0}};
    kms_err err = kms_field(kms_bytes_text(asked->attributes), kms_bytes_text(name), &value, &why);
    *ret_text = "";
    if (kms_is(err, KMS_E_NOT_FOUND)) return KMS_OK;
    size_t len = value != NULL ? kms_secret_len(value) : 0;
    bool text = value == NULL || memchr(kms_secret_data(value), 0, len) == NULL;
    if (kms_is(err, KMS_E_INVALID_ARGUMENT) || !text)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "attributes: no JSON object, or %s is there twice or is no text", name);
    KMS_TRY(err);
    if (value == NULL) return KMS_OK;
    *ret_text = kms_arena_print(&call->arena, "%.*s", (int)len, (const char *)kms_secret_data(value));
    return *ret_text != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err needed(struct kms_call *call, const mount_request *asked, const char *name,
                      const char **ret_text)
{
    KMS_TRY(attribute(call, asked, name, ret_text));
    if ((*ret_text)[0] != '\0') return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "attributes: there is no %s", name);
}

/* A row for the service account goes before one for all of the namespace. */
static const char *principal_of(const struct kms_door *door, const char *namespace, const char *account)
{
    const char *principal = NULL;
    for (size_t i = 0; i < door->pod_count; i++) {
        const struct kms_pod_principal *row = &door->pods[i];
        if (strcmp(row->namespace, namespace) != 0) continue;
        if (strcmp(row->service_account, account) == 0) return row->principal;
        if (row->service_account[0] == '\0') principal = row->principal;
    }
    return principal;
}

/* The pod's id becomes the correlation id of what is read for it, unless the caller sent one of his own. */
static void correlate(struct kms_call *call, const char *uid)
{
    if (call->correlation_id[0] == '\0')
        kms_printable(kms_bytes_text(uid), call->correlation_id, sizeof call->correlation_id);
}

static kms_err take_pod(struct kms_call *call, const struct kms_door *door, const mount_request *asked,
                        const char **ret_principal)
{
    const char *namespace, *account, *pod, *uid;
    KMS_TRY(needed(call, asked, "csi.storage.k8s.io/pod.namespace", &namespace));
    KMS_TRY(needed(call, asked, "csi.storage.k8s.io/serviceAccount.name", &account));
    KMS_TRY(attribute(call, asked, "csi.storage.k8s.io/pod.name", &pod));
    KMS_TRY(attribute(call, asked, "csi.storage.k8s.io/pod.uid", &uid));
    correlate(call, uid);
    kms_call_say(call, "pod_namespace", namespace);
    kms_call_say(call, "service_account", account);
    kms_call_say(call, "pod", pod);
    /* A copy: from here on the call is the pod's. */
    kms_call_say(call, "peer_principal", kms_arena_print(&call->arena, "%s", call->identity->principal));
    *ret_principal = principal_of(door, namespace, account);
    if (*ret_principal != NULL) return KMS_OK;
    return kms_call_fail(
        call, KMS_FAIL(UNAUTHENTICATED),
        "service account %.253s of namespace %.63s is mapped to no principal (listen.unix, pods)", account,
        namespace);
}

static kms_err read_mode(struct kms_call *call, const char *permission, uint32_t *ret_mode)
{
    char *end;
    *ret_mode = KMS_CSI_MODE;
    if (permission[0] == '\0') return KMS_OK;
    unsigned long mode = strtoul(permission, &end, 10);
    if (permission[0] < '0' || permission[0] > '9' || *end != '\0' || mode > 0777)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "permission: a number of 0 to 511");
    *ret_mode = (uint32_t)mode;
    return KMS_OK;
}

static kms_err split(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage *foreign,
                     struct kms_parts *ret_parts)
{
    const mount_request *asked = (const void *)foreign;
    const char *objects;
    uint32_t mode;
    struct plan *plan = kms_call_alloc(call, sizeof *plan);
    if (plan == NULL) return KMS_FAIL(NO_MEMORY);
    plan->most_bytes = door->mount_bytes;
    KMS_TRY(take_pod(call, door, asked, &ret_parts->principal));
    KMS_TRY(read_mode(call, asked->permission, &mode));
    KMS_TRY(needed(call, asked, "objects", &objects));
    KMS_TRY(kms_csi_objects(call, objects, mode, door->mount_objects, &plan->files, &plan->count));
    ret_parts->count = plan->count;
    ret_parts->plan = plan;
    return KMS_OK;
}

/* ---- one object ---- */

static struct kms_csi_file *file_of(const struct kms_parts *parts, size_t at)
{
    return &((struct plan *)parts->plan)->files[at];
}

static kms_err from(struct kms_call *part, const struct kms_parts *parts, size_t at)
{
    const struct kms_csi_file *file = file_of(parts, at);
    Kms__V1__GetSecretValueRequest *request = kms_call_alloc(part, sizeof *request);
    if (request == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__get_secret_value_request__init(request);
    request->secret_id = kms_lend(file->name);
    request->version_id = kms_lend(file->version);
    request->version_stage = kms_lend(file->stage);
    kms_call_say(part, "field", file->field);
    part->request = &request->base;
    return KMS_OK;
}

static kms_err take_field(struct kms_call *part, struct kms_csi_file *file)
{
    KMS_OWN(kms_secret) value = NULL;
    struct kms_why why = {{0}};
    kms_err err = kms_field(file->contents, kms_bytes_text(file->field), &value, &why);
    if (kms_is(err, KMS_E_NOT_FOUND) || kms_is(err, KMS_E_INVALID_ARGUMENT))
        return kms_call_fail(part, err, "field %.128s: %s", file->field, why.text);
    KMS_TRY(err);
    file->contents = (struct kms_bytes){0};
    if (value == NULL) return KMS_OK;
    file->contents =
        kms_arena_copy(&part->arena, kms_bytes_of(kms_secret_data(value), kms_secret_len(value)));
    return file->contents.ptr != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err to(struct kms_call *part, const struct kms_parts *parts, size_t at)
{
    const Kms__V1__GetSecretValueResponse *reply = (const void *)part->reply;
    const Kms__V1__SecretValue *value = reply->value;
    struct kms_csi_file *file = file_of(parts, at);
    struct plan *plan = parts->plan;
    file->contents = value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING
                         ? kms_bytes_text(value->secret_string)
                         : kms_bytes_of(value->secret_binary.data, value->secret_binary.len);
    file->found_version = reply->version_id;
    if (file->field[0] != '\0') KMS_TRY(take_field(part, file));
    plan->bytes += file->contents.len;
    if (plan->bytes <= plan->most_bytes) return KMS_OK;
    return kms_call_fail(part, KMS_FAIL(LIMIT_EXCEEDED),
                         "the files of the volume have more than %llu bytes (limits.mount_bytes)",
                         (unsigned long long)plan->most_bytes);
}

/* ---- all of them ---- */

/* As kms-env writes a reference: what the version is one of. */
static char *id_of(struct kms_call *call, const struct kms_csi_file *file)
{
    const char *field = file->field, *version = file->version, *stage = file->stage;
    return kms_arena_print(&call->arena, "%s%s%s%s%s%s%s", file->name, field[0] != '\0' ? "#" : "", field,
                           version[0] != '\0' ? "?version=" : "", version,
                           stage[0] == '\0'     ? ""
                           : version[0] != '\0' ? "&stage="
                                                : "?stage=",
                           stage);
}

static kms_err put(struct kms_call *call, const struct kms_csi_file *file, mount_response *answer)
{
    V1alpha1__File *made = kms_call_alloc(call, sizeof *made);
    V1alpha1__ObjectVersion *version = kms_call_alloc(call, sizeof *version);
    if (made == NULL || version == NULL) return KMS_FAIL(NO_MEMORY);
    v1alpha1__file__init(made);
    v1alpha1__object_version__init(version);
    made->path = kms_lend(file->path);
    made->mode = (int32_t)file->mode;
    made->contents =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)file->contents.ptr, .len = file->contents.len};
    version->id = id_of(call, file);
    version->version = kms_lend(file->found_version);
    answer->files[answer->n_files++] = made;
    answer->object_version[answer->n_object_version++] = version;
    return version->id != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err join(struct kms_call *call, const struct kms_parts *parts,
                    const ProtobufCMessage **ret_foreign)
{
    mount_response *answer = kms_call_alloc(call, sizeof *answer);
    if (answer == NULL) return KMS_FAIL(NO_MEMORY);
    v1alpha1__mount_response__init(answer);
    answer->files = kms_call_alloc(call, parts->count * sizeof *answer->files);
    answer->object_version = kms_call_alloc(call, parts->count * sizeof *answer->object_version);
    if (answer->files == NULL || answer->object_version == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < parts->count; i++) KMS_TRY(put(call, file_of(parts, i), answer));
    *ret_foreign = &answer->base;
    return KMS_OK;
}

static const char *name(struct kms_call *call, const struct kms_parts *parts, size_t at)
{
    const struct kms_csi_file *file = file_of(parts, at);
    return kms_arena_print(&call->arena, "objects[%zu] (%.128s)", file->object, file->name);
}

const struct kms_dialect_split kms_csi_mount = {
    .split = split, .from = from, .to = to, .join = join, .name = name};
