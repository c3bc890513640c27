/* The book of leases at start. */
#include "kmsd/leases/book.h"

static kms_err load_role(const struct kms_lease_loading *l, const struct kms_row *row)
{
    KMS_OWN_ROLE role = NULL;
    KMS_TRY(kms_role_from_row(l->prefix, row, &role, l->why));
    return kms_lease_book_put_role(l->book, role);
}

static kms_err load_lease(const struct kms_lease_loading *l, const struct kms_row *row)
{
    KMS_OWN_LEASE lease = NULL;
    KMS_TRY(kms_lease_from_row(row, &lease, l->why));
    KMS_OWN_ROLE role = kms_lease_book_role(l->book, kms_bytes_text(lease->stored->role));
    if (role != NULL) return kms_lease_book_put(l->book, lease);
    kms_why_set(l->why, "keystore row %s: a lease of a database role that is not there", row->id);
    return KMS_FAIL(CORRUPT);
}

kms_err kms_lease_load_row(void *loading, const struct kms_row *row)
{
    if (row->table == KMS_TABLE_DATABASE_ROLE) return load_role(loading, row);
    if (row->table == KMS_TABLE_LEASE) return load_lease(loading, row);
    return KMS_OK;
}
