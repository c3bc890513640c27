/* The provider of the CSI driver: its messages to ours and back. The hex below is from protoc. */
#include "kmsd/dialect/csi.h"

#include <stdio.h>
#include <stdlib.h>

#include "csi/secrets_store.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "tests/unit/kmsd/dialect/foreign.h"

/* version 3 of db/password, in a file password with mode 0400 */
#define MOUNTED "0a100a0b64622f70617373776f72641201331a150a0870617373776f72641080021a06733363723374"

static const struct kms_pod_principal pods[] = {
    {"shop", "", "all of shop"}, {"shop", "web", "web"}, {"shopping", "web", "another"}};
static const struct kms_door door = {.protocol = KMS_PROTOCOL_CSI,
                                     .pods = pods,
                                     .pod_count = KMS_COUNT(pods),
                                     .mount_objects = 3,
                                     .mount_bytes = 10};

#define ATTRIBUTES(namespace, account, objects)                                                              \
    "{\"csi.storage.k8s.io/pod.namespace\":\"" namespace "\",\"csi.storage.k8s.io/"                          \
                                                         "serviceAccount.name\":\"" account                  \
                                                         "\",\"csi.storage.k8s.io/"                          \
                                                         "pod.uid\":\"u\\n1\",\"objects\":\"" objects "\"}"

static kms_err split(struct kms_call *call, const char *attributes, const char *permission,
                     struct kms_parts *ret_parts)
{
    V1alpha1__MountRequest asked;
    v1alpha1__mount_request__init(&asked);
    asked.attributes = (char *)(uintptr_t)attributes;
    asked.permission = (char *)(uintptr_t)permission;
    return kms_csi_mount.split(call, &door, &asked.base, ret_parts);
}

/* The numbers of fields are theirs. */
static void published(void)
{
    V1alpha1__MountResponse *mounted = unpack(&v1alpha1__mount_response__descriptor, MOUNTED);
    CU_ASSERT(mounted->n_files == 1 && mounted->n_object_version == 1 && mounted->error == NULL);
    CU_ASSERT_STRING_EQUAL(mounted->object_version[0]->id, "db/password");
    CU_ASSERT_STRING_EQUAL(mounted->files[0]->path, "password");
    CU_ASSERT_EQUAL(mounted->files[0]->mode, 0400);
    CU_ASSERT(is(mounted->files[0]->contents, "s3cr3t"));
    v1alpha1__mount_response__free_unpacked(mounted, NULL);
}

static void version(void)
{
    struct kms_call call = begin();
    const ProtobufCMessage *foreign = NULL;
    KMS_ASSERT_OK_FATAL(kms_csi_version(&call, NULL, &foreign));
    CU_ASSERT_PTR_EQUAL(foreign->descriptor, &v1alpha1__version_response__descriptor);
    const V1alpha1__VersionResponse *said = (const void *)foreign;
    CU_ASSERT_STRING_EQUAL(said->version, "v1alpha1");
    CU_ASSERT_STRING_EQUAL(said->runtime_name, "kmsd");
    CU_ASSERT_STRING_EQUAL(said->runtime_version, KMS_VERSION);
    kms_call_end(&call);
}

static void check_principal(const char *attributes, const char *want)
{
    struct kms_call call = begin();
    struct kms_parts parts = {.count = 0};
    kms_err err = split(&call, attributes, "", &parts);
    CU_ASSERT_EQUAL(err.code, want != NULL ? KMS_E_OK : KMS_E_UNAUTHENTICATED);
    if (want != NULL) CU_ASSERT_STRING_EQUAL(parts.principal, want);
    CU_ASSERT_EQUAL_FATAL(call.extra_count, 3); /* there is no name of a pod */
    CU_ASSERT_STRING_EQUAL(call.extra[0].name, "pod_namespace");
    CU_ASSERT_STRING_EQUAL(call.extra[1].name, "service_account");
    CU_ASSERT_STRING_EQUAL(call.extra[2].name, "peer_principal");
    CU_ASSERT_STRING_EQUAL(call.extra[2].value, "unix:peer");
    CU_ASSERT_STRING_EQUAL(call.correlation_id, "u?1");
    kms_call_end(&call);
}

static void principals(void)
{
    check_principal(ATTRIBUTES("shop", "web", "- objectName: a"), "web");
    check_principal(ATTRIBUTES("shop", "job", "- objectName: a"), "all of shop");
    check_principal(ATTRIBUTES("shopping", "web", "- objectName: a"), "another");
    check_principal(ATTRIBUTES("shopping", "job", "- objectName: a"), NULL);
    check_principal(ATTRIBUTES("sho", "web", "- objectName: a"), NULL);
}

static void check_refused(const char *attributes, const char *permission, const char *words)
{
    struct kms_call call = begin();
    struct kms_parts parts = {.count = 0};
    KMS_ASSERT_CODE(split(&call, attributes, permission, &parts), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, words));
    if (strstr(call.why.text, words) == NULL) fprintf(stderr, "\n%s\n", call.why.text);
    kms_call_end(&call);
}

static void refused(void)
{
    check_refused("", "", "attributes: no JSON object");
    check_refused("{}", "", "attributes: there is no csi.storage.k8s.io/pod.namespace");
    check_refused(ATTRIBUTES("", "web", "- objectName: a"), "",
                  "there is no csi.storage.k8s.io/pod.namespace");
    check_refused(ATTRIBUTES("shop", "", "- objectName: a"), "",
                  "there is no csi.storage.k8s.io/serviceAccount.name");
    check_refused(ATTRIBUTES("shop", "a\\u0000", "- objectName: a"), "",
                  "serviceAccount.name is there twice or is no text");
    check_refused(ATTRIBUTES("shop", "web", ""), "", "attributes: there is no objects");
    check_refused(ATTRIBUTES("shop", "web", "[]"), "", "objects: 1 to 3, not 0 (limits.mount_objects)");
    check_refused(
        ATTRIBUTES("shop", "web", "[{objectName: a},{objectName: b},{objectName: c},{objectName: d}]"), "",
        "objects: 1 to 3, not 4 (limits.mount_objects)");
    check_refused(ATTRIBUTES("shop", "web", "- objectName: a"), "0644 ", "permission: a number of 0 to 511");
    check_refused(ATTRIBUTES("shop", "web", "- objectName: a"), "512", "permission: a number of 0 to 511");
    check_refused(ATTRIBUTES("shop", "web", "- objectName: a"), " 1", "permission: a number of 0 to 511");
}

static void objects(void)
{
    struct kms_call call = begin();
    struct kms_csi_file *files;
    size_t count;
    KMS_ASSERT_OK_FATAL(kms_csi_objects(
        &call,
        "- objectName: a/b\n  objectType: secretsmanager\n- {objectName: c, field: f g, objectAlias: d, "
        "objectVersion: v, objectVersionLabel: s, filePermission: '0400'}\n",
        0640, 2, &files, &count));
    CU_ASSERT_EQUAL_FATAL(count, 2);
    CU_ASSERT(strcmp(files[0].name, "a/b") == 0 && strcmp(files[0].path, "a_b") == 0 &&
              files[0].mode == 0640);
    CU_ASSERT(files[0].field[0] == '\0' && files[0].version[0] == '\0' && files[0].stage[0] == '\0');
    CU_ASSERT(strcmp(files[1].name, "c") == 0 && strcmp(files[1].path, "d") == 0 && files[1].mode == 0400);
    CU_ASSERT(strcmp(files[1].field, "f g") == 0 && strcmp(files[1].version, "v") == 0 &&
              strcmp(files[1].stage, "s") == 0);
    kms_call_end(&call);
}

static void members(void)
{
    struct kms_call call = begin();
    struct kms_csi_file *files;
    size_t count;
    KMS_ASSERT_OK_FATAL(kms_csi_objects(
        &call,
        "- {objectName: a, objectVersionLabel: s}\n"
        "- {objectName: b, objectVersion: v, filePermission: '0600', jmesPath: "
        "[{path: x_1, objectAlias: X}, {path: '\"y z\"', objectAlias: Y, filePermission: '0400'}]}\n",
        0640, 4, &files, &count));
    static const struct {
        const char *name, *path, *field, *version, *stage;
        uint32_t mode;
        size_t object;
    } want[] = {{"a", "a", "", "", "s", 0640, 0},
                {"b", "b", "", "v", "", 0600, 1},
                {"b", "X", "x_1", "v", "", 0640, 1},
                {"b", "Y", "y z", "v", "", 0400, 1}};
    CU_ASSERT_EQUAL_FATAL(count, KMS_COUNT(want));
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_STRING_EQUAL(files[i].name, want[i].name);
        CU_ASSERT_STRING_EQUAL(files[i].path, want[i].path);
        CU_ASSERT_STRING_EQUAL(files[i].field, want[i].field);
        CU_ASSERT_STRING_EQUAL(files[i].version, want[i].version);
        CU_ASSERT_STRING_EQUAL(files[i].stage, want[i].stage);
        CU_ASSERT(files[i].mode == want[i].mode && files[i].object == want[i].object);
    }
    kms_call_end(&call);
}

/* What GetSecretValue would have answered to a part. */
static kms_err answered(struct kms_call *part, const struct kms_parts *parts, size_t at, const char *text)
{
    Kms__V1__GetSecretValueResponse *reply = kms_call_alloc(part, sizeof *reply);
    Kms__V1__SecretValue *value = kms_call_alloc(part, sizeof *value);
    kms__v1__get_secret_value_response__init(reply);
    kms__v1__secret_value__init(value);
    value->value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
    value->secret_string = (char *)(uintptr_t)text;
    reply->value = value;
    reply->version_id = (char *)(uintptr_t) "3";
    part->reply = &reply->base;
    return kms_csi_mount.to(part, parts, at);
}

static void mounted(void)
{
    struct kms_call call = begin(), part[2] = {begin(), begin()};
    struct kms_parts parts;
    KMS_ASSERT_OK_FATAL(
        split(&call,
              ATTRIBUTES("shop", "web",
                         "[{objectName: a/b, field: k, objectVersion: 3, objectAlias: x},{objectName: c}]"),
              "256", &parts));
    CU_ASSERT_EQUAL_FATAL(parts.count, 2);
    for (size_t i = 0; i < 2; i++) KMS_ASSERT_OK_FATAL(kms_csi_mount.from(&part[i], &parts, i));
    const Kms__V1__GetSecretValueRequest *request = (const void *)part[0].request;
    CU_ASSERT(protobuf_c_message_check(part[0].request));
    CU_ASSERT(strcmp(request->secret_id, "a/b") == 0 && strcmp(request->version_id, "3") == 0);
    CU_ASSERT_STRING_EQUAL(request->version_stage, "");
    CU_ASSERT_STRING_EQUAL(kms_csi_mount.name(&call, &parts, 1), "objects[1] (c)");
    KMS_ASSERT_OK_FATAL(answered(&part[0], &parts, 0, "{\"k\":\"four\"}"));
    KMS_ASSERT_OK_FATAL(answered(&part[1], &parts, 1, "sixsix"));
    const ProtobufCMessage *foreign;
    KMS_ASSERT_OK_FATAL(kms_csi_mount.join(&call, &parts, &foreign));
    CU_ASSERT(protobuf_c_message_check(foreign));
    const V1alpha1__MountResponse *answer = (const void *)foreign;
    CU_ASSERT_FATAL(answer->n_files == 2 && answer->n_object_version == 2);
    CU_ASSERT(is(answer->files[0]->contents, "four"));
    CU_ASSERT(answer->files[0]->mode == 0400 && strcmp(answer->files[1]->path, "c") == 0);
    CU_ASSERT_STRING_EQUAL(answer->object_version[0]->id, "a/b#k?version=3");
    CU_ASSERT_STRING_EQUAL(answer->object_version[1]->id, "c");
    CU_ASSERT_STRING_EQUAL(answer->object_version[1]->version, "3");
    for (size_t i = 0; i < 2; i++) kms_call_end(&part[i]);
    kms_call_end(&call);
}

/* Ten bytes in sum, and no more; what a field leaves out does not count, and an empty one is a file. */
static void contents(void)
{
    struct kms_call call = begin(), part[3] = {begin(), begin(), begin()};
    struct kms_parts parts;
    KMS_ASSERT_OK_FATAL(
        split(&call, ATTRIBUTES("shop", "web", "[{objectName: a, field: k},{objectName: b},{objectName: c}]"),
              "", &parts));
    for (size_t i = 0; i < 3; i++) KMS_ASSERT_OK_FATAL(kms_csi_mount.from(&part[i], &parts, i));
    KMS_ASSERT_CODE(answered(&part[0], &parts, 0, "{\"l\":\"four\"}"), NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(part[0].why.text, "field k: the secret has no such field");
    KMS_ASSERT_OK(answered(&part[0], &parts, 0, "{\"l\":\"four and more\",\"k\":\"\"}"));
    KMS_ASSERT_OK(answered(&part[1], &parts, 1, "0123456789"));
    KMS_ASSERT_CODE(answered(&part[2], &parts, 2, "x"), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(part[2].why.text, "more than 10 bytes (limits.mount_bytes)"));
    for (size_t i = 0; i < 3; i++) kms_call_end(&part[i]);
    kms_call_end(&call);
}

KMS_TEST_MAIN("dialect/csi", {"published", published}, {"version", version}, {"principals", principals},
              {"what is refused", refused}, {"objects", objects}, {"members", members}, {"mounted", mounted},
              {"contents", contents})
