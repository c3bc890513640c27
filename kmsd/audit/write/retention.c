/* From the front of the log, as long as there is a reason. */
#include "kmsd/audit/retention.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"

static bool has_reason(const struct kms_audit_keep *keep, const struct kms_audit_segment *next,
                       uint64_t total_bytes)
{
    char before[KMS_TIME_TEXT];
    kms_time_text(keep->before_us, before);
    bool old = keep->before_us > 0 && strcmp(next->first_time, before) < 0;
    return old || (keep->bytes > 0 && total_bytes > keep->bytes);
}

static void choose(const struct kms_audit_segments *files, const struct kms_audit_keep *keep,
                   struct kms_audit_drop *drop)
{
    uint64_t total_bytes = 0;
    for (size_t i = 0; i < files->count; i++) total_bytes += files->list[i].stored_bytes;
    for (size_t i = 0; i + 1 < files->count; i++) {
        const struct kms_audit_segment *file = &files->list[i], *next = file + 1;
        bool whole = file->readable && next->readable && next->opening.after == file->number;
        if (!whole || next->first_sequence - 1 > keep->sequence || !has_reason(keep, next, total_bytes))
            return;
        if (drop->files++ == 0) {
            drop->first_number = file->number;
            drop->first_sequence = file->first_sequence;
        }
        drop->last_number = file->number;
        drop->last_sequence = next->first_sequence - 1;
        memcpy(drop->last_hash, next->prev, KMS_AUDIT_HASH_HEX);
        drop->bytes += file->stored_bytes;
        total_bytes -= file->stored_bytes;
    }
}

kms_err kms_audit_drop_plan(const char *dir, const char *instance, const struct kms_audit_keep *keep,
                            struct kms_audit_drop *ret_drop, struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_segments_free))) struct kms_audit_segments files = {0};
    struct kms_audit_drop drop = {0};
    KMS_OWN_FD dir_fd = -1;
    KMS_TRY(kms_audit_open_dir(dir, &dir_fd, why));
    KMS_TRY(kms_audit_segments_read(dir_fd, instance, 1, &files, why));
    choose(&files, keep, &drop);
    *ret_drop = drop;
    return KMS_OK;
}

/* The plain one first: the packer, when it finds that gone, takes its own away (pack_file.c). */
static kms_err remove_file(int dir_fd, const char *instance, uint32_t number, struct kms_why *why)
{
    char name[KMS_AUDIT_NAME_BYTES], packed[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(instance, number, name);
    kms_audit_packed_name(name, packed);
    bool gone = (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) &&
                (unlinkat(dir_fd, packed, 0) == 0 || errno == ENOENT);
    if (gone) return KMS_OK;
    kms_why_set(why, "%s: cannot be removed: %s", name, strerror(errno));
    return KMS_FAIL(IO);
}

kms_err kms_audit_drop_files(const char *dir, const char *instance, const struct kms_audit_drop *drop,
                             struct kms_why *why)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    KMS_OWN_FD dir_fd = -1;
    KMS_TRY(kms_audit_open_dir(dir, &dir_fd, why));
    KMS_TRY(kms_audit_all_numbers(dir_fd, instance, drop->last_number + 1, &numbers, &count, why));
    kms_err err = KMS_OK;
    for (size_t i = 0; i < count && !kms_failed(err); i++)
        err = remove_file(dir_fd, instance, numbers[i], why);
    free(numbers);
    if (fsync(dir_fd) != 0 && !kms_failed(err)) {
        kms_why_set(why, "%s: cannot be synced: %s", dir, strerror(errno));
        err = KMS_FAIL(IO);
    }
    return err;
}
