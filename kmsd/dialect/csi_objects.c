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
    if (object->alias[0] != '\0') return object->alias;
    char *path = kms_arena_print(&call->arena, "%s", object->name);
    for (char *p = path; p != NULL && *p != '\0'; p++)
        if (*p == '/') *p = '_';
    return path;
}

/* The driver makes folders of its own beside the files, which begin with "..". */
static const char *wrong_with(const char *path)
{
    if (strlen(path) > KMS_CSI_NAME_BYTES) return "the name of its file: longer than 255 bytes";
    if (strchr(path, '/') != NULL)
        return "the name of its file: it has a slash: files lie side by side in the volume";
    if (strcmp(path, ".") == 0 || strncmp(path, "..", 2) == 0)
        return "the name of its file: no file of a volume may be called so";
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) return "the name of its file: it has a control character";
    return NULL;
}

/* The files of a list as they are made. */
struct making {
    struct kms_call *call;
    struct kms_csi_file *files;
    size_t count;
    uint32_t mode; /* where none is said */
};

static kms_err refuse(const struct making *m, const struct kms_csi_file *file, const char *cause)
{
    return kms_call_fail(m->call, KMS_FAIL(INVALID_ARGUMENT), "objects[%zu] (%.128s): %s", file->object,
                         file->name, cause);
}

static kms_err check_path(const struct making *m, const struct kms_csi_file *file)
{
    const char *wrong = wrong_with(file->path);
    if (wrong != NULL) return refuse(m, file, wrong);
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->files[i].path, file->path) == 0)
            return kms_call_fail(
                m->call, KMS_FAIL(INVALID_ARGUMENT),
                "objects[%zu] (%.128s): file %s is that of objects[%zu]: give an objectAlias", file->object,
                file->name, file->path, m->files[i].object);
    return KMS_OK;
}

static kms_err add(struct making *m, const struct kms_csi_file *file)
{
    struct kms_csi_file *kept = &m->files[m->count];
    *kept = *file;
    kept->name = keep(m->call, file->name);
    kept->field = keep(m->call, file->field);
    kept->version = keep(m->call, file->version);
    kept->stage = keep(m->call, file->stage);
    kept->path = keep(m->call, file->path);
    if (kept->name == NULL || kept->field == NULL || kept->version == NULL || kept->stage == NULL ||
        kept->path == NULL)
        return KMS_FAIL(NO_MEMORY);
    if (kept->mode == 0) kept->mode = m->mode;
    KMS_TRY(check_path(m, kept));
    m->count++;
    return KMS_OK;
}

/* Of JMESPath there is what names a member: an identifier, as it is or in quotes without escapes. */
static kms_err add_member(struct making *m, const struct kms_csi_file *object,
                          const struct kms_csi_path *from)
{
    static const char identifier[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(from->path);
    bool quoted = len > 2 && from->path[0] == '"' && from->path[len - 1] == '"';
    struct kms_csi_file file = *object;
    file.field = from->path;
    file.path = from->alias;
    file.mode = from->mode;
    if (quoted) file.field = kms_arena_print(&m->call->arena, "%.*s", (int)len - 2, from->path + 1);
    if (file.field == NULL) return KMS_FAIL(NO_MEMORY);
    if (quoted ? strpbrk(file.field, "\"\\") != NULL : from->path[strspn(from->path, identifier)] != '\0')
        return refuse(m, object,
                      "jmesPath: a path is the name of one member, and in quotes if it is no identifier");
    return add(m, &file);
}

static kms_err add_object(struct making *m, const struct kms_csi_object *from, size_t at)
{
    const struct kms_csi_file file = {.object = at,
                                      .name = from->name,
                                      .path = path_of(m->call, from),
                                      .field = from->field,
                                      .version = from->version,
                                      .stage = from->stage,
                                      .mode = from->mode};
    if (file.path == NULL) return KMS_FAIL(NO_MEMORY);
    if (from->field[0] != '\0' && from->paths_count > 0)
        return refuse(m, &file, "field or jmesPath, not both");
    KMS_TRY(add(m, &file));
    for (size_t i = 0; i < from->paths_count; i++) KMS_TRY(add_member(m, &file, &from->paths[i]));
    return KMS_OK;
}

static size_t count_of(const struct kms_csi_list *list)
{
    size_t count = list->objects_count;
    for (size_t i = 0; i < list->objects_count; i++) count += list->objects[i].paths_count;
    return count;
}

static kms_err make(struct making *m, const struct kms_csi_list *list, uint32_t most)
{
    size_t count = count_of(list);
    if (count < 1 || count > most)
        return kms_call_fail(m->call, KMS_FAIL(INVALID_ARGUMENT),
                             "objects: 1 to %u, not %zu (limits.mount_objects)", most, count);
    m->files = kms_call_alloc(m->call, count * sizeof *m->files);
    if (m->files == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < list->objects_count; i++) KMS_TRY(add_object(m, &list->objects[i], i));
    return KMS_OK;
}

kms_err kms_csi_objects(struct kms_call *call, const char *yaml, uint32_t mode, uint32_t most,
                        struct kms_csi_file **ret_files, size_t *ret_count)
{
    struct kms_csi_list list;
    struct making m = {.call = call, .mode = mode};
    KMS_TRY(parse(call, yaml, &list));
    kms_err err = make(&m, &list, most);
    kms_conf_free(&kms_csi_list_section, &list);
    KMS_TRY(err);
    *ret_files = m.files;
    *ret_count = m.count;
    return KMS_OK;
}
