/*
 * struct kms_role: one database role in memory: how users of a database are made, and who may. Immutable and
 * reference-counted, as a stored secret is. Thread-safe.
 */
#ifndef KMS_LEASES_ROLE_H
#define KMS_LEASES_ROLE_H

#include <stdatomic.h>

#include "keystore/keystore.h"
#include "keystore/record.pb-c.h"
#include "kmsd/policy/policy.h"
#include "kmsd/secrets/name.h"

typedef Kms__Store__V1__StoredDatabaseRole kms_stored_role;

/* Letters and digits that tell the users of one role, here and of every other kmsd; with the NUL. */
enum { KMS_ROLE_INSTANCE_BYTES = 13 };

struct kms_role {
    atomic_uint refs;
    uint64_t revision; /* of the row; 0: not stored yet */
    char row[KMS_SECRET_ROW_BYTES];
    char arn[KMS_SECRET_ARN_BYTES];
    kms_stored_role *stored; /* owned; allocated by protobuf-c's default allocator */
    kms_policy *policy;      /* compiled stored->policy; reference held */
};

/* Takes stored over, also on failure; the policy is the caller's to fill before it is shared. NO_MEMORY. */
KMS_MUST_USE kms_err kms_role_new(const struct kms_arn_prefix *prefix, kms_stored_role *stored,
                                  struct kms_role **ret_role);
struct kms_role *kms_role_ref(struct kms_role *role);
void kms_role_unref(struct kms_role *role); /* NULL is a no-op */
static inline void kms_role_drop(struct kms_role **role)
{
    kms_role_unref(*role);
}
#define KMS_OWN_ROLE __attribute__((cleanup(kms_role_drop))) struct kms_role *

/* The name in a name or an ARN. INVALID_ARGUMENT, INVALID_ARN. */
KMS_MUST_USE kms_err kms_role_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                                         struct kms_bytes *ret_name, struct kms_why *why);
/* New, from the generator. */
KMS_MUST_USE kms_err kms_role_instance_new(char instance[KMS_ROLE_INSTANCE_BYTES]);

/* body must be empty. NO_MEMORY; LIMIT_EXCEEDED: more statements than a row can hold. */
KMS_MUST_USE kms_err kms_role_body(const kms_stored_role *stored, kms_buf *body);
/* With its policy. CORRUPT names the row. */
KMS_MUST_USE kms_err kms_role_from_row(const struct kms_arn_prefix *prefix, const struct kms_row *row,
                                       struct kms_role **ret_role, struct kms_why *why);

#endif
