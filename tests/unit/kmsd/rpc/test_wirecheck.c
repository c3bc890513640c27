/* Hostile encodings of requests, and harmless ones that must pass. */
#include "kmsd/rpc/wirecheck.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "google/rpc/status.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/rpc/decode.h"
#include "tests/harness/suite.h"

/* EncryptRequest: key_id = 1 (string), plaintext = 2 (bytes), encryption_context = 3 (map), plaintext_crc32c
 * = 4. */
static const struct {
    const char *hex;
    enum kms_code code;
    const char *why; /* contained */
} cases[] = {
    {"", KMS_E_OK, ""},
    {"0a03616263", KMS_E_OK, ""}, /* key_id "abc" */
    {"0a00", KMS_E_OK, ""},       /* empty string */
    {"1203ff00fe", KMS_E_OK, ""}, /* bytes may be anything */
    {"0a03610063", KMS_E_INVALID_ARGUMENT, "field key_id: NUL byte"},
    {"0a0100", KMS_E_INVALID_ARGUMENT, "field key_id: NUL byte"},
    {"0a02c328", KMS_E_INVALID_ARGUMENT, "field key_id: not UTF-8"},
    {"0a02c080", KMS_E_INVALID_ARGUMENT, "field key_id: not UTF-8"},   /* overlong NUL */
    {"0a03eda080", KMS_E_INVALID_ARGUMENT, "field key_id: not UTF-8"}, /* surrogate */
    {"0a0461", KMS_E_INVALID_ARGUMENT, "field key_id: ends in the middle"},
    {"0a", KMS_E_INVALID_ARGUMENT, "ends in the middle"},
    {"0affffffffffffffffff01", KMS_E_INVALID_ARGUMENT, "ends in the middle"}, /* length 2^64 - 1 */
    {"0affffffff0f", KMS_E_INVALID_ARGUMENT, "ends in the middle"},
    {"0805", KMS_E_INVALID_ARGUMENT, "field key_id: of another type"},
    {"2203616263", KMS_E_INVALID_ARGUMENT, "field plaintext_crc32c: of another type"},
    {"20ffffffff0f", KMS_E_OK, ""},
    {"20ffffffffffffffffffffff01", KMS_E_INVALID_ARGUMENT, "field plaintext_crc32c: ends in the middle"},
    {"2080", KMS_E_INVALID_ARGUMENT, "ends in the middle"},
    {"00", KMS_E_INVALID_ARGUMENT, "not a field"},   /* field number 0 */
    {"0b0c", KMS_E_INVALID_ARGUMENT, "not a field"}, /* group */
    {"0e", KMS_E_INVALID_ARGUMENT, "not a field"},   /* wire type 6 */
    {"8080808010"
     "00",
     KMS_E_INVALID_ARGUMENT, "not a field"}, /* number 2^29 */
    {"808080808001"
     "00",
     KMS_E_INVALID_ARGUMENT, "not a field"}, /* tag of six bytes */
    {"80", KMS_E_INVALID_ARGUMENT, "not a field"},
    {"ba3e03610063", KMS_E_OK, ""}, /* field 999 unknown: skipped */
    {"ba3e04610063", KMS_E_INVALID_ARGUMENT, "field 999: ends in the middle"},
    {"b93e0102030405060708", KMS_E_OK, ""}, /* unknown, 64 bits */
    {"b93e01020304050607", KMS_E_INVALID_ARGUMENT, "field 999"},
    {"bd3e01020304", KMS_E_OK, ""}, /* unknown, 32 bits */
    {"bd3e010203", KMS_E_INVALID_ARGUMENT, "field 999"},
    {"1a060a0161120162", KMS_E_OK, ""}, /* context {"a": "b"} */
    {"1a00", KMS_E_OK, ""},
    {"1a060a0161120100", KMS_E_INVALID_ARGUMENT, "field encryption_context[0].value: NUL byte"},
    {"1a060a0161120162"
     "0a0178"
     "1a060a0161120162"
     "1a060a0100120162",
     KMS_E_INVALID_ARGUMENT, "field encryption_context[2].key: NUL byte"},
    {"1a060a0161120262", KMS_E_INVALID_ARGUMENT, "field encryption_context[0].value: ends in the middle"},
    {"1a060a0161120362", KMS_E_INVALID_ARGUMENT, "encryption_context[0]"},
    {"1a030a0161"
     "1a060a0161120362"
     "00",
     KMS_E_INVALID_ARGUMENT, "encryption_context[1].value: ends in the middle"},
    {"1a020861", KMS_E_INVALID_ARGUMENT, "field encryption_context[0].key: of another type"},
    {"1801", KMS_E_INVALID_ARGUMENT, "field encryption_context[0]: of another type"},
};

static void test_table(void)
{
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        uint8_t wire[256];
        struct kms_why why = {""};
        size_t len = strlen(cases[i].hex) / 2;
        CU_ASSERT_FATAL(kms_unhex(cases[i].hex, 2 * len, wire, len));
        kms_err err = kms_wirecheck(&kms__v1__encrypt_request__descriptor, KMS_WIRE_FIELDS,
                                    kms_bytes_of(wire, len), &why);
        bool as_expected = err.code == cases[i].code && strstr(why.text, cases[i].why) != NULL;
        if (!as_expected) printf("\n%s: %s \"%s\"", cases[i].hex, kms_err_reason(err), why.text);
        CU_ASSERT(as_expected);
    }
}

/* Every accepted row unpacks, and the string has the length that the wire said. */
static void test_accepted_unpack(void)
{
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        if (cases[i].code != KMS_E_OK) continue;
        uint8_t wire[256];
        size_t len = strlen(cases[i].hex) / 2;
        CU_ASSERT_FATAL(kms_unhex(cases[i].hex, 2 * len, wire, len));
        kms_arena arena;
        kms_arena_init(&arena, 65536);
        const ProtobufCMessage *message = NULL;
        KMS_ASSERT_OK(kms_decode(&kms__v1__encrypt_request__descriptor, KMS_WIRE_FIELDS,
                                 kms_bytes_of(wire, len), &arena, &message, NULL));
        CU_ASSERT_PTR_NOT_NULL(message);
        kms_arena_wipe(&arena);
    }
}

static void test_field_bound(void)
{
    uint8_t wire[2 * (KMS_WIRE_FIELDS + 1)];
    struct kms_why why;
    for (size_t i = 0; i < sizeof wire; i += 2) kms_copy(wire + i, "\x20\x01", 2);
    const ProtobufCMessageDescriptor *type = &kms__v1__encrypt_request__descriptor;
    KMS_ASSERT_OK(kms_wirecheck(type, KMS_WIRE_FIELDS, kms_bytes_of(wire, sizeof wire - 2), &why));
    KMS_ASSERT_CODE(kms_wirecheck(type, KMS_WIRE_FIELDS, kms_bytes_of(wire, sizeof wire), &why),
                    INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "more fields"));
}

/* A descriptor that contains itself, as none in proto/ does. */
static void test_depth_bound(void)
{
    ProtobufCMessageDescriptor type = google__rpc__status__descriptor;
    ProtobufCFieldDescriptor fields[3];
    for (size_t i = 0; i < 3; i++) fields[i] = type.fields[i];
    fields[2].descriptor = &type;
    type.fields = fields;
    uint8_t wire[40];
    size_t from = sizeof wire;
    for (unsigned depth = 1; depth <= KMS_WIRE_DEPTH + 1; depth++) {
        struct kms_why why;
        kms_err err =
            kms_wirecheck(&type, KMS_WIRE_FIELDS, kms_bytes_of(wire + from, sizeof wire - from), &why);
        CU_ASSERT_EQUAL(err.code, depth <= KMS_WIRE_DEPTH ? KMS_E_OK : KMS_E_INVALID_ARGUMENT);
        if (depth > KMS_WIRE_DEPTH) CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "nested too deep"));
        wire[from - 1] = (uint8_t)(sizeof wire - from);
        wire[from - 2] = 0x1a;
        from -= 2;
    }
}

static void test_packed(void)
{
    static const ProtobufCFieldDescriptor fields[] = {
        {.name = "numbers", .id = 1, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_UINT32},
        {.name = "words", .id = 2, .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_FIXED32}};
    static const ProtobufCIntRange ranges[] = {{1, 0}, {0, 2}};
    ProtobufCMessageDescriptor type = {.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                       .short_name = "T",
                                       .n_fields = 2,
                                       .fields = fields,
                                       .n_field_ranges = 1,
                                       .field_ranges = ranges};
    static const struct {
        const char *wire;
        size_t len;
        enum kms_code code;
    } rows[] = {{"\x0a\x03\x01\x80\x01", 5, KMS_E_OK},
                {"\x08\x01\x08\x02", 4, KMS_E_OK},
                {"\x0a\x02\x01\x80", 4, KMS_E_INVALID_ARGUMENT},
                {"\x12\x08\x01\x02\x03\x04\x05\x06\x07\x08", 10, KMS_E_OK},
                {"\x12\x05\x01\x02\x03\x04\x05", 7, KMS_E_INVALID_ARGUMENT}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why;
        CU_ASSERT_EQUAL(
            kms_wirecheck(&type, KMS_WIRE_FIELDS, kms_bytes_of(rows[i].wire, rows[i].len), &why).code,
            rows[i].code);
    }
}

static void test_arena_bound(void)
{
    static const uint8_t wire[20000] = {0x12, 0x9d, 0x9c, 0x01}; /* 19,997 bytes of plaintext */
    kms_arena arena;
    struct kms_why why;
    const ProtobufCMessage *message = NULL;
    kms_arena_init(&arena, 16384);
    KMS_ASSERT_CODE(kms_decode(&kms__v1__encrypt_request__descriptor, KMS_WIRE_FIELDS,
                               kms_bytes_of(wire, 4 + 19996 + 0), &arena, &message, &why),
                    INVALID_ARGUMENT); /* one byte short */
    struct kms_bytes whole = kms_bytes_of(wire, sizeof wire);
    uint8_t fitting[20001] = {0};
    kms_copy(fitting, whole.ptr, whole.len);
    KMS_ASSERT_CODE(kms_decode(&kms__v1__encrypt_request__descriptor, KMS_WIRE_FIELDS,
                               kms_bytes_of(fitting, sizeof fitting), &arena, &message, &why),
                    NO_MEMORY);
    CU_ASSERT_PTR_NULL(message);
    kms_arena_wipe(&arena);
}

KMS_TEST_MAIN("rpc/wirecheck", {"each encoding gets its verdict and its words", test_table},
              {"what is accepted unpacks", test_accepted_unpack},
              {"the number of fields is bounded", test_field_bound},
              {"the depth is bounded", test_depth_bound}, {"packed fields are looked into", test_packed},
              {"memory is bounded", test_arena_bound})
