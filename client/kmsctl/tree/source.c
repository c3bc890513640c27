/* Reading with a bound, and writing piece by piece around the values. */
#include "client/kmsctl/tree/source.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/kms-env/file.h"

void ctl_source_free(ctl_source *source)
{
    if (source->memory != NULL) explicit_bzero(source->memory, source->cap);
    free(source->memory);
    *source = (ctl_source){0};
}

struct kms_bytes ctl_source_text(const ctl_source *source)
{
    return kms_bytes_of(source->memory, source->len);
}

static kms_err io(struct kms_why *why)
{
    kms_why_set(why, "%s", strerror(errno));
    return errno == ENOENT ? KMS_FAIL(NOT_FOUND) : KMS_FAIL(IO);
}

static kms_err read_all(int fd, ctl_source *source, struct kms_why *why)
{
    while (source->len < source->cap) {
        ssize_t got = read(fd, source->memory + source->len, source->cap - source->len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io(why);
        if (got == 0) break;
        source->len += (size_t)got;
    }
    return KMS_OK;
}

kms_err ctl_source_read(const char *path, bool follow, size_t max_bytes, ctl_source *source,
                        struct kms_why *why)
{
    /* O_NONBLOCK: what became a pipe since it was listed does not hold us */
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    KMS_OWN_FD fd = open(path, follow ? flags : flags | O_NOFOLLOW);
    KMS_OWN_SOURCE reading = {.skip = CTL_SKIP_COUNT};
    if (fd < 0 || fstat(fd, &reading.status) != 0) return io(why);
    if (!S_ISREG(reading.status.st_mode)) {
        reading.skip = CTL_SKIP_SPECIAL;
    } else if ((uint64_t)reading.status.st_size > max_bytes) {
        reading.skip = CTL_SKIP_LARGE;
    } else {
        reading.cap = (size_t)reading.status.st_size + 1; /* one more, to see that it ends there */
        reading.memory = malloc(reading.cap);
        if (reading.memory == NULL) return KMS_FAIL(NO_MEMORY);
        KMS_TRY(read_all(fd, &reading, why));
        if (reading.len == reading.cap) {
            kms_why_set(why, "it grew while it was read");
            return KMS_FAIL(CONFLICT);
        }
        if (memchr(reading.memory, 0, reading.len) != NULL) reading.skip = CTL_SKIP_BINARY;
    }
    *source = reading;
    reading = (ctl_source){0};
    return KMS_OK;
}

kms_err ctl_source_check(const char *path, const ctl_source *source, struct kms_why *why)
{
    char real[PATH_MAX];
    if (source->status.st_nlink > 1) {
        kms_why_set(why, "it has %ju names (hard links): replacing one would part it from the others",
                    (uintmax_t)source->status.st_nlink);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (realpath(path, real) == NULL) return io(why);
    const char *folder = dirname(real);
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0) return KMS_OK;
    kms_why_set(why, "its folder cannot be written: %s", strerror(errno));
    return KMS_FAIL(IO);
}

static void put(ctl_source *to, struct kms_bytes piece)
{
    kms_copy(to->memory + to->len, piece.ptr, piece.len);
    to->len += piece.len;
}

kms_err ctl_source_with(const ctl_source *source, const ctl_values *values, const kms_buf *texts,
                        ctl_source *ret_source)
{
    ctl_source made = {.cap = source->len + 1, .status = source->status, .skip = source->skip};
    size_t at = 0;
    for (size_t i = 0; i < values->count; i++) made.cap += texts[i].len;
    made.memory = malloc(made.cap);
    if (made.memory == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < values->count; i++) {
        const struct ctl_value *value = &values->items[i];
        if (texts[i].len == 0) continue;
        put(&made, kms_bytes_of(source->memory + at, value->at - at));
        put(&made, kms_buf_view(&texts[i]));
        at = value->at + value->len;
    }
    put(&made, kms_bytes_of(source->memory + at, source->len - at));
    *ret_source = made;
    return KMS_OK;
}

kms_err ctl_source_replace(const char *path, const ctl_source *source, struct kms_why *why)
{
    KMS_OWN(kms_env_output) output = NULL;
    const kms_env_file replaced = {.status = source->status};
    KMS_TRY(kms_env_output_open(path, &replaced, &output, why));
    kms_err err = kms_env_output_put(output, ctl_source_text(source));
    if (kms_failed(err)) kms_why_set(why, "%s", strerror(errno));
    KMS_TRY(err);
    return kms_env_output_commit(output, why);
}
