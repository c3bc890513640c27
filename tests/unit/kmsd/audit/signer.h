/* In place of the token: a key that signs heads. */
#ifndef KMS_TESTS_AUDIT_SIGNER_H
#define KMS_TESTS_AUDIT_SIGNER_H

#include "kmsd/audit/chain.h"
#include "kmsd/audit/head.h"

void signer_new_key(void); /* the first one is made when it is needed */
void signer_sign(const char *instance, const struct kms_audit_head *of,
                 struct kms_audit_signed_head *ret_head);
struct kms_bytes signer_pem(void);        /* of the public key; borrowed until signer_new_key */
struct kms_bytes signer_pem_of_rsa(void); /* of another kind of key; borrowed */

#endif
