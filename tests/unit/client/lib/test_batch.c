/* Batches: one call for all, each item with its own result or error, the whole with one. */
#include "base/text.h"
#include "client_fixture.h"
#include "kms/v1/batch.pb-c.h"

/* How the scripted server misbehaves. */
static enum manner { GOOD, SHORT_ANSWER, EMPTY_RESULT, WHOLE_FAILS } manner;
static char last_path[128];

static void answer_item(const Kms__V1__DecryptRequest *item, Kms__V1__DecryptBatchResult *result,
                        Kms__V1__DecryptResponse *success, Kms__V1__BatchError *error)
{
    struct kms_bytes text = kms_bytes_of(item->ciphertext_blob.data, item->ciphertext_blob.len);
    kms__v1__decrypt_batch_result__init(result);
    kms__v1__decrypt_response__init(success);
    kms__v1__batch_error__init(error);
    if (kms_bytes_equal(text, kms_bytes_text("bad"))) {
        error->reason = (char *)(uintptr_t) "INVALID_CIPHERTEXT";
        error->message = (char *)(uintptr_t) "made\nup";
        error->code = 3;
        result->result_case = KMS__V1__DECRYPT_BATCH_RESULT__RESULT_ERROR;
        result->error = error;
        return;
    }
    success->plaintext = item->ciphertext_blob;
    success->plaintext_crc32c = kms_crc32c(0, text);
    success->verified_ciphertext_crc32c = item->ciphertext_crc32c == success->plaintext_crc32c;
    if (kms_bytes_equal(text, kms_bytes_text("changed"))) success->plaintext_crc32c++;
    if (manner == EMPTY_RESULT) return;
    result->result_case = KMS__V1__DECRYPT_BATCH_RESULT__RESULT_SUCCESS;
    result->success = success;
}

static void echo(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    enum { MOST = 8 };
    (void)user;
    snprintf(last_path, sizeof last_path, "%s", path);
    if (manner == WHOLE_FAILS) {
        *ret_answer = (struct fake_answer){.status = 12, .reason = "UNSUPPORTED"};
        return;
    }
    Kms__V1__DecryptBatchRequest *message =
        kms__v1__decrypt_batch_request__unpack(NULL, request.len, request.ptr);
    Kms__V1__DecryptBatchResult results[MOST], *pointers[MOST];
    Kms__V1__DecryptResponse successes[MOST];
    Kms__V1__BatchError errors[MOST];
    Kms__V1__DecryptBatchResponse reply;
    kms__v1__decrypt_batch_response__init(&reply);
    reply.results = pointers;
    for (size_t i = 0; i < message->n_items && i < MOST; i++) {
        answer_item(message->items[i], &results[i], &successes[i], &errors[i]);
        pointers[reply.n_results++] = &results[i];
    }
    if (manner == SHORT_ANSWER) reply.n_results--;
    fake_answer_message(ret_answer, &reply.base);
    kms__v1__decrypt_batch_request__free_unpacked(message, NULL);
}

static const char *const texts[] = {"good", "bad", "changed", "fine"};

static void batch(struct kms_decrypt_item items[4], bool want, struct kms_error *error)
{
    const char *socket = fresh_socket();
    fake_server *server = fake_server_start(&(struct fake_server_options){.socket = socket, .handler = echo});
    kms_client *client = open_client(socket, 10000);
    for (int i = 0; i < 4; i++)
        items[i] = (struct kms_decrypt_item){
            .request.ciphertext = {.data = (const uint8_t *)texts[i], .len = strlen(texts[i])}};
    CU_ASSERT_EQUAL(kms_client_decrypt_batch(client, items, 4, NULL, error), want);
    CU_ASSERT_EQUAL(fake_server_calls(server), 1);
    CU_ASSERT_STRING_EQUAL(last_path, "/kms.v1.BatchService/DecryptBatch");
    kms_client_close(client);
    fake_server_stop(server);
}

static void each_item_for_itself(void)
{
    static const char *const want[] = {"", "INVALID_CIPHERTEXT", "CHECKSUM_MISMATCH", ""};
    struct kms_decrypt_item items[4];
    struct kms_error error;
    manner = GOOD;
    batch(items, false, &error);
    CU_ASSERT_STRING_EQUAL(error.reason, want[1]);
    CU_ASSERT_STRING_EQUAL(items[1].error.message, "made up"); /* a server's words are not trusted */
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(items[i].result != NULL, want[i][0] == '\0');
        CU_ASSERT_STRING_EQUAL(items[i].error.reason, want[i]);
        if (items[i].result == NULL) continue;
        CU_ASSERT_EQUAL(kms_plaintext_len(items[i].result->plaintext), strlen(texts[i]));
        kms_decrypt_result_free(items[i].result);
    }
}

/* What concerns all of them is the error of each. */
static void the_whole_fails(void)
{
    static const struct {
        enum manner manner;
        const char *reason;
    } rows[] = {{SHORT_ANSWER, "INTERNAL"}, {EMPTY_RESULT, "INTERNAL"}, {WHOLE_FAILS, "UNSUPPORTED"}};
    for (size_t row = 0; row < KMS_COUNT(rows); row++) {
        struct kms_decrypt_item items[4];
        struct kms_error error;
        manner = rows[row].manner;
        batch(items, false, &error);
        CU_ASSERT_STRING_EQUAL(error.reason, rows[row].reason);
        CU_ASSERT_PTR_NULL(items[0].result);
        CU_ASSERT_STRING_EQUAL(items[3].error.reason, rows[row].reason);
    }
}

/* Each kind goes to its method. */
static void each_kind(void)
{
    const char *socket = fresh_socket();
    fake_server *server = fake_server_start(&(struct fake_server_options){.socket = socket, .handler = echo});
    kms_client *client = open_client(socket, 10000);
    struct kms_encrypt_item e = {.request.key_id = "k"};
    struct kms_re_encrypt_item r = {.request.destination_key_id = "k"};
    struct kms_data_key_item d = {.request.key_id = "k"};
    manner = WHOLE_FAILS;
    CU_ASSERT_FALSE(kms_client_encrypt_batch(client, &e, 1, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(last_path, "/kms.v1.BatchService/EncryptBatch");
    CU_ASSERT_FALSE(kms_client_re_encrypt_batch(client, &r, 1, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(last_path, "/kms.v1.BatchService/ReEncryptBatch");
    CU_ASSERT_FALSE(kms_client_generate_data_key_batch(client, &d, 1, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(last_path, "/kms.v1.BatchService/GenerateDataKeyBatch");
    struct kms_context_entry half = {"app", NULL};
    e.request.context = (struct kms_context){&half, 1};
    CU_ASSERT_FALSE(kms_client_encrypt_batch(client, &e, 1, NULL, NULL));
    CU_ASSERT_STRING_EQUAL(e.error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_EQUAL(fake_server_calls(server), 3);
    kms_client_close(client);
    fake_server_stop(server);
}

KMS_TEST_MAIN("client/lib/batch", {"each item for itself", each_item_for_itself},
              {"the whole fails", the_whole_fails}, {"each kind", each_kind})
