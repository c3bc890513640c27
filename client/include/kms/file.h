/*
 * Files of any length, encrypted where they are: libkms takes a data key from kmsd, encrypts chunk by chunk
 * in constant memory, and puts the wrapped data key into the file (proto/FORMAT.md, "The encrypted file").
 * Reading starts at any offset; whatever was changed, moved, cut off or added is refused.
 *
 * Bytes come and go through functions of the caller, so that a file may be on disk, in a pipe or in a store
 * of objects. Threads: a writer or reader is used by one thread at a time; any number of them may share a
 * client. Memory: a chunk of plaintext in locked memory, and a chunk of ciphertext. Answers are those of
 * kms/client.h: true, or false and *error; INVALID_CIPHERTEXT names the chunk.
 */
#ifndef KMS_FILE_H
#define KMS_FILE_H

#include <kms/client.h>
#include <kms/data_key_cache.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KMS_FILE_CHUNK_MIN_BYTES = 1024,
    KMS_FILE_CHUNK_BYTES = 64 * 1024, /* when nothing else is said */
    KMS_FILE_CHUNK_MAX_BYTES = 1024 * 1024,
    KMS_FILE_HEADER_BYTES = 1098, /* longest header */
};
#define KMS_FILE_PLAINTEXT_BYTES (UINT64_C(1) << 44) /* longest plaintext; at most 2^32 chunks, too */
#define KMS_FILE_UNKNOWN         UINT64_MAX

/* What a file says about itself. Nothing of it is checked until a reader is open. */
struct kms_file_info {
    uint32_t version;                /* of the format: 1 */
    uint32_t chunk_bytes;            /* plaintext of a chunk */
    uint32_t header_bytes;           /* in front of the first chunk */
    uint32_t key_version;            /* of the KMS key that wraps the data key; 0: this release cannot tell */
    char key_id[KMS_ERROR_ID_BYTES]; /* the KMS key, a UUID; "": this release cannot tell */
    uint64_t chunks, plaintext_bytes, file_bytes; /* KMS_FILE_UNKNOWN when it came from a pipe */
};

/*
 * Takes all len bytes, the next of the file, or answers false: it may fill *error (never NULL; cleared
 * before), else the reason is IO, and the code, too, when it is 0. Nothing is written after that.
 */
typedef bool kms_file_write(void *self, const void *data, size_t len, struct kms_error *error);

struct kms_file_encrypt_request {
    const char *key_id;         /* a symmetric key */
    struct kms_context context; /* decrypting needs the same */
    uint32_t chunk_bytes;       /* a power of two from 1,024 to 1,048,576; 0: 65,536 */
    kms_file_write *write;
    void *self; /* given to write */
    /* Optional: where the data key comes from in place of client. Each file has keys of its own all the same.
     * max_plaintext_bytes is then the most that this one may hold, which the cache counts. */
    kms_data_key_cache *cache;
    uint64_t max_plaintext_bytes; /* without a cache: not looked at */
};

typedef struct kms_file_writer kms_file_writer;

/* Calls GenerateDataKey and writes the header. Borrows write and self until the writer is freed. Reasons:
 * those of GenerateDataKey, INVALID_ARGUMENT (chunk_bytes), IO, NO_MEMORY. */
KMS_CHECK bool kms_file_writer_open(kms_client *client, const struct kms_file_encrypt_request *request,
                                    const struct kms_call_options *options, kms_file_writer **ret_writer,
                                    struct kms_error *error);
/* The next len bytes of plaintext, any number. After false: free. INVALID_ARGUMENT: a file has no room
 * for more. */
KMS_CHECK bool kms_file_writer_put(kms_file_writer *writer, const void *data, size_t len,
                                   struct kms_error *error);
/* Writes what is left and the mark of the end: without it the file does not open. info may be NULL. */
KMS_CHECK bool kms_file_writer_end(kms_file_writer *writer, struct kms_file_info *info,
                                   struct kms_error *error);
void kms_file_writer_free(kms_file_writer *writer); /* wipes; NULL is a no-op */

/*
 * Fills up to len bytes from offset of the encrypted file and sets *ret_len; 0 is its end. False as above. Of
 * a pipe, whose length is KMS_FILE_UNKNOWN, offset is always where the last read ended.
 */
typedef bool kms_file_read(void *self, uint64_t offset, void *to, size_t len, size_t *ret_len,
                           struct kms_error *error);

struct kms_file_source {
    kms_file_read *read;
    void *self;          /* given to read */
    uint64_t file_bytes; /* its length; KMS_FILE_UNKNOWN: it can be read once, from the beginning */
};

struct kms_file_decrypt_request {
    struct kms_context context; /* as at encryption */
    const char *key_id; /* optional: the key that must have wrapped the data key, else INCORRECT_KEY */
    struct kms_file_source source;
};

typedef struct kms_file_reader kms_file_reader;

/* Reads the header, calls Decrypt, and checks the key commitment; of a file whose length is known the last
 * chunk, too, and so that it is whole. Borrows read and self until the reader is freed. Reasons: those of
 * Decrypt, INVALID_CIPHERTEXT, IO, NO_MEMORY. */
KMS_CHECK bool kms_file_reader_open(kms_client *client, const struct kms_file_decrypt_request *request,
                                    const struct kms_call_options *options, kms_file_reader **ret_reader,
                                    struct kms_error *error);
void kms_file_reader_info(const kms_file_reader *reader, struct kms_file_info *ret_info);
/* The next piece of plaintext, authentic, at most a chunk: borrowed, in locked memory, valid until the next
 * call. *ret_len 0: the end; of a pipe this alone says that nothing was cut off. */
KMS_CHECK bool kms_file_reader_next(kms_file_reader *reader, const uint8_t **ret_data, size_t *ret_len,
                                    struct kms_error *error);
/* The next piece begins at offset of the plaintext, also after a chunk was refused; 0 to its length, else
 * INVALID_ARGUMENT. UNSUPPORTED: the source is a pipe. */
KMS_CHECK bool kms_file_reader_seek(kms_file_reader *reader, uint64_t offset, struct kms_error *error);
void kms_file_reader_free(kms_file_reader *reader); /* wipes; NULL is a no-op */

/* What the header says, without a server or a key. INVALID_CIPHERTEXT: not such a file, or no file of it has
 * that length; IO. */
KMS_CHECK bool kms_file_inspect(const struct kms_file_source *source, struct kms_file_info *ret_info,
                                struct kms_error *error);

#ifdef __cplusplus
}
#endif

#endif
