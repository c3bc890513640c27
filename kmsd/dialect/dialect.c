/* The table of foreign methods. */
#include "kmsd/dialect/dialect.h"

#include "k8s/kms_v2.pb-c.h"
#include "kmsd/dialect/kubernetes.h"
#include "kmsd/dialect/sops.h"
#include "sops/keyservice.pb-c.h"

const struct kms_dialect kms_dialects[] = {
    {KMS_PROTOCOL_SOPS, &key_service__descriptor, "Encrypt", "Encrypt", kms_sops_encrypt_from,
     kms_sops_encrypt_to},
    {KMS_PROTOCOL_SOPS, &key_service__descriptor, "Decrypt", "Decrypt", kms_sops_decrypt_from,
     kms_sops_decrypt_to},
    {KMS_PROTOCOL_KUBERNETES, &v2__key_management_service__descriptor, "Status", "DescribeKey",
     kms_kubernetes_status_from, kms_kubernetes_status_to},
    {KMS_PROTOCOL_KUBERNETES, &v2__key_management_service__descriptor, "Encrypt", "Encrypt",
     kms_kubernetes_encrypt_from, kms_kubernetes_encrypt_to},
    {KMS_PROTOCOL_KUBERNETES, &v2__key_management_service__descriptor, "Decrypt", "Decrypt",
     kms_kubernetes_decrypt_from, kms_kubernetes_decrypt_to},
};
const size_t kms_dialect_count = sizeof kms_dialects / sizeof kms_dialects[0];
