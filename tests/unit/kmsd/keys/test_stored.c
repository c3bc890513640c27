#include "kmsd/keys/stored.h"

#include <stdlib.h>
#include <string.h>

#include "keystore/keystore.h"
#include "keystore/record.pb-c.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static Kms__Store__V1__StoredKey described(char *description)
{
    Kms__Store__V1__StoredKey key;
    kms__store__v1__stored_key__init(&key);
    key.description = description;
    key.current_version = 7;
    return key;
}

static void a_copy(void)
{
    char description[] = "orders";
    Kms__Store__V1__StoredKey key = described(description);
    Kms__Store__V1__StoredKey *copy = kms_stored_copy(&key.base);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    description[0] = 'x'; /* it is not that of the other */
    CU_ASSERT_STRING_EQUAL(copy->description, "orders");
    CU_ASSERT_EQUAL(copy->current_version, 7);
    kms__store__v1__stored_key__free_unpacked(copy, NULL);
}

static void the_room_of_a_row(void)
{
    char *description = malloc(KMS_ROW_BODY_BYTES + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(description);
    memset(description, 'd', KMS_ROW_BODY_BYTES);
    description[KMS_ROW_BODY_BYTES] = '\0';
    Kms__Store__V1__StoredKey key = described(description);
    KMS_OWN_BUF body = {0};
    KMS_ASSERT_CODE(kms_stored_pack(&key.base, &body), LIMIT_EXCEEDED);
    CU_ASSERT_EQUAL(body.len, 0);
    size_t over = kms__store__v1__stored_key__get_packed_size(&key) - KMS_ROW_BODY_BYTES;
    description[KMS_ROW_BODY_BYTES - over] = '\0';
    KMS_ASSERT_OK(kms_stored_pack(&key.base, &body));
    CU_ASSERT_EQUAL(body.len, KMS_ROW_BODY_BYTES);
    free(description);
}

/* What does not fit into the room comes from the heap; the sanitizer finds what is not given back. */
static void a_room(void)
{
    for (size_t len = 0; len < 3 * 4096; len = len * 2 + 1) {
        char *description = calloc(1, len + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(description);
        memset(description, 'd', len);
        Kms__Store__V1__StoredKey key = described(description);
        KMS_OWN_BUF body = {0};
        struct kms_stored_room room;
        KMS_ASSERT_OK_FATAL(kms_stored_pack(&key.base, &body));
        kms_stored_room_open(&room);
        for (int i = 0; i < 3; i++) {
            Kms__Store__V1__StoredKey *read =
                kms__store__v1__stored_key__unpack(&room.allocator, body.len, body.data);
            CU_ASSERT_PTR_NOT_NULL_FATAL(read);
            CU_ASSERT_STRING_EQUAL(read->description, description);
            CU_ASSERT_EQUAL(read->current_version, 7);
            kms__store__v1__stored_key__free_unpacked(read, &room.allocator);
        }
        free(description);
    }
}

/* Nothing at all, of a room that is used up: an address of its own, which is given back. */
static void nothing_of_a_full_room(void)
{
    struct kms_stored_room room;
    kms_stored_room_open(&room);
    ProtobufCAllocator *from = &room.allocator;
    void *all = from->alloc(from->allocator_data, sizeof room.bytes);
    CU_ASSERT_PTR_EQUAL(all, room.bytes);
    void *none = from->alloc(from->allocator_data, 0);
    CU_ASSERT(none != NULL && (uintptr_t)none != (uintptr_t)room.bytes + sizeof room.bytes);
    from->free(from->allocator_data, none);
    from->free(from->allocator_data, all);
}

static void out_of_memory(void)
{
    char description[] = "orders";
    Kms__Store__V1__StoredKey key = described(description);
    FAULTS_EACH_OF (FAULT_MEMORY) {
        KMS_OWN_BUF body = {0};
        Kms__Store__V1__StoredKey *copy = kms_stored_copy(&key.base);
        kms_err err = kms_stored_pack(&key.base, &body);
        CU_ASSERT_EQUAL(copy == NULL || kms_failed(err), faults_hit());
        if (copy != NULL) kms__store__v1__stored_key__free_unpacked(copy, NULL);
    }
}

KMS_TEST_MAIN("keys/stored", {"a copy", a_copy}, {"the room of a row", the_room_of_a_row}, {"a room", a_room},
              {"nothing of a full room", nothing_of_a_full_room}, {"out of memory", out_of_memory})
