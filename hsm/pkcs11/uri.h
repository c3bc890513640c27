/*
 * Where the token is: pkcs11:token=LABEL[;serial=S]?module-path=/abs/module.so&pin-source=file:/abs/pin
 * (RFC 7512). Stricter than the RFC: each attribute once, no other attribute, never a PIN in the text.
 * Thread-safe: values only.
 */
#ifndef KMS_HSM_PKCS11_URI_H
#define KMS_HSM_PKCS11_URI_H

#include "base/bytes.h"

struct kms_p11_uri {
    char module_path[512], pin_path[512]; /* absolute */
    char token[33], serial[17]; /* "" matches any; at least one is given. CK_TOKEN_INFO: 32 and 16 bytes */
};

/* CONFIG_INVALID; why says which attribute is wrong, and never repeats a value. */
KMS_MUST_USE kms_err kms_p11_uri_parse(const char *text, struct kms_p11_uri *ret_uri, struct kms_why *why);

#endif
