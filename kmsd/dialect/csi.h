/*
 * Providers of the Secrets Store CSI driver (proto/csi/secrets_store.proto): a Mount is a GetSecretValue of
 * every object that the SecretProviderClass lists (docs/csi.md).
 */
#ifndef KMS_DIALECT_CSI_H
#define KMS_DIALECT_CSI_H

#include "kmsd/dialect/dialect.h"

enum {
    KMS_CSI_OBJECTS_BYTES = 64 * 1024, /* longest list of objects, as YAML */
    KMS_CSI_NAME_BYTES = 255,          /* longest name of a file */
    KMS_CSI_MODE = 0644,               /* of files, where nobody says another */
};

/* One file of a volume. */
struct kms_csi_file {
    size_t object;       /* which of the list it is of */
    const char *name;    /* the secret, by name or ARN */
    const char *path;    /* of the file */
    const char *field;   /* a member of a secret that is a JSON object; "": all of the secret */
    const char *version; /* version id, "" */
    const char *stage;   /* "": AWSCURRENT, unless version is there */
    uint32_t mode;       /* permission bits */
    /* Once it was read: */
    struct kms_bytes contents;
    const char *found_version;
};

/* What the SecretProviderClass lists as objects, in the arena; mode is of those that say none. At most
 * `most`, with names of files that no two share. INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_csi_objects(struct kms_call *call, const char *yaml, uint32_t mode, uint32_t most,
                                     struct kms_csi_file **ret_files, size_t *ret_count);

kms_err kms_csi_version(struct kms_call *call, const ProtobufCMessage *foreign,
                        const ProtobufCMessage **ret_foreign);
extern const struct kms_dialect_split kms_csi_mount;

#endif
