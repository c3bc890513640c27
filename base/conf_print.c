/* Writes configuration files from the table: the sample with its explanations, and the values in effect. */
#include <string.h>

#include "base/conf.h"
#include "base/conf_value.h"

static const char *own_name(const struct kms_conf_row *row)
{
    const char *dot = strchr(row->name, '.');
    return dot != NULL ? dot + 1 : row->name;
}

/* The line "group:" before the first of the options that share one; what is before the dot is the group. */
static kms_err print_group(const struct kms_conf_section *section, size_t i, const char *before, kms_buf *out)
{
    const char *name = section->rows[i].name, *dot = strchr(name, '.');
    size_t len = dot != NULL ? (size_t)(dot - name) : 0;
    if (dot != NULL && i > 0 && strncmp(section->rows[i - 1].name, name, len + 1) == 0) return KMS_OK;
    KMS_TRY(kms_buf_print(out, "%s", before));
    return dot == NULL ? KMS_OK : kms_buf_print(out, "%.*s:\n", (int)len, name);
}

static kms_err print_help(const struct kms_conf_row *row, const char *indent, kms_buf *out)
{
    KMS_TRY(kms_buf_print(out, "%s# %s; ", indent, row->help));
    KMS_TRY(kms_conf_range_print(row, out));
    return kms_buf_print(out, "%s\n",
                         row->default_text == NULL && !kms_conf_is_list(row) ? "; must be given" : "");
}

static kms_err print_default(const struct kms_conf_row *row, kms_buf *out)
{
    if (row->default_text == NULL) return kms_buf_print(out, ":\n");
    if (row->kind != KMS_CONF_STRING && row->kind != KMS_CONF_PATH)
        return kms_buf_print(out, ": %s\n", row->default_text);
    KMS_TRY(kms_buf_print(out, ": "));
    KMS_TRY(kms_conf_string_print(row->default_text, out));
    return kms_buf_print(out, "\n");
}

/* One item of a list as an example; indent has the comment sign in it. */
static kms_err print_sample_item(const struct kms_conf_section *items, const char *indent, kms_buf *out)
{
    KMS_OWN_BUF buf = {0};
    KMS_TRY(kms_buf_print(&buf, "%s    ", indent));
    const char *deeper = (const char *)buf.data;
    for (size_t i = 0; i < items->count; i++) {
        const struct kms_conf_row *row = &items->rows[i];
        KMS_TRY(print_help(row, deeper, out));
        KMS_TRY(kms_buf_print(out, "%s  %c %s", indent, i == 0 ? '-' : ' ', row->name));
        KMS_TRY(print_default(row, out));
        if (row->kind == KMS_CONF_LIST) KMS_TRY(print_sample_item(row->items, deeper, out));
    }
    return KMS_OK;
}

kms_err kms_conf_print_sample(const struct kms_conf_section *section, kms_buf *out)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct kms_conf_row *row = &section->rows[i];
        const char *indent = own_name(row) != row->name ? "  " : "";
        KMS_TRY(print_group(section, i, i > 0 ? "\n" : "", out));
        KMS_TRY(print_help(row, indent, out));
        KMS_TRY(kms_buf_print(out, "%s#%s", indent, own_name(row)));
        KMS_TRY(print_default(row, out));
        if (row->kind == KMS_CONF_LIST)
            KMS_TRY(print_sample_item(row->items, indent[0] != '\0' ? "  #" : "#", out));
    }
    return KMS_OK;
}

static kms_err print_section(const struct kms_conf_section *section, const char *values, const char *indent,
                             bool item, kms_buf *out);

static kms_err print_list(const struct kms_conf_row *row, const char *values, const char *indent,
                          kms_buf *out)
{
    size_t count = kms_conf_count(row, values);
    const char *items = kms_conf_pointer(values, row->offset);
    if (count == 0) return kms_buf_print(out, " []\n");
    KMS_TRY(kms_buf_print(out, "\n"));
    KMS_OWN_BUF buf = {0};
    KMS_TRY(kms_buf_print(&buf, "%s    ", indent));
    const char *deeper = (const char *)buf.data;
    for (size_t i = 0; i < count; i++) {
        KMS_TRY(kms_buf_print(out, "%s  - ", indent));
        if (row->kind == KMS_CONF_LIST) {
            KMS_TRY(print_section(row->items, items + i * row->items->bytes, deeper, true, out));
            continue;
        }
        KMS_TRY(kms_conf_string_print(kms_conf_pointer(items, i * sizeof(char *)), out));
        KMS_TRY(kms_buf_print(out, "\n"));
    }
    return KMS_OK;
}

/* item: the first line goes on behind a dash. */
static kms_err print_section(const struct kms_conf_section *section, const char *values, const char *indent,
                             bool item, kms_buf *out)
{
    KMS_OWN_BUF buf = {0};
    KMS_TRY(kms_buf_print(&buf, "%s  ", indent));
    const char *grouped = (const char *)buf.data;
    for (size_t i = 0; i < section->count; i++) {
        const struct kms_conf_row *row = &section->rows[i];
        KMS_TRY(print_group(section, i, "", out));
        const char *mine = own_name(row) != row->name ? grouped : indent;
        KMS_TRY(kms_buf_print(out, "%s%s:", item && i == 0 ? "" : mine, own_name(row)));
        if (kms_conf_is_list(row)) {
            KMS_TRY(print_list(row, values, mine, out));
            continue;
        }
        KMS_TRY(kms_buf_print(out, " "));
        KMS_TRY(kms_conf_value_print(row, values, out));
        KMS_TRY(kms_buf_print(out, "\n"));
    }
    return KMS_OK;
}

kms_err kms_conf_print_values(const struct kms_conf_section *section, const void *values, kms_buf *out)
{
    return print_section(section, values, "", false, out);
}
