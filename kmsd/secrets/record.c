/* Secrets as keystore rows, out and in; what does not fit is corruption. */
#include "kmsd/secrets/record.h"

#include <stdio.h>
#include <string.h>

#include "kmsd/keys/stored.h"

void kms_secret_value_row(const struct kms_secret_entry *entry, const char *version_id,
                          char row_id[KMS_SECRET_VALUE_ROW_BYTES])
{
    snprintf(row_id, KMS_SECRET_VALUE_ROW_BYTES, "%s/%s", entry->row, version_id);
}

kms_err kms_secret_body(const kms_stored_secret *stored, kms_buf *body)
{
    return kms_stored_pack(&stored->base, body);
}

kms_err kms_secret_value_body(const kms_stored_secret_value *stored, kms_buf *body)
{
    return kms_stored_pack(&stored->base, body);
}

static kms_err bad_row(const struct kms_row *row, const char *what, struct kms_why *why)
{
    kms_why_set(why, "keystore row %s: %s", row->id, what);
    return KMS_FAIL(CORRUPT);
}

static bool possible(const kms_stored_secret *stored)
{
    struct kms_why why;
    bool ok = !kms_failed(kms_secret_name_check(kms_bytes_text(stored->name), &why)) &&
              strlen(stored->suffix) == KMS_SECRET_SUFFIX_BYTES - 1 && stored->n_tags <= KMS_SECRET_TAGS &&
              (stored->key_id.len == 0 || stored->key_id.len == KMS_ID_BYTES) &&
              stored->n_versions <= KMS_SECRET_VERSIONS_MOST;
    for (size_t i = 0; ok && i < stored->n_versions; i++)
        ok = stored->versions[i]->n_stages <= KMS_SECRET_STAGES;
    if (ok && stored->rotation != NULL) ok = stored->rotation->next_step < KMS_SECRET_ROTATION_STEPS;
    return ok;
}

kms_err kms_secret_from_row(const struct kms_arn_prefix *prefix, const struct kms_row *row,
                            struct kms_secret_entry **ret_entry, struct kms_why *why)
{
    kms_stored_secret *stored = kms__store__v1__stored_secret__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "not a secret", why);
    if (!possible(stored)) {
        kms__store__v1__stored_secret__free_unpacked(stored, NULL);
        return bad_row(row, "not a secret of this release", why);
    }
    KMS_OWN_ENTRY entry = NULL;
    struct kms_why cause = {{0}};
    KMS_TRY(kms_secret_entry_new(prefix, stored, &entry));
    entry->revision = row->revision;
    if (strcmp(entry->row, row->id) != 0) return bad_row(row, "another secret's name", why);
    kms_err err =
        kms_policy_parse(KMS_POLICY_SECRET, kms_bytes_text(entry->stored->policy), &entry->policy, &cause);
    if (kms_is(err, KMS_E_MALFORMED_POLICY)) {
        kms_why_set(why, "policy of secret %s: %.300s", entry->stored->name, cause.text);
        return KMS_FAIL(CORRUPT);
    }
    KMS_TRY(err);
    *ret_entry = KMS_GIVE(entry);
    return KMS_OK;
}

kms_err kms_secret_value_from_row(const struct kms_row *row, struct kms_sealed_value **ret_value,
                                  struct kms_why *why)
{
    kms_stored_secret_value *stored =
        kms__store__v1__stored_secret_value__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "not the value of a secret", why);
    KMS_TRY(kms_sealed_value_new(stored, ret_value));
    (*ret_value)->revision = row->revision;
    return KMS_OK;
}
