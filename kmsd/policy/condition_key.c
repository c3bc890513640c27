/* The condition keys of condition_key.def: names, and what goes with each. */
#include "kmsd/policy/compiled.h"
#include "kmsd/policy/match.h"

/* Columns of condition_key.def: the families that go with a key. */
#define FAMILY(name)  (1u << KMS_FAMILY_##name)
#define TAKES_TEXT    (FAMILY(TEXT) | FAMILY(ARN))
#define TAKES_LIST    TAKES_TEXT
#define TAKES_FLAG    FAMILY(FLAG)
#define TAKES_ADDRESS FAMILY(ADDRESS)
#define TAKES_NUMBER  FAMILY(NUMBER)
#define TAKES_DATE    FAMILY(DATE)
#define TAKES_EPOCH   (FAMILY(DATE) | FAMILY(NUMBER))
#define TAKES_CONTEXT (TAKES_TEXT | TAKES_FLAG | TAKES_ADDRESS | TAKES_EPOCH | FAMILY(BINARY))

const struct kms_condition_key_row kms_condition_key_rows[KMS_CONDITION_KEY_COUNT] = {
#define KMS_CONDITION_KEY(symbol, n, t, h, a, l) {n, TAKES_##t, KMS_HOLDS_##h, KMS_ABOUT_##a, l},
#include "kmsd/policy/condition_key.def"
#undef KMS_CONDITION_KEY
};

enum kms_condition_key kms_condition_key_called(struct kms_bytes text, struct kms_bytes *ret_name)
{
    enum kms_condition_key key = 0;
    for (; key < KMS_CONDITION_KEY_COUNT; key++) {
        struct kms_bytes known = kms_bytes_text(kms_condition_key_rows[key].name);
        bool prefix = kms_condition_key_rows[key].holds == KMS_HOLDS_NAMED;
        if (prefix ? text.len <= known.len : text.len != known.len) continue;
        if (!kms_folded_equal(kms_bytes_of(text.ptr, known.len), known)) continue;
        *ret_name = kms_bytes_of(text.ptr + known.len, text.len - known.len);
        break;
    }
    return key;
}
