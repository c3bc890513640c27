/* Names of secrets. */
#include "kmsd/secrets/name.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
enum { SUFFIX = KMS_SECRET_SUFFIX_BYTES - 1 };

static bool only(struct kms_bytes text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == 0 || strchr(allowed, text.ptr[i]) == NULL) return false;
    return true;
}

static struct kms_bytes cut(struct kms_bytes text, size_t from, size_t len)
{
    return kms_bytes_of(text.ptr + from, len);
}

static bool has_suffix(struct kms_bytes name)
{
    return name.len > SUFFIX + 1 && name.ptr[name.len - SUFFIX - 1] == '-' &&
           only(cut(name, name.len - SUFFIX, SUFFIX), ALPHANUMERIC);
}

/* Names become paths in some places: none of their parts leads elsewhere. */
static bool parts_ok(struct kms_bytes name)
{
    size_t begin = 0;
    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && name.ptr[i] != '/') continue;
        struct kms_bytes part = cut(name, begin, i - begin);
        if (part.len == 0 || kms_bytes_equal(part, kms_bytes_text(".")) ||
            kms_bytes_equal(part, kms_bytes_text("..")))
            return false;
        begin = i + 1;
    }
    return true;
}

static kms_err bad_name(struct kms_why *why, const char *words)
{
    kms_why_set(why, "the name of a secret: %s", words);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err check_characters(struct kms_bytes name, struct kms_why *why)
{
    if (name.len == 0 || name.len >= KMS_SECRET_NAME_BYTES || !only(name, ALPHANUMERIC "/_+=.@-"))
        return bad_name(why, "1 to 512 of a-z A-Z 0-9 / _ + = . @ -");
    return parts_ok(name) ? KMS_OK : bad_name(why, "no part between slashes is empty, \".\" or \"..\"");
}

kms_err kms_secret_name_check(struct kms_bytes name, struct kms_why *why)
{
    KMS_TRY(check_characters(name, why));
    if (!has_suffix(name)) return KMS_OK;
    return bad_name(why, "it must not end in \"-\" and six letters or digits, as ARNs do");
}

kms_err kms_secret_version_id_check(const char *field, struct kms_bytes id, struct kms_why *why)
{
    if (id.len >= KMS_SECRET_VERSION_ID_LEAST && id.len < KMS_SECRET_VERSION_ID_BYTES &&
        only(id, ALPHANUMERIC "-"))
        return KMS_OK;
    kms_why_set(why, "%s: 32 to 64 of a-z A-Z 0-9 -", field);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err strip_arn(const struct kms_arn_prefix *prefix, struct kms_bytes *named, struct kms_why *why)
{
    static const char kind[] = "secret:";
    size_t len = prefix->len + sizeof kind - 1;
    if (named->len < len || memcmp(named->ptr, prefix->text, prefix->len) != 0 ||
        memcmp(named->ptr + prefix->len, kind, sizeof kind - 1) != 0) {
        kms_why_set(why, "ARNs of secrets here begin with %s%s", prefix->text, kind);
        return KMS_FAIL(INVALID_ARN);
    }
    *named = cut(*named, len, named->len - len);
    return KMS_OK;
}

kms_err kms_secret_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                              struct kms_secret_name ret_names[2], size_t *ret_count, struct kms_why *why)
{
    bool arn = named.len >= 4 && memcmp(named.ptr, "arn:", 4) == 0;
    *ret_count = 0;
    if (arn) KMS_TRY(strip_arn(prefix, &named, why));
    if (arn && has_suffix(named)) {
        struct kms_bytes name = cut(named, 0, named.len - SUFFIX - 1);
        KMS_TRY(check_characters(name, why));
        ret_names[(*ret_count)++] = (struct kms_secret_name){name, cut(named, named.len - SUFFIX, SUFFIX)};
    }
    KMS_TRY(check_characters(named, why));
    ret_names[(*ret_count)++] = (struct kms_secret_name){.name = named};
    return KMS_OK;
}

kms_err kms_secret_suffix_new(char suffix[KMS_SECRET_SUFFIX_BYTES])
{
    static const char alphabet[] = ALPHANUMERIC;
    enum { LETTERS = sizeof alphabet - 1, FAIR = 256 / LETTERS * LETTERS };
    for (size_t i = 0; i < SUFFIX;) {
        uint8_t byte;
        KMS_TRY(kms_random(&byte, 1));
        if (byte < FAIR) suffix[i++] = alphabet[byte % LETTERS];
    }
    suffix[SUFFIX] = '\0';
    return KMS_OK;
}

void kms_secret_arn(const struct kms_arn_prefix *prefix, const char *name, const char *suffix,
                    char arn[KMS_SECRET_ARN_BYTES])
{
    snprintf(arn, KMS_SECRET_ARN_BYTES, "%ssecret:%s-%s", prefix->text, name, suffix);
}

kms_err kms_secret_row(struct kms_bytes name, char row[KMS_SECRET_ROW_BYTES])
{
    return kms_sha256_hex(name, row);
}
