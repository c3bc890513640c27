/* Writing encrypted files: the vectors byte for byte, limits, and sinks that fail. */
#include "base/secret.h"
#include "client_fixture.h"
#include "file_fixture.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/faults.h"

/* A file that grows in memory, up to most bytes. */
struct sink {
    kms_buf data;
    size_t most;
    bool silent;
};

static bool write_memory(void *self, const void *data, size_t len, struct kms_error *error)
{
    struct sink *sink = self;
    if (sink->data.len + len > sink->most) {
        if (!sink->silent) snprintf(error->reason, sizeof error->reason, "DISK_FULL");
        return false;
    }
    return !kms_failed(kms_buf_append(&sink->data, data, len));
}

/* A writer with the keys and the salt of a vector. */
static bool start_vector(const json_t *vector, struct sink *sink, kms_file_writer **ret_writer,
                         struct kms_error *error)
{
    KMS_OWN(kms_plaintext) data_key = data_key_of(vector);
    KMS_OWN_BUF file = bytes_of(vector, "file");
    const struct kms_file_start start = {
        .write = write_memory,
        .self = sink,
        .chunk_bytes = (uint32_t)json_integer_value(json_object_get(vector, "chunk_bytes")),
        .salt = file.data + 8,
        .data_key = data_key,
        .wrapped = {file.data + 42, 101}};
    if (data_key == NULL) return false;
    return kms_file_writer_start(&start, ret_writer, error);
}

static void vectors_are_written_byte_for_byte(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    static const size_t puts[] = {1, 100, 1024, 5000};
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector) for (size_t way = 0; way < KMS_COUNT(puts); way++)
    {
        KMS_OWN_BUF file = bytes_of(vector, "file"), plaintext = bytes_of(vector, "plaintext");
        struct sink sink = {.most = SIZE_MAX};
        kms_file_writer *writer = NULL;
        struct kms_error error = {0};
        struct kms_file_info info;
        CU_ASSERT_TRUE_FATAL(start_vector(vector, &sink, &writer, &error));
        for (size_t at = 0; at < plaintext.len; at += puts[way]) {
            size_t len = plaintext.len - at < puts[way] ? plaintext.len - at : puts[way];
            CU_ASSERT_TRUE(kms_file_writer_put(writer, plaintext.data + at, len, &error));
        }
        CU_ASSERT_TRUE(kms_file_writer_end(writer, &info, &error));
        CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&sink.data), kms_buf_view(&file)));
        CU_ASSERT_EQUAL(info.plaintext_bytes, plaintext.len);
        CU_ASSERT_EQUAL(info.file_bytes, file.len);
        CU_ASSERT_EQUAL(info.key_version, 7);
        kms_file_writer_free(writer);
        kms_buf_free(&sink.data);
    }
}

static void nothing_goes_on_after_the_end(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    struct sink sink = {.most = SIZE_MAX};
    kms_file_writer *writer = NULL;
    struct kms_error error = {0};
    CU_ASSERT_TRUE_FATAL(start_vector(json_array_get(vectors, 0), &sink, &writer, &error));
    CU_ASSERT_TRUE(kms_file_writer_end(writer, NULL, &error));
    CU_ASSERT_FALSE(kms_file_writer_put(writer, "x", 1, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_FALSE(kms_file_writer_end(writer, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    kms_file_writer_free(writer);
    kms_file_writer_free(NULL);
    kms_buf_free(&sink.data);
}

static void no_file_becomes_longer_than_readers_take(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    static const struct {
        size_t vector;
        uint64_t most;
    } rows[] = {{0, UINT64_C(1) << 42}, {6, UINT64_C(1) << 44}, {7, UINT64_C(1) << 44}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct sink sink = {.most = SIZE_MAX};
        kms_file_writer *writer = NULL;
        struct kms_error error = {0};
        const json_t *vector = json_array_get(vectors, rows[i].vector);
        CU_ASSERT_TRUE_FATAL(start_vector(vector, &sink, &writer, &error));
        CU_ASSERT_TRUE(kms_file_writer_put(writer, "x", 1, &error));
        CU_ASSERT_FALSE(kms_file_writer_put(writer, "x", rows[i].most, &error)); /* none of it is read */
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
        char words[64];
        snprintf(words, sizeof words, "at most %llu bytes", (unsigned long long)rows[i].most);
        CU_ASSERT_PTR_NOT_NULL(strstr(error.message, words));
        kms_file_writer_free(writer);
        kms_buf_free(&sink.data);
    }
}

static void a_sink_that_fails(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 5);
    KMS_OWN_BUF file = bytes_of(vector, "file"), plaintext = bytes_of(vector, "plaintext");
    for (size_t most = 0; most < file.len; most += 400) {
        struct sink sink = {.most = most, .silent = most % 800 == 0};
        kms_file_writer *writer = NULL;
        struct kms_error error = {0};
        bool ok = start_vector(vector, &sink, &writer, &error) &&
                  kms_file_writer_put(writer, plaintext.data, plaintext.len, &error) &&
                  kms_file_writer_end(writer, NULL, &error);
        CU_ASSERT_FALSE(ok);
        CU_ASSERT_STRING_EQUAL(error.reason, sink.silent ? "IO" : "DISK_FULL");
        CU_ASSERT_EQUAL(error.code, 14);
        if (writer != NULL) {
            CU_ASSERT_FALSE(kms_file_writer_end(writer, NULL, &error));
            CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
        }
        CU_ASSERT_TRUE(sink.data.len <= most);
        kms_file_writer_free(writer);
        kms_buf_free(&sink.data);
    }
}

static void every_failure_once(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 3);
    KMS_OWN_BUF plaintext = bytes_of(vector, "plaintext");
    FAULTS_EACH_OF (FAULT_PAGES) {
        struct sink sink = {.most = SIZE_MAX};
        kms_file_writer *writer = NULL;
        struct kms_error error = {0};
        bool ok = start_vector(vector, &sink, &writer, &error) &&
                  kms_file_writer_put(writer, plaintext.data, plaintext.len, &error) &&
                  kms_file_writer_end(writer, NULL, &error);
        faults_pause();
        CU_ASSERT_EQUAL(ok, !faults_hit());
        kms_file_writer_free(writer);
        kms_buf_free(&sink.data);
    }
}

/* GenerateDataKey: the context and the key go out, the key comes back in the file. */
static void generate(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    static uint8_t wrapped[101], key[64];
    size_t *key_bytes = user;
    CU_ASSERT_STRING_EQUAL(path, "/kms.v1.CryptoService/GenerateDataKey");
    Kms__V1__GenerateDataKeyRequest *message =
        kms__v1__generate_data_key_request__unpack(NULL, request.len, request.ptr);
    CU_ASSERT_STRING_EQUAL(message->key_id, "alias/this");
    CU_ASSERT_EQUAL(message->key_spec, KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_256);
    CU_ASSERT_EQUAL(message->n_encryption_context, 1);
    kms__v1__generate_data_key_request__free_unpacked(message, NULL);
    Kms__V1__GenerateDataKeyResponse reply;
    kms__v1__generate_data_key_response__init(&reply);
    memset(wrapped, 'w', sizeof wrapped);
    reply.ciphertext_blob = (ProtobufCBinaryData){.data = wrapped, .len = sizeof wrapped};
    reply.plaintext = (ProtobufCBinaryData){.data = key, .len = *key_bytes};
    reply.ciphertext_crc32c = kms_crc32c(0, kms_bytes_of(wrapped, sizeof wrapped));
    reply.plaintext_crc32c = kms_crc32c(0, kms_bytes_of(key, *key_bytes));
    fake_answer_message(ret_answer, &reply.base);
}

static void a_data_key_of_the_server(void)
{
    size_t key_bytes = 32;
    const char *socket = fresh_socket();
    fake_server *server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = generate, .user = &key_bytes});
    kms_client *client = open_client(socket, 20000);
    struct kms_context_entry entry = {"app", "web"};
    struct sink one = {.most = SIZE_MAX}, other = {.most = SIZE_MAX};
    struct kms_file_encrypt_request request = {
        .key_id = "alias/this", .context = {&entry, 1}, .write = write_memory, .self = &one};
    kms_file_writer *writer = NULL;
    struct kms_error error = {0};
    CU_ASSERT_TRUE(kms_file_writer_open(client, &request, NULL, &writer, &error));
    kms_file_writer_free(writer);
    CU_ASSERT_EQUAL(one.data.len, 175);
    CU_ASSERT_EQUAL(one.data.data[6], 16); /* 64 KiB */
    CU_ASSERT_EQUAL(memcmp(one.data.data + 42, "wwww", 4), 0);
    request.self = &other;
    CU_ASSERT_TRUE(kms_file_writer_open(client, &request, NULL, &writer, &error));
    kms_file_writer_free(writer);
    CU_ASSERT_NOT_EQUAL(memcmp(one.data.data + 8, other.data.data + 8, 32), 0); /* a salt of its own */
    static const uint32_t chunks[] = {1, 512, 1023, 1025, 65537, 3 << 10, 1 << 21, UINT32_MAX};
    for (size_t i = 0; i < KMS_COUNT(chunks); i++) {
        request.chunk_bytes = chunks[i];
        CU_ASSERT_FALSE(kms_file_writer_open(client, &request, NULL, &writer, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    }
    CU_ASSERT_EQUAL(fake_server_calls(server), 2); /* none for a chunk that no file has */
    request.chunk_bytes = 0;
    key_bytes = 16;
    CU_ASSERT_FALSE(kms_file_writer_open(client, &request, NULL, &writer, &error));
    CU_ASSERT_STRING_EQUAL(error.message, "a data key of 16 bytes, not 32");
    kms_buf_free(&one.data);
    kms_buf_free(&other.data);
    kms_client_close(client);
    fake_server_stop(server);
}

KMS_TEST_MAIN("client/lib/file_writer",
              {"vectors are written byte for byte", vectors_are_written_byte_for_byte},
              {"nothing goes on after the end", nothing_goes_on_after_the_end},
              {"no file becomes longer than readers take", no_file_becomes_longer_than_readers_take},
              {"a sink that fails", a_sink_that_fails}, {"every failure once", every_failure_once},
              {"a data key of the server", a_data_key_of_the_server})
