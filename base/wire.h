/*
 * Cursors over bytes: every frame, header and sealed body of this project is written and read through them.
 * Integers are big-endian; a field of varying length carries its length first. A cursor that runs out of room
 * or input remembers it: write or read on, then ask once. Not thread-safe.
 */
#ifndef KMS_BASE_WIRE_H
#define KMS_BASE_WIRE_H

#include "base/bytes.h"

struct kms_writer {
    uint8_t *at, *end; /* borrowed memory, filled from at */
    bool overflow;     /* something did not fit; everything after it was dropped */
};
struct kms_writer kms_writer_over(void *memory, size_t cap);
void kms_put_u8(struct kms_writer *w, uint8_t v);
void kms_put_u16(struct kms_writer *w, uint16_t v);
void kms_put_u32(struct kms_writer *w, uint32_t v);
void kms_put_u64(struct kms_writer *w, uint64_t v);
void kms_put_raw(struct kms_writer *w, const void *data, size_t len); /* the bytes alone */
void kms_put_blob(struct kms_writer *w, struct kms_bytes b);          /* u32 length, then the bytes */

struct kms_reader {
    const uint8_t *at, *end; /* borrowed */
    bool short_;             /* ran out of input; everything read since is 0 or empty */
};
struct kms_reader kms_reader_over(struct kms_bytes input);
uint8_t kms_get_u8(struct kms_reader *r);
uint16_t kms_get_u16(struct kms_reader *r);
uint32_t kms_get_u32(struct kms_reader *r);
uint64_t kms_get_u64(struct kms_reader *r);
bool kms_get_raw(struct kms_reader *r, void *data, size_t len);  /* copies exactly len bytes; false: zeroed */
struct kms_bytes kms_get_view(struct kms_reader *r, size_t len); /* borrowed from the input */
struct kms_bytes kms_get_blob(struct kms_reader *r); /* u32 length, then that many bytes, borrowed */
/* All input was there and nothing is left over. */
bool kms_reader_done(const struct kms_reader *r);

#endif
