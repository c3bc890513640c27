/* Batches at the stations: items alone, questions once, results in order, the whole bounded. */
#include "kmsd/service/batch.h"

#include <stdio.h>

#include "base/ciphertext.h"
#include "kms/v1/batch.pb-c.h"
#include "kmsd/service/record.h"
#include "tests/unit/kmsd/service/world.h"

#define KEY1 "abcd0000-0000-4000-8000-000000000001"
#define KEY2 "abcd0000-0000-4000-8000-000000000002"
#define NONE "abcd0000-0000-4000-8000-0000000000ff"

enum { ITEMS = KMS_BATCH_ITEMS + 1 };

/* A request of many items, changed before it is begun. */
static struct {
    struct world world;
    struct kms_call call;
    Kms__V1__EncryptBatchRequest request;
    Kms__V1__EncryptRequest items[ITEMS], *pointers[ITEMS];
    Kms__V1__EncryptRequest__EncryptionContextEntry entries[ITEMS], *context[ITEMS];
    char names[ITEMS][16];
    uint8_t plaintext[KMS_PLAINTEXT_BYTES];
} rig;

static const struct kms_method *encrypt_batch(void)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, "EncryptBatch") == 0) return &kms_methods[i];
    CU_FAIL_FATAL("no such row");
    return NULL;
}

/* Items for key 1, each with the context row=<index % contexts>. */
static void request(size_t count, unsigned contexts)
{
    kms__v1__encrypt_batch_request__init(&rig.request);
    rig.request.n_items = count;
    rig.request.items = rig.pointers;
    for (size_t i = 0; i < count; i++) {
        snprintf(rig.names[i], sizeof rig.names[i], "%zu", i % contexts);
        kms__v1__encrypt_request__encryption_context_entry__init(&rig.entries[i]);
        rig.entries[i].key = (char *)(uintptr_t) "row";
        rig.entries[i].value = rig.names[i];
        rig.context[i] = &rig.entries[i];
        kms__v1__encrypt_request__init(&rig.items[i]);
        rig.items[i].key_id = (char *)(uintptr_t)KEY1;
        rig.items[i].plaintext = (ProtobufCBinaryData){.data = rig.plaintext, .len = 5};
        rig.items[i].n_encryption_context = 1;
        rig.items[i].encryption_context = &rig.context[i];
        rig.pointers[i] = &rig.items[i];
    }
}

static void call_of(const char *principal)
{
    world_call_of(&rig.world, &rig.call, encrypt_batch(), principal);
    kms_arena_wipe(&rig.call.arena);
    kms_arena_init(&rig.call.arena, 8 << 20);
    rig.call.request = &rig.request.base;
}

static void begin(size_t count, unsigned contexts)
{
    world_open(&rig.world, &(struct kms_authn_options){.in_flight_per_principal = 1000});
    world_add_key(&rig.world, 1, KMS_LEVEL_SOFTWARE, "Encrypt");
    request(count, contexts);
    call_of("app");
}

static void end(void)
{
    kms_call_end(&rig.call);
    world_close(&rig.world);
}

/* What the HSM would answer: item i has byte i everywhere. */
static void answer(kms_err (*outcome)(size_t index))
{
    struct kms_batch *batch = rig.call.batch;
    for (struct kms_call *item; (item = kms_batch_next(&rig.call)) != NULL;) {
        size_t index = (size_t)(item - batch->items);
        memset(item->job.output, (int)index, item->job.output_cap);
        item->job.err = outcome(index);
        item->job.output_len = kms_failed(item->job.err) ? 0 : item->job.output_cap;
        kms_dispatch_finish(item);
    }
    kms_dispatch_finish(&rig.call);
}

static kms_err all_well(size_t index)
{
    (void)index;
    return KMS_OK;
}

static kms_err every_third_fails(size_t index)
{
    return index % 3 == 0 ? KMS_FAIL(HSM_UNAVAILABLE) : KMS_OK;
}

static const Kms__V1__EncryptBatchResult *result(size_t index)
{
    const Kms__V1__EncryptBatchResponse *reply = (const void *)rig.call.reply;
    CU_ASSERT_PTR_NOT_NULL_FATAL(reply);
    CU_ASSERT_FATAL(index < reply->n_results);
    return reply->results[index];
}

static const char *reason(size_t index)
{
    const Kms__V1__EncryptBatchResult *r = result(index);
    return r->result_case == KMS__V1__ENCRYPT_BATCH_RESULT__RESULT_ERROR ? r->error->reason : "OK";
}

static void results_in_their_order(void)
{
    begin(KMS_BATCH_ITEMS, KMS_BATCH_ITEMS);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_HSM);
    CU_ASSERT_EQUAL(rig.call.admitted, KMS_BATCH_ITEMS);
    CU_ASSERT_EQUAL(rig.call.batch->asked_count, KMS_BATCH_ITEMS);
    answer(every_third_fails);
    KMS_ASSERT_OK(rig.call.err);
    for (size_t i = 0; i < KMS_BATCH_ITEMS; i++) {
        CU_ASSERT_STRING_EQUAL(reason(i), i % 3 == 0 ? "HSM_UNAVAILABLE" : "OK");
        if (i % 3 == 0) continue;
        const Kms__V1__EncryptResponse *one = result(i)->success;
        CU_ASSERT_EQUAL(one->ciphertext_blob.data[one->ciphertext_blob.len - 1], (uint8_t)i);
        CU_ASSERT(one->key_version == 1 && strstr(one->key_id, KEY1) != NULL);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.call.why.text, "86 of 256 items failed, first items[0]"));
    end();
}

static void a_bad_item_fails_alone(void)
{
    static const char *const want[] = {"OK",
                                       "CHECKSUM_MISMATCH",
                                       "ACCESS_DENIED",
                                       "INVALID_ARGUMENT",
                                       "ACCESS_DENIED",
                                       "INVALID_ARGUMENT",
                                       "KEY_DISABLED",
                                       "OK"};
    begin(KMS_COUNT(want), 1);
    KMS_OWN_KEY off = world_key(&rig.world, 3, KMS_LEVEL_SOFTWARE, "Encrypt");
    KMS_OWN_KEY disabled = world_change(&rig.world, off, false, 0);
    world_add_key(&rig.world, 2, KMS_LEVEL_SOFTWARE, "Decrypt");
    rig.items[1].optional_plaintext_crc32c_case =
        KMS__V1__ENCRYPT_REQUEST__OPTIONAL_PLAINTEXT_CRC32C_PLAINTEXT_CRC32C;
    rig.items[1].plaintext_crc32c = 1;
    rig.items[2].key_id = (char *)(uintptr_t)KEY2; /* may not */
    rig.items[3].plaintext.len = 0;
    rig.items[4].key_id = (char *)(uintptr_t)NONE; /* no such key: the same answer */
    rig.items[5].key_id = (char *)(uintptr_t) "not a key";
    rig.items[6].key_id = disabled->id_text;
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_HSM);
    answer(all_well);
    KMS_ASSERT_OK(rig.call.err);
    for (size_t i = 0; i < KMS_COUNT(want); i++) CU_ASSERT_STRING_EQUAL(reason(i), want[i]);
    CU_ASSERT_EQUAL(result(2)->error->code, 7);
    CU_ASSERT_PTR_NOT_NULL(strstr(result(2)->error->message, "app lacks kms:Encrypt on " KEY2));
    CU_ASSERT_PTR_NOT_NULL(strstr(result(4)->error->message, "(or there is no such key)"));
    end();
}

/* The record: each question once, each item's place, outcome and key version. */
static void asked_once_and_recorded(void)
{
    static struct kms_record space;
    begin(6, 2);
    world_add_key(&rig.world, 2, KMS_LEVEL_SOFTWARE, "Decrypt");
    rig.items[4].key_id = (char *)(uintptr_t)KEY2;
    rig.items[5].plaintext.len = 0;
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_HSM);
    answer(all_well);
    const struct kms_audit_event *event = kms_record_of(&rig.call, &space);
    CU_ASSERT_PTR_NOT_NULL_FATAL(event->batch);
    const struct kms_audit_batch *batch = event->batch;
    CU_ASSERT_EQUAL_FATAL(batch->access_count, 3);
    CU_ASSERT_EQUAL_FATAL(batch->item_count, 6);
    static const char *const rows[] = {"0", "1", "0"};
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_STRING_EQUAL(batch->access[i].key_id, i < 2 ? KEY1 : KEY2);
        CU_ASSERT_EQUAL_FATAL(batch->access[i].context_count, 1);
        CU_ASSERT(kms_bytes_equal(batch->access[i].context[0].value, kms_bytes_text(rows[i])));
        CU_ASSERT_STRING_EQUAL(batch->access[i].decision, i < 2 ? "allow" : "no-match");
        CU_ASSERT_EQUAL(batch->access[i].key_version, 0); /* the items say it */
    }
    for (uint16_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(batch->items[i].access_count, 1);
        CU_ASSERT_EQUAL(batch->items[i].access[0], i < 4 ? i % 2 : 2);
        CU_ASSERT_EQUAL(batch->items[i].key_version[0], i < 4 ? 1 : 0);
    }
    CU_ASSERT(kms_is(batch->items[4].outcome, KMS_E_ACCESS_DENIED));
    CU_ASSERT(batch->items[5].access_count == 0 && kms_is(batch->items[5].outcome, KMS_E_INVALID_ARGUMENT));
    CU_ASSERT(event->access_count == 0 && !kms_failed(event->outcome));
    end();
}

/* Beyond the limits nothing is begun, and the reason names the limit. */
static void how_many_and_how_much(void)
{
    static const struct {
        size_t items, bytes, pairs;
        const char *why;
    } cases[] = {
        {0, 1, 1, "items: 1 to 256, not 0 (limits.batch_items)"},
        {257, 1, 1, "items: 1 to 256, not 257"},
        {17, 65536, 1, "items: 1114112 bytes in sum, at most 1048576 (limits.batch_bytes)"},
        {17, 1, 64, "items: 1088 pairs of encryption context in sum, at most 1024"},
        {16, 65536, 1, NULL},
    };
    static Kms__V1__EncryptRequest__EncryptionContextEntry *many[64];
    for (size_t c = 0; c < KMS_COUNT(cases); c++) {
        begin(cases[c].items, 1);
        for (size_t i = 0; i < 64; i++) many[i] = &rig.entries[0];
        for (size_t i = 0; i < cases[c].items; i++) {
            rig.items[i].plaintext.len = cases[c].bytes;
            if (cases[c].pairs > 1) rig.items[i].encryption_context = many;
            rig.items[i].n_encryption_context = cases[c].pairs;
        }
        enum kms_next next = kms_dispatch_begin(&rig.call);
        CU_ASSERT_EQUAL(next, cases[c].why != NULL ? KMS_NEXT_FINISH : KMS_NEXT_HSM);
        if (cases[c].why != NULL) {
            KMS_ASSERT_CODE(rig.call.err, INVALID_ARGUMENT);
            CU_ASSERT_PTR_NOT_NULL(strstr(rig.call.why.text, cases[c].why));
        }
        end();
    }
}

/* Who may nothing gets his answers until they are too many; then none, and no record. */
static void all_refused(void)
{
    begin(2, 1);
    kms_call_end(&rig.call);
    for (int i = 0; i < 2; i++) {
        call_of("stranger");
        kms_identity *keep = kms_identity_ref(rig.call.identity);
        CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_FINISH);
        CU_ASSERT_EQUAL(rig.call.silent, i == 1); /* two refusals a second are recorded: one batch of two */
        CU_ASSERT_EQUAL(rig.call.stage, KMS_STAGE_DECIDE);
        if (i == 0) {
            KMS_ASSERT_OK(rig.call.err);
            CU_ASSERT_STRING_EQUAL(reason(0), "ACCESS_DENIED");
            CU_ASSERT_STRING_EQUAL(reason(1), "ACCESS_DENIED");
            kms_call_end(&rig.call);
        } else {
            KMS_ASSERT_CODE(rig.call.err, LIMIT_EXCEEDED);
        }
        kms_identity_unref(keep);
    }
    end();
}

/* Items that find no budget wait for a block together; each takes one from it. */
static void budget(void)
{
    begin(4, 1);
    KMS_OWN_KEY key = world_key(&rig.world, 2, KMS_LEVEL_HSM, "Encrypt");
    for (size_t i = 1; i < 4; i++) rig.items[i].key_id = (char *)(uintptr_t)KEY2;
    atomic_store(&key->versions[0].budget->left, 1);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_reserve(&rig.call), KMS_NEXT_HSM);
    CU_ASSERT_EQUAL(atomic_load(&key->versions[0].budget->left), (1LL << KMS_BUDGET_BLOCK_LOG2) - 2);
    answer(all_well);
    for (size_t i = 0; i < 4; i++) CU_ASSERT_STRING_EQUAL(reason(i), "OK");
    end();
}

static void a_spent_budget_fails_its_items(void)
{
    uint64_t granted;
    begin(3, 1);
    KMS_OWN_KEY key = world_key(&rig.world, 2, KMS_LEVEL_HSM, "Encrypt");
    rig.items[1].key_id = (char *)(uintptr_t)KEY2;
    KMS_ASSERT_OK_FATAL(kms_keystore_reserve(
        rig.world.core.store, &(struct kms_reservation){&key->id, 1, KMS_KEY_BUDGET, KMS_KEY_BUDGET, NULL},
        &granted, NULL));
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_ADMIN);
    CU_ASSERT_EQUAL(kms_dispatch_reserve(&rig.call), KMS_NEXT_HSM);
    answer(all_well);
    CU_ASSERT_STRING_EQUAL(reason(0), "OK");
    CU_ASSERT_STRING_EQUAL(reason(1), "KEY_BUDGET_EXHAUSTED");
    CU_ASSERT_STRING_EQUAL(reason(2), "OK");
    end();
}

/* Wherever memory ends, the batch fails as one, with the limit's name, and gives all back. */
static void memory_ends(void)
{
    bool done = false;
    for (size_t limit = 8 << 10; !done && limit < 4 << 20; limit += 8 << 10) {
        struct kms_arena_room room = {.limit = limit};
        begin(40, 40);
        rig.call.arena.room = &room;
        enum kms_next next = kms_dispatch_begin(&rig.call);
        if (next == KMS_NEXT_HSM) answer(all_well);
        done = !kms_failed(rig.call.err);
        if (!done) {
            KMS_ASSERT_CODE(rig.call.err, LIMIT_EXCEEDED);
            CU_ASSERT_PTR_NOT_NULL(strstr(rig.call.why.text, "limits.batch_memory"));
        }
        end();
        CU_ASSERT_EQUAL(atomic_load(&room.used), 0);
    }
    CU_ASSERT(done);
}

static void the_deadline(void)
{
    begin(3, 1);
    CU_ASSERT_EQUAL(kms_dispatch_begin(&rig.call), KMS_NEXT_HSM);
    struct kms_call *first = kms_batch_next(&rig.call);
    kms_batch_give_up(&rig.call); /* what the HSM does not have yet */
    CU_ASSERT_PTR_NULL(kms_batch_next(&rig.call));
    first->job.output_len = first->job.output_cap;
    kms_dispatch_finish(first);
    kms_dispatch_finish(&rig.call);
    CU_ASSERT_STRING_EQUAL(reason(0), "OK");
    CU_ASSERT_STRING_EQUAL(reason(1), "DEADLINE_EXCEEDED");
    CU_ASSERT_STRING_EQUAL(reason(2), "DEADLINE_EXCEEDED");
    end();
}

KMS_TEST_MAIN("service/batch", {"results in their order", results_in_their_order},
              {"a bad item fails alone", a_bad_item_fails_alone},
              {"asked once and recorded", asked_once_and_recorded},
              {"how many and how much", how_many_and_how_much}, {"all refused", all_refused},
              {"budget", budget}, {"a spent budget fails its items", a_spent_budget_fails_its_items},
              {"memory ends", memory_ends}, {"the deadline", the_deadline})
