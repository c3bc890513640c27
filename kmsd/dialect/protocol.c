/* The names of protocols. */
#include "kmsd/dialect/dialect.h"

static const char *const protocol_names[] = {[KMS_PROTOCOL_KMS] = "kms",
                                             [KMS_PROTOCOL_SOPS] = "sops",
                                             [KMS_PROTOCOL_KUBERNETES] = "kubernetes",
                                             [KMS_PROTOCOL_CSI] = "csi"};

const char *kms_protocol_name(enum kms_protocol protocol)
{
    return protocol_names[protocol];
}
