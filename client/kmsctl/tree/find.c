/* Which reader a file gets; and the shortest of them, which is that of kms-env. */
#include "client/kmsctl/tree/find.h"

#include <string.h>
#include <strings.h>

enum ctl_format ctl_format_of(const char *path)
{
    static const struct {
        const char *end;
        enum ctl_format format;
    } rows[] = {{".env", CTL_FORMAT_ENV},
                {".json", CTL_FORMAT_JSON},
                {".yaml", CTL_FORMAT_YAML},
                {".yml", CTL_FORMAT_YAML}};
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (strcasecmp(dot, rows[i].end) == 0) return rows[i].format;
    return strncmp(name, ".env.", 5) == 0 ? CTL_FORMAT_ENV : CTL_FORMAT_UNKNOWN;
}

kms_err ctl_find_env(enum kms_dotenv_dialect dialect, ctl_values *values, struct kms_why *why)
{
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_TRY(kms_dotenv_parse(values->text, dialect, &document, why));
    struct kms_bytes app = kms_dotenv_header(document)->app;
    kms_copy(values->app, app.ptr, app.len); /* no longer than KMS_DOTENV_APP_BYTES, the parser saw to it */
    values->app[app.len] = '\0';
    for (size_t i = 0; i < kms_dotenv_count(document); i++) {
        const struct kms_dotenv_entry *entry = kms_dotenv_entry(document, i);
        if (!entry->assigned || !kms_ciphertext_is_text(entry->value)) continue;
        KMS_TRY(ctl_values_add(
            values,
            &(struct ctl_found){.name = entry->name, .value = entry->value, .source = entry->source}));
    }
    return KMS_OK;
}

kms_err ctl_find(enum ctl_format format, enum kms_dotenv_dialect dialect, ctl_values *values,
                 struct kms_why *why)
{
    switch (format) {
    case CTL_FORMAT_ENV:
        return ctl_find_env(dialect, values, why);
    case CTL_FORMAT_JSON:
        return ctl_find_json(values, why);
    case CTL_FORMAT_YAML:
        return ctl_find_yaml(values, why);
    case CTL_FORMAT_UNKNOWN:
        return KMS_OK;
    }
    return KMS_OK;
}
