/* Reading encrypted files: all vectors, from anywhere, and what happens when reading itself fails. */
#include "base/secret.h"
#include "client_fixture.h"
#include "file_fixture.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/faults.h"

enum { ANY = 1 << 30 };

static bool open_vector(const json_t *vector, struct memory_file *file, kms_file_reader **ret_reader,
                        struct kms_error *error)
{
    const struct kms_file_opener opener = {unwrap_by_vector, (void *)(uintptr_t)vector};
    const struct kms_file_source source = source_of(file);
    return kms_file_reader_start(&source, &opener, ret_reader, error);
}

/* All that is left of the file, as far as it is good. */
static bool read_rest(kms_file_reader *reader, kms_buf *out, struct kms_error *error)
{
    for (size_t len = 1; len > 0;) {
        const uint8_t *piece;
        if (!kms_file_reader_next(reader, &piece, &len, error)) return false;
        KMS_ASSERT_OK_FATAL(kms_buf_append(out, piece, len));
    }
    return true;
}

/* The same from its beginning. */
static bool read_vector(const json_t *vector, struct memory_file *file, kms_buf *out, struct kms_error *error)
{
    kms_file_reader *reader = NULL;
    bool ok = open_vector(vector, file, &reader, error) && read_rest(reader, out, error);
    kms_file_reader_free(reader);
    return ok;
}

static void good_files_open(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        KMS_OWN_BUF file = bytes_of(vector, "file"), plaintext = bytes_of(vector, "plaintext");
        static const size_t reads[] = {1, 7, 1041, ANY};
        for (size_t way = 0; way < 2 * KMS_COUNT(reads); way++) {
            struct memory_file memory = {
                .data = kms_buf_view(&file), .most = reads[way / 2], .pipe = way % 2 == 1};
            KMS_OWN_BUF out = {0};
            struct kms_error error;
            CU_ASSERT_TRUE(read_vector(vector, &memory, &out, &error));
            CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&out), kms_buf_view(&plaintext)));
        }
    }
}

/* What the message says when a vector is refused at a step of proto/FORMAT.md. */
static bool says(const json_t *vector, bool pipe, const char *message)
{
    static const struct {
        const char *step, *words, *words_of_pipe;
    } rows[] = {{"header", "encrypted file: ", "encrypted file: "},
                {"data key", "data key", "data key"},
                {"commitment", "key commitment", "key commitment"},
                {"length", "missing", "chunk "},
                {"chunk", "chunk ", "chunk "}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        if (strcmp(text_of(vector, "refused_by"), rows[i].step) == 0)
            return strstr(message, pipe ? rows[i].words_of_pipe : rows[i].words) != NULL;
    return false;
}

static void bad_files_are_refused(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("bad/file.json");
    size_t i;
    json_t *vector;
    CU_ASSERT_TRUE(json_array_size(vectors) >= 50);
    json_array_foreach(vectors, i, vector)
    {
        KMS_OWN_BUF file = bytes_of(vector, "file");
        for (int pipe = 0; pipe < 2; pipe++) {
            struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY, .pipe = pipe == 1};
            KMS_OWN_BUF out = {0};
            struct kms_error error = {0};
            CU_ASSERT_FALSE(read_vector(vector, &memory, &out, &error));
            bool ok =
                strcmp(error.reason, text_of(vector, "error")) == 0 && says(vector, pipe == 1, error.message);
            if (!ok) printf("\n%s: %s: %s\n", text_of(vector, "what"), error.reason, error.message);
            CU_ASSERT_TRUE(ok);
        }
    }
}

/* A file whose length is known is checked to its end before its first byte is given out. */
static void a_cut_file_does_not_even_open(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 5); /* exactly three chunks */
    KMS_OWN_BUF file = bytes_of(vector, "file");
    for (size_t len = 0; len < file.len; len++) {
        struct memory_file memory = {.data = {file.data, len}, .most = ANY};
        kms_file_reader *reader = NULL;
        struct kms_error error = {0};
        CU_ASSERT_FALSE(open_vector(vector, &memory, &reader, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_CIPHERTEXT");
    }
    struct memory_file memory = {.data = {file.data, file.len - 1040}, .most = ANY};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    CU_ASSERT_FALSE(open_vector(vector, &memory, &reader, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "the file ends behind chunk 1, which is not its last"));
}

static void reading_begins_anywhere(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    size_t i;
    json_t *vector;
    json_array_foreach(vectors, i, vector)
    {
        KMS_OWN_BUF file = bytes_of(vector, "file"), plaintext = bytes_of(vector, "plaintext");
        struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY};
        kms_file_reader *reader = NULL;
        struct kms_error error = {0};
        CU_ASSERT_TRUE_FATAL(open_vector(vector, &memory, &reader, &error));
        for (size_t at = 0; at <= plaintext.len; at += at < 5 || at > plaintext.len - 5 ? 1 : 41) {
            KMS_OWN_BUF out = {0};
            CU_ASSERT_TRUE(kms_file_reader_seek(reader, at, &error));
            CU_ASSERT_TRUE(read_rest(reader, &out, &error));
            CU_ASSERT_TRUE(
                kms_bytes_equal(kms_buf_view(&out), kms_bytes_of(plaintext.data + at, plaintext.len - at)));
        }
        CU_ASSERT_FALSE(kms_file_reader_seek(reader, plaintext.len + 1, &error));
        CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
        kms_file_reader_free(reader);
    }
}

static void a_pipe_goes_one_way(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 4);
    KMS_OWN_BUF file = bytes_of(vector, "file");
    struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY, .pipe = true};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    struct kms_file_info info;
    CU_ASSERT_TRUE_FATAL(open_vector(vector, &memory, &reader, &error));
    CU_ASSERT_FALSE(kms_file_reader_seek(reader, 0, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "UNSUPPORTED");
    kms_file_reader_info(reader, &info);
    CU_ASSERT_EQUAL(info.plaintext_bytes, KMS_FILE_UNKNOWN);
    CU_ASSERT_EQUAL(info.chunk_bytes, 1024);
    kms_file_reader_free(reader);
}

/* Whoever has a damaged file can still have what is not damaged of it. */
static void one_bad_chunk_leaves_the_others(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 5);
    KMS_OWN_BUF file = bytes_of(vector, "file"), plaintext = bytes_of(vector, "plaintext"), out = {0};
    file.data[175 + 1040 + 3] ^= 1; /* in the second of three */
    struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    CU_ASSERT_TRUE_FATAL(open_vector(vector, &memory, &reader, &error));
    CU_ASSERT_FALSE(read_rest(reader, &out, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "chunk 1 (from byte 1215 of the file on) is not authentic"));
    CU_ASSERT_EQUAL(out.len, 1024);
    CU_ASSERT_FALSE(read_rest(reader, &out, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_TRUE(kms_file_reader_seek(reader, 2048, &error));
    CU_ASSERT_TRUE(read_rest(reader, &out, &error));
    CU_ASSERT_EQUAL_FATAL(out.len, 2048);
    CU_ASSERT_EQUAL(memcmp(out.data, plaintext.data, 1024), 0);
    CU_ASSERT_EQUAL(memcmp(out.data + 1024, plaintext.data + 2048, 1024), 0);
    kms_file_reader_free(reader);
}

static void a_source_that_fails(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 5);
    KMS_OWN_BUF file = bytes_of(vector, "file");
    for (int way = 0; way < 4; way++)
        for (uint64_t at = 1; at <= file.len; at += 97) {
            struct memory_file memory = {.data = kms_buf_view(&file),
                                         .most = 50,
                                         .fail_at = at,
                                         .pipe = way % 2 == 1,
                                         .silent = way >= 2};
            KMS_OWN_BUF out = {0};
            struct kms_error error = {0};
            CU_ASSERT_FALSE(read_vector(vector, &memory, &out, &error));
            CU_ASSERT_STRING_EQUAL(error.reason, way >= 2 ? "IO" : "DISK_ON_FIRE");
            CU_ASSERT_EQUAL(error.code, 14);
        }
}

static void a_file_that_shrinks_while_it_is_read(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 5);
    KMS_OWN_BUF file = bytes_of(vector, "file"), out = {0};
    struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    CU_ASSERT_TRUE_FATAL(open_vector(vector, &memory, &reader, &error));
    memory.data.len = 175 + 1040 + 20;
    CU_ASSERT_FALSE(read_rest(reader, &out, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "the file ended in chunk 1"));
    CU_ASSERT_EQUAL(out.len, 1024);
    kms_file_reader_free(reader);
}

static void every_failure_once(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 4);
    KMS_OWN_BUF file = bytes_of(vector, "file");
    const size_t locked = kms_locked_used();
    FAULTS_EACH () {
        struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY};
        kms_file_reader *reader = NULL;
        struct kms_error error = {0};
        const uint8_t *piece;
        size_t len = 0;
        bool ok = open_vector(vector, &memory, &reader, &error) &&
                  kms_file_reader_next(reader, &piece, &len, &error);
        faults_pause();
        CU_ASSERT_EQUAL(ok, !faults_hit());
        if (!ok) CU_ASSERT_STRING_EQUAL(error.reason, "NO_MEMORY");
        kms_file_reader_free(reader);
    }
    CU_ASSERT_TRUE(kms_locked_used() <= locked + 1024 * 1024); /* slabs stay, chunks do not pile up */
}

static void inspecting_needs_no_key(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    const json_t *vector = json_array_get(vectors, 4);
    KMS_OWN_BUF file = bytes_of(vector, "file");
    struct memory_file memory = {.data = kms_buf_view(&file), .most = 5};
    struct kms_file_source source = source_of(&memory);
    struct kms_file_info info;
    struct kms_error error = {0};
    CU_ASSERT_TRUE(kms_file_inspect(&source, &info, &error));
    CU_ASSERT_STRING_EQUAL(info.key_id, "0f8b6a52-4d3e-4c1b-9a70-5e6d7c8b9a01");
    CU_ASSERT_EQUAL(info.key_version, 7);
    CU_ASSERT_EQUAL(info.header_bytes, 175);
    CU_ASSERT_EQUAL(info.chunks, 2);
    CU_ASSERT_EQUAL(info.plaintext_bytes, 1025);
    CU_ASSERT_EQUAL(info.file_bytes, file.len);
    file.data[42] = 'X'; /* a wrapped data key of a service that this release does not know */
    CU_ASSERT_TRUE(kms_file_inspect(&source, &info, &error));
    CU_ASSERT_STRING_EQUAL(info.key_id, "");
    CU_ASSERT_EQUAL(info.key_version, 0);
    file.data[0] = 'X';
    CU_ASSERT_FALSE(kms_file_inspect(&source, &info, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_CIPHERTEXT");
    CU_ASSERT_FALSE(kms_file_inspect(&source, &info, NULL));
}

/* Decrypt gets the wrapped data key and the context, and its words reach the caller. */
static void decrypt(void *user, const char *path, struct kms_bytes request, struct fake_answer *ret_answer)
{
    const kms_buf *file = user;
    CU_ASSERT_STRING_EQUAL(path, "/kms.v1.CryptoService/Decrypt");
    Kms__V1__DecryptRequest *message = kms__v1__decrypt_request__unpack(NULL, request.len, request.ptr);
    CU_ASSERT_EQUAL(message->ciphertext_blob.len, 101);
    CU_ASSERT_EQUAL(memcmp(message->ciphertext_blob.data, file->data + 42, 101), 0);
    CU_ASSERT_EQUAL_FATAL(message->n_encryption_context, 1);
    CU_ASSERT_STRING_EQUAL(message->encryption_context[0]->value, "web");
    CU_ASSERT_STRING_EQUAL(message->key_id, "alias/this");
    kms__v1__decrypt_request__free_unpacked(message, NULL);
    *ret_answer = (struct fake_answer){.status = 3, .reason = "INCORRECT_KEY"};
}

static void the_server_is_asked(void)
{
    KMS_OWN(file_vectors) vectors = read_vectors("good/file.json");
    KMS_OWN_BUF file = bytes_of(json_array_get(vectors, 1), "file");
    struct memory_file memory = {.data = kms_buf_view(&file), .most = ANY};
    const char *socket = fresh_socket();
    fake_server *server =
        fake_server_start(&(struct fake_server_options){.socket = socket, .handler = decrypt, .user = &file});
    kms_client *client = open_client(socket, 20000);
    struct kms_context_entry entry = {"app", "web"};
    const struct kms_file_decrypt_request request = {
        .context = {&entry, 1}, .key_id = "alias/this", .source = source_of(&memory)};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    CU_ASSERT_FALSE(kms_file_reader_open(client, &request, NULL, &reader, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INCORRECT_KEY");
    file.data[0] = 'X'; /* a foreign file is refused without a call */
    CU_ASSERT_FALSE(kms_file_reader_open(client, &request, NULL, &reader, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_CIPHERTEXT");
    CU_ASSERT_EQUAL(fake_server_calls(server), 1);
    kms_client_close(client);
    fake_server_stop(server);
    kms_file_reader_free(NULL);
}

KMS_TEST_MAIN("client/lib/file_reader", {"good files open", good_files_open},
              {"bad files are refused", bad_files_are_refused},
              {"a cut file does not even open", a_cut_file_does_not_even_open},
              {"reading begins anywhere", reading_begins_anywhere},
              {"a pipe goes one way", a_pipe_goes_one_way},
              {"one bad chunk leaves the others", one_bad_chunk_leaves_the_others},
              {"a source that fails", a_source_that_fails},
              {"a file that shrinks while it is read", a_file_that_shrinks_while_it_is_read},
              {"every failure once", every_failure_once},
              {"inspecting needs no key", inspecting_needs_no_key},
              {"the server is asked", the_server_is_asked})
