/* The bytes of proto/FORMAT.md, "The encrypted file". */
#include "client/lib/file_format.h"

#include <string.h>

#include "base/ciphertext.h"
#include "base/digest.h"
#include "base/secret.h"
#include "base/wire.h"

static const uint8_t magic[4] = {'K', 'M', 'S', 'F'};

enum { AT_EXPONENT = 6, AT_SALT = 8 };

static kms_err refused(struct kms_why *why, const char *cause)
{
    kms_why_set(why, "encrypted file: %s", cause);
    return KMS_FAIL(INVALID_CIPHERTEXT);
}

/* 0: no chunk has that length. */
static uint8_t exponent_of(uint32_t chunk_bytes)
{
    for (uint8_t e = KMS_FILE_EXPONENT_MIN; e <= KMS_FILE_EXPONENT_MAX; e++)
        if (chunk_bytes == UINT32_C(1) << e) return e;
    return 0;
}

kms_err kms_file_header_make(uint32_t chunk_bytes, const uint8_t salt[KMS_FILE_SALT_BYTES],
                             struct kms_bytes wrapped, struct kms_file_header *ret_header,
                             struct kms_why *why)
{
    struct kms_file_header header = {.chunk_bytes = chunk_bytes};
    if (exponent_of(chunk_bytes) == 0) {
        kms_why_set(why, "a chunk of %u bytes: it must be a power of two from %d to %d", chunk_bytes,
                    KMS_FILE_CHUNK_MIN_BYTES, KMS_FILE_CHUNK_MAX_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (wrapped.len == 0 || wrapped.len > KMS_FILE_WRAPPED_BYTES) {
        kms_why_set(why, "a wrapped data key of %zu bytes: 1 to %d fit into a file", wrapped.len,
                    KMS_FILE_WRAPPED_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    struct kms_writer w = kms_writer_over(header.bytes, sizeof header.bytes);
    kms_put_raw(&w, magic, sizeof magic);
    kms_put_u8(&w, KMS_FILE_VERSION);
    kms_put_u8(&w, KMS_FILE_ALGORITHM);
    kms_put_u8(&w, exponent_of(chunk_bytes));
    kms_put_u8(&w, 0);
    kms_put_raw(&w, salt, KMS_FILE_SALT_BYTES);
    kms_put_u16(&w, (uint16_t)wrapped.len);
    kms_put_raw(&w, wrapped.ptr, wrapped.len);
    header.len = (size_t)(w.at - header.bytes) + KMS_FILE_COMMITMENT_BYTES;
    *ret_header = header;
    return KMS_OK;
}

kms_err kms_file_header_len(struct kms_bytes start, size_t *ret_len, struct kms_why *why)
{
    struct kms_reader r = kms_reader_over(start);
    uint8_t name[sizeof magic];
    /* Foreign bytes are foreign however few they are. */
    if (!kms_get_raw(&r, name, sizeof name) || memcmp(name, magic, sizeof magic) != 0)
        return refused(why, "it does not begin as one: not made by kmsctl file encrypt or libkms");
    uint8_t version = kms_get_u8(&r), algorithm = kms_get_u8(&r), exponent = kms_get_u8(&r);
    uint8_t reserved = kms_get_u8(&r);
    kms_get_view(&r, KMS_FILE_SALT_BYTES);
    size_t wrapped = kms_get_u16(&r);
    if (r.short_) return refused(why, "it ends inside its header: the rest is missing");
    if (version != KMS_FILE_VERSION)
        return refused(why, "its format is newer than this release knows: upgrade");
    if (algorithm != KMS_FILE_ALGORITHM) return refused(why, "unknown algorithm");
    if (exponent < KMS_FILE_EXPONENT_MIN || exponent > KMS_FILE_EXPONENT_MAX)
        return refused(why, "its header is damaged: no chunk has that size");
    if (reserved != 0) return refused(why, "its header is damaged: the reserved byte is not 0");
    if (wrapped == 0 || wrapped > KMS_FILE_WRAPPED_BYTES)
        return refused(why, "its header is damaged: no wrapped data key has that length");
    *ret_len = KMS_FILE_START_BYTES + wrapped + KMS_FILE_COMMITMENT_BYTES;
    return KMS_OK;
}

kms_err kms_file_header_take(struct kms_bytes bytes, struct kms_file_header *ret_header, struct kms_why *why)
{
    struct kms_file_header header = {.len = 0};
    KMS_TRY(kms_file_header_len(bytes, &header.len, why));
    if (bytes.len != header.len) return refused(why, "it ends inside its header: the rest is missing");
    kms_copy(header.bytes, bytes.ptr, bytes.len);
    header.chunk_bytes = UINT32_C(1) << header.bytes[AT_EXPONENT];
    *ret_header = header;
    return KMS_OK;
}

struct kms_bytes kms_file_wrapped(const struct kms_file_header *header)
{
    return kms_bytes_of(header->bytes + KMS_FILE_START_BYTES,
                        header->len - KMS_FILE_START_BYTES - KMS_FILE_COMMITMENT_BYTES);
}

struct kms_bytes kms_file_commitment(const struct kms_file_header *header)
{
    return kms_bytes_of(header->bytes + header->len - KMS_FILE_COMMITMENT_BYTES, KMS_FILE_COMMITMENT_BYTES);
}

void kms_file_commit(struct kms_file_header *header, const uint8_t commitment[KMS_FILE_COMMITMENT_BYTES])
{
    kms_copy(header->bytes + header->len - KMS_FILE_COMMITMENT_BYTES, commitment, KMS_FILE_COMMITMENT_BYTES);
}

/* HKDF-Expand of one block. */
static kms_err expand(kms_digest *prk, const char *label, const struct kms_file_header *header,
                      uint8_t to[KMS_DIGEST_BYTES])
{
    static const uint8_t one = 1;
    const struct kms_bytes parts[] = {
        kms_bytes_text(label),
        kms_bytes_of(header->bytes, header->len - KMS_FILE_COMMITMENT_BYTES),
        kms_bytes_of(&one, 1),
    };
    return kms_digest_run(prk, parts, sizeof parts / sizeof parts[0], to);
}

kms_err kms_file_derive(const struct kms_file_header *header, const uint8_t data_key[KMS_FILE_KEY_BYTES],
                        uint8_t key[KMS_FILE_KEY_BYTES], uint8_t commitment[KMS_FILE_COMMITMENT_BYTES])
{
    KMS_OWN(kms_digest) extract = NULL;
    KMS_OWN(kms_digest) prk = NULL;
    KMS_OWN(kms_secret) secret = NULL;
    const struct kms_bytes input = kms_bytes_of(data_key, KMS_FILE_KEY_BYTES);
    KMS_TRY(kms_secret_new(KMS_DIGEST_BYTES, &secret));
    KMS_TRY(kms_digest_new_keyed(kms_bytes_of(header->bytes + AT_SALT, KMS_FILE_SALT_BYTES), &extract));
    KMS_TRY(kms_digest_run(extract, &input, 1, kms_secret_data(secret)));
    KMS_TRY(kms_digest_new_keyed(kms_bytes_of(kms_secret_data(secret), KMS_DIGEST_BYTES), &prk));
    KMS_TRY(expand(prk, "kmsd.file.v1.key", header, key));
    return expand(prk, "kmsd.file.v1.commitment", header, commitment);
}

kms_err kms_file_shape_of(const struct kms_file_header *header, uint64_t file_bytes,
                          struct kms_file_shape *ret_shape, struct kms_why *why)
{
    const uint64_t stride = (uint64_t)header->chunk_bytes + KMS_FILE_TAG_BYTES;
    if (file_bytes < header->len + KMS_FILE_TAG_BYTES)
        return refused(why, "it ends before its first chunk does: the rest is missing");
    const uint64_t body = file_bytes - header->len;
    const uint64_t chunks = body / stride + (body % stride != 0), last = body - (chunks - 1) * stride;
    if (last < KMS_FILE_TAG_BYTES || (last == KMS_FILE_TAG_BYTES && chunks > 1))
        return refused(why, "no such file has this length: its end is missing, or there is more behind it");
    const uint64_t plaintext_bytes = body - chunks * KMS_FILE_TAG_BYTES;
    if (chunks > KMS_FILE_CHUNKS_MAX || plaintext_bytes > KMS_FILE_PLAINTEXT_BYTES)
        return refused(why, "it is longer than any that this release makes");
    *ret_shape = (struct kms_file_shape){.chunks = chunks, .plaintext_bytes = plaintext_bytes};
    return KMS_OK;
}

uint64_t kms_file_chunk_at(const struct kms_file_header *header, uint64_t chunk)
{
    return header->len + chunk * ((uint64_t)header->chunk_bytes + KMS_FILE_TAG_BYTES);
}

void kms_file_describe(const struct kms_file_header *header, const struct kms_file_shape *shape,
                       struct kms_file_info *ret_info)
{
    struct kms_ciphertext_header wrapped;
    struct kms_bytes sealed;
    struct kms_file_info info = {.version = KMS_FILE_VERSION,
                                 .chunk_bytes = header->chunk_bytes,
                                 .header_bytes = (uint32_t)header->len,
                                 .chunks = KMS_FILE_UNKNOWN,
                                 .plaintext_bytes = KMS_FILE_UNKNOWN,
                                 .file_bytes = KMS_FILE_UNKNOWN};
    _Static_assert(sizeof info.key_id == KMS_ID_TEXT, "a UUID as text");
    if (!kms_failed(kms_ciphertext_parse(kms_file_wrapped(header), &wrapped, &sealed, NULL))) {
        kms_id_text(&wrapped.key_id, info.key_id);
        info.key_version = wrapped.key_version;
    }
    if (shape != NULL) {
        info.chunks = shape->chunks;
        info.plaintext_bytes = shape->plaintext_bytes;
        info.file_bytes = header->len + shape->plaintext_bytes + shape->chunks * KMS_FILE_TAG_BYTES;
    }
    *ret_info = info;
}
