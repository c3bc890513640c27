/* Members of a database secret. */
#include "kmsd/rotators/credential.h"

#include <stdio.h>
#include <string.h>

#include "kmsd/rotators/value.h"

enum { USER_MAX = 63 /* bytes of a role's name */, PASSWORD_MAX = 4096 };

struct reading {
    const struct kmsd_conf_database *database;
    struct kms_bytes value;
    const char *which;
    struct kms_why *why;
};

static kms_err refuse(const struct reading *r, const char *member, const char *cause)
{
    kms_why_set(r->why, "the %s value: member %s: %s", r->which, member, cause);
    return KMS_FAIL(VALUE_NOT_ROTATABLE);
}

/* NULL in *ret_text: there is no such member. */
static kms_err read_member(const struct reading *r, const char *name, kms_secret **ret_text)
{
    struct kms_bytes raw;
    bool is;
    if (!kms_value_member(r->value, name, &raw)) return KMS_OK;
    KMS_TRY(kms_value_text(raw, ret_text, &is));
    return is ? KMS_OK : refuse(r, name, "neither a text nor a number");
}

/* What is there must be that. */
static kms_err check_member(const struct reading *r, const char *name, const char *want, const char *or_want)
{
    KMS_OWN(kms_secret) text = NULL;
    KMS_TRY(read_member(r, name, &text));
    if (text == NULL) return KMS_OK;
    const char *is = (const char *)kms_secret_data(text);
    return strcmp(is, want) == 0 || strcmp(is, or_want) == 0
               ? KMS_OK
               : refuse(r, name, "not what the database is declared with");
}

static kms_err need_member(const struct reading *r, const char *name, size_t most, kms_secret **ret_text)
{
    KMS_TRY(read_member(r, name, ret_text));
    if (*ret_text == NULL) return refuse(r, name, "missing, or there twice");
    if (kms_secret_len(*ret_text) <= 1) return refuse(r, name, "empty");
    return kms_secret_len(*ret_text) - 1 > most ? refuse(r, name, "too long") : KMS_OK;
}

static kms_err read_all(const struct reading *r, kms_credential *c)
{
    char port[12];
    snprintf(port, sizeof port, "%u", r->database->port);
    if (!kms_value_is_object(r->value)) {
        kms_why_set(r->why, "the %s value is not a JSON object", r->which);
        return KMS_FAIL(VALUE_NOT_ROTATABLE);
    }
    KMS_TRY(check_member(r, "engine", "postgres", "postgresql"));
    KMS_TRY(check_member(r, "host", r->database->host, r->database->host));
    KMS_TRY(check_member(r, "port", port, port));
    KMS_TRY(check_member(r, "dbname", r->database->dbname, r->database->dbname));
    KMS_TRY(need_member(r, "username", USER_MAX, &c->user));
    return need_member(r, "password", PASSWORD_MAX, &c->password);
}

kms_err kms_credential_read(const struct kmsd_conf_database *database, struct kms_bytes value,
                            const char *which, kms_credential *ret_credential, struct kms_why *why)
{
    const struct reading r = {database, value, which, why};
    *ret_credential = (kms_credential){0};
    if (value.ptr == NULL) {
        kms_why_set(why, "there is no %s value", which);
        return KMS_FAIL(VALUE_NOT_ROTATABLE);
    }
    kms_err err = read_all(&r, ret_credential);
    if (kms_failed(err)) kms_credential_free(ret_credential);
    return err;
}

void kms_credential_free(kms_credential *credential)
{
    kms_secret_free(credential->user);
    kms_secret_free(credential->password);
    *credential = (kms_credential){0};
}
