/*
 * A google.protobuf.FileDescriptorSet as protoc writes it, and what is in it by name: files, and the
 * symbols that they define (services, methods, messages, enums; nested ones too). Field numbers:
 * https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto. Thread-safe
 * once made.
 */
#ifndef KMS_RPC_DESCRIPTORS_H
#define KMS_RPC_DESCRIPTORS_H

#include "base/bytes.h"

typedef struct kms_descriptors kms_descriptors;

/* The set of proto/, made by protoc-c when kmsd is built. */
struct kms_bytes kms_descriptors_built_in(void);

/* set is borrowed. Errors: CORRUPT (not such a set, or a name of more than 255 bytes), NO_MEMORY. */
KMS_MUST_USE kms_err kms_descriptors_new(struct kms_bytes set, kms_descriptors **ret_descriptors);
void kms_descriptors_free(kms_descriptors *descriptors); /* NULL is a no-op */

/* The file of that name, or that defines the symbol ("kms.v1.CryptoService.Encrypt"): a FileDescriptorProto,
 * bytes of the set. Empty: there is none. */
struct kms_bytes kms_descriptors_file(const kms_descriptors *descriptors, const char *name);
struct kms_bytes kms_descriptors_symbol(const kms_descriptors *descriptors, const char *symbol);
bool kms_descriptors_is_message(const kms_descriptors *descriptors, const char *symbol);

#endif
