/* What names and values give away. */
#include "client/kms-env/guard.h"

#include <string.h>
#include <strings.h>

/* ld.so(8), dyld(1), bash(1), python(1), node(1), perlrun(1), ruby(1), iconv(3). A final * stands for the
 * rest. */
static const char *const guarded[] = {
    "PATH",         "HOME",           "LD_*",    "DYLD_*", "GLIBC_TUNABLES", "GCONV_PATH", "BASH_ENV",
    "ENV",          "PROMPT_COMMAND", "IFS",     "PS4",    "SHELLOPTS",      "BASHOPTS",   "PYTHONSTARTUP",
    "NODE_OPTIONS", "PERL5OPT",       "RUBYOPT",
};

static const char *const settings[] = {
    "KMS_ENDPOINT", "KMS_CA",          "KMS_CERT",    "KMS_KEY",
    "KMS_KEY_FILE", "KMS_SERVER_NAME", "KMS_CONTEXT", "KMSCTL_CONFIG",
};

static const char *const secret_words[] = {"PASSWORD", "SECRET", "TOKEN", "KEY", "DSN"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool matches(struct kms_bytes name, const char *pattern)
{
    size_t len = strlen(pattern);
    bool prefix = pattern[len - 1] == '*';
    if (prefix) len--;
    return (prefix ? name.len >= len : name.len == len) && memcmp(name.ptr, pattern, len) == 0;
}

static bool matches_any(struct kms_bytes name, const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (matches(name, patterns[i])) return true;
    return false;
}

bool kms_env_name_guarded(struct kms_bytes name)
{
    return matches_any(name, guarded, COUNT(guarded));
}
bool kms_env_name_is_setting(struct kms_bytes name)
{
    return matches_any(name, settings, COUNT(settings));
}

static bool contains_word(struct kms_bytes name, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= name.len; i++)
        if (strncasecmp((const char *)name.ptr + i, word, len) == 0) return true;
    return false;
}

bool kms_env_name_looks_secret(struct kms_bytes name)
{
    if (name.len >= 5 && strncasecmp((const char *)name.ptr + name.len - 5, "_FILE", 5) == 0) return false;
    for (size_t i = 0; i < COUNT(secret_words); i++)
        if (contains_word(name, secret_words[i])) return true;
    return false;
}

/* scheme://user:password@host (RFC 3986, section 3.2.1) */
static bool url_with_password(struct kms_bytes value)
{
    const uint8_t *scheme_end = value.len > 0 ? memmem(value.ptr, value.len, "://", 3) : NULL;
    if (scheme_end == NULL) return false;
    const uint8_t *at = scheme_end + 3, *end = value.ptr + value.len;
    bool password = false;
    for (; at < end && *at != '/' && *at != '?' && *at != '#'; at++) {
        if (*at == '@') return password;
        if (*at == ':' && at + 1 < end && at[1] != '@') password = true;
    }
    return false;
}

bool kms_env_value_looks_secret(struct kms_bytes value)
{
    static const char pem[] = "PRIVATE KEY-----";
    return url_with_password(value) ||
           (value.len > 0 && memmem(value.ptr, value.len, pem, strlen(pem)) != NULL);
}
