/* Encryption contexts as protobuf maps. */
#include "client/lib/context.h"

#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static const ProtobufCMessageDescriptor *const entry =
    &kms__v1__encrypt_request__encryption_context_entry__descriptor;

static void survives_the_wire(void)
{
    struct kms_context_entry entries[] = {{"app", "web"}, {"stage", ""}};
    struct kms_context context = {.entries = entries, .count = 2};
    FAULTS_EACH () {
        KMS_OWN(kms_context_map) map = NULL;
        bool ok = kms_context_map_new(&context, entry, &map);
        faults_pause();
        CU_ASSERT_EQUAL(ok, !faults_hit());
        if (ok) {
            Kms__V1__EncryptRequest message;
            kms__v1__encrypt_request__init(&message);
            message.n_encryption_context = 2;
            message.encryption_context = kms_context_map_entries(map);
            uint8_t packed[100];
            size_t len = kms__v1__encrypt_request__pack(&message, packed);
            Kms__V1__EncryptRequest *back = kms__v1__encrypt_request__unpack(NULL, len, packed);
            CU_ASSERT_EQUAL_FATAL(back->n_encryption_context, 2);
            CU_ASSERT_STRING_EQUAL(back->encryption_context[0]->key, "app");
            CU_ASSERT_STRING_EQUAL(back->encryption_context[0]->value, "web");
            CU_ASSERT_STRING_EQUAL(back->encryption_context[1]->value, "");
            kms__v1__encrypt_request__free_unpacked(back, NULL);
        }
    }
}

static void refuses_halves(void)
{
    struct kms_context_entry no_name = {NULL, "x"}, no_value = {"x", NULL};
    kms_context_map *map = NULL;
    CU_ASSERT_FALSE(kms_context_map_new(&(struct kms_context){&no_name, 1}, entry, &map));
    CU_ASSERT_FALSE(kms_context_map_new(&(struct kms_context){&no_value, 1}, entry, &map));
    CU_ASSERT_PTR_NULL(map);
}

KMS_TEST_MAIN("client/lib/context", {"pairs survive the wire", survives_the_wire},
              {"a pair has a name and a value", refuses_halves})
