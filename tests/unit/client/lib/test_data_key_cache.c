/* Each limit of the data-key cache, shown by the calls that the server gets. Time is what a test says. */
#include "client/lib/data_key_cache.h"

#include <kms/file.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/text.h"
#include "client_fixture.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/faults.h"

static uint64_t now_us;
static uint64_t the_clock(void)
{
    return now_us;
}

/* A new data key for each call: its number, in plain and, with a w before it, wrapped. */
static void generate(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    uint32_t *number = user;
    uint8_t plain[32] = {0}, wrapped[33] = {'w'};
    CU_ASSERT_STRING_EQUAL(path, "/kms.v1.CryptoService/GenerateDataKey");
    Kms__V1__GenerateDataKeyRequest *message =
        kms__v1__generate_data_key_request__unpack(NULL, request.len, request.ptr);
    if (strcmp(message->key_id, "alias/forbidden") == 0) {
        *ret_answer = (struct fake_answer){.status = 7, .reason = "ACCESS_DENIED"};
    } else {
        Kms__V1__GenerateDataKeyResponse reply;
        kms__v1__generate_data_key_response__init(&reply);
        *(uint32_t *)(void *)plain = ++*number;
        kms_copy(wrapped + 1, plain, sizeof plain);
        reply.plaintext = (ProtobufCBinaryData){.data = plain, .len = sizeof plain};
        reply.ciphertext_blob = (ProtobufCBinaryData){.data = wrapped, .len = sizeof wrapped};
        reply.plaintext_crc32c = kms_crc32c(0, kms_bytes_of(plain, sizeof plain));
        reply.ciphertext_crc32c = kms_crc32c(0, kms_bytes_of(wrapped, sizeof wrapped));
        reply.key_id = message->key_id;
        reply.key_version = 7;
        fake_answer_message(ret_answer, &reply.base);
    }
    kms__v1__generate_data_key_request__free_unpacked(message, NULL);
}

struct fixture {
    fake_server *server;
    kms_client *client;
    kms_data_key_cache *cache;
    uint32_t number;
};

static void start(struct fixture *f, const struct kms_data_key_cache_options *options)
{
    const char *socket = fresh_socket();
    struct kms_error error;
    f->number = 0;
    f->server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = generate, .user = &f->number});
    f->client = open_client(socket, 20000);
    CU_ASSERT_TRUE_FATAL(kms_data_key_cache_new(f->client, options, &f->cache, &error));
    kms_data_key_cache_set_clock(f->cache, the_clock);
}

static void stop(struct fixture *f)
{
    kms_data_key_cache_free(f->cache);
    kms_client_close(f->client);
    fake_server_stop(f->server);
}

/* The number of the data key that a message of so many bytes gets; 0: none. */
static uint32_t get_with(struct fixture *f, const struct kms_data_key_request *request, uint64_t bytes)
{
    struct kms_data_key_result *result = NULL;
    struct kms_error error = {0};
    uint32_t number = 0;
    if (!kms_data_key_cache_get(f->cache, request, bytes, NULL, &result, &error)) return 0;
    CU_ASSERT_EQUAL_FATAL(kms_plaintext_len(result->plaintext), 32);
    CU_ASSERT_EQUAL_FATAL(result->ciphertext.len, 33);
    CU_ASSERT_EQUAL(result->key_version, 7);
    CU_ASSERT_STRING_EQUAL(result->key_arn, request->key_id);
    kms_copy(&number, kms_plaintext_data(result->plaintext), sizeof number);
    CU_ASSERT_EQUAL(memcmp(result->ciphertext.data + 1, kms_plaintext_data(result->plaintext), 32), 0);
    kms_data_key_result_free(result);
    return number;
}

static const struct kms_data_key_request plain_request = {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256};

static uint32_t get(struct fixture *f, uint64_t bytes)
{
    return get_with(f, &plain_request, bytes);
}

static void age(void)
{
    struct fixture f;
    now_us = 1000;
    start(&f, &(struct kms_data_key_cache_options){.max_age_ms = 2000});
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    now_us += 2000 * 1000 - 1;
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    now_us += 1;
    CU_ASSERT_EQUAL(get(&f, 1), 2); /* being used does not make it younger */
    now_us += 2000 * 1000 - 1;
    CU_ASSERT_EQUAL(get(&f, 1), 2);
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 2);
    stop(&f);
}

static void messages(void)
{
    struct fixture f;
    start(&f, &(struct kms_data_key_cache_options){.max_messages = 3});
    for (uint32_t i = 0; i < 10; i++) CU_ASSERT_EQUAL(get(&f, 1), i / 3 + 1);
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 4);
    stop(&f);
    start(&f, &(struct kms_data_key_cache_options){.max_messages = 1});
    for (uint32_t i = 0; i < 3; i++) CU_ASSERT_EQUAL(get(&f, 1), i + 1);
    stop(&f);
}

static void bytes(void)
{
    static const struct {
        uint64_t bytes;
        uint32_t number;
    } rows[] = {{60, 1},  {40, 1}, {0, 1}, {1, 2}, /* 100 are full, and no byte goes on */
                {101, 3}, {99, 2}, {1, 4}, {UINT64_MAX, 5}, {99, 4}, {100, 6}, {1, 7}};
    struct fixture f;
    start(&f, &(struct kms_data_key_cache_options){.max_bytes = 100});
    for (size_t i = 0; i < KMS_COUNT(rows); i++) CU_ASSERT_EQUAL(get(&f, rows[i].bytes), rows[i].number);
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 7);
    stop(&f);
}

static void one_for_each_key_context_and_spec(void)
{
    struct kms_context_entry ab[] = {{"a", "1"}, {"b", "2"}}, ba[] = {{"b", "2"}, {"a", "1"}};
    struct kms_context_entry other[] = {{"a", "1"}, {"b", "3"}}, joined[] = {{"a", "1b"}};
    const struct kms_data_key_request requests[] = {
        plain_request,
        {.key_id = "alias/b", .spec = KMS_DATA_KEY_AES_256},
        {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_128},
        {.key_id = "alias/a", .number_of_bytes = 32},
        {.key_id = "alias/a", .number_of_bytes = 33},
        {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256, .context = {ab, 2}},
        {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256, .context = {ab, 1}},
        {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256, .context = {other, 2}},
        {.key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256, .context = {joined, 1}},
    };
    const struct kms_data_key_request turned = {
        .key_id = "alias/a", .spec = KMS_DATA_KEY_AES_256, .context = {ba, 2}};
    struct fixture f;
    start(&f, NULL);
    for (int again = 0; again < 2; again++)
        for (uint32_t i = 0; i < KMS_COUNT(requests); i++)
            CU_ASSERT_EQUAL(get_with(&f, &requests[i], 1), i + 1);
    CU_ASSERT_EQUAL(get_with(&f, &turned, 1), 6); /* the order of pairs does not matter */
    stop(&f);
}

static void the_one_unused_for_longest_goes(void)
{
    const struct kms_data_key_request a = {.key_id = "a", .spec = KMS_DATA_KEY_AES_256},
                                      b = {.key_id = "b", .spec = KMS_DATA_KEY_AES_256},
                                      c = {.key_id = "c", .spec = KMS_DATA_KEY_AES_256};
    struct fixture f;
    start(&f, &(struct kms_data_key_cache_options){.max_entries = 2});
    CU_ASSERT_EQUAL(get_with(&f, &a, 1), 1);
    CU_ASSERT_EQUAL(get_with(&f, &b, 1), 2);
    CU_ASSERT_EQUAL(get_with(&f, &a, 1), 1);
    CU_ASSERT_EQUAL(get_with(&f, &c, 1), 3); /* b goes */
    CU_ASSERT_EQUAL(get_with(&f, &a, 1), 1);
    CU_ASSERT_EQUAL(get_with(&f, &b, 1), 4);
    stop(&f);
}

static void cleared(void)
{
    struct fixture f;
    start(&f, NULL);
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    kms_data_key_cache_clear(f.cache);
    CU_ASSERT_EQUAL(get(&f, 1), 2);
    stop(&f);
    kms_data_key_cache_free(NULL);
}

static void what_is_refused(void)
{
    static const struct kms_data_key_cache_options wrong[] = {
        {.max_age_ms = KMS_CACHE_AGE_MAX_MS + 1},
        {.max_messages = KMS_CACHE_MESSAGES_MAX + 1},
        {.max_bytes = KMS_CACHE_BYTES_MAX + 1},
        {.max_entries = KMS_CACHE_ENTRIES_MAX + 1},
    };
    struct kms_context_entry twice[] = {{"a", "1"}, {"a", "2"}}, nothing[] = {{"a", NULL}};
    struct fixture f;
    struct kms_error error;
    kms_data_key_cache *cache = NULL;
    struct kms_data_key_result *result = NULL;
    start(&f, NULL);
    for (size_t i = 0; i < KMS_COUNT(wrong); i++) {
        CU_ASSERT_FALSE(kms_data_key_cache_new(f.client, &wrong[i], &cache, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    }
    struct kms_data_key_request request = plain_request;
    const struct kms_context contexts[] = {{twice, 2}, {nothing, 1}, {twice, 65}};
    for (size_t i = 0; i < KMS_COUNT(contexts); i++) {
        request.context = contexts[i];
        CU_ASSERT_FALSE(kms_data_key_cache_get(f.cache, &request, 1, NULL, &result, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    }
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 0);
    request = (struct kms_data_key_request){.key_id = "alias/forbidden", .spec = KMS_DATA_KEY_AES_256};
    for (unsigned calls = 1; calls <= 2; calls++) { /* a refusal is not kept */
        CU_ASSERT_FALSE(kms_data_key_cache_get(f.cache, &request, 1, NULL, &result, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "ACCESS_DENIED");
        CU_ASSERT_EQUAL(fake_server_calls(f.server), calls);
    }
    CU_ASSERT_PTR_NULL(result);
    stop(&f);
}

/* Memory that is locked is zeros in a child: a data key of zeros must not come out. */
static void a_child_is_refused(void)
{
    struct fixture f;
    start(&f, NULL);
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        struct kms_data_key_result *result = NULL;
        struct kms_error error = {0};
        bool ok = kms_data_key_cache_get(f.cache, &plain_request, 1, NULL, &result, &error);
        kms_data_key_cache_free(f.cache);
        _exit(!ok && strcmp(error.reason, "UNSUPPORTED") == 0 ? 0 : 1);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    stop(&f);
}

enum { THREADS = 8, GETS = 200, EACH = 10 };

struct user {
    struct fixture *f;
    atomic_uint *uses; /* by number of the data key; 0: got none */
};

/* CUnit is not asked here: it knows one thread. */
static void *use(void *argument)
{
    struct user *user = argument;
    for (int i = 0; i < GETS; i++) {
        struct kms_data_key_result *result = NULL;
        uint32_t number = 0;
        if (kms_data_key_cache_get(user->f->cache, &plain_request, 1, NULL, &result, NULL))
            kms_copy(&number, kms_plaintext_data(result->plaintext), sizeof number);
        kms_data_key_result_free(result);
        atomic_fetch_add(&user->uses[number <= THREADS * GETS ? number : 0], 1);
    }
    return NULL;
}

/* Many at once never use one data key more often than it may be. */
static void threads(void)
{
    static atomic_uint uses[THREADS * GETS + 1];
    struct fixture f;
    pthread_t ids[THREADS];
    start(&f, &(struct kms_data_key_cache_options){.max_messages = EACH});
    struct user user = {&f, uses};
    for (int i = 0; i < THREADS; i++) CU_ASSERT_EQUAL_FATAL(pthread_create(&ids[i], NULL, use, &user), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(ids[i], NULL);
    unsigned sum = 0;
    CU_ASSERT_EQUAL(uses[0], 0);
    for (size_t i = 0; i < KMS_COUNT(uses); i++) {
        CU_ASSERT_TRUE(uses[i] <= EACH);
        sum += uses[i];
    }
    CU_ASSERT_EQUAL(sum, THREADS * GETS);
    stop(&f);
}

/* With little memory there may be one more call, but never a wrong answer. */
static void without_memory(void)
{
    struct fixture f;
    start(&f, NULL);
    CU_ASSERT_EQUAL(get(&f, 1), 1);
    FAULTS_EACH_OF (FAULT_PAGES) {
        kms_data_key_cache_clear(f.cache);
        uint32_t number = get(&f, 1);
        faults_pause();
        CU_ASSERT_TRUE(number > 0 || faults_hit());
    }
    stop(&f);
}

static bool write_nowhere(void *self, const void *data, size_t len, struct kms_error *error)
{
    (void)error;
    uint8_t *salt = self; /* of the header, which is written first */
    if (salt[0] == 0 && len > 40) kms_copy(salt, (const uint8_t *)data + 8, 32);
    return true;
}

static void files_share_a_data_key_and_no_file_key(void)
{
    uint8_t salts[2][32] = {{0}};
    struct fixture f;
    struct kms_error error;
    start(&f, &(struct kms_data_key_cache_options){.max_bytes = 100});
    for (size_t i = 0; i < 2; i++) {
        const struct kms_file_encrypt_request request = {.key_id = "alias/a",
                                                         .write = write_nowhere,
                                                         .self = salts[i],
                                                         .cache = f.cache,
                                                         .max_plaintext_bytes = 50};
        kms_file_writer *writer = NULL;
        CU_ASSERT_TRUE_FATAL(kms_file_writer_open(f.client, &request, NULL, &writer, &error));
        CU_ASSERT_TRUE(kms_file_writer_put(writer, salts, 50, &error));
        if (i == 0) {
            CU_ASSERT_TRUE(kms_file_writer_end(writer, NULL, &error));
        } else { /* no more than the cache has counted */
            CU_ASSERT_FALSE(kms_file_writer_put(writer, "x", 1, &error));
            CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "at most 50 bytes"));
        }
        kms_file_writer_free(writer);
    }
    CU_ASSERT_EQUAL(fake_server_calls(f.server), 1);
    CU_ASSERT_NOT_EQUAL(memcmp(salts[0], salts[1], 32), 0);
    CU_ASSERT_EQUAL(get(&f, 1), 2); /* both counted */
    stop(&f);
}

KMS_TEST_MAIN("client/lib/data_key_cache", {"age", age}, {"messages", messages}, {"bytes", bytes},
              {"one for each key, context and spec", one_for_each_key_context_and_spec},
              {"the one unused for longest goes", the_one_unused_for_longest_goes}, {"cleared", cleared},
              {"what is refused", what_is_refused}, {"a child is refused", a_child_is_refused},
              {"threads", threads}, {"without memory", without_memory},
              {"files share a data key and no file key", files_share_a_data_key_and_no_file_key})
