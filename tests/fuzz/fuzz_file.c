/*
 * Encrypted files. The first byte chooses: any bytes are read as one, from a file or a pipe; or a file is
 * made from the input, changed as the input says, and then it must be refused, with nothing given out but
 * the beginning of what was written.
 */
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "client/lib/file_io.h"
#include "client/lib/store.h"

enum { PIPE = 1, CHANGED = 2, CHUNK_BYTES = 1024 };

/* The data key of the vectors: those in the corpus open. */
static kms_plaintext *data_key(void)
{
    uint8_t key[KMS_FILE_KEY_BYTES];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(0x40 + i);
    kms_plaintext *made = kms_plaintext_of((ProtobufCBinaryData){.data = key, .len = sizeof key});
    if (made == NULL) abort();
    return made;
}

static bool unwrap(void *self, struct kms_blob wrapped, kms_plaintext **ret_key, struct kms_error *error)
{
    (void)self;
    (void)error;
    if (wrapped.len == 0 || wrapped.len > KMS_FILE_WRAPPED_BYTES) abort();
    *ret_key = data_key();
    return true;
}

static bool read_bytes(void *self, uint64_t offset, void *to, size_t len, size_t *ret_len,
                       struct kms_error *error)
{
    (void)error;
    const struct kms_bytes *file = self;
    size_t left = offset < file->len ? file->len - (size_t)offset : 0;
    *ret_len = len < left ? len : left;
    kms_copy(to, file->ptr + (left > 0 ? offset : 0), *ret_len);
    return true;
}

static bool write_bytes(void *self, const void *data, size_t len, struct kms_error *error)
{
    (void)error;
    return !kms_failed(kms_buf_append(self, data, len));
}

/* True when it is read to its end; out has what was given out. */
static bool read_all(struct kms_bytes file, bool pipe, kms_buf *out)
{
    const struct kms_file_opener opener = {.unwrap = unwrap};
    const struct kms_file_source source = {
        .read = read_bytes, .self = &file, .file_bytes = pipe ? KMS_FILE_UNKNOWN : file.len};
    kms_file_reader *reader = NULL;
    struct kms_error error = {0};
    struct kms_file_info info;
    bool ok = kms_file_reader_start(&source, &opener, &reader, &error);
    for (size_t len = 1; ok && len > 0;) {
        const uint8_t *piece;
        ok = kms_file_reader_next(reader, &piece, &len, &error);
        if (ok && kms_failed(kms_buf_append(out, piece, len))) abort();
    }
    if (!ok && strcmp(error.reason, "INVALID_CIPHERTEXT") != 0) abort();
    if (!ok && error.message[0] == '\0') abort();
    if (reader != NULL) kms_file_reader_info(reader, &info);
    if (ok && !pipe && info.plaintext_bytes != out->len) abort();
    kms_file_reader_free(reader);
    return ok;
}

static void seal(struct kms_bytes plaintext, kms_buf *file)
{
    static const uint8_t salt[KMS_FILE_SALT_BYTES] = {1}, wrapped[5] = {2};
    kms_plaintext *key = data_key();
    const struct kms_file_start start = {.write = write_bytes,
                                         .self = file,
                                         .chunk_bytes = CHUNK_BYTES,
                                         .salt = salt,
                                         .data_key = key,
                                         .wrapped = {wrapped, sizeof wrapped}};
    kms_file_writer *writer = NULL;
    if (!kms_file_writer_start(&start, &writer, NULL) ||
        !kms_file_writer_put(writer, plaintext.ptr, plaintext.len, NULL) ||
        !kms_file_writer_end(writer, NULL, NULL))
        abort();
    kms_file_writer_free(writer);
    kms_plaintext_free(key);
}

/* What the input says: bytes flipped, a piece moved, the end cut off. */
static void change(struct kms_reader *r, kms_buf *file)
{
    const size_t at = kms_get_u16(r) % file->len, from = kms_get_u16(r) % file->len;
    const size_t len = kms_get_u16(r) % (file->len - (at > from ? at : from)) + 1;
    file->data[at] ^= kms_get_u8(r);
    if (kms_get_u8(r) % 2 == 1) memmove(file->data + at, file->data + from, len);
    file->len -= kms_get_u16(r) % file->len;
}

static void check_changed(struct kms_bytes input, bool pipe)
{
    KMS_OWN_BUF file = {0}, same = {0}, out = {0};
    struct kms_reader r = kms_reader_over(input);
    const struct kms_bytes changes = kms_get_view(&r, input.len < 10 ? input.len : 10);
    const struct kms_bytes plaintext = kms_bytes_of(r.at, (size_t)(r.end - r.at));
    seal(plaintext, &file);
    seal(plaintext, &same);
    struct kms_reader what = kms_reader_over(changes);
    change(&what, &file);
    const bool equal = kms_bytes_equal(kms_buf_view(&file), kms_buf_view(&same));
    if (read_all(kms_buf_view(&file), pipe, &out) != equal) abort();
    if (out.len > plaintext.len || (equal && out.len != plaintext.len)) abort();
    if (!kms_bytes_equal(kms_buf_view(&out), kms_bytes_of(plaintext.ptr, out.len))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const struct kms_bytes input = kms_bytes_of(data + 1, size - 1);
    const bool pipe = (data[0] & PIPE) != 0;
    KMS_OWN_BUF out = {0};
    if ((data[0] & CHANGED) != 0)
        check_changed(input, pipe);
    else
        (void)read_all(input, pipe, &out);
    return 0;
}
