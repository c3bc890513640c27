/* Turns text of a document into what match.h compares: wildcards, "${*}", ARNs. */
#include "kmsd/policy/compile.h"
#include "kmsd/policy/match.h"

#include <string.h>

/* "${*}", "${?}", "${$}" are the characters themselves; any other "${...}" is a variable, and we have none.
 */
static kms_err escaped_character(const struct kms_compile *compile, struct kms_bytes text, size_t at)
{
    bool closed = text.len - at >= 4 && text.ptr[at + 3] == '}';
    if (closed && strchr("*?$", text.ptr[at + 2]) != NULL) return KMS_OK;
    const uint8_t *end = memchr(text.ptr + at, '}', text.len - at);
    struct kms_bytes variable =
        kms_bytes_of(text.ptr + at, end == NULL ? text.len - at : (size_t)(end + 1 - text.ptr) - at);
    return kms_complain(compile, "policy variable '%s' is not supported; write the value out",
                        kms_show(variable).text);
}

static kms_err count_floating(struct kms_compile *compile, struct kms_bytes pattern)
{
    const uint8_t *star = pattern.len == 0 ? NULL : memchr(pattern.ptr, KMS_ANY_RUN, pattern.len);
    if (star == NULL) return KMS_OK;
    compile->floating_bytes += pattern.len - (size_t)(star - pattern.ptr) - 1;
    if (compile->floating_bytes <= KMS_POLICY_FLOATING_BYTES) return KMS_OK;
    return kms_complain(compile,
                        "the values with wildcards have more than %d bytes behind their first '*' in all",
                        KMS_POLICY_FLOATING_BYTES);
}

kms_err kms_compile_text(struct kms_compile *compile, struct kms_bytes text, bool wildcards,
                         struct kms_bytes *ret_text)
{
    uint8_t *to = kms_pool_alloc(&compile->policy->pool, text.len + 1);
    size_t len = 0;
    if (to == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t at = 0; at < text.len; at++) {
        uint8_t c = text.ptr[at];
        if (compile->variables && c == '$' && at + 1 < text.len && text.ptr[at + 1] == '{') {
            KMS_TRY(escaped_character(compile, text, at));
            to[len++] = text.ptr[at + 2];
            at += 3;
        } else if (wildcards && c == '*') {
            if (len == 0 || to[len - 1] != KMS_ANY_RUN) to[len++] = KMS_ANY_RUN;
        } else {
            to[len++] = wildcards && c == '?' ? KMS_ANY_ONE : c;
        }
    }
    if (wildcards) KMS_TRY(count_floating(compile, kms_bytes_of(to, len)));
    *ret_text = kms_bytes_of(to, len);
    return KMS_OK;
}

kms_err kms_compile_arn(struct kms_compile *compile, struct kms_bytes text, struct kms_bytes *ret_arn)
{
    struct kms_bytes parts[KMS_ARN_PARTS], arn;
    KMS_TRY(kms_compile_text(compile, text, true, &arn));
    if (!kms_arn_split(arn, parts) || !kms_bytes_equal(parts[0], kms_bytes_text("arn")))
        return kms_complain(compile, "'%s' is not an ARN (arn:partition:service:region:account:resource)",
                            kms_show(text).text);
    *ret_arn = arn;
    return KMS_OK;
}
