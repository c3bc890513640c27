/* Reads Principal and NotPrincipal, and answers whether a statement names somebody. Names are opaque and
 * exact. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/compile.h"
#include "kmsd/policy/match.h"

uint64_t kms_principal_hash(struct kms_bytes name)
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio: spreads well */
    uint64_t hash = name.len * factor;
    for (size_t at = 0; at < name.len; at += 8) {
        uint64_t word = 0;
        kms_copy(&word, name.ptr + at, name.len - at < 8 ? name.len - at : 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    return hash;
}

bool kms_principal_split(struct kms_bytes name, struct kms_bytes *ret_account, struct kms_bytes *ret_rest)
{
    struct kms_bytes parts[KMS_ARN_PARTS];
    if (!kms_arn_split(name, parts) || !kms_bytes_equal(parts[0], kms_bytes_text("arn"))) return false;
    bool known =
        kms_bytes_equal(parts[2], kms_bytes_text("iam")) || kms_bytes_equal(parts[2], kms_bytes_text("sts"));
    if (!known || parts[4].len == 0) return false;
    *ret_account = parts[4];
    *ret_rest = parts[5];
    return true;
}

static bool is_account(struct kms_bytes name, struct kms_bytes *ret_account)
{
    struct kms_bytes rest;
    return kms_principal_split(name, ret_account, &rest) && kms_bytes_equal(rest, kms_bytes_text("root"));
}

/* Does the statement name the account that somebody is of? */
static bool names_account_of(const struct kms_statement *statement, struct kms_bytes name)
{
    struct kms_bytes account, named, rest;
    if (!kms_principal_split(name, &account, &rest)) return false;
    for (size_t i = 0; i < statement->principal_count; i++)
        if (is_account(statement->principals[i].name, &named) && kms_bytes_equal(named, account)) return true;
    return false;
}

static uint64_t filter_bit(uint64_t hash)
{
    return UINT64_C(1) << (hash >> 58);
}

bool kms_statement_names(const struct kms_statement *statement, struct kms_bytes name, uint64_t hash)
{
    size_t low = 0, high = statement->principal_count;
    if ((statement->principal_filter & filter_bit(hash)) == 0) return false;
    while (low < high) { /* the first with this hash */
        size_t middle = (low + high) / 2;
        if (statement->principals[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < statement->principal_count && statement->principals[low].hash == hash; low++)
        if (kms_bytes_equal(statement->principals[low].name, name)) return true;
    return false;
}

bool kms_statement_covers(const struct kms_statement *statement, struct kms_bytes name, uint64_t hash)
{
    if (statement->any_principal) return true;
    bool named = name.ptr != NULL && kms_statement_names(statement, name, hash);
    if (!named && statement->accounts && name.ptr != NULL) named = names_account_of(statement, name);
    return named != statement->not_principal;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t left = ((const struct kms_principal *)a)->hash, right = ((const struct kms_principal *)b)->hash;
    return left < right ? -1 : left > right;
}

static bool has_control(struct kms_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return true;
    return false;
}

static kms_err check_name(const struct kms_compile *compile, const char *element, struct kms_bytes name)
{
    struct kms_shown shown = kms_show(name);
    if (name.len == 0) return kms_complain(compile, "%s: a principal is empty; name it", element);
    if (name.len > KMS_PRINCIPAL_BYTES)
        return kms_complain(compile, "%s: '%s' is longer than %d bytes; shorten it", element, shown.text,
                            KMS_PRINCIPAL_BYTES);
    if (memchr(name.ptr, '*', name.len) != NULL || memchr(name.ptr, '?', name.len) != NULL)
        return kms_complain(compile,
                            "%s: '%s' has a wildcard inside; name each principal, or \"*\" for everybody",
                            element, shown.text);
    if (name.len >= 2 && memmem(name.ptr, name.len, "${", 2) != NULL)
        return kms_complain(compile, "%s: '%s': no policy variable can stand in a principal; name each",
                            element, shown.text);
    if (has_control(name))
        return kms_complain(compile, "%s: '%s' has a control character; remove it", element, shown.text);
    return KMS_OK;
}

static kms_err store_name(struct kms_compile *compile, struct kms_bytes name, struct kms_statement *statement,
                          struct kms_principal *principals)
{
    struct kms_principal *principal = &principals[statement->principal_count];
    struct kms_bytes account;
    KMS_TRY(kms_pool_copy(&compile->policy->pool, name, &principal->name));
    principal->hash = kms_principal_hash(principal->name);
    statement->principal_filter |= filter_bit(principal->hash);
    statement->principal_count++;
    if (statement->deny && !statement->not_principal && is_account(principal->name, &account))
        statement->accounts = true;
    return KMS_OK;
}

static bool is_account_number(struct kms_bytes name)
{
    if (name.len != 12) return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '0' || name.ptr[i] > '9') return false;
    return true;
}

static kms_err add_name(struct kms_compile *compile, const char *element, json_t *json,
                        struct kms_statement *statement, struct kms_principal *principals)
{
    if (!json_is_string(json)) return kms_complain(compile, "%s: a principal must be a string", element);
    struct kms_bytes name = kms_json_text(json);
    if (kms_bytes_equal(name, kms_bytes_text("*"))) {
        statement->any_principal = true;
        return KMS_OK;
    }
    KMS_TRY(check_name(compile, element, name));
    KMS_TRY(store_name(compile, name, statement, principals));
    if (!is_account_number(name)) return KMS_OK;
    /* The number of an account is short for the ARN of its root. */
    char root[64];
    snprintf(root, sizeof root, "arn:aws:iam::%.12s:root", (const char *)name.ptr);
    return store_name(compile, kms_bytes_text(root), statement, principals);
}

/* {"AWS": ...}: the type that names whoever calls; the others name services and providers that do not exist
 * here. */
static kms_err names_of(struct kms_compile *compile, const char *element, json_t *json, json_t **ret_names)
{
    const char *type;
    json_t *names = NULL, *of_type;
    if (!json_is_object(json)) return kms_complain(compile, "%s must be \"*\" or {\"AWS\": ...}", element);
    json_object_foreach(json, type, of_type)
    {
        kms_enter(compile, type);
        if (strcmp(type, "AWS") != 0)
            return kms_complain(compile, "%s: type '%s' is not known here; write {\"AWS\": ...}", element,
                                kms_show(kms_bytes_text(type)).text);
        names = of_type;
        kms_leave(compile);
    }
    if (kms_json_list_len(names) == 0)
        return kms_complain(compile, "%s names nobody; name one, or \"*\" for everybody", element);
    *ret_names = names;
    return KMS_OK;
}

kms_err kms_compile_principals(struct kms_compile *compile, const char *element, json_t *json,
                               struct kms_statement *statement)
{
    json_t *names = NULL;
    if (json_is_string(json) && strcmp(json_string_value(json), "*") == 0)
        names = json;
    else
        KMS_TRY(names_of(compile, element, json, &names));
    if (names != json) kms_enter(compile, "AWS");
    size_t count = kms_json_list_len(names);
    struct kms_principal *principals = kms_pool_alloc(&compile->policy->pool, 2 * count * sizeof *principals);
    if (principals == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        kms_enter_item(compile, i);
        KMS_TRY(add_name(compile, element, kms_json_list_at(names, i), statement, principals));
        kms_leave(compile);
    }
    if (statement->any_principal && statement->not_principal)
        return kms_complain(compile,
                            "NotPrincipal \"*\" leaves nobody: the statement could never apply; remove it");
    if (names != json) kms_leave(compile);
    qsort(principals, statement->principal_count, sizeof *principals, by_hash);
    statement->principals = principals;
    return KMS_OK;
}
