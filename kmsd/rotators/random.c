/* Characters by rejection: a random byte that would favour some of them is thrown away, and so is a
 * password that lacks a required kind. */
#include "kmsd/rotators/random.h"

#include <string.h>

#include "base/id.h"

enum { KINDS = 5, PRINTABLE = 128, BATCH_BYTES = 256, TRIES_MAX = 1000000 };

static const char *const kinds[KINDS] = {"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz",
                                         "0123456789", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", " "};

/* What is left to choose from. */
struct alphabet {
    uint8_t characters[PRINTABLE], kind_of[PRINTABLE]; /* kind_of: by character */
    uint32_t count, kinds;                             /* kinds: a bit for each that has a character */
};

static bool has(struct kms_bytes set, char c)
{
    return set.len > 0 && memchr(set.ptr, c, set.len) != NULL;
}

static struct alphabet alphabet_of(const struct kms_password_rules *rules)
{
    struct alphabet a = {0};
    const bool included[KINDS] = {!rules->exclude_uppercase, !rules->exclude_lowercase,
                                  !rules->exclude_numbers, !rules->exclude_punctuation,
                                  rules->include_space || rules->alphabet.len > 0};
    for (uint8_t kind = 0; kind < KINDS; kind++) {
        for (const char *c = kinds[kind]; included[kind] && *c != '\0'; c++) {
            if (rules->alphabet.len > 0 && !has(rules->alphabet, *c)) continue;
            if (has(rules->exclude_characters, *c)) continue;
            a.characters[a.count++] = (uint8_t)*c;
            a.kind_of[(uint8_t)*c] = kind;
            a.kinds |= UINT32_C(1) << kind;
        }
    }
    return a;
}

static kms_err refuse(struct kms_why *why, const char *cause)
{
    kms_why_set(why, "%s", cause);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err check(const struct kms_password_rules *rules, const struct alphabet *a, struct kms_why *why)
{
    if (rules->length == 0 || rules->length > KMS_PASSWORD_LENGTH_MAX)
        return refuse(why, "the length of a password is 1 to 4096");
    for (size_t i = 0; i < rules->alphabet.len; i++)
        if (rules->alphabet.ptr[i] < ' ' || rules->alphabet.ptr[i] > '~')
            return refuse(why, "the alphabet of a password holds a character that is not printable ASCII");
    if (a->count == 0) return refuse(why, "no character is left to make a password of");
    if (rules->require_each_included_type && rules->length < (uint32_t)__builtin_popcount(a->kinds))
        return refuse(why, "the password is too short for one character of each included type");
    return KMS_OK;
}

kms_err kms_password_check(const struct kms_password_rules *rules, struct kms_why *why)
{
    struct alphabet a = alphabet_of(rules);
    return check(rules, &a, why);
}

/* Random bytes, used up one by one. In locked memory: what they make is in them. */
struct source {
    uint8_t bytes[BATCH_BYTES];
    size_t left;
};

/* Below count, each as likely. */
static kms_err draw(struct source *source, uint32_t count, uint32_t *ret_number)
{
    uint32_t fair = 256 - 256 % count, byte;
    do {
        if (source->left == 0) {
            KMS_TRY(kms_random(source->bytes, sizeof source->bytes));
            source->left = sizeof source->bytes;
        }
        byte = source->bytes[--source->left];
    } while (byte >= fair);
    *ret_number = byte % count;
    return KMS_OK;
}

/* One try; *ret_kinds: which kinds are in it. */
static kms_err fill(struct source *source, const struct alphabet *a, uint8_t *password, uint32_t length,
                    uint32_t *ret_kinds)
{
    *ret_kinds = 0;
    for (uint32_t i = 0; i < length; i++) {
        uint32_t at;
        KMS_TRY(draw(source, a->count, &at));
        password[i] = a->characters[at];
        *ret_kinds |= UINT32_C(1) << a->kind_of[a->characters[at]];
    }
    return KMS_OK;
}

static kms_err make(struct source *source, const struct kms_password_rules *rules, const struct alphabet *a,
                    uint8_t *password)
{
    uint32_t found, tries = 0;
    do {
        if (++tries > TRIES_MAX) return KMS_FAIL(INTERNAL); /* of the likeliest rules none comes near */
        KMS_TRY(fill(source, a, password, rules->length, &found));
    } while (rules->require_each_included_type && found != a->kinds);
    return KMS_OK;
}

kms_err kms_password_new(const struct kms_password_rules *rules, kms_secret **ret_password,
                         struct kms_why *why)
{
    struct alphabet a = alphabet_of(rules);
    KMS_TRY(check(rules, &a, why));
    KMS_OWN(kms_secret) password = NULL;
    KMS_OWN(kms_secret) memory = NULL;
    KMS_TRY(kms_secret_new(rules->length, &password));
    KMS_TRY(kms_secret_new(sizeof(struct source), &memory));
    KMS_TRY(make((struct source *)(void *)kms_secret_data(memory), rules, &a, kms_secret_data(password)));
    *ret_password = KMS_GIVE(password);
    return KMS_OK;
}
