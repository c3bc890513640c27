/*
 * struct kms_lease: a user of a database that goes when its time is over. Immutable and reference-counted.
 * Thread-safe. It is stored before the user is made and erased after the database said that the user is
 * gone, so that whatever happens in between, what is stored tells of every user that there can be.
 */
#ifndef KMS_LEASES_LEASE_H
#define KMS_LEASES_LEASE_H

#include <stdatomic.h>

#include "keystore/keystore.h"
#include "keystore/record.pb-c.h"
#include "kmsd/secrets/name.h"

typedef Kms__Store__V1__StoredLease kms_stored_lease;

/* Stored: append only. The same as kms.v1.LeaseState. */
enum kms_lease_state {
    KMS_LEASE_CREATING = 1, /* the user may be there or not; after a start of kmsd it is revoked */
    KMS_LEASE_ACTIVE,
    KMS_LEASE_REVOKING, /* for good */
};

enum {
    KMS_LEASE_ROW_BYTES = 25, /* of five bits each, with the NUL */
    KMS_LEASE_ID_BYTES = KMS_SECRET_NAME_BYTES + KMS_LEASE_ROW_BYTES,
};

struct kms_lease {
    atomic_uint refs;
    uint64_t revision;        /* of the row; 0: not stored yet */
    kms_stored_lease *stored; /* owned; allocated by protobuf-c's default allocator */
    const char *row;          /* the end of stored->id */
};

/* A copy of the message; an empty id becomes the name of the role, a "/" and new letters. NO_MEMORY,
 * INTERNAL. */
KMS_MUST_USE kms_err kms_lease_new(const kms_stored_lease *like, uint64_t revision,
                                   struct kms_lease **ret_lease);
/* The same lease in another state. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_in_state(const struct kms_lease *lease, enum kms_lease_state state,
                                        struct kms_lease **ret_lease);
struct kms_lease *kms_lease_ref(struct kms_lease *lease);
void kms_lease_unref(struct kms_lease *lease); /* NULL is a no-op */
static inline void kms_lease_drop(struct kms_lease **lease)
{
    kms_lease_unref(*lease);
}
#define KMS_OWN_LEASE __attribute__((cleanup(kms_lease_drop))) struct kms_lease *

/* The role's name in the id of a lease, or in its beginning: all before the last "/". Empty: none. */
struct kms_bytes kms_lease_role_in(const char *lease_id);

/* body must be empty. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_body(const kms_stored_lease *stored, kms_buf *body);
/* A user that was being made when kmsd ended is one to revoke. CORRUPT names the row. */
KMS_MUST_USE kms_err kms_lease_from_row(const struct kms_row *row, struct kms_lease **ret_lease,
                                        struct kms_why *why);

#endif
