/* Client certificates as good and as bad as a test wants them: EC P-256, signed by themselves. */
#ifndef KMS_TESTS_AUTHN_LEAF_H
#define KMS_TESTS_AUTHN_LEAF_H

#include "kmsd/authn/internal.h"

struct leaf {
    const char *common_names[3];
    struct kms_bytes uris[3]; /* of one subject alternative name, unless: */
    bool san_twice;           /* the extension stands there twice */
    bool san_damaged;         /* it is no GeneralNames */
    const char *dns;
    const char *serial_hex; /* NULL: 1 */
    long expires_in_s;      /* 0: an hour */
};

enum { LEAF_PEM_BYTES = 8192 };
/* Ends the program when OpenSSL refuses. */
void leaf_pem(const struct leaf *leaf, char pem[LEAF_PEM_BYTES]);

/* An authn with these options; the test fails when there is none. */
kms_authn *authn_with(const struct kms_authn_options *options);

#endif
