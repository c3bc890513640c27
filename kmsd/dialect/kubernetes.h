/* KMS v2 of Kubernetes (proto/k8s/kms_v2.proto); the functions of its rows in dialect.c. */
#ifndef KMS_DIALECT_KUBERNETES_H
#define KMS_DIALECT_KUBERNETES_H

#include "kmsd/dialect/dialect.h"

/* What every seed is sealed with, beside what binds the ciphertext to key and version. */
#define KMS_KUBERNETES_CONTEXT_NAME  "kmsd:protocol"
#define KMS_KUBERNETES_CONTEXT_VALUE "kubernetes-kms-v2"

enum { KMS_KUBERNETES_CIPHERTEXT_BYTES = 1024 }; /* that an API server takes (KEP-3299) */

kms_err kms_kubernetes_status_from(struct kms_call *call, const struct kms_door *door,
                                   const ProtobufCMessage *foreign);
kms_err kms_kubernetes_status_to(struct kms_call *call, const struct kms_door *door,
                                 const ProtobufCMessage **ret_foreign);
kms_err kms_kubernetes_encrypt_from(struct kms_call *call, const struct kms_door *door,
                                    const ProtobufCMessage *foreign);
kms_err kms_kubernetes_encrypt_to(struct kms_call *call, const struct kms_door *door,
                                  const ProtobufCMessage **ret_foreign);
kms_err kms_kubernetes_decrypt_from(struct kms_call *call, const struct kms_door *door,
                                    const ProtobufCMessage *foreign);
kms_err kms_kubernetes_decrypt_to(struct kms_call *call, const struct kms_door *door,
                                  const ProtobufCMessage **ret_foreign);

#endif
