/* Beside, and then in its place. */
#include "kmsd/metrics/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4200, MODE = 0644 };

static bool write_all(int fd, struct kms_bytes text)
{
    while (text.len > 0) {
        ssize_t done = write(fd, text.ptr, text.len);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        text = kms_bytes_of(text.ptr + done, text.len - (size_t)done);
    }
    return true;
}

static kms_err failed(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return KMS_FAIL(IO);
}

/* What lies there, of a kmsd that was killed or of somebody else, is not written to. */
static kms_err write_beside(const char *fresh, struct kms_bytes text, struct kms_why *why)
{
    unlink(fresh);
    KMS_OWN_FD fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    if (fd < 0) return failed(fresh, why);
    return fchmod(fd, MODE) == 0 && write_all(fd, text) ? KMS_OK : failed(fresh, why);
}

kms_err kms_metric_file_write(const char *path, struct kms_bytes text, struct kms_why *why)
{
    char fresh[PATH_BYTES];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    kms_err err = write_beside(fresh, text, why);
    if (!kms_failed(err) && rename(fresh, path) != 0) err = failed(path, why);
    if (kms_failed(err)) unlink(fresh);
    return err;
}
