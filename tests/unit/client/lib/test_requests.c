/* Every function of kms/client.h calls its RPC with what it was given. */
#include "client_fixture.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"

/* The last request, and an answer that is the same for all: none of these tests looks at a result. */
struct last {
    char path[128];
    kms_buf request;
};

static void remember(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    struct last *last = user;
    snprintf(last->path, sizeof last->path, "%s", path);
    kms_buf_free(&last->request);
    kms_ignore(kms_buf_append(&last->request, request.ptr, request.len));
    *ret_answer = (struct fake_answer){.status = 12, .reason = "UNSUPPORTED"};
}

static struct last last;
static fake_server *server;
static kms_client *client;

static void begin(void)
{
    const char *socket = fresh_socket();
    server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = remember, .user = &last});
    client = open_client(socket, 10000);
}

static void end(void)
{
    kms_client_close(client);
    fake_server_stop(server);
    kms_buf_free(&last.request);
}

#define CALLED(ok, rpc)                                                                                      \
    do {                                                                                                     \
        CU_ASSERT_FALSE(ok);                                                                                 \
        CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1." rpc);                                                   \
    } while (0)
#define DECODED(type)       kms__v1__##type##__unpack(NULL, last.request.len, last.request.data)
#define FREE(type, message) kms__v1__##type##__free_unpacked(message, NULL)

static struct kms_blob blob(const char *text)
{
    return (struct kms_blob){.data = (const uint8_t *)text, .len = strlen(text)};
}

static const struct kms_context_entry entries[] = {{"app", "web"}, {"to", "new"}};

static void crypto(void)
{
    begin();
    struct kms_encrypt_request e = {.key_id = "k", .plaintext = blob("data"), .context = {entries, 1}};
    struct kms_encrypt_result *none_e;
    CALLED(kms_client_encrypt(client, &e, NULL, &none_e, NULL), "CryptoService/Encrypt");
    Kms__V1__EncryptRequest *sent = DECODED(encrypt_request);
    CU_ASSERT_STRING_EQUAL(sent->key_id, "k");
    CU_ASSERT_EQUAL(sent->plaintext_crc32c, 0xaed87dd1u);
    CU_ASSERT_STRING_EQUAL(sent->encryption_context[0]->value, "web");
    FREE(encrypt_request, sent);

    struct kms_re_encrypt_request r = {.ciphertext = blob("data"),
                                       .destination_key_id = "d",
                                       .source_context = {entries, 1},
                                       .destination_context = {entries + 1, 1}};
    struct kms_re_encrypt_result *none_r;
    CALLED(kms_client_re_encrypt(client, &r, NULL, &none_r, NULL), "CryptoService/ReEncrypt");
    Kms__V1__ReEncryptRequest *moved = DECODED(re_encrypt_request);
    CU_ASSERT_STRING_EQUAL(moved->destination_key_id, "d");
    CU_ASSERT_STRING_EQUAL(moved->source_encryption_context[0]->key, "app");
    CU_ASSERT_STRING_EQUAL(moved->destination_encryption_context[0]->key, "to");
    CU_ASSERT_EQUAL(moved->ciphertext_crc32c, 0xaed87dd1u);
    FREE(re_encrypt_request, moved);
    end();
}

static void data_keys_and_random(void)
{
    begin();
    struct kms_data_key_request d = {.key_id = "k", .spec = KMS_DATA_KEY_AES_256, .context = {entries, 2}};
    struct kms_data_key_result *none_d;
    CALLED(kms_client_generate_data_key(client, &d, NULL, &none_d, NULL), "CryptoService/GenerateDataKey");
    Kms__V1__GenerateDataKeyRequest *sent = DECODED(generate_data_key_request);
    CU_ASSERT_EQUAL(sent->key_spec, KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_256);
    CU_ASSERT_EQUAL(sent->n_encryption_context, 2);
    FREE(generate_data_key_request, sent);
    d = (struct kms_data_key_request){.key_id = "k", .number_of_bytes = 7};
    CALLED(kms_client_generate_data_key_without_plaintext(client, &d, NULL, &none_d, NULL),
           "CryptoService/GenerateDataKeyWithoutPlaintext");
    Kms__V1__GenerateDataKeyWithoutPlaintextRequest *wrapped =
        DECODED(generate_data_key_without_plaintext_request);
    CU_ASSERT_EQUAL(wrapped->number_of_bytes, 7);
    FREE(generate_data_key_without_plaintext_request, wrapped);
    kms_plaintext *none_p;
    CALLED(kms_client_generate_random(client, 9, NULL, &none_p, NULL), "CryptoService/GenerateRandom");
    Kms__V1__GenerateRandomRequest *random = DECODED(generate_random_request);
    CU_ASSERT_EQUAL(random->number_of_bytes, 9);
    FREE(generate_random_request, random);
    end();
}

static void keys(void)
{
    begin();
    struct kms_create_key_request c = {.policy = "{}",
                                       .description = "d",
                                       .alias = "alias/a",
                                       .client_request_token = "t",
                                       .protection_level = KMS_PROTECTION_SOFTWARE,
                                       .bypass_policy_lockout_safety_check = true};
    struct kms_key_metadata *none_m;
    CALLED(kms_client_create_key(client, &c, NULL, &none_m, NULL), "KeyService/CreateKey");
    Kms__V1__CreateKeyRequest *sent = DECODED(create_key_request);
    CU_ASSERT_STRING_EQUAL(sent->policy, "{}");
    CU_ASSERT_STRING_EQUAL(sent->alias_name, "alias/a");
    CU_ASSERT_STRING_EQUAL(sent->client_request_token, "t");
    CU_ASSERT_EQUAL(sent->protection_level, KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE);
    CU_ASSERT_TRUE(sent->bypass_policy_lockout_safety_check);
    FREE(create_key_request, sent);
    struct kms_rotate_result *none_r;
    CALLED(kms_client_describe_key(client, "k", NULL, &none_m, NULL), "KeyService/DescribeKey");
    CALLED(kms_client_enable_key(client, "k", NULL, NULL), "KeyService/EnableKey");
    CALLED(kms_client_disable_key(client, "k", NULL, NULL), "KeyService/DisableKey");
    CALLED(kms_client_rotate_key_on_demand(client, "k", NULL, NULL, &none_r, NULL),
           "KeyService/RotateKeyOnDemand");
    struct kms_list_request l = {.limit = 3, .marker = "m"};
    struct kms_key_list *none_l;
    CALLED(kms_client_list_keys(client, &l, NULL, &none_l, NULL), "KeyService/ListKeys");
    Kms__V1__ListKeysRequest *list = DECODED(list_keys_request);
    CU_ASSERT_EQUAL(list->limit, 3);
    CU_ASSERT_STRING_EQUAL(list->marker, "m");
    FREE(list_keys_request, list);
    end();
}

static void aliases_and_policies(void)
{
    begin();
    CALLED(kms_client_create_alias(client, "alias/a", "k", NULL, NULL), "KeyService/CreateAlias");
    CALLED(kms_client_update_alias(client, "alias/a", "k", NULL, NULL), "KeyService/UpdateAlias");
    Kms__V1__UpdateAliasRequest *alias = DECODED(update_alias_request);
    CU_ASSERT_STRING_EQUAL(alias->alias_name, "alias/a");
    CU_ASSERT_STRING_EQUAL(alias->target_key_id, "k");
    FREE(update_alias_request, alias);
    CALLED(kms_client_delete_alias(client, "alias/a", NULL, NULL), "KeyService/DeleteAlias");
    struct kms_list_request l = {.key_id = "k", .limit = 3};
    struct kms_alias_list *none_l;
    CALLED(kms_client_list_aliases(client, &l, NULL, &none_l, NULL), "KeyService/ListAliases");
    struct kms_put_key_policy_request p = {.key_id = "k", .policy = "{}"};
    CALLED(kms_client_put_key_policy(client, &p, NULL, NULL), "KeyService/PutKeyPolicy");
    struct kms_key_policy *none_p;
    CALLED(kms_client_get_key_policy(client, "k", NULL, &none_p, NULL), "KeyService/GetKeyPolicy");
    struct kms_status *none_s;
    CALLED(kms_client_get_status(client, NULL, &none_s, NULL), "SystemService/GetStatus");
    end();
}

/* They go with what takes them, and nowhere else. */
static void grant_tokens(void)
{
    begin();
    const char *const tokens[] = {"t1", "t2"};
    const struct kms_call_options options = {.grant_tokens = tokens, .grant_token_count = 2};
    struct kms_encrypt_request e = {.key_id = "k", .plaintext = blob("data")};
    struct kms_encrypt_result *none_e;
    CALLED(kms_client_encrypt(client, &e, &options, &none_e, NULL), "CryptoService/Encrypt");
    Kms__V1__EncryptRequest *sent = DECODED(encrypt_request);
    CU_ASSERT_EQUAL_FATAL(sent->n_grant_tokens, 2);
    CU_ASSERT_STRING_EQUAL(sent->grant_tokens[1], "t2");
    FREE(encrypt_request, sent);
    struct kms_error error;
    last.path[0] = '\0';
    CU_ASSERT_FALSE(kms_client_disable_key(client, "k", &options, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_STRING_EQUAL(last.path, ""); /* not sent */
    end();
}

KMS_TEST_MAIN("client/lib requests", {"crypto", crypto}, {"data keys and random", data_keys_and_random},
              {"keys", keys}, {"aliases, policies, status", aliases_and_policies},
              {"grant tokens", grant_tokens})
