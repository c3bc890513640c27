/* Whose logs are in a directory, and whose heads in an anchor file. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kmsd/audit/head.h"
#include "kmsd/audit/reader.h"
#include "kmsd/audit/segment.h"

enum { ANCHOR_LINE_BYTES = 4096 };

static bool known(const struct kms_audit_instances *found, const char *instance)
{
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->name[i], instance) == 0) return true;
    return false;
}

static kms_err add(struct kms_audit_instances *found, const char *instance)
{
    if (known(found, instance)) return KMS_OK;
    if (found->count == KMS_AUDIT_INSTANCES) return KMS_FAIL(LIMIT_EXCEEDED);
    snprintf(found->name[found->count++], sizeof found->name[0], "%s", instance);
    return KMS_OK;
}

static kms_err take(DIR *dir, struct kms_audit_instances *found)
{
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char instance[KMS_AUDIT_INSTANCE_BYTES + 1];
        uint32_t number;
        if (kms_audit_segment_parse(entry->d_name, instance, &number)) KMS_TRY(add(found, instance));
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

static kms_err take_anchors(FILE *file, struct kms_audit_instances *found)
{
    char line[ANCHOR_LINE_BYTES], instance[KMS_AUDIT_HEAD_INSTANCE];
    struct kms_audit_signed_head head;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *start = strchr(line, '{');
        if (start == NULL || strstr(start, "\"head\":{") == NULL) continue;
        struct kms_bytes text = kms_bytes_of(start, strcspn(start, "\n"));
        if (kms_audit_head_read(text, instance, &head)) KMS_TRY(add(found, instance));
    }
    return ferror(file) ? KMS_FAIL(IO) : KMS_OK;
}

kms_err kms_audit_instances_anchored(const char *anchor_file, struct kms_audit_instances *ret_instances,
                                     struct kms_why *why)
{
    struct kms_audit_instances found = {.count = 0};
    struct stat status;
    *ret_instances = found;
    if (stat(anchor_file, &status) == 0 && !S_ISREG(status.st_mode)) return KMS_OK;
    FILE *file = fopen(anchor_file, "re");
    kms_err err = file != NULL ? take_anchors(file, &found) : KMS_FAIL(IO);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
        kms_why_set(why, "%s: heads of more than %d instances: name one", anchor_file, KMS_AUDIT_INSTANCES);
    else if (kms_failed(err))
        kms_why_set(why, "%s: %s", anchor_file, strerror(errno));
    if (file != NULL) fclose(file);
    KMS_TRY(err);
    qsort(found.name, found.count, sizeof found.name[0], by_name);
    *ret_instances = found;
    return KMS_OK;
}
