/* Decrypting many values at once: bounded, all answered, each with its own result or error. */
#include "base/text.h"
#include "client_fixture.h"
#include "kms/v1/crypto.pb-c.h"

/* Answers a ciphertext "x" with the plaintext "x"; refuses "bad". */
static void echo(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    (void)user;
    (void)path;
    Kms__V1__DecryptRequest *message = kms__v1__decrypt_request__unpack(NULL, request.len, request.ptr);
    struct kms_bytes text = kms_bytes_of(message->ciphertext_blob.data, message->ciphertext_blob.len);
    Kms__V1__DecryptResponse reply;
    kms__v1__decrypt_response__init(&reply);
    reply.plaintext = message->ciphertext_blob;
    reply.key_id = message->key_id;
    reply.plaintext_crc32c = kms_crc32c(0, text);
    reply.verified_ciphertext_crc32c = message->ciphertext_crc32c == reply.plaintext_crc32c;
    if (kms_bytes_equal(text, kms_bytes_text("bad")))
        *ret_answer = (struct fake_answer){.status = 3, .reason = "INVALID_CIPHERTEXT"};
    else
        fake_answer_message(ret_answer, &reply.base);
    kms__v1__decrypt_request__free_unpacked(message, NULL);
}

struct fixture {
    fake_server *server;
    kms_client *client;
};

static struct fixture start(unsigned hold)
{
    const char *socket = fresh_socket();
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = echo, .hold = hold});
    return (struct fixture){.server = server, .client = open_client(socket, 20000)};
}

static void stop(struct fixture *f)
{
    kms_client_close(f->client);
    fake_server_stop(f->server);
}

enum { MANY = 256 };

static void fill(struct kms_decrypt_item *items, char texts[][16], const struct kms_context *context)
{
    for (int i = 0; i < MANY; i++) {
        int len = snprintf(texts[i], 16, "value-%d", i);
        items[i].request = (struct kms_decrypt_request){
            .ciphertext = {.data = (const uint8_t *)texts[i], .len = (size_t)len}, .context = *context};
    }
}

static void all_are_answered_within_the_bound(void)
{
    static const struct {
        uint32_t in_flight;
        unsigned hold; /* the server waits for so many: fewer at once would never end */
    } rows[] = {{1, 1}, {8, 8}, {0, 64}, {1000, 256}};
    static struct kms_decrypt_item items[MANY];
    static char texts[MANY][16];
    struct kms_context_entry entry = {"app", "web"};
    for (size_t row = 0; row < KMS_COUNT(rows); row++) {
        struct fixture f = start(rows[row].hold);
        fill(items, texts, &(struct kms_context){&entry, 1});
        struct kms_error error;
        bool ok = kms_client_decrypt_many(f.client, items, MANY, rows[row].in_flight, NULL, &error);
        CU_ASSERT_TRUE(ok);
        CU_ASSERT_EQUAL(error.code, 0);
        CU_ASSERT_EQUAL(fake_server_at_once(f.server), rows[row].hold);
        for (int i = 0; i < MANY; i++) {
            const kms_plaintext *plaintext = items[i].result != NULL ? items[i].result->plaintext : NULL;
            CU_ASSERT_PTR_NOT_NULL_FATAL(plaintext);
            CU_ASSERT_EQUAL(memcmp(kms_plaintext_data(plaintext), texts[i], kms_plaintext_len(plaintext)), 0);
            kms_decrypt_result_free(items[i].result);
        }
        stop(&f);
    }
}

static void one_bad_value_spoils_no_other(void)
{
    struct fixture f = start(0);
    static const char *const texts[] = {"good", "bad", "fine"};
    struct kms_decrypt_item items[3] = {0};
    for (int i = 0; i < 3; i++)
        items[i].request.ciphertext =
            (struct kms_blob){.data = (const uint8_t *)texts[i], .len = strlen(texts[i])};
    struct kms_error error;
    CU_ASSERT_FALSE(kms_client_decrypt_many(f.client, items, 3, 0, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_CIPHERTEXT");
    CU_ASSERT_PTR_NOT_NULL(items[0].result);
    CU_ASSERT_PTR_NULL(items[1].result);
    CU_ASSERT_EQUAL(items[1].error.code, 3);
    CU_ASSERT_PTR_NOT_NULL(items[2].result);
    kms_decrypt_result_free(items[0].result);
    kms_decrypt_result_free(items[2].result);
    stop(&f);
}

static void nothing_and_half_a_context(void)
{
    struct fixture f = start(0);
    struct kms_error error;
    CU_ASSERT_TRUE(kms_client_decrypt_many(f.client, NULL, 0, 0, NULL, &error));
    struct kms_context_entry half = {"app", NULL};
    struct kms_decrypt_item items[2] = {{.request.context = {&half, 1}}, {.request.context = {0}}};
    CU_ASSERT_FALSE(kms_client_decrypt_many(f.client, items, 2, 0, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_STRING_EQUAL(items[1].error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 0);
    stop(&f);
}

static void plaintext_may_be_taken_out(void)
{
    struct fixture f = start(0);
    struct kms_decrypt_request request = {.ciphertext = {.data = (const uint8_t *)"x", .len = 1},
                                          .key_id = "k"};
    struct kms_decrypt_result *result = NULL;
    CU_ASSERT_TRUE_FATAL(kms_client_decrypt(f.client, &request, NULL, &result, NULL));
    CU_ASSERT_STRING_EQUAL(result->key_arn, "k");
    kms_plaintext *plaintext = result->plaintext;
    result->plaintext = NULL;
    kms_decrypt_result_free(result);
    CU_ASSERT_EQUAL(kms_plaintext_data(plaintext)[0], 'x');
    kms_plaintext_free(plaintext);
    stop(&f);
}

KMS_TEST_MAIN("client/lib/decrypt", {"all are answered, within the bound", all_are_answered_within_the_bound},
              {"one bad value spoils no other", one_bad_value_spoils_no_other},
              {"nothing, and half a context", nothing_and_half_a_context},
              {"plaintext may be taken out", plaintext_may_be_taken_out})
