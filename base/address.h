/* Addresses as people write them. Thread-safe: values only. */
#ifndef KMS_BASE_ADDRESS_H
#define KMS_BASE_ADDRESS_H

#include <sys/socket.h>

#include "base/bytes.h"

/* "127.0.0.1:5000", "[::1]:5000": in numbers, since a name could come to mean another machine, and of the
 * loopback interface. False: anything else. */
bool kms_loopback_parse(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_len);

enum { KMS_ADDRESS_BYTES = 64 };
/* "127.0.0.1:5000", "[::1]:5000"; "" for other families. */
void kms_address_text(const struct sockaddr_storage *address, char text[KMS_ADDRESS_BYTES]);

#endif
