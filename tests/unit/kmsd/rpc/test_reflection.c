/* Descriptor sets read by name, and the answers made of them; published vectors. */
#include "kmsd/rpc/reflection.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/rpc/decode.h"
#include "tests/harness/suite.h"

enum { MOST = 256 * 1024 };

/* --- descriptors --- */

static bool is_file(struct kms_bytes file, const char *name)
{
    size_t len = strlen(name); /* FileDescriptorProto begins with its name, and all of ours are short */
    return file.len > len + 2 && file.ptr[0] == 0x0a && file.ptr[1] == len &&
           memcmp(file.ptr + 2, name, len) == 0;
}

static kms_descriptors *built_in(void)
{
    kms_descriptors *descriptors = NULL;
    KMS_ASSERT_OK_FATAL(kms_descriptors_new(kms_descriptors_built_in(), &descriptors));
    return descriptors;
}

static void test_built_in(void)
{
    static const struct {
        const char *symbol, *file;
        bool message;
    } cases[] = {
        {"kms.v1.CryptoService", "kms/v1/crypto.proto", false},
        {"kms.v1.CryptoService.Encrypt", "kms/v1/crypto.proto", false},
        {"kms.v1.EncryptRequest", "kms/v1/crypto.proto", true},
        {"kms.v1.EncryptRequest.EncryptionContextEntry", "kms/v1/crypto.proto", true},
        {"google.rpc.ErrorInfo", "google/rpc/status.proto", true},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto", false},
        {"grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto", false},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto", false},
        {"KeyService", "sops/keyservice.proto", false},
    };
    kms_descriptors *descriptors = built_in();
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        CU_ASSERT_TRUE(is_file(kms_descriptors_symbol(descriptors, cases[i].symbol), cases[i].file));
        CU_ASSERT_EQUAL(kms_descriptors_is_message(descriptors, cases[i].symbol), cases[i].message);
        CU_ASSERT_TRUE(is_file(kms_descriptors_file(descriptors, cases[i].file), cases[i].file));
    }
    static const char *const nothing[] = {"",
                                          ".",
                                          "kms.v1",
                                          "kms.v1.CryptoService.",
                                          "Encrypt",
                                          "kms.v1.EncryptRequest.key_id",
                                          "kms/v1/crypto.proto"};
    for (size_t i = 0; i < KMS_COUNT(nothing); i++) {
        CU_ASSERT_EQUAL(kms_descriptors_symbol(descriptors, nothing[i]).len, 0);
        CU_ASSERT_FALSE(kms_descriptors_is_message(descriptors, nothing[i]));
    }
    CU_ASSERT_EQUAL(kms_descriptors_file(descriptors, "crypto.proto").len, 0);
    CU_ASSERT_EQUAL(kms_descriptors_file(descriptors, "").len, 0);
    kms_descriptors_free(descriptors);
}

static kms_err read_copy(struct kms_bytes set)
{
    uint8_t *copy = malloc(set.len + 1); /* of its own, so that ASan sees a step beyond its end */
    kms_descriptors *descriptors = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    kms_copy(copy, set.ptr, set.len);
    uint8_t *exact = realloc(copy, set.len > 0 ? set.len : 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    kms_err err = kms_descriptors_new(kms_bytes_of(exact, set.len), &descriptors);
    kms_descriptors_free(descriptors);
    free(exact);
    return err;
}

static void test_cut(void)
{
    struct kms_bytes set = kms_descriptors_built_in();
    size_t most = set.len < 3000 ? set.len : 3000, whole = 0;
    for (size_t len = 0; len < most; len++) {
        kms_err err = read_copy(kms_bytes_of(set.ptr, len));
        whole += !kms_failed(err); /* between two files */
        CU_ASSERT_TRUE(!kms_failed(err) || kms_is(err, KMS_E_CORRUPT));
    }
    CU_ASSERT_TRUE(whole >= 1 && whole < 10);
}

static void test_damaged(void)
{
    static const struct {
        const char *hex;
        enum kms_code code;
    } cases[] = {
        {"", KMS_E_OK},
        {"0a00", KMS_E_OK},                      /* a file without anything */
        {"0a0822060a044e616d65", KMS_E_OK},      /* message Name */
        {"0a0222 00", KMS_E_CORRUPT},            /* a message without a name */
        {"0a0822060a044e006d65", KMS_E_CORRUPT}, /* NUL in it */
        {"0a05", KMS_E_CORRUPT},                 /* longer than there is */
        {"0d00000000", KMS_E_CORRUPT},           /* a fixed32 */
        {"0affffffffffffffffff01", KMS_E_CORRUPT},
        {"ffffffffffffffffffffff", KMS_E_CORRUPT}, /* no varint */
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        uint8_t set[64];
        size_t len = 0;
        for (const char *at = cases[i].hex; at[0] != '\0'; at += at[0] == ' ' ? 1 : 2) {
            char pair[3] = {at[0], at[1], '\0'};
            if (at[0] != ' ') set[len++] = (uint8_t)strtoul(pair, NULL, 16);
        }
        CU_ASSERT_EQUAL(read_copy(kms_bytes_of(set, len)).code, cases[i].code);
    }
}

/* Messages in messages, so many deep: { name "a", nested_type { ... } }. */
static size_t nest(unsigned depth, uint8_t *to)
{
    uint8_t inner[256];
    size_t len = depth > 1 ? nest(depth - 1, inner) : 0;
    memcpy(to,
           "\x0a\x01"
           "a",
           3);
    if (len == 0) return 3;
    to[3] = 0x1a; /* nested_type */
    to[4] = (uint8_t)len;
    memcpy(to + 5, inner, len);
    return 5 + len;
}

static void test_deep(void)
{
    for (unsigned depth = 1; depth < 16; depth++) {
        uint8_t message[256], set[300];
        size_t len = nest(depth, message);
        set[0] = 0x0a;
        set[1] = (uint8_t)(len + 2);
        set[2] = 0x22; /* message_type */
        set[3] = (uint8_t)len;
        memcpy(set + 4, message, len);
        CU_ASSERT_EQUAL(read_copy(kms_bytes_of(set, len + 4)).code, depth < 8 ? KMS_E_OK : KMS_E_CORRUPT);
    }
}

/* --- answers --- */

/* The packed response to a packed request. */
static size_t reflect(const kms_descriptors *descriptors, const char *request, size_t len,
                      uint8_t *ret_response)
{
    static const char *const services[] = {"KeyService", "v2.KeyManagementService", NULL};
    const ProtobufCMessage *message;
    const Grpc__Reflection__V1__ServerReflectionResponse *response;
    kms_arena arena;
    struct kms_why why;
    kms_arena_init(&arena, 65536);
    struct kms_bytes wire = kms_bytes_of((const uint8_t *)request, len);
    KMS_ASSERT_OK_FATAL(kms_decode(&grpc__reflection__v1__server_reflection_request__descriptor, 16, wire,
                                   &arena, &message, &why));
    KMS_ASSERT_OK_FATAL(kms_reflect(descriptors, services,
                                    (const Grpc__Reflection__V1__ServerReflectionRequest *)message, &arena,
                                    &response));
    size_t packed = protobuf_c_message_get_packed_size(&response->base);
    CU_ASSERT_TRUE_FATAL(packed <= MOST);
    protobuf_c_message_pack(&response->base, ret_response);
    kms_arena_wipe(&arena);
    return packed;
}

static void test_vectors(void)
{
    static const char list[] = "\x12\x03\x3a\x01\x2a" /* original_request */
                               "\x32\x29\x0a\x0c\x0a\x0aKeyService\x0a\x19\x0a\x17v2.KeyManagementService",
                      nothing[] = "\x12\x03\x22\x01x\x3a\x12\x08\x05\x12\x0eno such symbol";
    kms_descriptors *descriptors = built_in();
    static uint8_t response[MOST];
    size_t len = reflect(descriptors, "\x3a\x01\x2a", 3, response);
    CU_ASSERT_EQUAL_FATAL(len, sizeof list - 1);
    CU_ASSERT_EQUAL(memcmp(response, list, len), 0);
    len = reflect(descriptors, "\x22\x01x", 3, response);
    CU_ASSERT_EQUAL_FATAL(len, sizeof nothing - 1);
    CU_ASSERT_EQUAL(memcmp(response, nothing, len), 0);
    kms_descriptors_free(descriptors);
}

static void test_no_room(void)
{
    static const char *const services[] = {"one", NULL};
    Grpc__Reflection__V1__ServerReflectionRequest request;
    grpc__reflection__v1__server_reflection_request__init(&request);
    const Grpc__Reflection__V1__ServerReflectionResponse *response;
    kms_descriptors *descriptors = built_in();
    kms_arena arena;
    kms_arena_init(&arena, 1);
    CU_ASSERT_EQUAL(kms_reflect(descriptors, services, &request, &arena, &response).code, KMS_E_NO_MEMORY);
    kms_arena_wipe(&arena);
    kms_descriptors_free(descriptors);
}

KMS_TEST_MAIN("rpc/reflection", {"the built-in set", test_built_in}, {"sets that are cut", test_cut},
              {"damaged sets", test_damaged}, {"deep messages", test_deep}, {"vectors", test_vectors},
              {"no room", test_no_room})
