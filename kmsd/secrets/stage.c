/* Stages. */
#include "kmsd/secrets/stage.h"

#include <stdlib.h>
#include <string.h>

kms_err kms_stage_check(const char *stage, struct kms_why *why)
{
    size_t len = strlen(stage);
    if (len > 0 && len < KMS_SECRET_STAGE_BYTES) return KMS_OK;
    kms_why_set(why, "version_stage: 1 to %d bytes", KMS_SECRET_STAGE_BYTES - 1);
    return KMS_FAIL(INVALID_ARGUMENT);
}

void kms_stage_take(kms_stored_secret_version *version, const char *stage)
{
    for (size_t i = 0; i < version->n_stages; i++) {
        if (strcmp(version->stages[i], stage) != 0) continue;
        free(version->stages[i]);
        version->stages[i] = version->stages[--version->n_stages];
        return;
    }
}

static kms_err put(kms_stored_secret_version *version, const char *stage, struct kms_why *why)
{
    if (version->n_stages >= KMS_SECRET_STAGES) {
        kms_why_set(why, "version %s has %d stages: take one away first", version->id, KMS_SECRET_STAGES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    char *copy = strdup(stage);
    char **stages = realloc(version->stages, (version->n_stages + 1) * sizeof *stages);
    if (stages != NULL) version->stages = stages;
    if (copy == NULL || stages == NULL) {
        free(copy);
        return KMS_FAIL(NO_MEMORY);
    }
    stages[version->n_stages++] = copy;
    return KMS_OK;
}

/* Plain: no other stage follows. Returns where it was. */
static kms_err move(kms_stored_secret *secret, const char *stage, size_t to, struct kms_why *why)
{
    size_t from = kms_secret_stage_at(secret, stage);
    if (from == to) return KMS_OK;
    KMS_TRY(put(secret->versions[to], stage, why));
    if (from != SIZE_MAX) kms_stage_take(secret->versions[from], stage);
    return KMS_OK;
}

kms_err kms_stage_move(kms_stored_secret *secret, const char *stage, size_t to, struct kms_why *why)
{
    size_t from = kms_secret_stage_at(secret, stage);
    KMS_TRY(move(secret, stage, to, why));
    if (strcmp(stage, KMS_STAGE_CURRENT) != 0 || from == to) return KMS_OK;
    kms_stage_take(secret->versions[to], KMS_STAGE_PREVIOUS);
    return from != SIZE_MAX ? move(secret, KMS_STAGE_PREVIOUS, from, why) : KMS_OK;
}

size_t kms_stage_deprecated(const kms_stored_secret *secret, size_t keep, uint64_t now_us)
{
    const uint64_t day_us = UINT64_C(86400000000);
    if (secret->n_versions <= keep) return SIZE_MAX;
    for (size_t i = 0; i < secret->n_versions; i++) {
        const kms_stored_secret_version *version = secret->versions[i];
        bool young = now_us < version->created_us + day_us && secret->n_versions <= 2 * keep;
        if (version->n_stages == 0 && !young) return i;
    }
    return SIZE_MAX;
}
