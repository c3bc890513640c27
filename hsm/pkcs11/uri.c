/* RFC 7512 by p11-kit's parser, after a check of its own of which attributes are there: the parser lets
 * doubles pass. */
#include "hsm/pkcs11/uri.h"

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <string.h>

#include "hsm/pkcs11/cryptoki.h"

static const struct {
    const char *name;
    bool query, required;
} attributes[] = {
    {"token", false, false},
    {"serial", false, false},
    {"module-path", true, true},
    {"pin-source", true, true},
};
enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0] };

static kms_err refuse(struct kms_why *why, const char *what, const char *name, size_t name_len)
{
    kms_why_set(why,
                "hsm.uri: %s '%.*s'; wanted is pkcs11:token=LABEL?module-path=/FILE&pin-source=file:/FILE",
                what, (int)(name_len < 40 ? name_len : 40), name);
    return KMS_FAIL(CONFIG_INVALID);
}

static kms_err check_name(const char *name, size_t len, bool query, unsigned *seen, struct kms_why *why)
{
    if (len == strlen("pin-value") && strncmp(name, "pin-value", len) == 0)
        return refuse(why, "a PIN does not belong into the configuration: use pin-source, not", name, len);
    for (unsigned i = 0; i < ATTRIBUTES; i++) {
        if (strlen(attributes[i].name) != len || strncmp(attributes[i].name, name, len) != 0) continue;
        if (attributes[i].query != query) break;
        if (*seen & 1u << i) return refuse(why, "double attribute", name, len);
        *seen |= 1u << i;
        return KMS_OK;
    }
    return refuse(why, "unknown attribute", name, len);
}

static kms_err check_names(const char *text, struct kms_why *why)
{
    unsigned seen = 0;
    bool query = false;
    const char *at = text + strlen("pkcs11:");
    while (*at != '\0') {
        size_t len = strcspn(at, query ? "&" : ";?");
        KMS_TRY(check_name(at, strcspn(at, "=;?&"), query, &seen, why));
        at += len;
        if (*at == '?') query = true;
        if (*at != '\0') at++;
    }
    for (unsigned i = 0; i < ATTRIBUTES; i++)
        if (attributes[i].required && !(seen & 1u << i))
            return refuse(why, "missing attribute", attributes[i].name, strlen(attributes[i].name));
    return (seen & 3u) != 0 ? KMS_OK : refuse(why, "missing attribute", "token", strlen("token"));
}

static bool copy_text(const char *from, char *to, size_t cap)
{
    if (from == NULL || strlen(from) >= cap) return false;
    kms_copy(to, from, strlen(from) + 1);
    return true;
}

static kms_err take(P11KitUri *parsed, struct kms_p11_uri *ret_uri, struct kms_why *why)
{
    struct kms_p11_uri uri = {0};
    const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(parsed);
    const char *pin = p11_kit_uri_get_pin_source(parsed);
    if (token->label[0] != 0) kms_take_padded(token->label, sizeof token->label, uri.token);
    if (token->serialNumber[0] != 0)
        kms_take_padded(token->serialNumber, sizeof token->serialNumber, uri.serial);
    if (uri.token[0] == '\0' && uri.serial[0] == '\0') return refuse(why, "empty", "token", strlen("token"));
    if (!copy_text(p11_kit_uri_get_module_path(parsed), uri.module_path, sizeof uri.module_path) ||
        uri.module_path[0] != '/')
        return refuse(why, "not an absolute path:", "module-path", strlen("module-path"));
    if (pin == NULL || strncmp(pin, "file:", 5) != 0) return refuse(why, "not file:/PATH:", "pin-source", 10);
    pin += strncmp(pin, "file:///", 8) == 0 ? 7 : 5; /* RFC 8089 allows an empty authority */
    if (!copy_text(pin, uri.pin_path, sizeof uri.pin_path) || uri.pin_path[0] != '/')
        return refuse(why, "not file:/PATH:", "pin-source", strlen("pin-source"));
    *ret_uri = uri;
    return KMS_OK;
}

kms_err kms_p11_uri_parse(const char *text, struct kms_p11_uri *ret_uri, struct kms_why *why)
{
    if (strncmp(text, "pkcs11:", 7) != 0)
        return refuse(why, "not a PKCS#11 URI:", text, strcspn(text, ":;?&"));
    KMS_TRY(check_names(text, why));
    P11KitUri *parsed = p11_kit_uri_new();
    if (parsed == NULL) return KMS_FAIL(NO_MEMORY);
    int outcome =
        p11_kit_uri_parse(text, P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_MODULE_WITH_VERSION, parsed);
    kms_err err = outcome != P11_KIT_URI_OK || p11_kit_uri_any_unrecognized(parsed)
                      ? refuse(why, "badly encoded:", "pkcs11", strlen("pkcs11"))
                      : take(parsed, ret_uri, why);
    p11_kit_uri_free(parsed);
    return err;
}
