/* The mark of a refused PIN, kept across restarts: locking a token by retrying a wrong PIN is worse than
 * being down. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hsm/pool.h"

enum { PATH_BYTES = 1024 };

static void path_of(const kms_hsm *hsm, const char *suffix, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/hsm-pin-refused%s", hsm->state_dir, suffix);
}

void kms_pool_mark_read(const kms_hsm *hsm, struct kms_pin_mark *ret_mark)
{
    char path[PATH_BYTES];
    KMS_OWN_BUF text = {0};
    path_of(hsm, "", path);
    *ret_mark = (struct kms_pin_mark){0};
    if (kms_failed(kms_read_file(path, sizeof ret_mark->text - 1, &text, NULL))) return; /* no mark */
    size_t len = strspn((const char *)text.data, "0123456789:");
    kms_copy(ret_mark->text, text.data, len);
}

void kms_pool_mark_write(const kms_hsm *hsm, const struct kms_pin_mark *mark)
{
    char path[PATH_BYTES], fresh[PATH_BYTES];
    path_of(hsm, "", path);
    path_of(hsm, ".new", fresh);
    if (mark->text[0] == '\0') {
        unlink(path); /* mostly it is not there */
        return;
    }
    KMS_OWN_FD fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t len = (ssize_t)strlen(mark->text);
    if (fd < 0 || write(fd, mark->text, (size_t)len) != len || fsync(fd) != 0)
        return; /* the pool keeps it too */
    rename(fresh, path);
}
