/*
 * What the values of env files, or of an environment, are: plain, ciphertext, references, damaged; and what
 * is wrong with that. Knows neither files nor the service. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMS_ENV_INSPECT_H
#define KMS_CLIENT_KMS_ENV_INSPECT_H

#include "base/ciphertext.h"
#include "client/kms-env/resolve.h"

enum kms_env_state { KMS_ENV_PLAIN, KMS_ENV_EMPTY, KMS_ENV_CIPHERTEXT, KMS_ENV_REFERENCE, KMS_ENV_DAMAGED };

struct kms_env_finding {
    struct kms_bytes name, app; /* borrowed */
    const char *file;           /* NULL: of the environment */
    unsigned line;
    enum kms_env_state state;
    struct kms_ciphertext_header header; /* when it is ciphertext */
    struct kms_env_reference reference;  /* when it is one */
    const char *wrong;                   /* static, or NULL: nothing is */
    struct kms_why detail;               /* more words, or empty */
    bool tried;                          /* the service was asked for it, and this is how it went: */
    kms_err outcome;
    char reason[KMS_ENV_REASON_BYTES]; /* of a failure */
};

struct kms_env_inspect_options {
    const char *app, *fallback_app; /* as in kms_env_options */
    const char *key;                /* the pin of online, or NULL */
    struct kms_env_names only;
    bool strict; /* plain is wrong, whatever it is */
};

typedef struct kms_env_report {
    struct kms_env_finding *findings; /* one for each value, in order */
    struct kms_bytes *values;         /* findings[i] is about values[i]; borrowed */
    size_t count, cap;
} kms_env_report;

/* inputs, or environment when there are none (NULL otherwise). Errors: NO_MEMORY. *report must be
 * zero-initialised. */
KMS_MUST_USE kms_err kms_env_inspect(char *const *environment, const struct kms_env_input *inputs,
                                     size_t input_count, const struct kms_env_inspect_options *options,
                                     kms_env_report *report);
/* Decrypts every ciphertext and fetches what is referred to, wipes what comes out, notes how it went. Errors:
 * NO_MEMORY, those of the providers. */
KMS_MUST_USE kms_err kms_env_inspect_online(kms_env_report *report,
                                            const struct kms_env_inspect_options *options,
                                            struct kms_env_providers providers, struct kms_why *why);
size_t kms_env_report_wrong(const kms_env_report *report); /* how many findings have something wrong */
void kms_env_report_free(kms_env_report *report);          /* the struct itself is the caller's */
#define KMS_OWN_REPORT __attribute__((cleanup(kms_env_report_free))) kms_env_report

const char *kms_env_state_name(enum kms_env_state state); /* "plain", ... */
const char *kms_env_algorithm_name(uint8_t algorithm);    /* "AES_256_GCM", ...; "unknown" */

#endif
