/*
 * The memory of one result: the public struct and everything that it points to are given back together. Holds
 * no secret (those are kms_plaintext). When memory runs out, a store remembers it: add on, then ask once. Not
 * thread-safe.
 */
#ifndef KMS_CLIENT_STORE_H
#define KMS_CLIENT_STORE_H

#include <kms/types.h>
#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/own.h"

void *kms_store_new(size_t bytes);                            /* the public struct, zeroed; NULL: no memory */
void *kms_store_add(void *result, size_t count, size_t size); /* an array, zeroed; NULL: no memory */
const char *kms_store_text(void *result, const char *text);   /* a copy; never NULL */
struct kms_blob kms_store_blob(void *result, ProtobufCBinaryData); /* a copy */
void kms_store_free(void *result);                                 /* NULL is a no-op */
typedef void kms_store;
void kms_store_drop(kms_store **result); /* for KMS_OWN */
/* NO_MEMORY when anything above failed; the caller still frees result then. result may be NULL: NO_MEMORY. */
KMS_MUST_USE kms_err kms_store_check(const void *result);

/* A copy of data in locked memory, NULL when no more may be locked. The caller owns it. */
kms_plaintext *kms_plaintext_of(ProtobufCBinaryData data);
void kms_plaintext_drop(kms_plaintext **plaintext); /* for KMS_OWN */

#endif
