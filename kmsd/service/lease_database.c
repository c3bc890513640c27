/* The databases of roles, by the log-in that the operator has named for them. */
#include <string.h>

#include "kmsd/secrets/stage.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/secret.h"

kms_err kms_role_statements(struct kms_call *call, char *const *items, size_t count,
                            struct kms_statements *ret_statements)
{
    struct kms_bytes *texts = kms_call_alloc(call, (count + 1) * sizeof *texts);
    if (texts == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) texts[i] = kms_bytes_text(items[i]);
    *ret_statements = (struct kms_statements){texts, count};
    return KMS_OK;
}

kms_err kms_lease_database(struct kms_call *call, const char *name, kms_database **ret_database)
{
    const struct kmsd_conf_database *conf = kms_rotators_database(call->core->rotators, name);
    if (conf == NULL)
        return kms_call_fail(call, KMS_FAIL(ROTATOR_UNKNOWN), "no database %.63s is declared", name);
    KMS_OWN_ENTRY entry = kms_secret_book_find(call->core->secrets, kms_bytes_text(conf->admin_secret));
    size_t at = entry != NULL ? kms_secret_stage_at(entry->stored, KMS_STAGE_CURRENT) : SIZE_MAX;
    if (at == SIZE_MAX)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND),
                             "admin_secret %s of database %s does not exist or has no value",
                             conf->admin_secret, name);
    struct kms_secret_plain plain;
    KMS_TRY(kms_secret_open_now(call, entry, at, &plain));
    const struct kms_core *core = call->core;
    return kms_database_open(core->rotators, name, plain.bytes,
                             call->by_service ? &core->lease_jobs_until_us : &core->lease_calls_until_us,
                             ret_database, &call->why);
}
