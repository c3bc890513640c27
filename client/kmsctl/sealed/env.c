/* The values of Secrets as a file of variables (.env), which kms-env and Docker Compose read as what they
 * are. */
#include <string.h>

#include "base/text.h"
#include "client/kms-env/dotenv.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/secret.h"
#include "client/kmsctl/sealed/text.h"
#include "client/kmsctl/sealed/unseal.h"

static bool is_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9') && strspn(name, letters) == strlen(name);
}

/* '...' is taken as it is; what has a quote or several lines is written "..." with escapes. */
static void put_value(struct ctl_text *out, struct kms_bytes value)
{
    bool simple = memchr(value.ptr, '\'', value.len) == NULL && memchr(value.ptr, '\n', value.len) == NULL &&
                  memchr(value.ptr, '\r', value.len) == NULL;
    ctl_text_put(out, simple ? "'" : "\"", 1);
    for (size_t i = 0; i < value.len; i++) {
        const char c = (char)value.ptr[i];
        if (!simple && (c == '"' || c == '\\')) ctl_text_put(out, "\\", 1);
        if (!simple && (c == '\n' || c == '\r'))
            ctl_text_put(out, c == '\n' ? "\\n" : "\\r", 2);
        else
            ctl_text_put(out, &c, 1);
    }
    ctl_text_put(out, simple ? "'\n" : "\"\n", 2);
}

static bool refuse(struct ctl *ctl, const char *name, const char *what)
{
    struct kms_why why;
    kms_why_set(&why, "%s %s", name, what);
    return ctl_fail(ctl, KMS_FAIL(INVALID_ARGUMENT), &why);
}

static bool put_secret(struct ctl *ctl, const json_t *secret, json_t *names, struct ctl_text *out)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(secret, "data"), name, value)
    {
        CTL_OWN_DATA data = {0};
        if (!is_name(name)) return refuse(ctl, name, "is no name of a variable: print a manifest instead");
        if (json_object_get(names, name) != NULL) return refuse(ctl, name, "is in two of the Secrets");
        kms_err err = ctl_data_read(value, &data);
        if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
        if (!kms_utf8_valid(data.bytes)) return refuse(ctl, name, "is not text: print a manifest instead");
        json_object_set_new(names, name, json_integer(kms_crc32c(0, data.bytes)));
        ctl_text_print(out, "%s=", name);
        put_value(out, data.bytes);
    }
    return true;
}

/* Read back, since a file that says something else than the Secret would be noticed late. */
static bool reads_the_same(const struct ctl_text *out, const json_t *names)
{
    struct kms_why why = {{0}};
    KMS_OWN(kms_dotenv) document = NULL;
    const char *name;
    json_t *checksum;
    if (kms_failed(
            kms_dotenv_parse(kms_bytes_of(out->data, out->len), KMS_DOTENV_COMPOSE, &document, &why)) ||
        kms_dotenv_count(document) != json_object_size(names))
        return false;
    json_object_foreach((json_t *)(uintptr_t)names, name, checksum)
    {
        const struct kms_dotenv_entry *entry = kms_dotenv_find(document, kms_bytes_text(name));
        if (entry == NULL || kms_crc32c(0, entry->value) != json_integer_value(checksum)) return false;
    }
    return true;
}

bool ctl_write_env(struct ctl *ctl, json_t *secrets)
{
    CTL_OWN_TEXT out = {0};
    json_t *names = json_object();
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(secrets); i++)
        ok = put_secret(ctl, json_array_get(secrets, i), names, &out);
    if (ok && out.failed) ok = ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    if (ok && !reads_the_same(&out, names))
        ok = refuse(ctl, "a value", "cannot be written in a file of variables: print a manifest instead");
    json_decref(names);
    json_decref(secrets);
    return ok && ctl_write(ctl, kms_bytes_of(out.data, out.len));
}
