/* When a secret was read: one number, and its row. */
#include "kmsd/secrets/read_day.h"

#include <stdlib.h>

#include "base/clock.h"
#include "keystore/record.pb-c.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)

kms_err kms_read_day_new(struct kms_read_day **ret_day)
{
    struct kms_read_day *day = calloc(1, sizeof *day);
    if (day == NULL) return KMS_FAIL(NO_MEMORY);
    day->refs = 1;
    *ret_day = day;
    return KMS_OK;
}

struct kms_read_day *kms_read_day_ref(struct kms_read_day *day)
{
    atomic_fetch_add_explicit(&day->refs, 1, memory_order_relaxed);
    return day;
}

void kms_read_day_unref(struct kms_read_day *day)
{
    if (day != NULL && atomic_fetch_sub(&day->refs, 1) == 1) free(day);
}

void kms_read_day_set(struct kms_read_day *day, uint64_t at_us)
{
    uint64_t day_us = at_us - at_us % DAY_US;
    if (atomic_load_explicit(&day->day_us, memory_order_relaxed) < day_us)
        atomic_store_explicit(&day->day_us, day_us, memory_order_relaxed);
}

uint64_t kms_read_day_of(const struct kms_read_day *day)
{
    return atomic_load_explicit(&day->day_us, memory_order_relaxed);
}

kms_err kms_read_day_body(struct kms_read_day *day, kms_buf *body)
{
    enum { MOST = 32 };
    Kms__Store__V1__StoredSecretReadDay stored;
    uint8_t packed[MOST];
    kms__store__v1__stored_secret_read_day__init(&stored);
    day->taken_us = stored.day_us = kms_read_day_of(day);
    if (kms__store__v1__stored_secret_read_day__get_packed_size(&stored) > sizeof packed)
        return KMS_FAIL(INTERNAL);
    return kms_buf_append(body, packed, kms__store__v1__stored_secret_read_day__pack(&stored, packed));
}

kms_err kms_read_day_from_row(const struct kms_row *row, struct kms_read_day *day, struct kms_why *why)
{
    Kms__Store__V1__StoredSecretReadDay *stored =
        kms__store__v1__stored_secret_read_day__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL || stored->day_us % DAY_US != 0) {
        kms_why_set(why, "keystore row %s: not a day", row->id);
        if (stored != NULL) kms__store__v1__stored_secret_read_day__free_unpacked(stored, NULL);
        return KMS_FAIL(CORRUPT);
    }
    day->day_us = day->stored_us = stored->day_us;
    day->revision = row->revision;
    kms__store__v1__stored_secret_read_day__free_unpacked(stored, NULL);
    return KMS_OK;
}
