/* The table of foreign methods. */
#include "kmsd/dialect/dialect.h"

#include "csi/secrets_store.pb-c.h"
#include "k8s/kms_v2.pb-c.h"
#include "kmsd/dialect/csi.h"
#include "kmsd/dialect/kubernetes.h"
#include "kmsd/dialect/sops.h"
#include "sops/keyservice.pb-c.h"

#define SOPS(rpc_, method_, from_, to_)                                                                      \
    {                                                                                                        \
        .protocol = KMS_PROTOCOL_SOPS, .service = &key_service__descriptor, .rpc = (rpc_),                   \
        .method = (method_), .from = (from_), .to = (to_)                                                    \
    }
#define KUBERNETES(rpc_, method_, from_, to_)                                                                \
    {                                                                                                        \
        .protocol = KMS_PROTOCOL_KUBERNETES, .service = &v2__key_management_service__descriptor,             \
        .rpc = (rpc_), .method = (method_), .from = (from_), .to = (to_)                                     \
    }

const struct kms_dialect kms_dialects[] = {
    SOPS("Encrypt", "Encrypt", kms_sops_encrypt_from, kms_sops_encrypt_to),
    SOPS("Decrypt", "Decrypt", kms_sops_decrypt_from, kms_sops_decrypt_to),
    KUBERNETES("Status", "DescribeKey", kms_kubernetes_status_from, kms_kubernetes_status_to),
    KUBERNETES("Encrypt", "Encrypt", kms_kubernetes_encrypt_from, kms_kubernetes_encrypt_to),
    KUBERNETES("Decrypt", "Decrypt", kms_kubernetes_decrypt_from, kms_kubernetes_decrypt_to),
    {.protocol = KMS_PROTOCOL_CSI,
     .service = &v1alpha1__csidriver_provider__descriptor,
     .rpc = "Version",
     .method = "GetStatus",
     .answer = kms_csi_version},
    {.protocol = KMS_PROTOCOL_CSI,
     .service = &v1alpha1__csidriver_provider__descriptor,
     .rpc = "Mount",
     .method = "GetSecretValue",
     .split = &kms_csi_mount},
};
const size_t kms_dialect_count = sizeof kms_dialects / sizeof kms_dialects[0];
