/* One attempt: what comes of statuses with details, of replies that cannot be read, and of replies that were
 * changed. */
#include "client/lib/attempt.h"

#include "client_fixture.h"
#include "kms/v1/crypto.pb-c.h"

static void outcomes(void)
{
    static uint8_t junk[] = {0xff, 0xff, 0xff};
    Kms__V1__DecryptResponse changed;
    kms__v1__decrypt_response__init(&changed);
    changed.plaintext.data = junk;
    changed.plaintext.len = sizeof junk;
    changed.plaintext_crc32c = 1;
    changed.verified_ciphertext_crc32c = true;
    struct fake_answer wrong_crc = {0};
    fake_answer_message(&wrong_crc, &changed.base);
    const struct {
        struct fake_answer answer;
        int code;
        const char *reason, *message;
    } rows[] = {
        {{.status = 7, .reason = "ACCESS_DENIED", .message = "no"}, 7, "ACCESS_DENIED", "no"},
        {{.status = 7, .message = "no"}, 7, "PERMISSION_DENIED", "no"},
        {{.status = 3, .reason = "INVALID_CIPHERTEXT"}, 3, "INVALID_CIPHERTEXT", "scripted"},
        {{.reply = {.data = junk, .len = 3}},
         13,
         "INTERNAL",
         "the reply to /kms.v1.CryptoService/Decrypt cannot be read"},
        {{.status = 0},
         3,
         "CHECKSUM_MISMATCH",
         "the server did not confirm the CRC32C of the ciphertext that was sent"},
        {wrong_crc, 3, "CHECKSUM_MISMATCH",
         "the plaintext changed on its way here: its CRC32C is not the one that the server sent"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct script script = {.answers = &rows[i].answer, .count = 1};
        const char *socket = fresh_socket();
        fake_server *server = fake_server_start(
            &(struct fake_server_options){.socket = socket, .handler = play, .user = &script});
        kms_client *client = open_client(socket, 10000);
        struct kms_decrypt_request request = {.ciphertext = {.data = junk, .len = 3}};
        struct kms_decrypt_result *result = NULL;
        struct kms_error error;
        CU_ASSERT_FALSE(kms_client_decrypt(client, &request, NULL, &result, &error));
        CU_ASSERT_PTR_NULL(result);
        CU_ASSERT_EQUAL(error.code, rows[i].code);
        CU_ASSERT_STRING_EQUAL(error.reason, rows[i].reason);
        CU_ASSERT_STRING_EQUAL(error.message, rows[i].message);
        kms_client_close(client);
        fake_server_stop(server);
    }
    kms_buf_free(&wrong_crc.reply);
}

KMS_TEST_MAIN("client/lib/attempt", {"outcomes", outcomes})
