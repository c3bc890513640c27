/* Names of keys. */
#include "kmsd/keys/name.h"

#include <stdio.h>
#include <string.h>

#include "kmsd/keys/keyring.h"

static bool starts_with(struct kms_bytes text, const char *prefix, size_t len)
{
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

static bool arn_part_ok(const char *part)
{
    return part[0] != '\0' && strlen(part) <= 24 && strchr(part, ':') == NULL;
}

kms_err kms_arn_prefix_make(const char *partition, const char *service, const char *region,
                            const char *account, struct kms_arn_prefix *ret_prefix, struct kms_why *why)
{
    if (!arn_part_ok(partition) || !arn_part_ok(region) || !arn_part_ok(account)) {
        kms_why_set(why, "arn.partition, arn.region and arn.account: 1 to 24 bytes without a colon each");
        return KMS_FAIL(CONFIG_INVALID);
    }
    int len = snprintf(ret_prefix->text, sizeof ret_prefix->text, "arn:%s:%s:%s:%s:", partition, service,
                       region, account);
    ret_prefix->len = (size_t)len;
    return KMS_OK;
}

void kms_key_arn(const struct kms_arn_prefix *prefix, const char *id_text, char arn[KMS_ARN_BYTES])
{
    static const char kind[] = "key/"; /* by hand: a call needs three, and snprintf costs 0.1 us each */
    char *at = arn;
    at = mempcpy(at, prefix->text, prefix->len);
    at = mempcpy(at, kind, sizeof kind - 1);
    at = mempcpy(at, id_text, strnlen(id_text, KMS_ID_TEXT - 1));
    *at = '\0';
}

void kms_alias_arn(const struct kms_arn_prefix *prefix, const char *alias, char arn[KMS_ARN_BYTES])
{
    snprintf(arn, KMS_ARN_BYTES, "%s%s", prefix->text, alias);
}

kms_err kms_alias_name_syntax(struct kms_bytes name, struct kms_why *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-";
    bool ok = starts_with(name, "alias/", 6) && name.len > 6 && name.len < KMS_ALIAS_BYTES;
    for (size_t i = 6; ok && i < name.len; i++) ok = name.ptr[i] != 0 && strchr(allowed, name.ptr[i]) != NULL;
    if (ok) return KMS_OK;
    kms_why_set(why, "an alias is \"alias/\" and 1 to 250 of a-z A-Z 0-9 / _ -");
    return KMS_FAIL(INVALID_ALIAS_NAME);
}

kms_err kms_alias_name_check(struct kms_bytes name, struct kms_why *why)
{
    KMS_TRY(kms_alias_name_syntax(name, why));
    if (!starts_with(name, "alias/aws/", 10)) return KMS_OK;
    kms_why_set(why, "names under alias/aws/ are reserved");
    return KMS_FAIL(INVALID_ALIAS_NAME);
}

static kms_err strip_arn(const struct kms_arn_prefix *prefix, struct kms_bytes *named, bool *ret_key,
                         struct kms_why *why)
{
    if (!starts_with(*named, prefix->text, prefix->len)) {
        kms_why_set(why, "ARNs of keys here begin with %s", prefix->text);
        return KMS_FAIL(INVALID_ARN);
    }
    *named = kms_bytes_of(named->ptr + prefix->len, named->len - prefix->len);
    *ret_key = starts_with(*named, "key/", 4);
    if (*ret_key) *named = kms_bytes_of(named->ptr + 4, named->len - 4);
    if (*ret_key || starts_with(*named, "alias/", 6)) return KMS_OK;
    kms_why_set(why, "an ARN of a key ends in key/ID or alias/NAME");
    return KMS_FAIL(INVALID_ARN);
}

kms_err kms_key_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                           struct kms_key_name *ret_name, struct kms_why *why)
{
    struct kms_key_name name = {.alias = {0}};
    bool arn_of_key = false;
    if (starts_with(named, "arn:", 4)) KMS_TRY(strip_arn(prefix, &named, &arn_of_key, why));
    if (!arn_of_key && starts_with(named, "alias/", 6)) {
        KMS_TRY(kms_alias_name_syntax(named, why));
        name.alias = named;
    } else if (!kms_id_parse(named, &name.id)) {
        kms_why_set(why, "a key is named by its id (a UUID), by alias/NAME, or by either in an ARN");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    *ret_name = name;
    return KMS_OK;
}
