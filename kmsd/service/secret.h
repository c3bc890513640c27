/* What the methods of SecretService share: finding a secret, its key, sealing and opening values, storing
 * a change. */
#ifndef KMS_SERVICE_SECRET_H
#define KMS_SERVICE_SECRET_H

#include "kms/v1/secrets.pb-c.h"
#include "kmsd/secrets/record.h"
#include "kmsd/service/change.h"

/* The secret of the call's first access; after the decision it is there. */
const struct kms_secret_entry *kms_call_secret(const struct kms_call *call);

/* ---- the key of a secret (secret_key.c) ---- */

/* Adds the access to the key that seals: named, or by default that of the entry (NULL: of no secret yet),
 * or the default key, which the access then knows by the policy that it is about to have. The context is
 * that of a version of the secret with this ARN. */
KMS_MUST_USE kms_err kms_secret_key_gather(struct kms_call *call, const char *named,
                                           const struct kms_secret_entry *entry, const char *arn,
                                           const char *version_id);
/* In act: makes the default key when the access means one that is not there yet; its rows join the change. */
KMS_MUST_USE kms_err kms_secret_key_need(struct kms_call *call, struct kms_access *access,
                                         struct kms_change_set *changes);
/* When the change is applied: shows a key that was made by it to the keyring. */
KMS_MUST_USE kms_err kms_secret_key_made(struct kms_call *call, const struct kms_access *access);
/* {"SecretARN", "SecretVersionId"}, as AWS Secrets Manager binds them. */
KMS_MUST_USE kms_err kms_secret_context(struct kms_call *call, struct kms_access *access, const char *arn,
                                        const char *version_id);

/* ---- values (secret_value.c, proto/FORMAT.md) ---- */

struct kms_secret_plain {
    struct kms_bytes bytes; /* in the arena of the call, or borrowed */
    bool binary;
};
/* Of a request. INVALID_ARGUMENT: none, empty, or too long. */
KMS_MUST_USE kms_err kms_secret_plain_of(struct kms_call *call, const Kms__V1__SecretValue *value,
                                         struct kms_secret_plain *ret_plain);
/* Into a reply, in the arena; NULL: NO_MEMORY. */
Kms__V1__SecretValue *kms_secret_reply_value(struct kms_call *call, const struct kms_secret_plain *plain);
/* Seals a value under a fresh data key of the access's key, in its context. Blocks for one HSM job. */
KMS_MUST_USE kms_err kms_secret_seal(struct kms_call *call, struct kms_access *access,
                                     const struct kms_secret_plain *plain,
                                     struct kms_sealed_value **ret_value);
/* Opens a value with its data key. */
KMS_MUST_USE kms_err kms_secret_open(struct kms_call *call, const struct kms_access *access,
                                     const struct kms_sealed_value *value, struct kms_bytes data_key,
                                     struct kms_secret_plain *ret_plain);
/* Opens a version for the service itself: policy is not asked. Blocks for one HSM job. */
KMS_MUST_USE kms_err kms_secret_open_now(struct kms_call *call, const struct kms_secret_entry *entry,
                                         size_t at, struct kms_secret_plain *ret_plain);
/* Seals the data key of a version anew under the current version of the access's key. False in *ret_value:
 * NULL, it is up to date. Blocks for one HSM job. */
KMS_MUST_USE kms_err kms_secret_rewrap(struct kms_call *call, const struct kms_secret_entry *entry, size_t at,
                                       struct kms_access *to, struct kms_sealed_value **ret_value);
/* Which key version the data key of a version is under. CORRUPT. */
KMS_MUST_USE kms_err kms_secret_sealed_by(const struct kms_sealed_value *value, struct kms_id *ret_key_id,
                                          uint32_t *ret_version);

/* Constant time. */
bool kms_secret_plain_same(const struct kms_secret_plain *a, const struct kms_secret_plain *b);

/* ---- replies: everything in the arena, or borrowed from the entry of the call ---- */

KMS_MUST_USE kms_err kms_secret_reply_names(struct kms_call *call, char **ret_arn, char **ret_name);
KMS_MUST_USE kms_err kms_secret_reply_stages(struct kms_call *call, const kms_stored_secret_version *version,
                                             char ***ret_stages, size_t *ret_count);
KMS_MUST_USE kms_err kms_secret_reply_tags(struct kms_call *call, const kms_stored_secret *secret,
                                           Kms__V1__Tag ***ret_tags, size_t *ret_count);

/* ---- versions and changes ---- */

/* The key that seals from now on. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_set_key(struct kms_secret_entry *entry, const struct kms_key *key);
/* Adds a tag of a request. INVALID_ARGUMENT, LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_secret_tag(struct kms_call *call, kms_stored_secret *secret,
                                    const Kms__V1__Tag *tag);

/* The request's token, or a new UUID: call->secret_version. INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_secret_version_gather(struct kms_call *call, const char *token);
/* Adds a version with its stages (none: AWSCURRENT), which becomes the newest; a deprecated one may go for
 * it. Takes over the value, also on failure. LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_secret_add_version(struct kms_call *call, struct kms_change_set *changes,
                                            struct kms_secret_entry *entry, struct kms_sealed_value *value,
                                            char *const *stages, size_t stage_count);
/* Adds the row of the secret, as it is then. Before it: changed_us is set. */
KMS_MUST_USE kms_err kms_change_secret(struct kms_change_set *changes, struct kms_call *call,
                                       struct kms_secret_entry *entry);
KMS_MUST_USE kms_err kms_change_secret_value(struct kms_change_set *changes, struct kms_secret_entry *entry,
                                             size_t at);
/* Applies the change, then the book shows the secret as it is now; the call's record names it. */
KMS_MUST_USE kms_err kms_change_apply_secret(struct kms_change_set *changes, struct kms_call *call,
                                             struct kms_secret_entry *entry);
/* The same of one whose policy is new. POLICY_NOT_SEPARATED (admin_secret.h). */
KMS_MUST_USE kms_err kms_change_apply_secret_policy(struct kms_change_set *changes, struct kms_call *call,
                                                    struct kms_secret_entry *entry);

/* AWSPENDING is on no version, or on the one with AWSCURRENT: what failed has been looked at. */
bool kms_secret_rotation_idle(const kms_stored_secret *secret);
/* A rotation that makes this version begins now; its first step is due. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_rotation_begin(struct kms_call *call, kms_stored_rotation *rotation,
                                               const char *version_id);

/* The policy of a secret that was made without one: the caller administers, nobody reads. In the arena;
 * NULL: NO_MEMORY. */
char *kms_secret_policy_default(struct kms_call *call);
/* What such a document must pass before it is stored. MALFORMED_POLICY, POLICY_NOT_SEPARATED,
 * POLICY_LOCKOUT. */
KMS_MUST_USE kms_err kms_secret_policy_accept(struct kms_call *call, const kms_policy *policy,
                                              const char *arn);
/* Puts on record which document the request brings. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_policy_say(struct kms_call *call, const char *json);

#endif
