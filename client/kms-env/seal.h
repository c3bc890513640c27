/* Turns the plain values of a file of variables into ciphertext. Knows neither files nor the service. Not
 * thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_SEAL_H
#define KMS_CLIENT_KMS_ENV_SEAL_H

#include "client/kms-env/resolve.h"

struct kms_env_binding {
    const char *key;        /* to encrypt under */
    const char *app, *name; /* become the encryption context */
};

/* Encrypts one value. Appends the binary ciphertext to blob. */
struct kms_env_encrypter {
    kms_err (*encrypt)(void *self, const struct kms_env_binding *to, struct kms_bytes plaintext,
                       kms_buf *blob, struct kms_why *why);
    void *self;
};

struct kms_env_seal_options {
    const char *key;           /* NULL: the one that the file notes */
    const char *app;           /* NULL: the one that the file notes, else fallback_app */
    const char *fallback_app;  /* never NULL */
    struct kms_env_names only; /* encrypt these alone */
};

/* What is to be written in the place of each value: for kms_dotenv_write. */
typedef struct kms_env_sealed {
    struct kms_bytes *values; /* one for each entry; ptr NULL: as it was */
    kms_buf *texts;           /* which own what values point to */
    size_t count;
    kms_buf header;
    size_t encrypted, already, references, empty; /* how many; the rest was not among only */
} kms_env_sealed;

/*
 * Values that are ciphertext already, references, empty ones (there is nothing to hide) and names without a
 * value stay.
 * Errors: INVALID_ARGUMENT (no key; a value longer than 64 KiB; another app than the values that are there
 * have; a name of only that is not there), INVALID_CIPHERTEXT (a value says kms:v1: and is damaged),
 * LIMIT_EXCEEDED (the result could not be read again), the encrypter's. *sealed must be zero-initialised and
 * freed in any case.
 */
KMS_MUST_USE kms_err kms_env_seal(const kms_dotenv *document, const struct kms_env_seal_options *options,
                                  struct kms_env_encrypter encrypter, kms_env_sealed *sealed,
                                  struct kms_why *why);
void kms_env_sealed_free(kms_env_sealed *sealed); /* the struct itself is the caller's */
#define KMS_OWN_SEALED __attribute__((cleanup(kms_env_sealed_free))) kms_env_sealed

#endif
