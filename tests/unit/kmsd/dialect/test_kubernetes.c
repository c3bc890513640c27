/* KMS v2 of Kubernetes: its messages to ours and back. The hex below is from protoc, not from this code. */
#include "kmsd/dialect/kubernetes.h"

#include <stdio.h>

#include "k8s/kms_v2.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "tests/unit/kmsd/dialect/foreign.h"

#define ID  "abcd0000-0000-4000-8000-000000000001"
#define ARN "arn:aws:kms:us-east-1:000000000000:key/" ID
#define UID "5b1f3b0e-0000-4000-8000-000000000001"
/* 32 bytes of ASCII, UID */
#define ENCRYPT                                                                                              \
    "0a203031323334353637383961626364656630313233343536373839616263646566122435623166336230652d303030302d34" \
    "3030302d383030302d303030303030303030303031"
#define ENCRYPTED "0a02435412026b311a130a0e762e6b6d73642e6578616d706c65120131" /* "CT", k1, an annotation */
#define DECRYPT   "0a0243541201751a026b3122130a0e762e6b6d73642e6578616d706c65120131" /* the same, uid "u" */
#define STATUS    "0a02763212026f6b1a026b31"                                         /* v2, ok, k1 */

static const struct kms_door door = {.protocol = KMS_PROTOCOL_KUBERNETES, .key = "alias/etcd"};

/* The numbers of fields are theirs. */
static void published(void)
{
    V2__EncryptResponse *encrypted = unpack(&v2__encrypt_response__descriptor, ENCRYPTED);
    CU_ASSERT(is(encrypted->ciphertext, "CT") && encrypted->n_annotations == 1);
    CU_ASSERT_STRING_EQUAL(encrypted->key_id, "k1");
    CU_ASSERT_STRING_EQUAL(encrypted->annotations[0]->key, "v.kmsd.example");
    CU_ASSERT(is(encrypted->annotations[0]->value, "1"));
    v2__encrypt_response__free_unpacked(encrypted, NULL);
    V2__StatusResponse *status = unpack(&v2__status_response__descriptor, STATUS);
    CU_ASSERT_STRING_EQUAL(status->version, "v2");
    CU_ASSERT_STRING_EQUAL(status->healthz, "ok");
    CU_ASSERT_STRING_EQUAL(status->key_id, "k1");
    v2__status_response__free_unpacked(status, NULL);
}

static void check_status(Kms__V1__KeyState state, const char *healthz)
{
    struct kms_call call = begin();
    char arn[] = ARN;
    Kms__V1__KeyMetadata key;
    Kms__V1__DescribeKeyResponse reply;
    kms__v1__key_metadata__init(&key);
    kms__v1__describe_key_response__init(&reply);
    key.arn = arn;
    key.current_version = 12;
    key.key_state = state;
    reply.key_metadata = &key;
    call.reply = &reply.base;
    const ProtobufCMessage *foreign = NULL;
    KMS_ASSERT_OK_FATAL(kms_kubernetes_status_to(&call, &door, &foreign));
    CU_ASSERT_PTR_EQUAL(foreign->descriptor, &v2__status_response__descriptor);
    const V2__StatusResponse *status = (const void *)foreign;
    CU_ASSERT_STRING_EQUAL(status->version, "v2");
    CU_ASSERT_STRING_EQUAL(status->healthz, healthz);
    CU_ASSERT_STRING_EQUAL(status->key_id, ID "/v12");
    kms_call_end(&call);
}

static void status(void)
{
    struct kms_call call = begin();
    KMS_ASSERT_OK_FATAL(kms_kubernetes_status_from(&call, &door, NULL));
    CU_ASSERT_PTR_EQUAL(call.request->descriptor, &kms__v1__describe_key_request__descriptor);
    CU_ASSERT_STRING_EQUAL(((const Kms__V1__DescribeKeyRequest *)(const void *)call.request)->key_id,
                           "alias/etcd");
    kms_call_end(&call);
    check_status(KMS__V1__KEY_STATE__KEY_STATE_ENABLED, "ok");
    check_status(KMS__V1__KEY_STATE__KEY_STATE_DISABLED, "key alias/etcd of kmsd is KEY_STATE_DISABLED");
    check_status(KMS__V1__KEY_STATE__KEY_STATE_UNAVAILABLE,
                 "key alias/etcd of kmsd is KEY_STATE_UNAVAILABLE");
    check_status((Kms__V1__KeyState)99, "key alias/etcd of kmsd is in a state of no name");
}

static void encrypt(void)
{
    struct kms_call call = begin();
    V2__EncryptRequest *asked = unpack(&v2__encrypt_request__descriptor, ENCRYPT);
    KMS_ASSERT_OK_FATAL(kms_kubernetes_encrypt_from(&call, &door, &asked->base));
    const Kms__V1__EncryptRequest *request = (const void *)call.request;
    CU_ASSERT_STRING_EQUAL(request->key_id, "alias/etcd");
    CU_ASSERT(is(request->plaintext, "0123456789abcdef0123456789abcdef"));
    CU_ASSERT_EQUAL_FATAL(request->n_encryption_context, 1);
    CU_ASSERT_STRING_EQUAL(request->encryption_context[0]->key, "kmsd:protocol");
    CU_ASSERT_STRING_EQUAL(request->encryption_context[0]->value, "kubernetes-kms-v2");
    CU_ASSERT(protobuf_c_message_check(call.request));
    CU_ASSERT_STRING_EQUAL(call.correlation_id, UID);
    kms_call_end(&call);
    v2__encrypt_request__free_unpacked(asked, NULL);
}

static kms_err encrypt_answer(struct kms_call *call, size_t len, const V2__EncryptResponse **ret_answer)
{
    static uint8_t blob[KMS_KUBERNETES_CIPHERTEXT_BYTES + 1];
    char arn[] = ARN;
    Kms__V1__EncryptResponse reply;
    kms__v1__encrypt_response__init(&reply);
    reply.key_id = arn;
    reply.key_version = 3;
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = blob, .len = len};
    call->reply = &reply.base;
    const ProtobufCMessage *foreign = NULL;
    kms_err err = kms_kubernetes_encrypt_to(call, &door, &foreign);
    *ret_answer = (const void *)foreign;
    return err;
}

static void encrypted(void)
{
    struct kms_call call = begin();
    const V2__EncryptResponse *answer;
    KMS_ASSERT_OK_FATAL(encrypt_answer(&call, KMS_KUBERNETES_CIPHERTEXT_BYTES, &answer));
    CU_ASSERT_EQUAL(answer->ciphertext.len, KMS_KUBERNETES_CIPHERTEXT_BYTES);
    CU_ASSERT_STRING_EQUAL(answer->key_id, ID "/v3");
    CU_ASSERT_EQUAL(answer->n_annotations, 0);
    KMS_ASSERT_CODE(encrypt_answer(&call, KMS_KUBERNETES_CIPHERTEXT_BYTES + 1, &answer), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "1025 bytes, and an API server takes 1024"));
    kms_call_end(&call);
}

static kms_err decrypt_from(struct kms_call *call, const char *key_id, const char *uid)
{
    uint8_t blob[] = "CT";
    char *text[] = {kms_arena_print(&call->arena, "%s", key_id), kms_arena_print(&call->arena, "%s", uid)};
    V2__DecryptRequest asked;
    v2__decrypt_request__init(&asked);
    asked.ciphertext = (ProtobufCBinaryData){.data = blob, .len = 2};
    asked.key_id = text[0];
    asked.uid = text[1];
    return kms_kubernetes_decrypt_from(call, &door, &asked.base);
}

static void decrypt(void)
{
    static const char *const bad[] = {"", "k1", ID, ID "/3", "/v3", "alias/etcd/v3", "x" ID "/v3"};
    struct kms_call call = begin();
    KMS_ASSERT_OK_FATAL(decrypt_from(&call, ID "/v3", "u"));
    const Kms__V1__DecryptRequest *request = (const void *)call.request;
    CU_ASSERT_STRING_EQUAL(request->key_id, ID); /* of the ciphertext, whatever the door names by now */
    CU_ASSERT_EQUAL(request->ciphertext_blob.len, 2);
    CU_ASSERT_STRING_EQUAL(request->encryption_context[0]->value, "kubernetes-kms-v2");
    CU_ASSERT_STRING_EQUAL(call.extra[0].value, ID "/v3");
    kms_call_end(&call);
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        call = begin();
        KMS_ASSERT_CODE(decrypt_from(&call, bad[i], "u"), INVALID_CIPHERTEXT);
        CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "key_id: not the one that Encrypt answered"));
        kms_call_end(&call);
    }
    call = begin();
    V2__DecryptRequest *asked = unpack(&v2__decrypt_request__descriptor, DECRYPT);
    KMS_ASSERT_CODE(kms_kubernetes_decrypt_from(&call, &door, &asked->base), INVALID_CIPHERTEXT);
    CU_ASSERT_PTR_NOT_NULL(strstr(call.why.text, "annotations: Encrypt answered none"));
    v2__decrypt_request__free_unpacked(asked, NULL);
    kms_call_end(&call);
}

static kms_err decrypt_answer(struct kms_call *call, const char *said, const V2__DecryptResponse **ret_answer)
{
    uint8_t seed[32] = {0};
    char arn[] = ARN;
    Kms__V1__DecryptResponse reply;
    kms__v1__decrypt_response__init(&reply);
    reply.key_id = arn;
    reply.key_version = 3;
    reply.plaintext = (ProtobufCBinaryData){.data = seed, .len = sizeof seed};
    KMS_ASSERT_OK_FATAL(decrypt_from(call, said, "u"));
    call->reply = &reply.base;
    const ProtobufCMessage *foreign = NULL;
    kms_err err = kms_kubernetes_decrypt_to(call, &door, &foreign);
    *ret_answer = (const void *)foreign;
    return err;
}

static void decrypted(void)
{
    static const char *const others[] = {ID "/v2", ID "/v03", ID "/v3 ", ID "/v"};
    const V2__DecryptResponse *answer;
    struct kms_call call = begin();
    KMS_ASSERT_OK_FATAL(decrypt_answer(&call, ID "/v3", &answer));
    CU_ASSERT_EQUAL(answer->plaintext.len, 32);
    kms_call_end(&call);
    for (size_t i = 0; i < KMS_COUNT(others); i++) {
        call = begin();
        KMS_ASSERT_CODE(decrypt_answer(&call, others[i], &answer), INVALID_CIPHERTEXT);
        CU_ASSERT_PTR_NULL(answer);
        kms_call_end(&call);
    }
}

/* A name of the caller's own wins; what is no text does not get to the log. */
static void uids(void)
{
    struct kms_call call = begin();
    char text[KMS_CALL_TEXT_BYTES + 10];
    KMS_ASSERT_CODE(decrypt_from(&call, ID "/v3", ""), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(call.why.text, "uid: there is none");
    KMS_ASSERT_OK(decrypt_from(&call, ID "/v3", "a\nb"));
    CU_ASSERT_STRING_EQUAL(call.correlation_id, "a?b");
    KMS_ASSERT_OK(decrypt_from(&call, ID "/v3", "another"));
    CU_ASSERT_STRING_EQUAL(call.correlation_id, "a?b");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    call.correlation_id[0] = '\0';
    KMS_ASSERT_OK(decrypt_from(&call, ID "/v3", text));
    CU_ASSERT_EQUAL(strlen(call.correlation_id), KMS_CALL_TEXT_BYTES - 1);
    kms_call_end(&call);
}

KMS_TEST_MAIN("dialect/kubernetes", {"published", published}, {"status", status}, {"encrypt", encrypt},
              {"encrypted", encrypted}, {"decrypt", decrypt}, {"decrypted", decrypted}, {"uids", uids})
