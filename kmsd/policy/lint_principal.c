/* Names of principals that no caller will have: mistyped, or of another service. */
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/complain.h"
#include "kmsd/policy/lint_internal.h"

static const char *const schemes[] = {"spiffe", "arn", "cn", "https", "http", "urn", "ldap", "mailto"};
enum { SCHEMES = sizeof schemes / sizeof *schemes };

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool known_scheme(struct kms_bytes scheme)
{
    for (size_t i = 0; i < SCHEMES; i++)
        if (kms_bytes_equal(scheme, kms_bytes_text(schemes[i]))) return true;
    return false;
}

/* spiffe://TRUST-DOMAIN/PATH (SPIFFE ID, section 2): lower-case domain, a path that does not end in "/". */
static bool spiffe_id(struct kms_bytes name)
{
    static const char front[] = "spiffe://";
    const size_t len = sizeof front - 1;
    if (name.len <= len || memcmp(name.ptr, front, len) != 0) return false;
    const uint8_t *slash = memchr(name.ptr + len, '/', name.len - len);
    if (slash == NULL || slash == name.ptr + len || name.ptr[name.len - 1] == '/') return false;
    for (const uint8_t *c = name.ptr + len; c < slash; c++)
        if (*c >= 'A' && *c <= 'Z') return false;
    return true;
}

/* The root or the number of an account of AWS. */
static bool account(struct kms_bytes name)
{
    struct kms_bytes number, rest;
    if (kms_principal_split(name, &number, &rest)) return kms_bytes_equal(rest, kms_bytes_text("root"));
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '0' || name.ptr[i] > '9') return false;
    return name.len == 12;
}

static void check(struct kms_lint *lint, const struct kms_statement *s, struct kms_bytes name)
{
    const uint8_t *colon = memchr(name.ptr, ':', name.len);
    struct kms_bytes scheme = kms_bytes_of(name.ptr, colon != NULL ? (size_t)(colon - name.ptr) : 0);
    struct kms_shown shown = kms_show(name);
    if (blank(name.ptr[0]) || blank(name.ptr[name.len - 1]))
        kms_lint_warn(lint, s, "principal", "\"%s\" begins or ends with a blank: nobody is called so",
                      shown.text);
    else if (account(name))
        kms_lint_warn(lint, s, "account",
                      s->deny ? "%s stands for every principal of that account"
                              : "%s: an account delegates nothing here; name the callers",
                      shown.text);
    else if (colon == NULL)
        kms_lint_warn(
            lint, s, "principal",
            "%s is no URI: no certificate gives such a name, only a Unix socket that is mapped to it",
            shown.text);
    else if (!known_scheme(scheme))
        kms_lint_warn(lint, s, "principal", "%s: unusual scheme%s", shown.text,
                      kms_similar(scheme, schemes, SCHEMES).text);
    else if (kms_bytes_equal(scheme, kms_bytes_text("spiffe")) && !spiffe_id(name))
        kms_lint_warn(lint, s, "principal", "%s is no SPIFFE ID (spiffe://trust-domain/path)", shown.text);
}

void kms_lint_principals(struct kms_lint *lint, const struct kms_statement *statement)
{
    for (size_t i = 0; i < statement->principal_count; i++)
        check(lint, statement, statement->principals[i].name);
}
