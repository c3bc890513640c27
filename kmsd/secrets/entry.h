/*
 * struct kms_secret_entry: one stored secret in memory, with its versions and their sealed values;
 * immutable and reference-counted. A change makes a new one and puts it in the book; calls under way keep
 * the one that they began with. Nothing in it is plaintext. Thread-safe.
 */
#ifndef KMS_SECRETS_ENTRY_H
#define KMS_SECRETS_ENTRY_H

#include <stdatomic.h>

#include "base/id.h"
#include "keystore/record.pb-c.h"
#include "kmsd/policy/policy.h"
#include "kmsd/secrets/name.h"
#include "kmsd/secrets/read_day.h"

typedef Kms__Store__V1__StoredSecret kms_stored_secret;
typedef Kms__Store__V1__StoredSecretVersion kms_stored_secret_version;
typedef Kms__Store__V1__StoredSecretValue kms_stored_secret_value;
typedef Kms__Store__V1__StoredRotation kms_stored_rotation;

enum {
    KMS_SECRET_VALUE_BYTES = 65536, /* longest value (AWS quota) */
    KMS_SECRET_STAGES = 20,         /* of one version (AWS quota) */
    KMS_SECRET_STAGE_BYTES = 257,   /* with the NUL (AWS: 256) */
    KMS_SECRET_VERSIONS_MOST = 1000,
    KMS_SECRET_TAGS = 50,
    KMS_SECRET_ROTATION_STEPS = 6, /* StoredRotation.next_step is less */
};
#define KMS_STAGE_CURRENT  "AWSCURRENT"
#define KMS_STAGE_PENDING  "AWSPENDING"
#define KMS_STAGE_PREVIOUS "AWSPREVIOUS"

/* The sealed value of one version; shared by all generations of its secret. */
struct kms_sealed_value {
    atomic_uint refs;
    uint64_t revision;               /* of the row; 0: not stored yet */
    kms_stored_secret_value *stored; /* owned */
};
/* Takes stored over, also on failure. NO_MEMORY. */
KMS_MUST_USE kms_err kms_sealed_value_new(kms_stored_secret_value *stored,
                                          struct kms_sealed_value **ret_value);
void kms_sealed_value_unref(struct kms_sealed_value *value); /* NULL is a no-op */

struct kms_secret_entry {
    atomic_uint refs;
    uint64_t revision; /* of the row; 0: not stored yet */
    char row[KMS_SECRET_ROW_BYTES];
    char arn[KMS_SECRET_ARN_BYTES];
    kms_stored_secret *stored;        /* owned; allocated by protobuf-c's default allocator */
    kms_policy *policy;               /* compiled stored->policy; reference held */
    struct kms_sealed_value **values; /* of stored->versions, in their order; references held */
    struct kms_read_day *read;        /* reference held */
};

/* Takes stored over, also on failure; the policy and the values are the caller's to fill before it is shared.
 * NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_entry_new(const struct kms_arn_prefix *prefix, kms_stored_secret *stored,
                                          struct kms_secret_entry **ret_entry);
struct kms_secret_entry *kms_secret_entry_ref(struct kms_secret_entry *entry);
void kms_secret_entry_unref(struct kms_secret_entry *entry); /* NULL is a no-op */
static inline void kms_secret_entry_drop(struct kms_secret_entry **entry)
{
    kms_secret_entry_unref(*entry);
}
#define KMS_OWN_ENTRY __attribute__((cleanup(kms_secret_entry_drop))) struct kms_secret_entry *

/* May this be done to it, or is it marked for deletion? INVALID_SECRET_STATE. */
KMS_MUST_USE kms_err kms_secret_entry_check(const struct kms_secret_entry *entry, enum kms_action action,
                                            struct kms_why *why);
/* A copy to change: policy, values and day are shared, the rest is its own. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_entry_copy(const struct kms_secret_entry *entry,
                                           struct kms_secret_entry **ret_copy);

/* Where a version stands; SIZE_MAX: there is none. */
size_t kms_secret_version_at(const kms_stored_secret *secret, const char *version_id);
/* The version that has this stage; SIZE_MAX: none has. */
size_t kms_secret_stage_at(const kms_stored_secret *secret, const char *stage);
bool kms_secret_version_has(const kms_stored_secret_version *version, const char *stage);

/* Adds a version at the end, without stages; takes over the value's reference when it succeeds. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_entry_add(struct kms_secret_entry *entry, const char *version_id,
                                          const char *creator, uint64_t now_us,
                                          struct kms_sealed_value *value);
/* Takes a version out. */
void kms_secret_entry_remove(struct kms_secret_entry *entry, size_t at);

/* Replaces an owned text of stored. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_set_text(char **text, const char *value);
/* Adds a tag or replaces its value. LIMIT_EXCEEDED (KMS_SECRET_TAGS), NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_set_tag(kms_stored_secret *secret, const char *key, const char *value);
void kms_secret_drop_tag(kms_stored_secret *secret, const char *key); /* no such tag: a no-op */
/* The rotation of stored, made if there is none. NULL: no memory. */
kms_stored_rotation *kms_secret_need_rotation(kms_stored_secret *secret);

#endif
