/* Lists a directory, looks at the first record of each file, and leaves out the files that nothing goes on
 * from. */
#include "kmsd/audit/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ending[] = ".jsonl", packed_ending[] = ".zst";
enum { NUMBER_DIGITS = 8, SUFFIX = 1 + NUMBER_DIGITS + sizeof ending - 1 };

bool kms_audit_instance_valid(const char *instance)
{
    size_t len = strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len > 0 && len <= KMS_AUDIT_INSTANCE_BYTES && instance[len] == '\0';
}

void kms_audit_segment_name(const char *instance, uint32_t number, char name[KMS_AUDIT_NAME_BYTES])
{
    snprintf(name, KMS_AUDIT_NAME_BYTES, "%.*s-%08u%s", KMS_AUDIT_INSTANCE_BYTES, instance,
             number % 100000000, ending);
}

void kms_audit_packed_name(const char *name, char packed[KMS_AUDIT_NAME_BYTES])
{
    snprintf(packed, KMS_AUDIT_NAME_BYTES, "%s%s", name, packed_ending);
}

void kms_audit_packing_name(const char *instance, char name[KMS_AUDIT_NAME_BYTES])
{
    snprintf(name, KMS_AUDIT_NAME_BYTES, ".%.*s.packing", KMS_AUDIT_INSTANCE_BYTES, instance);
}

/* Without packed_ending. */
static size_t plain_len(const char *name)
{
    size_t len = strlen(name), end = sizeof packed_ending - 1;
    return len > end && strcmp(name + len - end, packed_ending) == 0 ? len - end : len;
}

bool kms_audit_segment_parse(const char *name, char instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                             uint32_t *ret_number)
{
    size_t len = plain_len(name);
    char copy[KMS_AUDIT_INSTANCE_BYTES + 1] = "";
    if (len <= SUFFIX || len - SUFFIX > KMS_AUDIT_INSTANCE_BYTES) return false;
    kms_copy(copy, name, len - SUFFIX);
    const char *at = name + len - SUFFIX;
    if (!kms_audit_instance_valid(copy) || at[0] != '-' ||
        strncmp(at + 1 + NUMBER_DIGITS, ending, sizeof ending - 1) != 0)
        return false;
    uint32_t number = 0;
    for (size_t i = 1; i <= NUMBER_DIGITS; i++) {
        if (at[i] < '0' || at[i] > '9') return false;
        number = number * 10 + (uint32_t)(at[i] - '0');
    }
    if (number == 0) return false;
    kms_copy(instance, copy, sizeof copy);
    *ret_number = number;
    return true;
}

kms_err kms_audit_open_dir(const char *dir, int *ret_fd, struct kms_why *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        kms_why_set(why, "%s: %s", dir, strerror(errno));
        return KMS_FAIL(IO);
    }
    *ret_fd = fd;
    return KMS_OK;
}

static void drop_dir(DIR **dir)
{
    if (*dir != NULL) closedir(*dir);
}
#define OWN_DIR __attribute__((cleanup(drop_dir))) DIR *

static DIR *list_dir(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a reading position of its own */
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0) close(fd);
    return dir;
}

static kms_err add(struct kms_audit_segments *found, uint32_t number)
{
    if ((found->count & (found->count - 1)) == 0) { /* full at powers of two */
        size_t cap = found->count == 0 ? 1 : 2 * found->count;
        struct kms_audit_segment *list = realloc(found->list, cap * sizeof *list);
        if (list == NULL) return KMS_FAIL(NO_MEMORY);
        found->list = list;
    }
    found->list[found->count++] = (struct kms_audit_segment){.number = number};
    if (number > found->last_number) found->last_number = number;
    return KMS_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct kms_audit_segment *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Where a file is there both plain and compressed, it is listed twice. */
static void drop_doubles(struct kms_audit_segments *found)
{
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++)
        if (kept == 0 || found->list[kept - 1].number != found->list[i].number)
            found->list[kept++] = found->list[i];
    found->count = kept;
}

static kms_err list_files(int dir_fd, const char *instance, struct kms_audit_segments *found,
                          struct kms_why *why)
{
    OWN_DIR dir = list_dir(dir_fd);
    const struct dirent *entry;
    errno = 0;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char of[KMS_AUDIT_INSTANCE_BYTES + 1];
        uint32_t number;
        if (kms_audit_segment_parse(entry->d_name, of, &number) && strcmp(of, instance) == 0)
            KMS_TRY(add(found, number));
        errno = 0;
    }
    if (errno != 0) {
        kms_why_set(why, "the directory of the audit log: %s", strerror(errno));
        return KMS_FAIL(IO);
    }
    if (found->count > 1) qsort(found->list, found->count, sizeof found->list[0], by_number);
    drop_doubles(found);
    return KMS_OK;
}

static void drop_below(struct kms_audit_segments *found, uint32_t first_number)
{
    size_t below = 0;
    while (below < found->count && found->list[below].number < first_number) below++;
    found->count -= below;
    if (below > 0) memmove(found->list, found->list + below, found->count * sizeof found->list[0]);
}

enum { FIRST_READ_BYTES = 16 * 1024 }; /* holds any first record: there may be thousands of files */
enum content { EMPTY, TORN, WRITTEN };

/* As a file without content does; a spare of many megabytes is not read for this. */
static bool ends_in_nul(int fd, uint64_t bytes)
{
    uint8_t last = 0;
    return bytes == 0 || (pread(fd, &last, 1, (off_t)bytes - 1) == 1 && last == 0);
}

/* Looks at the first record; its hash too, so that nothing is concluded from a damaged one. */
static kms_err look(struct kms_audit_scan *scan, kms_digest *digest, struct kms_audit_segment *segment,
                    enum content *ret_content)
{
    struct kms_bytes line;
    enum kms_audit_step step;
    struct kms_audit_record record;
    struct stat status;
    bool same = false;
    if (fstat(scan->fd, &status) != 0) return KMS_FAIL(IO);
    segment->stored_bytes = (uint64_t)status.st_size;
    segment->bytes = scan->packed ? kms_audit_unpacked_bytes(scan->fd) : (uint64_t)status.st_size;
    *ret_content = WRITTEN;
    kms_err err = kms_audit_scan_next(scan, &line, &step);
    if (scan->packed && kms_is(err, KMS_E_CORRUPT)) return KMS_OK; /* it cannot be read: verify says so */
    KMS_TRY(err);
    if (step == KMS_AUDIT_END && ends_in_nul(scan->fd, segment->bytes)) *ret_content = EMPTY;
    if (step == KMS_AUDIT_TORN) {
        enum kms_audit_tail tail;
        uint64_t bytes;
        KMS_TRY(kms_audit_scan_tail(scan, &tail, &bytes));
        if (tail == KMS_AUDIT_TAIL_TORN) *ret_content = TORN;
    }
    if (step != KMS_AUDIT_LINE || !kms_audit_scan_record(line, &record)) return KMS_OK;
    KMS_TRY(kms_audit_check_record(digest, &record, &same));
    segment->readable = same && kms_audit_opening_read(line, &segment->opening, NULL) &&
                        segment->opening.number == segment->number &&
                        segment->opening.after < segment->number;
    segment->first_sequence = record.sequence;
    memcpy(segment->prev, record.prev, sizeof segment->prev);
    kms_copy(segment->first_time, record.time, KMS_TIME_TEXT - 1);
    return KMS_OK;
}

bool kms_audit_gone(int dir_fd, const char *name)
{
    char packed[KMS_AUDIT_NAME_BYTES];
    kms_audit_packed_name(name, packed);
    return faccessat(dir_fd, name, F_OK, 0) != 0 && errno == ENOENT &&
           faccessat(dir_fd, packed, F_OK, 0) != 0 && errno == ENOENT;
}

/* Leaves out files that hold nothing. A torn first line was never acknowledged: it counts as nothing. */
static kms_err look_at_all(int dir_fd, const char *instance, struct kms_audit_segments *found,
                           struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_scan_free))) struct kms_audit_scan scan = {.fd = -1};
    KMS_OWN(kms_digest) digest = NULL;
    KMS_TRY(kms_audit_scan_new(&scan));
    scan.read_bytes = FIRST_READ_BYTES;
    KMS_TRY(kms_digest_new(&digest));
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++) {
        enum content content;
        char name[KMS_AUDIT_NAME_BYTES];
        kms_audit_segment_name(instance, found->list[i].number, name);
        kms_err err = kms_audit_scan_file(&scan, dir_fd, name, why);
        if (kms_is(err, KMS_E_IO) && kms_audit_gone(dir_fd, name)) continue; /* meanwhile */
        KMS_TRY(err);
        err = look(&scan, digest, &found->list[i], &content);
        if (kms_failed(err)) {
            kms_why_set(why, "%s: cannot be read", name);
            return err;
        }
        if (content == WRITTEN) found->list[kept++] = found->list[i];
        if (content != EMPTY) found->torn_file = content == TORN;
    }
    found->count = kept;
    return KMS_OK;
}

/* From the newest file back, each names the file it goes on from; what lies between counts for nothing. Where
 * a first record is damaged or the file it names is missing, the next lower number is taken: verify finds the
 * fault there. */
static void keep_those_that_count(struct kms_audit_segments *found, uint32_t first_number)
{
    size_t first = found->count; /* list[first..] are kept */
    for (size_t i = found->count; i > 0;) {
        found->list[--first] = found->list[--i];
        const struct kms_audit_segment *newest = &found->list[first];
        if (!newest->readable) continue;
        size_t before = i;
        if (newest->opening.after < first_number) break;
        while (before > 0 && found->list[before - 1].number > newest->opening.after) before--;
        if (before > 0 && found->list[before - 1].number == newest->opening.after) i = before;
    }
    found->count -= first;
    if (first > 0) memmove(found->list, found->list + first, found->count * sizeof found->list[0]);
}

kms_err kms_audit_segments_read(int dir_fd, const char *instance, uint32_t first_number,
                                struct kms_audit_segments *ret_segments, struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_segments_free))) struct kms_audit_segments found = {0};
    KMS_TRY(list_files(dir_fd, instance, &found, why));
    drop_below(&found, first_number);
    KMS_TRY(look_at_all(dir_fd, instance, &found, why));
    keep_those_that_count(&found, first_number);
    *ret_segments = found;
    found.list = NULL;
    return KMS_OK;
}

void kms_audit_segments_free(struct kms_audit_segments *segments)
{
    free(segments->list);
    *segments = (struct kms_audit_segments){0};
}

static bool is_plain_with_records(int dir_fd, const char *instance, uint32_t number)
{
    char name[KMS_AUDIT_NAME_BYTES];
    uint8_t first = 0;
    kms_audit_segment_name(instance, number, name);
    KMS_OWN_FD fd = kms_audit_open_file(dir_fd, name, O_NOFOLLOW);
    return fd >= 0 && pread(fd, &first, 1, 0) == 1 && first != 0;
}

kms_err kms_audit_all_numbers(int dir_fd, const char *instance, uint32_t below, uint32_t **ret_numbers,
                              size_t *ret_count, struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_segments_free))) struct kms_audit_segments found = {0};
    KMS_TRY(list_files(dir_fd, instance, &found, why));
    uint32_t *numbers = calloc(found.count + 1, sizeof *numbers);
    if (numbers == NULL) return KMS_FAIL(NO_MEMORY);
    size_t count = 0;
    while (count < found.count && found.list[count].number < below) {
        numbers[count] = found.list[count].number;
        count++;
    }
    *ret_numbers = numbers;
    *ret_count = count;
    return KMS_OK;
}

kms_err kms_audit_plain_numbers(int dir_fd, const char *instance, uint32_t below, uint32_t **ret_numbers,
                                size_t *ret_count, struct kms_why *why)
{
    size_t count, kept = 0;
    uint32_t *numbers;
    KMS_TRY(kms_audit_all_numbers(dir_fd, instance, below, &numbers, &count, why));
    for (size_t i = 0; i < count; i++)
        if (is_plain_with_records(dir_fd, instance, numbers[i])) numbers[kept++] = numbers[i];
    *ret_numbers = numbers;
    *ret_count = kept;
    return KMS_OK;
}

kms_err kms_audit_only_instance(int dir_fd, char ret_instance[KMS_AUDIT_INSTANCE_BYTES + 1],
                                struct kms_why *why)
{
    OWN_DIR dir = list_dir(dir_fd);
    const struct dirent *entry;
    char found[KMS_AUDIT_INSTANCE_BYTES + 1] = "", of[KMS_AUDIT_INSTANCE_BYTES + 1];
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        uint32_t number;
        if (!kms_audit_segment_parse(entry->d_name, of, &number) || strcmp(of, found) == 0) continue;
        if (found[0] != '\0') {
            kms_why_set(why, "logs of several instances are here (%s, %s ...): name one", found, of);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        kms_copy(found, of, sizeof found);
    }
    if (found[0] == '\0') {
        kms_why_set(why, "no audit log here: no file is named INSTANCE-00000001.jsonl or the like");
        return KMS_FAIL(IO);
    }
    kms_copy(ret_instance, found, sizeof found);
    return KMS_OK;
}
