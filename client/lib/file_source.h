/* Reading an encrypted file through the function of the caller; its header. Thread-safe: no state. */
#ifndef KMS_CLIENT_FILE_SOURCE_H
#define KMS_CLIENT_FILE_SOURCE_H

#include "client/lib/file_format.h"

/* What a function of the caller said when it failed: without a reason IO, without a code that of IO. */
void kms_file_complete(struct kms_error *said);

struct kms_file_span {
    uint64_t offset;
    size_t len;
};
/* All of span unless the file ends in it: *ret_len. False: *error (may be NULL) is what the caller's function
 * says, else IO. */
KMS_MUST_USE bool kms_file_source_read(const struct kms_file_source *source, struct kms_file_span span,
                                       uint8_t *to, size_t *ret_len, struct kms_error *error);
/* INVALID_CIPHERTEXT: not such a file. */
KMS_MUST_USE bool kms_file_source_header(const struct kms_file_source *source,
                                         struct kms_file_header *ret_header, struct kms_error *error);

#endif
