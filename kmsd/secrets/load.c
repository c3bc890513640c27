/* The book of secrets at start. Rows come by ascending id, secrets before values and days: one walk over
 * each joins them. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/secrets/book.h"
#include "kmsd/secrets/record.h"

static bool make_room(struct kms_secret_loading *l)
{
    enum { FIRST = 64 };
    if (l->count < l->room) return true;
    size_t room = l->room > 0 ? 2 * l->room : FIRST;
    struct kms_secret_entry **entries = realloc(l->entries, room * sizeof(struct kms_secret_entry *));
    if (entries == NULL) return false;
    l->entries = entries;
    l->room = room;
    return true;
}

static kms_err load_secret(struct kms_secret_loading *l, const struct kms_row *row)
{
    if (!make_room(l)) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_from_row(l->prefix, row, &l->entries[l->count], l->why));
    l->promised += l->entries[l->count++]->stored->n_versions;
    return KMS_OK;
}

static kms_err load_value(struct kms_secret_loading *l, const struct kms_row *row)
{
    enum { ROW = KMS_SECRET_ROW_BYTES - 1 };
    while (l->at < l->count && strncmp(l->entries[l->at]->row, row->id, ROW) < 0) l->at++;
    struct kms_secret_entry *entry = l->at < l->count ? l->entries[l->at] : NULL;
    bool fits = entry != NULL && strncmp(entry->row, row->id, ROW) == 0 && row->id[ROW] == '/';
    size_t version = fits ? kms_secret_version_at(entry->stored, row->id + ROW + 1) : SIZE_MAX;
    if (version == SIZE_MAX || entry->values[version] != NULL) {
        kms_why_set(l->why, "keystore row %s: a value that no version of a secret has", row->id);
        return KMS_FAIL(CORRUPT);
    }
    KMS_TRY(kms_secret_value_from_row(row, &entry->values[version], l->why));
    l->seen++;
    return KMS_OK;
}

static kms_err load_read_day(struct kms_secret_loading *l, const struct kms_row *row)
{
    while (l->read_at < l->count && strcmp(l->entries[l->read_at]->row, row->id) < 0) l->read_at++;
    if (l->read_at < l->count && strcmp(l->entries[l->read_at]->row, row->id) == 0)
        return kms_read_day_from_row(row, l->entries[l->read_at]->read, l->why);
    kms_why_set(l->why, "keystore row %s: the day of a secret that is not there", row->id);
    return KMS_FAIL(CORRUPT);
}

kms_err kms_secret_load_row(void *loading, const struct kms_row *row)
{
    if (row->table == KMS_TABLE_SECRET) return load_secret(loading, row);
    if (row->table == KMS_TABLE_SECRET_VALUE) return load_value(loading, row);
    if (row->table == KMS_TABLE_READ_DAY) return load_read_day(loading, row);
    return KMS_OK;
}

static kms_err check_complete(const struct kms_secret_loading *l)
{
    if (l->seen == l->promised) return KMS_OK;
    kms_why_set(l->why, "the keystore holds %zu values of secrets, its secrets have %zu versions", l->seen,
                l->promised);
    return KMS_FAIL(CORRUPT);
}

kms_err kms_secret_load_end(struct kms_secret_loading *loading, kms_err so_far)
{
    kms_err err = kms_failed(so_far) ? so_far : check_complete(loading);
    for (size_t i = 0; i < loading->count; i++) {
        if (!kms_failed(err)) err = kms_secret_book_put(loading->book, loading->entries[i]);
        kms_secret_entry_unref(loading->entries[i]);
    }
    free(loading->entries);
    loading->entries = NULL;
    loading->count = 0;
    return err;
}
