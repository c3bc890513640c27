/* Finds, reads and changes the file of contexts. */
#include "client/lib/contexts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

#define KMS_CONF_DEF "client/lib/contexts.def"
#include "base/conf_table.def"

enum { PATH_BYTES = 4096 };

static kms_err find_path(const char *given, char path[PATH_BYTES], struct kms_why *why)
{
    const char *from_environment = getenv("KMSCTL_CONFIG"), *home = getenv("HOME");
    int len;
    if (given == NULL) given = from_environment;
    if (given != NULL && given[0] != '\0')
        len = snprintf(path, PATH_BYTES, "%s", given);
    else
        len = snprintf(path, PATH_BYTES, "%s/.config/kmsctl.yaml", home != NULL ? home : "");
    if (len > 0 && len < PATH_BYTES) return KMS_OK;
    kms_why_set(why, "the path of the file of contexts is too long");
    return KMS_FAIL(CONFIG_INVALID);
}

kms_err kmsctl_contexts_load(const char *path, struct kmsctl_contexts *ret_contexts, struct kms_why *why)
{
    char found[PATH_BYTES];
    KMS_TRY(find_path(path, found, why));
    if (path == NULL && access(found, F_OK) != 0) {
        *ret_contexts = (struct kmsctl_contexts){0};
        return KMS_OK;
    }
    return kms_conf_load(&kmsctl_contexts_section, found, ret_contexts, why);
}

void kmsctl_contexts_free(struct kmsctl_contexts *contexts)
{
    kms_conf_free(&kmsctl_contexts_section, contexts);
}

static kms_err not_found(const struct kmsctl_contexts *contexts, const char *name, struct kms_why *why)
{
    char names[200] = "";
    size_t len = 0;
    for (size_t i = 0; i < contexts->contexts_count && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "",
                                contexts->contexts[i].name);
    kms_why_set(why, "no context \"%s\"; there is: %s", name, len > 0 ? names : "none");
    return KMS_FAIL(NOT_FOUND);
}

kms_err kmsctl_contexts_find(const struct kmsctl_contexts *contexts, const char *name,
                             const struct kmsctl_context **ret_context, struct kms_why *why)
{
    const char *current = contexts->current_context;
    if (name == NULL && (current == NULL || current[0] == '\0')) {
        *ret_context = NULL;
        return KMS_OK;
    }
    if (name == NULL) name = current;
    for (size_t i = 0; i < contexts->contexts_count; i++) {
        if (strcmp(contexts->contexts[i].name, name) != 0) continue;
        *ret_context = &contexts->contexts[i];
        return KMS_OK;
    }
    return not_found(contexts, name, why);
}

static void fill(const char **option, const char *from_context)
{
    if (*option == NULL && from_context != NULL && from_context[0] != '\0') *option = from_context;
}

void kmsctl_context_fill(const struct kmsctl_context *context, struct kms_client_options *options)
{
    if (context == NULL) return;
    fill(&options->endpoint, context->endpoint);
    fill(&options->ca_file, context->ca);
    fill(&options->cert_file, context->cert);
    fill(&options->key_file, context->key);
    fill(&options->server_name, context->server_name);
}

/* text with its line current_context replaced, or with one in front: comments and order stay. */
static kms_err with_current(const kms_buf *text, const char *name, kms_buf *out)
{
    static const char key[] = "current_context:";
    const char *start = text->len > 0 ? (const char *)text->data : "", *line = start;
    while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    size_t before = line != NULL ? (size_t)(line - start) : 0;
    const char *end = line != NULL ? strchr(line, '\n') : NULL;
    const char *rest = line == NULL ? start : end != NULL ? end + 1 : "";
    KMS_TRY(kms_buf_append(out, start, before));
    KMS_TRY(kms_buf_print(out, "current_context: \"%s\"\n", name));
    return kms_buf_append(out, rest, strlen(rest));
}

static kms_err replace_file(const char *path, const kms_buf *text, struct kms_why *why)
{
    char fresh[PATH_BYTES + 8];
    snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    struct stat old;
    KMS_OWN_FD fd = mkstemp(fresh);
    bool ok = fd >= 0 && stat(path, &old) == 0 && fchmod(fd, old.st_mode & 07777) == 0;
    ok = ok && write(fd, text->data, text->len) == (ssize_t)text->len && fsync(fd) == 0 &&
         rename(fresh, path) == 0;
    if (ok) return KMS_OK;
    kms_why_set(why, "cannot write %s: %m", path);
    if (fd >= 0) unlink(fresh);
    return KMS_FAIL(IO);
}

kms_err kmsctl_contexts_use(const char *path, const char *name, struct kms_why *why)
{
    char found[PATH_BYTES];
    KMS_TRY(find_path(path, found, why));
    KMS_OWN_BUF text = {0};
    KMS_OWN_BUF changed = {0};
    KMS_TRY(kms_read_file(found, KMS_CONF_FILE_BYTES, &text, why));
    KMS_TRY(with_current(&text, name, &changed));
    struct kmsctl_contexts contexts;
    const struct kmsctl_context *context;
    /* The changed text is read before it is written: a name that is not there, or would break the file, stays
     * out. */
    KMS_TRY(kms_conf_parse(&kmsctl_contexts_section, found, kms_buf_view(&changed), &contexts, why));
    kms_err err = strcmp(contexts.current_context, name) == 0
                      ? kmsctl_contexts_find(&contexts, name, &context, why)
                      : KMS_FAIL(CONFIG_INVALID);
    kmsctl_contexts_free(&contexts);
    KMS_TRY(err);
    return replace_file(found, &changed, why);
}
