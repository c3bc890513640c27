/* Whose logs are in a directory. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/audit/reader.h"
#include "kmsd/audit/segment.h"

static bool known(const struct kms_audit_instances *found, const char *instance)
{
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->name[i], instance) == 0) return true;
    return false;
}

static kms_err take(DIR *dir, struct kms_audit_instances *found)
{
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char instance[KMS_AUDIT_INSTANCE_BYTES + 1];
        uint32_t number;
        if (!kms_audit_segment_parse(entry->d_name, instance, &number) || known(found, instance)) continue;
        if (found->count == KMS_AUDIT_INSTANCES) return KMS_FAIL(LIMIT_EXCEEDED);
        kms_copy(found->name[found->count++], instance, sizeof instance);
    }
    return KMS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

kms_err kms_audit_instances_read(const char *dir, struct kms_audit_instances *ret_instances,
                                 struct kms_why *why)
{
    struct kms_audit_instances found = {.count = 0};
    DIR *open_dir = opendir(dir);
    if (open_dir == NULL) {
        kms_why_set(why, "%s: %s", dir, strerror(errno));
        return KMS_FAIL(IO);
    }
    kms_err err = take(open_dir, &found);
    closedir(open_dir);
    if (kms_failed(err)) kms_why_set(why, "%s: logs of more than %d instances", dir, KMS_AUDIT_INSTANCES);
    KMS_TRY(err);
    if (found.count == 0) {
        kms_why_set(why, "%s: no audit log here: no file is named INSTANCE-00000001.jsonl or the like", dir);
        return KMS_FAIL(IO);
    }
    qsort(found.name, found.count, sizeof found.name[0], by_name);
    *ret_instances = found;
    return KMS_OK;
}
