/* What a job asks of worker and token: that is what it is sent by. */
#include "hsm/job.h"
#include "hsm/spec.h"

static bool makes_pair(const struct kms_hsm_job *job)
{
    return job->op == KMS_HSM_DATA_KEY_PAIR || job->op == KMS_HSM_DATA_KEY_PAIR_SEALED;
}

static bool makes_key(const struct kms_hsm_job *job)
{
    return job->op == KMS_HSM_NEW_KEY || job->op == KMS_HSM_IMPORT || makes_pair(job);
}

bool kms_job_slow(const struct kms_hsm_job *job)
{
    bool roots =
        job->op == KMS_HSM_NEW_ROOT || job->op == KMS_HSM_DESTROY_ROOT || job->op == KMS_HSM_READ_ROOTS;
    return roots || makes_key(job);
}

bool kms_job_makes_rsa(const struct kms_hsm_job *job)
{
    unsigned made = makes_pair(job) ? job->pair
                    : job->op == KMS_HSM_IMPORT
                        ? job->to.ref.spec /* whether its primes are prime takes long */
                        : job->key.ref.spec;
    return makes_key(job) && kms_spec_of(made)->family == KMS_FAMILY_RSA;
}

static bool of_software(const struct kms_hsm_job *job)
{
    return job->key.ref.level == KMS_LEVEL_SOFTWARE &&
           (job->op != KMS_HSM_REENCRYPT || job->to.ref.level == KMS_LEVEL_SOFTWARE);
}

bool kms_job_in_token(const struct kms_hsm_job *job)
{
    switch (job->op) {
    case KMS_HSM_RANDOM:
    case KMS_HSM_DATA_KEY:
    case KMS_HSM_DATA_KEY_SEALED:
        return true; /* the token's random bytes, whatever the level */
    case KMS_HSM_ENCRYPT:
    case KMS_HSM_DECRYPT:
    case KMS_HSM_REENCRYPT:
    case KMS_HSM_MAC:
    case KMS_HSM_VERIFY_MAC:
        return !of_software(job);
    default:
        return false; /* rare, not in the token, or slow on any token, as all that takes a private key */
    }
}

bool kms_job_spares_token(const struct kms_hsm_job *job)
{
    switch (job->op) {
    case KMS_HSM_ENCRYPT:
    case KMS_HSM_DECRYPT:
    case KMS_HSM_REENCRYPT:
    case KMS_HSM_SIGN:
    case KMS_HSM_VERIFY:
    case KMS_HSM_MAC:
    case KMS_HSM_VERIFY_MAC:
    case KMS_HSM_PUBLIC_KEY:
    case KMS_HSM_RSA_ENCRYPT:
    case KMS_HSM_RSA_DECRYPT:
    case KMS_HSM_CERTIFY:
    case KMS_HSM_DATA_KEY_PAIR:
    case KMS_HSM_DATA_KEY_PAIR_SEALED:
        return of_software(job);
    default:
        return false;
    }
}
