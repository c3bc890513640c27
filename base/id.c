/* Ids and randomness. */
#include "base/id.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

kms_err kms_random(void *data, size_t len)
{
    uint8_t *at = data;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return KMS_FAIL(INTERNAL);
        at += got;
        len -= (size_t)got;
    }
    return KMS_OK;
}

kms_err kms_id_new(struct kms_id *ret_id)
{
    struct kms_id id;
    KMS_TRY(kms_random(id.bytes, sizeof id.bytes));
    id.bytes[6] = (uint8_t)(0x40 | (id.bytes[6] & 0x0f)); /* version 4 */
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f)); /* variant 10 */
    *ret_id = id;
    return KMS_OK;
}

static const struct {
    size_t at, len; /* bytes */
} groups[] = {{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}};

void kms_id_text(const struct kms_id *id, char text[KMS_ID_TEXT])
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        kms_hex(id->bytes + groups[i].at, groups[i].len, text);
        text += 2 * groups[i].len;
        *text++ = '-';
    }
    text[-1] = '\0';
}

bool kms_id_parse(struct kms_bytes text, struct kms_id *ret_id)
{
    struct kms_id id;
    const char *at = (const char *)text.ptr;
    if (text.len != KMS_ID_TEXT - 1) return false;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (i > 0 && *at++ != '-') return false;
        if (!kms_unhex(at, 2 * groups[i].len, id.bytes + groups[i].at, groups[i].len)) return false;
        at += 2 * groups[i].len;
    }
    *ret_id = id;
    return true;
}

bool kms_id_equal(const struct kms_id *a, const struct kms_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
