/*
 * Writers and readers of encrypted files without the server: the data key is given, or asked for. For
 * file_writer.c and file_reader.c, whose public functions put kmsd behind it, and for tests. Threads: as
 * kms/file.h says.
 */
#ifndef KMS_CLIENT_FILE_IO_H
#define KMS_CLIENT_FILE_IO_H

#include "client/lib/file_format.h"

struct kms_file_start {
    kms_file_write *write;
    void *self;
    uint32_t chunk_bytes;
    const uint8_t *salt;           /* KMS_FILE_SALT_BYTES, new for every file */
    const kms_plaintext *data_key; /* all four are borrowed for the call */
    struct kms_bytes wrapped;
    bool bounded; /* holds at most max_plaintext_bytes */
    uint64_t max_plaintext_bytes;
};
/* Writes the header. INVALID_ARGUMENT, and what write says. */
KMS_MUST_USE bool kms_file_writer_start(const struct kms_file_start *start, kms_file_writer **ret_writer,
                                        struct kms_error *error);

/* The data key that wrapped holds, which the caller frees. False: *error, which may be NULL. */
typedef bool kms_file_unwrap(void *self, struct kms_blob wrapped, kms_plaintext **ret_key,
                             struct kms_error *error);
struct kms_file_opener {
    kms_file_unwrap *unwrap;
    void *self;
};
KMS_MUST_USE bool kms_file_reader_start(const struct kms_file_source *source,
                                        const struct kms_file_opener *opener, kms_file_reader **ret_reader,
                                        struct kms_error *error);

#endif
