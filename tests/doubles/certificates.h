/* A small certificate authority: EC P-256, one hour, PEM texts. Ends the test program on failure. */
#ifndef KMS_TESTS_DOUBLES_CERTIFICATES_H
#define KMS_TESTS_DOUBLES_CERTIFICATES_H

enum { PEM_BYTES = 4096 };

struct certificate {
    char cert_pem[PEM_BYTES], key_pem[PEM_BYTES];
};

/* san: "DNS:kms.test,URI:spiffe://x/app"; NULL: none. issuer NULL: a CA that signs itself. */
void certificate_make(const char *common_name, const char *san, const struct certificate *issuer,
                      struct certificate *ret_certificate);

#endif
