/*
 * Text read as what condition operators compare: numbers, dates, booleans, addresses. Thread-safe: values
 * only; every function returns false, its result untouched, when the text is anything else.
 */
#ifndef KMS_POLICY_VALUE_H
#define KMS_POLICY_VALUE_H

#include "base/bytes.h"

enum { KMS_MILLION = 1000000 };

/* An address, or the block that the first prefix_bits of it make. An IPv4-mapped IPv6 address is held as
 * IPv4. */
struct kms_network {
    uint8_t bytes[16];
    uint8_t len; /* 4 or 16 */
    uint8_t prefix_bits;
};

/* A decimal, exact: up to 12 digits, then up to 6 decimals; in millionths. */
bool kms_value_number(struct kms_bytes text, int64_t *ret_millionths);
/* ISO 8601 as in W3C's note NOTE-datetime (year, month, day, or time with zone), else seconds since 1970 as a
 * number. Microseconds since 1970-01-01 UTC. Four digits are a year. */
bool kms_value_date(struct kms_bytes text, int64_t *ret_us);
bool kms_value_flag(struct kms_bytes text, int64_t *ret_flag); /* true or false, in any case */
/* "192.0.2.0/24", "2001:db8::/32"; without a prefix, the one address. */
bool kms_value_network(struct kms_bytes text, struct kms_network *ret_network);
/* An address as a peer has it: a zone ("%eth0") is put aside, a prefix is refused. */
bool kms_value_address(struct kms_bytes text, struct kms_network *ret_address);
bool kms_network_contains(const struct kms_network *network, const struct kms_network *address);

#endif
