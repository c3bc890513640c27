/* The disk under the log: warn, then refuse what can be refused, before it is full. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "kmsd/audit/write/writer.h"

#define MIB (UINT64_C(1) << 20)

/* False: nothing is known. */
static bool free_bytes(int dir_fd, uint64_t *ret_bytes)
{
    struct statvfs disk;
    if (fstatvfs(dir_fd, &disk) != 0) return false;
    *ret_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return true;
}

/* Once below, it takes a sixteenth more, 16 MiB at most, to be over: a file that comes and goes would switch
 * it to and fro. */
static bool below(uint64_t bytes, uint64_t mark, bool was)
{
    uint64_t more = mark / 16 < 16 * MIB ? mark / 16 : 16 * MIB;
    return bytes < (was ? mark + more : mark);
}

/* The figure is the mark, not what is free now: words that do not change are said once. */
static void say(struct kms_audit_space *space, char words[KMS_WHY_BYTES])
{
    static const char what_to_do[] =
        "make room on the disk of audit.dir, or let old files go (audit.keep_age, audit.keep_bytes)";
    if (space->refusing)
        snprintf(words, KMS_WHY_BYTES,
                 "little space is left for the audit log, less than %llu MiB (audit.refuse_free): calls are "
                 "refused until there is more, then they are served again by themselves: %s",
                 (unsigned long long)(space->refuse_bytes / MIB), what_to_do);
    else if (space->low)
        snprintf(
            words, KMS_WHY_BYTES,
            "space for the audit log runs low, less than %llu MiB (audit.warn_free) are left; below %llu "
            "MiB calls are refused: %s",
            (unsigned long long)(space->warn_bytes / MIB), (unsigned long long)(space->refuse_bytes / MIB),
            what_to_do);
    else
        words[0] = '\0';
}

void kms_audit_look_at_space(kms_audit *audit)
{
    struct kms_audit_space *space = &audit->space;
    uint64_t bytes;
    if (!free_bytes(audit->dir_fd, &bytes)) return;
    space->refusing = below(bytes, space->refuse_bytes, space->refusing);
    space->low = below(bytes, space->warn_bytes, space->low);
    say(space, space->words);
    kms_audit_tell_trouble(audit->told, KMS_AUDIT_TROUBLE_SPACE, space->words);
}

/* What was begun is brought to its end, and what the service has to say of itself is said. */
bool kms_audit_short_of_space(const kms_audit *audit, const struct kms_audit_event *event)
{
    if (!audit->space.refusing) return false;
    bool of_a_call = event->kind == KMS_AUDIT_CALL || event->kind == KMS_AUDIT_ATTEMPT ||
                     event->kind == KMS_AUDIT_SUPPRESSED;
    return of_a_call && (event->class == NULL || strcmp(event->class, "service") != 0);
}
