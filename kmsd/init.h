/* kmsd init: root keys on the token, an empty keystore sealed by them. Once for each token. */
#ifndef KMS_KMSD_INIT_H
#define KMS_KMSD_INIT_H

#include "kmsd/boot.h"

/* Refuses a token that has root keys and a keystore that has rows or a key: ROOT_KEYS_EXIST,
 * ALREADY_EXISTS. ret_audit_key_id: of the key that signs heads of the audit log. */
KMS_MUST_USE kms_err kms_init(struct kms_boot *boot, char ret_audit_key_id[2 * KMS_DIGEST_BYTES + 1],
                              struct kms_why *why);

#endif
