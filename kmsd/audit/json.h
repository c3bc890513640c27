/*
 * JSON text written into bounded memory, one line, safe for terminals: control characters (C0, DEL, C1), line
 * separators and direction overrides are escaped, what is not UTF-8 becomes U+FFFD. Writing on after it ran
 * full is harmless: ask once at the end. Not thread-safe.
 */
#ifndef KMS_AUDIT_JSON_H
#define KMS_AUDIT_JSON_H

#include <string.h>

#include "base/bytes.h"

struct kms_audit_json {
    uint8_t *at, *end; /* borrowed memory */
    bool overflow;     /* something did not fit; what was written is unusable */
    bool cut;          /* a text was shortened to its limit */
};

/* As it is: punctuation, names. Inline, since a record is put together from some eighty pieces. */
static inline void kms_audit_json_raw(struct kms_audit_json *json, const void *data, size_t len)
{
    if (__builtin_expect(len > (size_t)(json->end - json->at), 0)) {
        json->overflow = true;
        json->end = json->at;
        return;
    }
    memcpy(json->at, data, len);
    json->at += len;
}
void kms_audit_json_number(struct kms_audit_json *json, uint64_t number);
/* With its quotes. A text whose escaped form is longer than max_len bytes is cut there and ends in U+2026. */
void kms_audit_json_text(struct kms_audit_json *json, struct kms_bytes text, size_t max_len);

enum { KMS_AUDIT_NUMBER_BYTES = 20 }; /* digits of the largest uint64_t */
/* Decimal digits of number; returns how many. No NUL. */
size_t kms_audit_digits(uint64_t number, char text[KMS_AUDIT_NUMBER_BYTES]);

#endif
