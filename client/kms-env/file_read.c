/* Reads a file into locked memory: what it holds may be secret from its first byte to its last. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/secret.h"
#include "client/kms-env/dotenv.h"
#include "client/kms-env/file.h"

enum { FIRST_BYTES = 4096 };

void kms_env_file_free(kms_env_file *file)
{
    kms_locked_free(file->memory, file->cap);
    *file = (kms_env_file){0};
}

struct kms_bytes kms_env_file_text(const kms_env_file *file)
{
    return kms_bytes_of(file->memory, file->len);
}

static kms_err no_locked_memory(struct kms_why *why)
{
    kms_why_set(why, "no memory can be locked into RAM: raise the limit (ulimit -l, LimitMEMLOCK=)");
    return KMS_FAIL(NO_MEMORY);
}

static kms_err grow(kms_env_file *file, size_t cap, struct kms_why *why)
{
    uint8_t *memory = kms_locked_alloc(cap);
    if (memory == NULL) return no_locked_memory(why);
    kms_copy(memory, file->memory, file->len);
    kms_locked_free(file->memory, file->cap);
    file->memory = memory;
    file->cap = cap;
    return KMS_OK;
}

static kms_err io(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return errno == ENOENT ? KMS_FAIL(NOT_FOUND) : KMS_FAIL(IO);
}

static kms_err read_all(int fd, const char *path, kms_env_file *file, struct kms_why *why)
{
    for (;;) {
        ssize_t got = read(fd, file->memory + file->len, file->cap - file->len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io(path, why);
        if (got == 0) return KMS_OK;
        file->len += (size_t)got;
        if (file->len < file->cap) continue;
        if (file->cap == KMS_DOTENV_BYTES) {
            kms_why_set(why, "%s: %d bytes or longer: split it", path, KMS_DOTENV_BYTES);
            return KMS_FAIL(LIMIT_EXCEEDED);
        }
        KMS_TRY(grow(file, 2 * file->cap, why));
    }
}

kms_err kms_env_file_read(const char *path, kms_env_file *file, struct kms_why *why)
{
    const bool standard = strcmp(path, "-") == 0;
    KMS_OWN_FD opened = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    const int fd = standard ? STDIN_FILENO : opened;
    const char *name = standard ? "standard input" : path;
    KMS_OWN_ENV_FILE reading = {0};
    if (fd < 0 || fstat(fd, &reading.status) != 0) return io(name, why);
    if (S_ISDIR(reading.status.st_mode)) {
        errno = EISDIR;
        return io(name, why);
    }
    KMS_TRY(grow(&reading, FIRST_BYTES, why));
    KMS_TRY(read_all(fd, name, &reading, why));
    *file = reading;
    reading = (kms_env_file){0};
    return KMS_OK;
}
