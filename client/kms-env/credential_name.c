/* Strict: what systemd would not have bound is nobody's name. */
#include "client/kms-env/credential_name.h"

#include <string.h>

enum { NAME_BYTES = 255, RANDOM_DIGITS = 16 };

static const char digits[] = "0123456789abcdef";
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool all_of(struct kms_bytes text, const char *more)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' ||
            (strchr(letters, text.ptr[i]) == NULL && strchr(more, text.ptr[i]) == NULL))
            return false;
    return text.len > 0 && text.len <= NAME_BYTES;
}

bool kms_env_credential_unit_valid(struct kms_bytes unit)
{
    return all_of(unit, ":-_.\\@");
}

bool kms_env_credential_id_valid(struct kms_bytes credential)
{
    return all_of(credential, "-_.@+") && !kms_bytes_equal(credential, kms_bytes_text(".")) &&
           !kms_bytes_equal(credential, kms_bytes_text(".."));
}

static bool skip(struct kms_bytes *text, const char *word)
{
    const size_t len = strlen(word);
    if (text->len < len || memcmp(text->ptr, word, len) != 0) return false;
    *text = kms_bytes_of(text->ptr + len, text->len - len);
    return true;
}

/* The number is printed without leading zeros, so it may be short. */
static bool skip_number(struct kms_bytes *text)
{
    size_t count = 0;
    while (count < text->len && text->ptr[count] != '\0' && strchr(digits, text->ptr[count]) != NULL) count++;
    *text = kms_bytes_of(text->ptr + count, text->len - count);
    return count > 0 && count <= RANDOM_DIGITS;
}

bool kms_env_credential_name_parse(struct kms_bytes address, struct kms_env_credential_name *ret_name)
{
    if (address.len == 0 || address.ptr[0] != '\0') return false; /* a path, or bound to nothing */
    struct kms_bytes rest = kms_bytes_of(address.ptr + 1, address.len - 1);
    if (!skip_number(&rest) || !skip(&rest, "/unit/")) return false;
    const uint8_t *slash = memchr(rest.ptr, '/', rest.len);
    if (slash == NULL) return false;
    const size_t unit_len = (size_t)(slash - rest.ptr);
    const struct kms_env_credential_name name = {kms_bytes_of(rest.ptr, unit_len),
                                                 kms_bytes_of(slash + 1, rest.len - unit_len - 1)};
    if (!kms_env_credential_unit_valid(name.unit) || !kms_env_credential_id_valid(name.credential))
        return false;
    *ret_name = name;
    return true;
}
