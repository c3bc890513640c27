/* The list of objects: YAML inside a text, read by the table that reads configuration files. */
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "kmsd/dialect/csi.h"

#define KMS_CONF_DEF "kmsd/dialect/csi_object.def"
#include "base/conf_struct.def"
#define KMS_CONF_DEF "kmsd/dialect/csi_object.def"
#include "base/conf_table.def"

/* The section is a mapping, and lines count as in the manifest, where "objects: |" is the first. */
#define BEFORE "objects:\n"

static kms_err parse(struct kms_call *call, const char *yaml, struct kms_csi_list *ret_list)
{
    size_t len = strlen(yaml);
    if (len > KMS_CSI_OBJECTS_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "objects: %zu bytes, at most %d", len,
                             KMS_CSI_OBJECTS_BYTES);
    const char *first = yaml + strspn(yaml, " \n"); /* JSON needs a column more than the mapping has */
    const char *text =
        kms_arena_print(&call->arena, BEFORE "%s%s", *first == '[' || *first == '{' ? " " : "", yaml);
    if (text == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err =
        kms_conf_parse(&kms_csi_list_section, "parameters", kms_bytes_text(text), ret_list, &call->why);
    return kms_is(err, KMS_E_CONFIG_INVALID) ? KMS_FAIL(INVALID_ARGUMENT) : err;
}

static const char *keep(struct kms_call *call, const char *text)
{
    return kms_arena_print(&call->arena, "%s", text);
}

/* What is not said is the secret's name, which may have slashes. */
static const char *path_of(struct kms_call *call, const struct kms_csi_object *object)
{
    if (object->alias[0] != '\0') return keep(call, object->alias);
    char *path = kms_arena_print(&call->arena, "%s", object->name);
    for (char *p = path; p != NULL && *p != '\0'; p++)
        if (*p == '/') *p = '_';
    return path;
}

/* The driver makes folders of its own beside the files, which begin with "..". */
static const char *wrong_with(const char *path)
{
    if (strlen(path) > KMS_CSI_NAME_BYTES) return "longer than 255 bytes";
    if (strchr(path, '/') != NULL) return "it has a slash: files lie side by side in the volume";
    if (strcmp(path, ".") == 0 || strncmp(path, "..", 2) == 0) return "no file of a volume may be called so";
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) return "it has a control character";
    return NULL;
}

static kms_err check_path(struct kms_call *call, const struct kms_csi_file *files, size_t at)
{
    const char *path = files[at].path, *wrong = wrong_with(path);
    if (wrong != NULL)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "objects[%zu] (%.128s): the name of its file: %s", at, files[at].name, wrong);
    for (size_t i = 0; i < at; i++)
        if (strcmp(files[i].path, path) == 0)
            return kms_call_fail(
                call, KMS_FAIL(INVALID_ARGUMENT),
                "objects[%zu] (%.128s): file %s is that of objects[%zu]: give an objectAlias", at,
                files[at].name, path, i);
    return KMS_OK;
}

static kms_err make(struct kms_call *call, const struct kms_csi_list *list, uint32_t mode, uint32_t most,
                    struct kms_csi_file **ret_files)
{
    size_t count = list->objects_count;
    if (count < 1 || count > most)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "objects: 1 to %u, not %zu (limits.mount_objects)", most, count);
    struct kms_csi_file *files = kms_call_alloc(call, count * sizeof *files);
    if (files == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        const struct kms_csi_object *object = &list->objects[i];
        struct kms_csi_file *file = &files[i];
        *file = (struct kms_csi_file){.name = keep(call, object->name),
                                      .path = path_of(call, object),
                                      .field = keep(call, object->field),
                                      .version = keep(call, object->version),
                                      .stage = keep(call, object->stage),
                                      .mode = object->mode != 0 ? object->mode : mode};
        if (file->name == NULL || file->path == NULL || file->field == NULL || file->version == NULL ||
            file->stage == NULL)
            return KMS_FAIL(NO_MEMORY);
        KMS_TRY(check_path(call, files, i));
    }
    *ret_files = files;
    return KMS_OK;
}

kms_err kms_csi_objects(struct kms_call *call, const char *yaml, uint32_t mode, uint32_t most,
                        struct kms_csi_file **ret_files, size_t *ret_count)
{
    struct kms_csi_list list;
    KMS_TRY(parse(call, yaml, &list));
    size_t count = list.objects_count;
    kms_err err = make(call, &list, mode, most, ret_files);
    kms_conf_free(&kms_csi_list_section, &list);
    if (!kms_failed(err)) *ret_count = count;
    return err;
}
