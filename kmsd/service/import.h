/* Imported key material: the parameters that a key waits with, and the end of material (import.proto). */
#ifndef KMS_SERVICE_IMPORT_H
#define KMS_SERVICE_IMPORT_H

#include "keystore/record.pb-c.h"
#include "kmsd/service/change.h"

/* The parameters of the key, to be freed by kms_import_drop; NULL: it has none. */
typedef Kms__Store__V1__StoredImport kms_stored_import;
KMS_MUST_USE kms_err kms_import_read(struct kms_call *call, const struct kms_key *key,
                                     kms_stored_import **ret_import, uint64_t *ret_revision);
void kms_import_drop(kms_stored_import **import);
#define KMS_OWN_IMPORT __attribute__((cleanup(kms_import_drop))) kms_stored_import *
/* Erases their row, if there is one. */
KMS_MUST_USE kms_err kms_import_remove(struct kms_call *call, struct kms_change_set *changes,
                                       const struct kms_key *key);
/* UNSUPPORTED: the key has no material from outside. */
KMS_MUST_USE kms_err kms_import_check(struct kms_call *call, const struct kms_key *key);

/* Material that is stored still, though its time is over. */
bool kms_material_due(const struct kms_key *key, uint64_t now_us);
/* Act of an internal call: erases it as DeleteImportedKeyMaterial does. CONFLICT: not due any more. */
KMS_MUST_USE kms_err kms_expire_material(struct kms_call *call);

#endif
