/* The key service of SOPS (proto/sops/keyservice.proto); the functions of its rows in dialect.c. */
#ifndef KMS_DIALECT_SOPS_H
#define KMS_DIALECT_SOPS_H

#include "kmsd/dialect/dialect.h"

kms_err kms_sops_encrypt_from(struct kms_call *call, const struct kms_door *door,
                              const ProtobufCMessage *foreign);
kms_err kms_sops_encrypt_to(struct kms_call *call, const struct kms_door *door,
                            const ProtobufCMessage **ret_foreign);
kms_err kms_sops_decrypt_from(struct kms_call *call, const struct kms_door *door,
                              const ProtobufCMessage *foreign);
kms_err kms_sops_decrypt_to(struct kms_call *call, const struct kms_door *door,
                            const ProtobufCMessage **ret_foreign);

#endif
