/* Database roles: the stored message, what is compiled from it, and its row. */
#include "kmsd/leases/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "kmsd/keys/stored.h"

static const char kind[] = "database-role:";

kms_err kms_role_new(const struct kms_arn_prefix *prefix, kms_stored_role *stored, struct kms_role **ret_role)
{
    struct kms_role *role = calloc(1, sizeof *role);
    if (role == NULL) {
        kms__store__v1__stored_database_role__free_unpacked(stored, NULL);
        return KMS_FAIL(NO_MEMORY);
    }
    role->refs = 1;
    role->stored = stored;
    snprintf(role->arn, sizeof role->arn, "%s%s%s", prefix->text, kind, stored->name);
    kms_err err = kms_secret_row(kms_bytes_text(stored->name), role->row);
    if (kms_failed(err))
        kms_role_unref(role);
    else
        *ret_role = role;
    return err;
}

struct kms_role *kms_role_ref(struct kms_role *role)
{
    atomic_fetch_add_explicit(&role->refs, 1, memory_order_relaxed);
    return role;
}

void kms_role_unref(struct kms_role *role)
{
    if (role == NULL || atomic_fetch_sub(&role->refs, 1) != 1) return;
    kms_policy_unref(role->policy);
    kms__store__v1__stored_database_role__free_unpacked(role->stored, NULL);
    free(role);
}

kms_err kms_role_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                            struct kms_bytes *ret_name, struct kms_why *why)
{
    if (named.len >= 4 && memcmp(named.ptr, "arn:", 4) == 0) {
        size_t len = prefix->len + sizeof kind - 1;
        if (named.len < len || memcmp(named.ptr, prefix->text, prefix->len) != 0 ||
            memcmp(named.ptr + prefix->len, kind, sizeof kind - 1) != 0) {
            kms_why_set(why, "ARNs of database roles here begin with %s%s", prefix->text, kind);
            return KMS_FAIL(INVALID_ARN);
        }
        named = kms_bytes_of(named.ptr + len, named.len - len);
    }
    struct kms_why cause = {{0}};
    *ret_name = named;
    kms_err err = kms_secret_name_check(named, &cause);
    if (kms_failed(err)) kms_why_set(why, "a database role is named as a secret is; %.300s", cause.text);
    return err;
}

kms_err kms_role_instance_new(char instance[KMS_ROLE_INSTANCE_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32 of them: five bits each */
    uint8_t random[KMS_ROLE_INSTANCE_BYTES - 1];
    KMS_TRY(kms_random(random, sizeof random));
    for (size_t i = 0; i < sizeof random; i++) instance[i] = letters[random[i] & 31];
    instance[sizeof random] = '\0';
    return KMS_OK;
}

kms_err kms_role_body(const kms_stored_role *stored, kms_buf *body)
{
    return kms_stored_pack(&stored->base, body);
}

static kms_err bad_row(const struct kms_row *row, const char *what, struct kms_why *why)
{
    kms_why_set(why, "keystore row %s: %s", row->id, what);
    return KMS_FAIL(CORRUPT);
}

static bool possible(const kms_stored_role *stored)
{
    struct kms_why why;
    return !kms_failed(kms_secret_name_check(kms_bytes_text(stored->name), &why)) &&
           strlen(stored->instance) == KMS_ROLE_INSTANCE_BYTES - 1 && stored->n_creation_statements > 0 &&
           stored->default_ttl_us > 0 && stored->default_ttl_us <= stored->max_ttl_us;
}

kms_err kms_role_from_row(const struct kms_arn_prefix *prefix, const struct kms_row *row,
                          struct kms_role **ret_role, struct kms_why *why)
{
    kms_stored_role *stored =
        kms__store__v1__stored_database_role__unpack(NULL, row->body.len, row->body.ptr);
    if (stored == NULL) return bad_row(row, "not a database role", why);
    if (!possible(stored)) {
        kms__store__v1__stored_database_role__free_unpacked(stored, NULL);
        return bad_row(row, "not a database role of this release", why);
    }
    KMS_OWN_ROLE role = NULL;
    struct kms_why cause = {{0}};
    KMS_TRY(kms_role_new(prefix, stored, &role));
    role->revision = row->revision;
    if (strcmp(role->row, row->id) != 0) return bad_row(row, "another role's name", why);
    kms_err err = kms_policy_parse(KMS_POLICY_DATABASE_ROLE, kms_bytes_text(role->stored->policy),
                                   &role->policy, &cause);
    if (kms_is(err, KMS_E_MALFORMED_POLICY)) {
        kms_why_set(why, "policy of database role %s: %.300s", role->stored->name, cause.text);
        return KMS_FAIL(CORRUPT);
    }
    KMS_TRY(err);
    *ret_role = KMS_GIVE(role);
    return KMS_OK;
}
