/*
 * Foreign protocols. A dialect is one method of somebody else's gRPC service, and the method of ours
 * (method.def) that a call of it is: its request becomes one of our requests before the pipeline gets the
 * call, and our reply one of theirs after it. What lies between knows nothing of it, so policy, limits and
 * records are those of the method; the record says the protocol.
 *
 * A door is a place to call at. It speaks one protocol: a method of another is refused there.
 * Thread-safe: what is borrowed from the configuration does not change.
 */
#ifndef KMS_DIALECT_DIALECT_H
#define KMS_DIALECT_DIALECT_H

#include "kmsd/service/method.h"

enum kms_protocol { KMS_PROTOCOL_KMS, KMS_PROTOCOL_SOPS, KMS_PROTOCOL_KUBERNETES };
const char *kms_protocol_name(enum kms_protocol protocol); /* "kms" (our own), "sops": also in records */

/* The key types of sops, called as in the metadata of a file: "kms", "pgp", "gcp_kms", "azure_kv",
 * "hc_vault", "age", "hckms". */
enum kms_sops_type {
    KMS_SOPS_KMS,
    KMS_SOPS_PGP,
    KMS_SOPS_GCP_KMS,
    KMS_SOPS_AZURE_KV,
    KMS_SOPS_HC_VAULT,
    KMS_SOPS_AGE,
    KMS_SOPS_HCKMS,
};
/* A master key of sops, and the key of ours that stands for it (docs/sops.md). */
struct kms_sops_key {
    enum kms_sops_type type;
    const char *name; /* kms: ARN; hc_vault: ADDRESS/v1/ENGINE/keys/NAME; azure_kv: URL/keys/NAME/VERSION */
    const char *key;  /* id, alias/NAME or ARN of ours */
};

struct kms_door {
    enum kms_protocol protocol;
    const struct kms_sops_key *sops_keys;
    size_t sops_key_count;
    const char *key; /* KUBERNETES: the one that seals there; id, alias/NAME or ARN of ours */
};

struct kms_dialect {
    enum kms_protocol protocol;
    const ProtobufCServiceDescriptor *service;
    const char *rpc;
    const char *method; /* the rpc of ours that it is a call of; not a batch, not a stream */
    /* Makes call->request out of the foreign one, in the call's arena; borrows from it, which lies there,
     * too. A failure is the call's, with words in call->why. */
    kms_err (*from)(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage *foreign);
    /* The foreign reply that call->reply is, in the arena. A failure is the call's, as above. */
    kms_err (*to)(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage **ret_foreign);
};

extern const struct kms_dialect kms_dialects[];
extern const size_t kms_dialect_count;

#endif
