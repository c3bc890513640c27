/*
 * Messages that a client compressed: gRPC's encodings gzip (RFC 1952) and deflate (which is zlib's form, RFC
 * 1950). gRPC's core would inflate a message first and ask for its length afterwards; here nothing grows past
 * the most that the caller allows, whatever the bytes say of themselves. Thread-safe.
 */
#ifndef KMS_RPC_INFLATE_H
#define KMS_RPC_INFLATE_H

#include "base/bytes.h"

enum kms_packing { KMS_PACKED_GZIP, KMS_PACKED_DEFLATE };

/* Locked memory, to be given back by kms_inflated_free. room_len - len bytes of it are unused. */
struct kms_inflated {
    uint8_t *room;
    size_t room_len, len;
};

/*
 * The one stream that packed is, all of it. At any time at most 5 * most / 4 + 1 bytes of output and 64 KiB
 * of zlib's are in memory, all of them locked, and wiped before this returns or by kms_inflated_free.
 *
 * Errors: LIMIT_EXCEEDED (more than most bytes come out; most below KMS_LOCKED_MAX_BYTES), BAD_COMPRESSION
 * (not such a stream, cut off, or something behind it), NO_MEMORY. ret_inflated is untouched on failure.
 */
KMS_MUST_USE kms_err kms_inflate(enum kms_packing packing, struct kms_bytes packed, size_t most,
                                 struct kms_inflated *ret_inflated, struct kms_why *why);
void kms_inflated_free(struct kms_inflated *inflated);

#endif
