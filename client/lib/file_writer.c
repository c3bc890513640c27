/* Encrypts a file as it comes: a chunk is sealed when it is full and more follows, or the end is said. */
#include <stdlib.h>

#include "base/id.h"
#include "base/secret.h"
#include "client/lib/failure.h"
#include "client/lib/file_cipher.h"
#include "client/lib/file_io.h"
#include "client/lib/file_source.h"

struct kms_file_writer {
    kms_file_write *write;
    void *self;
    struct kms_file_header header;
    kms_file_cipher *cipher;
    uint8_t *plain;  /* locked, chunk_bytes of it */
    uint8_t *sealed; /* a chunk and its tag */
    size_t held;     /* bytes in plain */
    uint64_t chunk;  /* the one that plain becomes */
    uint64_t most;   /* bytes of plaintext that it may hold */
    bool over;       /* ended, or failed */
};

void kms_file_writer_free(kms_file_writer *writer)
{
    if (writer == NULL) return;
    kms_file_cipher_free(writer->cipher);
    kms_locked_free(writer->plain, writer->header.chunk_bytes);
    free(writer->sealed);
    free(writer);
}

static void kms_file_writer_drop(kms_file_writer **writer)
{
    kms_file_writer_free(*writer);
}

static bool fail(kms_file_writer *writer, kms_err err, const struct kms_why *why, struct kms_error *error)
{
    writer->over = true;
    kms_error_local(error, err, why);
    return false;
}

static bool write_out(kms_file_writer *writer, const void *data, size_t len, struct kms_error *error)
{
    struct kms_error said = {0};
    if (writer->write(writer->self, data, len, &said)) return true;
    kms_file_complete(&said);
    writer->over = true;
    if (error != NULL) *error = said;
    return false;
}

/* Seals what is held and writes it. */
static bool flush(kms_file_writer *writer, bool last, struct kms_error *error)
{
    const struct kms_file_place place = {.chunk = writer->chunk, .last = last};
    kms_err err =
        kms_file_seal(writer->cipher, place, kms_bytes_of(writer->plain, writer->held), writer->sealed);
    if (kms_failed(err)) return fail(writer, err, NULL, error);
    if (!write_out(writer, writer->sealed, writer->held + KMS_FILE_TAG_BYTES, error)) return false;
    if (last) return true;
    writer->chunk++;
    writer->held = 0;
    return true;
}

static uint64_t most_of(const struct kms_file_start *start)
{
    uint64_t most = KMS_FILE_CHUNKS_MAX * start->chunk_bytes;
    if (most > KMS_FILE_PLAINTEXT_BYTES) most = KMS_FILE_PLAINTEXT_BYTES;
    return start->bounded && start->max_plaintext_bytes < most ? start->max_plaintext_bytes : most;
}

/* Header, keys and memory. */
static kms_err prepare(kms_file_writer *writer, const struct kms_file_start *start, struct kms_why *why)
{
    KMS_OWN(kms_secret) key = NULL;
    uint8_t commitment[KMS_FILE_COMMITMENT_BYTES];
    KMS_TRY(kms_file_header_make(start->chunk_bytes, start->salt, start->wrapped, &writer->header, why));
    if (kms_plaintext_len(start->data_key) != KMS_FILE_KEY_BYTES) {
        kms_why_set(why, "a data key of %zu bytes, not %d", kms_plaintext_len(start->data_key),
                    KMS_FILE_KEY_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(kms_secret_new(KMS_FILE_KEY_BYTES, &key));
    KMS_TRY(kms_file_derive(&writer->header, kms_plaintext_data(start->data_key), kms_secret_data(key),
                            commitment));
    kms_file_commit(&writer->header, commitment);
    KMS_TRY(kms_file_cipher_new(kms_secret_data(key), &writer->cipher));
    writer->plain = kms_locked_alloc(writer->header.chunk_bytes);
    writer->sealed = malloc(writer->header.chunk_bytes + KMS_FILE_TAG_BYTES);
    return writer->plain != NULL && writer->sealed != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

bool kms_file_writer_start(const struct kms_file_start *start, kms_file_writer **ret_writer,
                           struct kms_error *error)
{
    KMS_OWN(kms_file_writer) writer = calloc(1, sizeof *writer);
    struct kms_why why = {{0}};
    kms_err err = writer != NULL ? prepare(writer, start, &why) : KMS_FAIL(NO_MEMORY);
    if (kms_failed(err)) {
        kms_error_local(error, err, &why);
        return false;
    }
    writer->write = start->write;
    writer->self = start->self;
    writer->most = most_of(start);
    if (!write_out(writer, writer->header.bytes, writer->header.len, error)) return false;
    *ret_writer = KMS_GIVE(writer);
    return true;
}

/* Before anything is asked for: a mistake in the call costs no data key. */
static bool check_chunk(uint32_t chunk_bytes, struct kms_error *error)
{
    static const uint8_t salt[KMS_FILE_SALT_BYTES], wrapped = 0;
    struct kms_file_header header;
    struct kms_why why = {{0}};
    kms_err err = kms_file_header_make(chunk_bytes, salt, kms_bytes_of(&wrapped, 1), &header, &why);
    if (kms_failed(err)) kms_error_local(error, err, &why);
    return !kms_failed(err);
}

bool kms_file_writer_open(kms_client *client, const struct kms_file_encrypt_request *request,
                          const struct kms_call_options *options, kms_file_writer **ret_writer,
                          struct kms_error *error)
{
    const struct kms_data_key_request asked = {
        .key_id = request->key_id, .spec = KMS_DATA_KEY_AES_256, .context = request->context};
    const uint32_t chunk_bytes = request->chunk_bytes != 0 ? request->chunk_bytes : KMS_FILE_CHUNK_BYTES;
    struct kms_data_key_result *made = NULL;
    uint8_t salt[KMS_FILE_SALT_BYTES];
    if (!check_chunk(chunk_bytes, error)) return false;
    kms_err err = kms_random(salt, sizeof salt);
    if (kms_failed(err)) {
        kms_error_local(error, err, NULL);
        return false;
    }
    bool ok = request->cache == NULL
                  ? kms_client_generate_data_key(client, &asked, options, &made, error)
                  : kms_data_key_cache_get(request->cache, &asked, request->max_plaintext_bytes, options,
                                           &made, error);
    if (!ok) return false;
    const struct kms_file_start start = {.write = request->write,
                                         .self = request->self,
                                         .chunk_bytes = chunk_bytes,
                                         .salt = salt,
                                         .data_key = made->plaintext,
                                         .wrapped = {made->ciphertext.data, made->ciphertext.len},
                                         .bounded = request->cache != NULL,
                                         .max_plaintext_bytes = request->max_plaintext_bytes};
    ok = kms_file_writer_start(&start, ret_writer, error);
    kms_data_key_result_free(made);
    return ok;
}

static kms_err is_over(struct kms_why *why)
{
    kms_why_set(why, "this file was ended, or failed before: free its writer");
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* A file that would become longer than any reader takes. */
static kms_err check_room(const kms_file_writer *writer, size_t len, struct kms_why *why)
{
    const uint64_t chunk_bytes = writer->header.chunk_bytes;
    if (len <= writer->most - (writer->chunk * chunk_bytes + writer->held)) return KMS_OK;
    kms_why_set(why, "this file holds at most %llu bytes, by the size of its chunks or by its request",
                (unsigned long long)writer->most);
    return KMS_FAIL(INVALID_ARGUMENT);
}

bool kms_file_writer_put(kms_file_writer *writer, const void *data, size_t len, struct kms_error *error)
{
    const uint8_t *at = data;
    struct kms_why why = {{0}};
    kms_err err = writer->over ? is_over(&why) : check_room(writer, len, &why);
    if (kms_failed(err)) return fail(writer, err, &why, error);
    while (len > 0) {
        if (writer->held == writer->header.chunk_bytes && !flush(writer, false, error)) return false;
        size_t part = writer->header.chunk_bytes - writer->held;
        if (part > len) part = len;
        kms_copy(writer->plain + writer->held, at, part);
        writer->held += part;
        at += part;
        len -= part;
    }
    return true;
}

bool kms_file_writer_end(kms_file_writer *writer, struct kms_file_info *info, struct kms_error *error)
{
    struct kms_why why = {{0}};
    if (writer->over) return fail(writer, is_over(&why), &why, error);
    if (!flush(writer, true, error)) return false;
    const struct kms_file_shape shape = {.chunks = writer->chunk + 1,
                                         .plaintext_bytes =
                                             writer->chunk * writer->header.chunk_bytes + writer->held};
    writer->over = true;
    if (info != NULL) kms_file_describe(&writer->header, &shape, info);
    return true;
}
