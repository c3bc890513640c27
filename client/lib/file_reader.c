/* Decrypts a file from its beginning or from anywhere: whole chunks, none before it is found authentic. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/secret.h"
#include "client/lib/failure.h"
#include "client/lib/file_cipher.h"
#include "client/lib/file_io.h"
#include "client/lib/file_source.h"
#include "client/lib/store.h"

struct kms_file_reader {
    struct kms_file_source source;
    struct kms_file_header header;
    struct kms_file_shape shape; /* zero: of a pipe */
    kms_file_cipher *cipher;
    uint8_t *sealed; /* a chunk, its tag, and one byte that shows whether another follows */
    uint8_t *plain;  /* locked, chunk_bytes of it */
    uint64_t at;     /* of a pipe: how far it was read */
    size_t ahead;    /* of a pipe: bytes of the next chunk in sealed already */
    uint64_t chunk;  /* the next one */
    size_t skip;     /* bytes of it that were not asked for */
    bool ended, failed;
};

void kms_file_reader_free(kms_file_reader *reader)
{
    if (reader == NULL) return;
    kms_file_cipher_free(reader->cipher);
    kms_locked_free(reader->plain, reader->header.chunk_bytes);
    free(reader->sealed);
    free(reader);
}

static void kms_file_reader_drop(kms_file_reader **reader)
{
    kms_file_reader_free(*reader);
}

static bool is_pipe(const kms_file_reader *reader)
{
    return reader->source.file_bytes == KMS_FILE_UNKNOWN;
}

static bool fail(kms_file_reader *reader, kms_err err, const struct kms_why *why, struct kms_error *error)
{
    reader->failed = true;
    kms_error_local(error, err, why);
    return false;
}

/* Words for a chunk that did not open: why that may be, by trying whether it is authentic otherwise. */
static void explain(kms_file_reader *reader, struct kms_file_place place, struct kms_bytes sealed,
                    struct kms_why *why)
{
    const struct kms_file_place other = {.chunk = place.chunk, .last = !place.last};
    bool opens = !kms_failed(kms_file_unseal(reader->cipher, other, sealed, reader->plain));
    kms_wipe(reader->plain, reader->header.chunk_bytes);
    if (opens && place.last)
        kms_why_set(why,
                    "the file ends behind chunk %" PRIu64 ", which is not its last: the rest is missing, "
                    "get the whole file",
                    place.chunk);
    else if (opens)
        kms_why_set(why, "chunk %" PRIu64 " is the last of the file, but there is more behind it",
                    place.chunk);
    else
        kms_why_set(why,
                    "chunk %" PRIu64 "%s (from byte %" PRIu64
                    " of the file on) is not authentic: damaged, moved, cut, or of another file; take an "
                    "undamaged copy of the file",
                    place.chunk, place.last ? ", the last," : "",
                    kms_file_chunk_at(&reader->header, place.chunk));
}

/* sealed_len bytes of reader->sealed become reader->plain. */
static bool open_chunk(kms_file_reader *reader, struct kms_file_place place, size_t sealed_len,
                       struct kms_error *error)
{
    const struct kms_bytes sealed = kms_bytes_of(reader->sealed, sealed_len);
    struct kms_why why = {{0}};
    kms_err err = kms_file_unseal(reader->cipher, place, sealed, reader->plain);
    if (!kms_failed(err)) return true;
    explain(reader, place, sealed, &why);
    return fail(reader, err, &why, error);
}

/* The chunk by its number, of a file whose length is known. */
static bool load_at(kms_file_reader *reader, uint64_t chunk, size_t *ret_len, struct kms_error *error)
{
    const struct kms_file_place place = {.chunk = chunk, .last = chunk + 1 == reader->shape.chunks};
    const uint64_t before = chunk * reader->header.chunk_bytes;
    const size_t len =
        place.last ? (size_t)(reader->shape.plaintext_bytes - before) : reader->header.chunk_bytes;
    const size_t want = len + KMS_FILE_TAG_BYTES;
    const struct kms_file_span span = {kms_file_chunk_at(&reader->header, chunk), want};
    size_t got = 0;
    if (!kms_file_source_read(&reader->source, span, reader->sealed, &got, error)) {
        reader->failed = true;
        return false;
    }
    if (got != want) {
        struct kms_why why;
        kms_why_set(&why, "the file ended in chunk %" PRIu64 ": it became shorter while it was read", chunk);
        return fail(reader, KMS_FAIL(INVALID_CIPHERTEXT), &why, error);
    }
    *ret_len = len;
    return open_chunk(reader, place, want, error);
}

static bool refuse_end(kms_file_reader *reader, const char *cause, struct kms_error *error)
{
    struct kms_why why;
    kms_why_set(&why, "chunk %" PRIu64 ": %s", reader->chunk, cause);
    return fail(reader, KMS_FAIL(INVALID_CIPHERTEXT), &why, error);
}

/* The next chunk of a pipe: the last one when the pipe ends before the byte behind it. */
static bool load_next(kms_file_reader *reader, size_t *ret_len, struct kms_error *error)
{
    const size_t whole = (size_t)reader->header.chunk_bytes + KMS_FILE_TAG_BYTES, want = whole + 1;
    const struct kms_file_span span = {reader->at, want - reader->ahead};
    size_t got = 0;
    if (!kms_file_source_read(&reader->source, span, reader->sealed + reader->ahead, &got, error)) {
        reader->failed = true;
        return false;
    }
    reader->at += got;
    got += reader->ahead;
    const struct kms_file_place place = {.chunk = reader->chunk, .last = got < want};
    const size_t len = place.last ? got : whole;
    if (len < KMS_FILE_TAG_BYTES)
        return refuse_end(reader, "the file ends in it: the rest is missing", error);
    if (len == KMS_FILE_TAG_BYTES && place.chunk > 0) return refuse_end(reader, "an empty chunk", error);
    if (place.chunk >= KMS_FILE_CHUNKS_MAX) return refuse_end(reader, "a file has no more than 2^32", error);
    if (!open_chunk(reader, place, len, error)) return false;
    reader->ended = place.last;
    reader->ahead = place.last ? 0 : 1;
    if (!place.last) reader->sealed[0] = reader->sealed[whole];
    *ret_len = len - KMS_FILE_TAG_BYTES;
    return true;
}

bool kms_file_reader_next(kms_file_reader *reader, const uint8_t **ret_data, size_t *ret_len,
                          struct kms_error *error)
{
    struct kms_why why = {{0}};
    size_t len = 0;
    if (reader->failed) {
        kms_why_set(&why, "this file failed before: free its reader, or seek");
        return fail(reader, KMS_FAIL(INVALID_ARGUMENT), &why, error);
    }
    *ret_data = reader->plain;
    *ret_len = 0;
    if (reader->ended) return true;
    bool ok = is_pipe(reader) ? load_next(reader, &len, error) : load_at(reader, reader->chunk, &len, error);
    if (!ok) return false;
    *ret_data = reader->plain + reader->skip;
    *ret_len = len - reader->skip;
    reader->skip = 0;
    reader->chunk++;
    if (!is_pipe(reader)) reader->ended = reader->chunk == reader->shape.chunks;
    return true;
}

bool kms_file_reader_seek(kms_file_reader *reader, uint64_t offset, struct kms_error *error)
{
    struct kms_why why = {{0}};
    kms_err err = KMS_OK;
    if (is_pipe(reader)) {
        err = KMS_FAIL(UNSUPPORTED);
        kms_why_set(&why, "a pipe is read from its beginning to its end: give a file");
    } else if (offset > reader->shape.plaintext_bytes) {
        err = KMS_FAIL(INVALID_ARGUMENT);
        kms_why_set(&why, "offset %" PRIu64 " is behind the end: the file holds %" PRIu64 " bytes", offset,
                    reader->shape.plaintext_bytes);
    }
    if (kms_failed(err)) {
        kms_error_local(error, err, &why);
        return false;
    }
    reader->chunk = offset / reader->header.chunk_bytes;
    reader->skip = (size_t)(offset % reader->header.chunk_bytes);
    reader->ended = offset == reader->shape.plaintext_bytes;
    reader->failed = false;
    return true;
}

void kms_file_reader_info(const kms_file_reader *reader, struct kms_file_info *ret_info)
{
    kms_file_describe(&reader->header, is_pipe(reader) ? NULL : &reader->shape, ret_info);
}

/* From the data key to the cipher, by way of the commitment. */
static kms_err take_key(kms_file_reader *reader, const kms_plaintext *data_key, struct kms_why *why)
{
    KMS_OWN(kms_secret) key = NULL;
    uint8_t commitment[KMS_FILE_COMMITMENT_BYTES];
    if (kms_plaintext_len(data_key) != KMS_FILE_KEY_BYTES) {
        kms_why_set(why, "encrypted file: its data key has %zu bytes, not %d", kms_plaintext_len(data_key),
                    KMS_FILE_KEY_BYTES);
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    KMS_TRY(kms_secret_new(KMS_FILE_KEY_BYTES, &key));
    KMS_TRY(kms_file_derive(&reader->header, kms_plaintext_data(data_key), kms_secret_data(key), commitment));
    if (!kms_bytes_same(commitment, kms_file_commitment(&reader->header).ptr, sizeof commitment)) {
        kms_why_set(why, "encrypted file: its header was changed, or belongs to another file: the key "
                         "commitment is wrong");
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    KMS_TRY(kms_file_cipher_new(kms_secret_data(key), &reader->cipher));
    reader->plain = kms_locked_alloc(reader->header.chunk_bytes);
    reader->sealed = malloc((size_t)reader->header.chunk_bytes + KMS_FILE_TAG_BYTES + 1);
    return reader->plain != NULL && reader->sealed != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* The length is what the last chunk says it is. */
static bool check_end(kms_file_reader *reader, struct kms_error *error)
{
    struct kms_why why = {{0}};
    size_t len;
    if (is_pipe(reader)) return true;
    kms_err err = kms_file_shape_of(&reader->header, reader->source.file_bytes, &reader->shape, &why);
    if (kms_failed(err)) return fail(reader, err, &why, error);
    bool ok = load_at(reader, reader->shape.chunks - 1, &len, error);
    kms_wipe(reader->plain, reader->header.chunk_bytes);
    return ok;
}

bool kms_file_reader_start(const struct kms_file_source *source, const struct kms_file_opener *opener,
                           kms_file_reader **ret_reader, struct kms_error *error)
{
    KMS_OWN(kms_file_reader) reader = calloc(1, sizeof *reader);
    KMS_OWN(kms_plaintext) data_key = NULL;
    struct kms_why why = {{0}};
    if (reader == NULL) {
        kms_error_local(error, KMS_FAIL(NO_MEMORY), NULL);
        return false;
    }
    reader->source = *source;
    if (!kms_file_source_header(source, &reader->header, error)) return false;
    const struct kms_bytes wrapped = kms_file_wrapped(&reader->header);
    const struct kms_blob blob = {.data = wrapped.ptr, .len = wrapped.len};
    if (!opener->unwrap(opener->self, blob, &data_key, error)) return false;
    kms_err err = take_key(reader, data_key, &why);
    if (kms_failed(err)) return fail(reader, err, &why, error);
    reader->at = reader->header.len;
    if (!check_end(reader, error)) return false;
    *ret_reader = KMS_GIVE(reader);
    return true;
}

/* What kmsd is asked with. */
struct call {
    kms_client *client;
    const struct kms_file_decrypt_request *request;
    const struct kms_call_options *options;
};

static bool ask(void *self, struct kms_blob wrapped, kms_plaintext **ret_key, struct kms_error *error)
{
    const struct call *call = self;
    const struct kms_decrypt_request request = {
        .ciphertext = wrapped, .context = call->request->context, .key_id = call->request->key_id};
    struct kms_decrypt_result *result = NULL;
    if (!kms_client_decrypt(call->client, &request, call->options, &result, error)) return false;
    *ret_key = result->plaintext;
    result->plaintext = NULL;
    kms_decrypt_result_free(result);
    return true;
}

bool kms_file_reader_open(kms_client *client, const struct kms_file_decrypt_request *request,
                          const struct kms_call_options *options, kms_file_reader **ret_reader,
                          struct kms_error *error)
{
    struct call call = {.client = client, .request = request, .options = options};
    const struct kms_file_opener opener = {.unwrap = ask, .self = &call};
    return kms_file_reader_start(&request->source, &opener, ret_reader, error);
}
