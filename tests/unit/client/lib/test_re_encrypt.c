/* Re-encrypting many values at once: each gets its own result or error, in its own place. */
#include "base/text.h"
#include "client_fixture.h"
#include "kms/v1/crypto.pb-c.h"

/* Answers "x" with "<destination key>:x"; refuses "bad", and a context that does not name the value. */
static void move_value(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    (void)user;
    (void)path;
    Kms__V1__ReEncryptRequest *message = kms__v1__re_encrypt_request__unpack(NULL, request.len, request.ptr);
    struct kms_bytes text = kms_bytes_of(message->ciphertext_blob.data, message->ciphertext_blob.len);
    bool bound = message->n_source_encryption_context == 1 &&
                 message->n_destination_encryption_context == 1 &&
                 kms_bytes_equal(text, kms_bytes_text(message->source_encryption_context[0]->value)) &&
                 kms_bytes_equal(text, kms_bytes_text(message->destination_encryption_context[0]->value));
    KMS_OWN_BUF moved = {0};
    Kms__V1__ReEncryptResponse reply;
    kms__v1__re_encrypt_response__init(&reply);
    kms_ignore(kms_buf_print(&moved, "%s:%.*s", message->destination_key_id, (int)text.len,
                             (const char *)text.ptr)); /* without it the answer is no good, which shows */
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = moved.data, .len = moved.len};
    reply.ciphertext_crc32c = kms_crc32c(0, kms_buf_view(&moved));
    reply.verified_ciphertext_crc32c = message->ciphertext_crc32c == kms_crc32c(0, text);
    if (!bound || kms_bytes_equal(text, kms_bytes_text("bad")))
        *ret_answer = (struct fake_answer){.status = 3, .reason = "INVALID_CIPHERTEXT"};
    else
        fake_answer_message(ret_answer, &reply.base);
    kms__v1__re_encrypt_request__free_unpacked(message, NULL);
}

struct fixture {
    fake_server *server;
    kms_client *client;
};

static struct fixture start(unsigned hold)
{
    const char *socket = fresh_socket();
    fake_server *server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = move_value, .hold = hold});
    return (struct fixture){.server = server, .client = open_client(socket, 20000)};
}

static void stop(struct fixture *f)
{
    kms_client_close(f->client);
    fake_server_stop(f->server);
}

static struct kms_re_encrypt_request request_of(const char *text, struct kms_context_entry *entry)
{
    *entry = (struct kms_context_entry){"name", text};
    return (struct kms_re_encrypt_request){
        .ciphertext = {.data = (const uint8_t *)text, .len = strlen(text)},
        .source_context = {.entries = entry, .count = 1},
        .destination_context = {.entries = entry, .count = 1},
        .destination_key_id = "new",
    };
}

static void check_moved(const struct kms_re_encrypt_result *result, const char *text)
{
    char want[32];
    CU_ASSERT_PTR_NOT_NULL_FATAL(result);
    int len = snprintf(want, sizeof want, "new:%s", text);
    CU_ASSERT_EQUAL_FATAL(result->ciphertext.len, (size_t)len);
    CU_ASSERT_EQUAL(memcmp(result->ciphertext.data, want, (size_t)len), 0);
}

enum { MANY = 256, AT_ONCE = 16 };

static void all_are_answered_within_the_bound(void)
{
    static struct kms_re_encrypt_item items[MANY];
    static struct kms_context_entry entries[MANY];
    static char texts[MANY][24];
    struct fixture f = start(AT_ONCE);
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], "value-%d", i);
        items[i].request = request_of(texts[i], &entries[i]);
    }
    struct kms_error error;
    CU_ASSERT_TRUE(kms_client_re_encrypt_many(f.client, items, MANY, AT_ONCE, NULL, &error));
    CU_ASSERT_EQUAL(error.code, 0);
    CU_ASSERT_EQUAL(fake_server_at_once(f.server), AT_ONCE);
    for (int i = 0; i < MANY; i++) {
        check_moved(items[i].result, texts[i]);
        kms_re_encrypt_result_free(items[i].result);
    }
    stop(&f);
}

static void one_bad_value_spoils_no_other(void)
{
    struct fixture f = start(0);
    struct kms_re_encrypt_item items[3] = {0};
    struct kms_context_entry entries[3];
    items[0].request = request_of("good", &entries[0]);
    items[1].request = request_of("bad", &entries[1]);
    items[2].request = request_of("fine", &entries[2]);
    struct kms_error error;
    CU_ASSERT_FALSE(kms_client_re_encrypt_many(f.client, items, 3, 0, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_CIPHERTEXT");
    CU_ASSERT_EQUAL(items[1].error.code, 3);
    CU_ASSERT_PTR_NULL(items[1].result);
    check_moved(items[0].result, "good");
    check_moved(items[2].result, "fine");
    kms_re_encrypt_result_free(items[0].result);
    kms_re_encrypt_result_free(items[2].result);
    stop(&f);
}

static void nothing_and_half_a_context(void)
{
    struct fixture f = start(0);
    struct kms_error error;
    struct kms_context_entry half = {"app", NULL};
    struct kms_re_encrypt_item items[2] = {{.request.source_context = {0}},
                                           {.request.destination_context = {&half, 1}}};
    CU_ASSERT_TRUE(kms_client_re_encrypt_many(f.client, NULL, 0, 0, NULL, &error));
    CU_ASSERT_FALSE(kms_client_re_encrypt_many(f.client, items, 2, 0, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_PTR_NOT_NULL(strstr(items[0].error.message, "value 2: "));
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 0);
    stop(&f);
}

KMS_TEST_MAIN("client/lib/re_encrypt",
              {"all are answered, within the bound", all_are_answered_within_the_bound},
              {"one bad value spoils no other", one_bad_value_spoils_no_other},
              {"nothing, and half a context", nothing_and_half_a_context})
