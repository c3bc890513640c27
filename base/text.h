/* Text that came from outside: UTF-8 (RFC 3629), base64 (RFC 4648), and the checksum that travels with it.
 * Thread-safe. */
#ifndef KMS_BASE_TEXT_H
#define KMS_BASE_TEXT_H

#include "base/bytes.h"

/* Well-formed UTF-8 without NUL: no overlong form, no surrogate, nothing above U+10FFFF. */
bool kms_utf8_valid(struct kms_bytes text);

/* What others wrote and people will read: cut to room bytes with its NUL, '?' for all but printable ASCII. */
void kms_printable(struct kms_bytes from, char *to, size_t room);

/* Standard alphabet with padding, one line; text has room for kms_base64_len(len) + 1 bytes. */
size_t kms_base64_len(size_t len);
void kms_base64(struct kms_bytes data, char *text);
/* Strict: no blanks, padding required. data has room for text.len / 4 * 3 bytes. False: not base64;
 * nothing in data counts. */
bool kms_unbase64(struct kms_bytes text, uint8_t *data, size_t *ret_len);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), as Google's KMS uses it. crc is 0 to begin, or the last
 * result. */
uint32_t kms_crc32c(uint32_t crc, struct kms_bytes data);
/* The same without the processor's help, where it has none. */
uint32_t kms_crc32c_portable(uint32_t crc, struct kms_bytes data);

/* What a caller may be told of an error: its text, and the words that go with it unless they are not the
 * caller's business. UTF-8, cut to room bytes with its NUL. */
void kms_err_public(kms_err err, const struct kms_why *why, char *to, size_t room);

#endif
