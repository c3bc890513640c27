/* Turns text of a document into what match.h compares: wildcards, "${*}", variables, ARNs. */
#include "kmsd/policy/compile.h"
#include "kmsd/policy/match.h"
#include "kmsd/policy/variable.h"

#include <string.h>

/* Compiled text on its way. */
struct output {
    uint8_t *to;
    size_t len;
    size_t longest;  /* bytes, once its variables have values */
    size_t floating; /* the same behind the first '*' */
    bool wildcards, starred;
    bool run;            /* the last one was a '*' */
    bool arn, variables; /* an ARN: each part is matched by itself; a variable has been met */
    size_t colons;
};

static void count(struct output *out, size_t bytes)
{
    out->longest += bytes;
    if (out->starred) out->floating += bytes;
}

static void add(struct output *out, uint8_t c)
{
    if (out->wildcards && c == '*') {
        if (out->run) return;
        count(out, 1);
        out->starred = out->run = true;
        out->to[out->len++] = KMS_ANY_RUN;
    } else {
        count(out, 1);
        out->run = false;
        out->to[out->len++] = out->wildcards && c == '?' ? KMS_ANY_ONE : c;
        /* No '*' reaches over the five colons of an ARN, unless a variable brings some of its own. */
        bool ends_part = out->arn && !out->variables && c == ':' && ++out->colons < KMS_ARN_PARTS;
        if (ends_part) out->starred = false;
    }
}

/* "${*}", "${?}", "${$}" are the characters themselves; any other "${...}" is a variable. */
static kms_err add_variable(struct kms_compile *compile, struct kms_bytes text, struct output *out,
                            size_t *ret_used)
{
    struct kms_variable variable;
    out->run = false;
    if (text.len >= 4 && text.ptr[3] == '}' && memchr("*?$", text.ptr[2], 3) != NULL) {
        count(out, 1);
        out->to[out->len++] = text.ptr[2];
        *ret_used = 4;
        return KMS_OK;
    }
    KMS_TRY(kms_variable_read(compile, text, &variable, ret_used));
    count(out, kms_variable_longest(&variable));
    out->len += kms_variable_write(&variable, out->to + out->len);
    out->variables = true;
    if (++compile->variable_count > KMS_POLICY_VARIABLES)
        return kms_complain(compile, "more than %d policy variables; use fewer", KMS_POLICY_VARIABLES);
    compile->about |= kms_condition_key_rows[variable.key].about;
    return KMS_OK;
}

static kms_err check_lengths(struct kms_compile *compile, const struct output *out)
{
    if (out->longest > KMS_RESOLVED_BYTES && kms_has_variable(kms_bytes_of(out->to, out->len)))
        return kms_complain(compile, "the variables of one text could grow to more than %d bytes; use fewer",
                            KMS_RESOLVED_BYTES);
    compile->floating_bytes += out->floating;
    if (compile->floating_bytes <= KMS_POLICY_FLOATING_BYTES) return KMS_OK;
    return kms_complain(
        compile,
        "the values with wildcards have more than %d bytes (a variable counts at its longest) "
        "behind their first '*' in all; put the '*' last, or use fewer",
        KMS_POLICY_FLOATING_BYTES);
}

static kms_err compile_text(struct kms_compile *compile, struct kms_bytes text, bool wildcards, bool arn,
                            struct kms_bytes *ret_text)
{
    struct output out = {.wildcards = wildcards, .arn = arn};
    out.to = kms_pool_alloc(&compile->policy->pool, text.len + 1);
    if (out.to == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t at = 0, used; at < text.len; at += used) {
        used = 1;
        if (compile->variables && text.len - at >= 2 && memcmp(text.ptr + at, "${", 2) == 0)
            KMS_TRY(add_variable(compile, kms_bytes_of(text.ptr + at, text.len - at), &out, &used));
        else
            add(&out, text.ptr[at]);
    }
    KMS_TRY(check_lengths(compile, &out));
    *ret_text = kms_bytes_of(out.to, out.len);
    return KMS_OK;
}

kms_err kms_compile_text(struct kms_compile *compile, struct kms_bytes text, bool wildcards,
                         struct kms_bytes *ret_text)
{
    return compile_text(compile, text, wildcards, false, ret_text);
}

static kms_err no_arn(const struct kms_compile *compile, struct kms_bytes text)
{
    return kms_complain(compile, "'%s' is not an ARN (arn:partition:service:region:account:resource)",
                        kms_show(text).text);
}

static bool splits(struct kms_bytes arn, struct kms_bytes parts[KMS_ARN_PARTS])
{
    return kms_arn_split(arn, parts) && kms_bytes_equal(parts[0], kms_bytes_text("arn"));
}

kms_err kms_compile_arn(struct kms_compile *compile, struct kms_bytes text, struct kms_bytes *ret_arn)
{
    struct kms_bytes parts[KMS_ARN_PARTS], arn;
    KMS_TRY(compile_text(compile, text, true, true, &arn));
    /* A variable may stand for a whole ARN; what it makes is looked at when it has its value. */
    if (!kms_has_variable(arn) && !splits(arn, parts)) return no_arn(compile, text);
    *ret_arn = arn;
    return KMS_OK;
}

kms_err kms_compile_resource(struct kms_compile *compile, struct kms_bytes text, struct kms_bytes *ret_arn)
{
    struct kms_bytes parts[KMS_ARN_PARTS], arn;
    KMS_TRY(compile_text(compile, text, true, true, &arn));
    const uint8_t *variable = arn.len == 0 ? NULL : memchr(arn.ptr, KMS_VARIABLE, arn.len);
    bool split = splits(arn, parts);
    if (variable != NULL && (!split || variable < parts[KMS_ARN_PARTS - 1].ptr))
        return kms_complain(compile,
                            "'%s': in a resource, a policy variable can stand only behind the fifth colon",
                            kms_show(text).text);
    if (!split) return no_arn(compile, text);
    const struct kms_kind_row *row = kms_kind_row(compile->policy->kind);
    if (!kms_bytes_equal(parts[2], kms_bytes_text(row->service)))
        return kms_complain(compile,
                            "resource '%s' is not a %s: its service must be '%s', without a wildcard",
                            kms_show(text).text, row->subject, row->service);
    *ret_arn = arn;
    return KMS_OK;
}
