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

enum kms_protocol { KMS_PROTOCOL_KMS, KMS_PROTOCOL_SOPS, KMS_PROTOCOL_KUBERNETES, KMS_PROTOCOL_CSI };
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

/* As whom pods read (docs/csi.md). */
struct kms_pod_principal {
    const char *namespace, *service_account; /* the latter "": any that has no row of its own */
    const char *principal;
};

struct kms_door {
    enum kms_protocol protocol;
    const struct kms_sops_key *sops_keys;
    size_t sops_key_count;
    const char *key; /* KUBERNETES: the one that seals there; id, alias/NAME or ARN of ours */
    /* CSI: */
    const struct kms_pod_principal *pods;
    size_t pod_count;
    uint32_t mount_objects; /* most of one Mount */
    uint64_t mount_bytes;   /* most contents of its files */
};

/* What one foreign call became that is several of ours. */
struct kms_parts {
    size_t count;          /* at least 1 */
    const char *principal; /* whose calls they are; NULL: the caller's */
    void *plan; /* the dialect's, in the arena of the foreign call, which outlives those of the parts */
};
/* Each part is a call like any other, with a decision and a record of its own, and the answer is theirs
 * together: one that fails is the failure of all. A part says on record what the foreign call does
 * (kms_call_say), and what from adds. */
struct kms_dialect_split {
    kms_err (*split)(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage *foreign,
                     struct kms_parts *ret_parts);
    /* As those of a dialect, for the part at this place. */
    kms_err (*from)(struct kms_call *part, const struct kms_parts *parts, size_t at);
    /* Keeps in the plan what the answer needs of part->reply, which lives as long. Those of one foreign call
     * come one at a time. */
    kms_err (*to)(struct kms_call *part, const struct kms_parts *parts, size_t at);
    /* After all of them. A failure is that of the last one. */
    kms_err (*join)(struct kms_call *call, const struct kms_parts *parts,
                    const ProtobufCMessage **ret_foreign);
    /* What errors call a part: "objects[0] (app/db)"; NULL: no memory. */
    const char *(*name)(struct kms_call *call, const struct kms_parts *parts, size_t at);
};

/* Has from and to, or split, or answer. */
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
    const struct kms_dialect_split *split;
    /* It concerns no key, secret or state: answered where it comes in, without a call of ours and without a
     * record, to whoever may call at all. A call that is refused is one of method. */
    kms_err (*answer)(struct kms_call *call, const ProtobufCMessage *foreign,
                      const ProtobufCMessage **ret_foreign);
};

extern const struct kms_dialect kms_dialects[];
extern const size_t kms_dialect_count;

#endif
