/* Values to decrypt, gathered so that all go to the service at once. Not thread-safe. */
#ifndef KMS_CLIENT_KMS_ENV_JOBS_H
#define KMS_CLIENT_KMS_ENV_JOBS_H

#include "base/secret.h"

enum { KMS_ENV_REASON_BYTES = 64 };

/* One value: name and app are its encryption context, key is the key that it must be under or NULL. */
struct kms_env_job {
    const char *name, *app, *key;      /* borrowed */
    struct kms_bytes ciphertext;       /* borrowed */
    kms_secret *plaintext;             /* out: owned by the jobs; NULL when it failed or is empty */
    kms_err err;                       /* out */
    char reason[KMS_ENV_REASON_BYTES]; /* out: what the service calls a failure; empty: the reason of err */
    struct kms_why why;                /* out: words of a failure, or empty */
};

/* Decrypts all of them. Fails only when none could be tried; otherwise each job has its outcome. */
struct kms_env_decrypter {
    kms_err (*decrypt)(void *self, struct kms_env_job *jobs, size_t count, struct kms_why *why);
    void *self;
};

typedef struct kms_env_jobs kms_env_jobs;

KMS_MUST_USE kms_err kms_env_jobs_new(size_t most, kms_env_jobs **ret_jobs); /* NO_MEMORY */
void kms_env_jobs_free(kms_env_jobs *jobs);                                  /* wipes; NULL is a no-op */
void kms_env_jobs_drop(kms_env_jobs **jobs);

/* text is the text form of a ciphertext; everything but key is copied. INVALID_CIPHERTEXT: damaged (why says
 * how), and nothing was added; NO_MEMORY; LIMIT_EXCEEDED: more than most. */
KMS_MUST_USE kms_err kms_env_jobs_add(kms_env_jobs *jobs, struct kms_bytes name, struct kms_bytes app,
                                      const char *key, struct kms_bytes text, struct kms_why *why);
/* Does not call the decrypter when there are none. Errors: its. */
KMS_MUST_USE kms_err kms_env_jobs_run(kms_env_jobs *jobs, struct kms_env_decrypter decrypter,
                                      struct kms_why *why);
struct kms_env_job *kms_env_jobs_at(kms_env_jobs *jobs,
                                    size_t index); /* in the order in which they were added */

#endif
