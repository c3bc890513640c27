/* Zeroing goes past the page cache like the records will; where a file system refuses that, through it. */
#include "kmsd/audit/write/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/audit/segment.h"

struct kms_audit_preparer {
    struct kms_audit_preparer_options options;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum { IDLE, WANTED, WORKING, READY, STOP } state;
    uint32_t number;
    struct kms_audit_file ready;
    uint64_t
        not_before_us; /* monotonic: after a failure the thread rests, or a full disk would keep it busy */
    struct kms_why trouble;
};

void kms_audit_file_close(struct kms_audit_file *file)
{
    kms_fd_drop(&file->fd);
    *file = (struct kms_audit_file){.fd = -1};
}

enum { ZERO_BYTES = 256 * 1024, REST_US = 1000000 };

/* In pieces, so that a commit that comes meanwhile waits for one piece at most. */
static bool write_zeros(int fd, uint64_t bytes)
{
    void *zeros = NULL;
    bool ok = posix_memalign(&zeros, KMS_AUDIT_BLOCK_BYTES, ZERO_BYTES) == 0;
    if (!ok) return false;
    memset(zeros, 0, ZERO_BYTES);
    for (uint64_t at = 0; ok && at < bytes;) {
        size_t len = bytes - at < ZERO_BYTES ? (size_t)(bytes - at) : ZERO_BYTES;
        ssize_t done = pwrite(fd, zeros, len, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        ok = done > 0 && (done == (ssize_t)len || done % KMS_AUDIT_BLOCK_BYTES == 0);
        if (ok) at += (uint64_t)done;
    }
    free(zeros);
    return ok;
}

/* Allocating first fails at once on a full disk, instead of filling it to the last byte. */
static bool fill(int fd, bool *direct, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) return false;
    if (*direct && !write_zeros(fd, bytes)) {
        if (errno != EINVAL) return false;
        *direct = false;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_DIRECT) != 0) return false;
    }
    if (!*direct && !write_zeros(fd, bytes)) return false;
    return fsync(fd) == 0;
}

static int create_fd(int dir_fd, const char *name, bool *direct)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    const mode_t mode = 0640; /* auditors may be given the group */
    int fd = openat(dir_fd, name, *direct ? flags | O_DIRECT : flags, mode);
    if (!*direct) return fd;
    *direct = fd >= 0;
    if (fd < 0 && errno == EINVAL) { /* some file systems make the file and then refuse O_DIRECT */
        unlinkat(dir_fd, name, 0);
        fd = openat(dir_fd, name, flags, mode);
    }
    return fd;
}

static bool create(const struct kms_audit_preparer *preparer, const char *name,
                   struct kms_audit_file *ret_file)
{
    bool direct = !preparer->options.cached;
    KMS_OWN_FD fd = create_fd(preparer->options.dir_fd, name, &direct);
    if (fd < 0) return false;
    if (fill(fd, &direct, preparer->options.segment_bytes) && fsync(preparer->options.dir_fd) == 0) {
        int sync = direct ? O_DIRECT | O_DSYNC : 0;
        int again = openat(preparer->options.dir_fd, name,
                           O_WRONLY | O_CLOEXEC | O_NOFOLLOW | sync); /* for O_DSYNC */
        if (again >= 0) {
            *ret_file = (struct kms_audit_file){.fd = again, .direct = direct};
            return true;
        }
    }
    int cause = errno;
    unlinkat(preparer->options.dir_fd, name, 0);
    errno = cause;
    return false;
}

static kms_err create_segment(const struct kms_audit_preparer *preparer, uint32_t number,
                              struct kms_audit_file *ret_file, struct kms_why *why)
{
    char name[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(preparer->options.instance, number, name);
    if (number > KMS_AUDIT_NUMBER_MAX || !create(preparer, name, ret_file)) {
        kms_why_set(why, "%s: cannot be made: %s", name,
                    number > KMS_AUDIT_NUMBER_MAX ? "too many files" : strerror(errno));
        return KMS_FAIL(AUDIT_UNAVAILABLE);
    }
    ret_file->number = number;
    return KMS_OK;
}

static void *work(void *argument)
{
    kms_audit_preparer *preparer = argument;
    pthread_mutex_lock(&preparer->lock);
    while (preparer->state != STOP) {
        if (preparer->state != WANTED) {
            pthread_cond_wait(&preparer->changed, &preparer->lock);
            continue;
        }
        preparer->state = WORKING;
        uint32_t number = preparer->number;
        pthread_mutex_unlock(&preparer->lock);
        struct kms_audit_file file = {.fd = -1};
        struct kms_why why = {""};
        /* A failure fails nobody yet: whoever needs the segment makes it then, and is told. */
        bool made = !kms_failed(create_segment(preparer, number, &file, &why));
        pthread_mutex_lock(&preparer->lock);
        preparer->trouble = why;
        preparer->ready = file;
        preparer->state = made ? READY : IDLE;
        if (!made) preparer->not_before_us = kms_monotonic_us() + REST_US;
        pthread_cond_broadcast(&preparer->changed);
    }
    pthread_mutex_unlock(&preparer->lock);
    return NULL;
}

kms_err kms_audit_preparer_new(const struct kms_audit_preparer_options *options,
                               kms_audit_preparer **ret_preparer)
{
    kms_audit_preparer *preparer = calloc(1, sizeof *preparer);
    if (preparer == NULL) return KMS_FAIL(NO_MEMORY);
    preparer->options = *options;
    preparer->ready.fd = -1;
    pthread_mutex_init(&preparer->lock, NULL);
    pthread_cond_init(&preparer->changed, NULL);
    sigset_t all, before; /* signals are for the threads that wait for them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    preparer->started = pthread_create(&preparer->thread, NULL, work, preparer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!preparer->started) {
        kms_audit_preparer_free(preparer);
        return KMS_FAIL(INTERNAL);
    }
    *ret_preparer = preparer;
    return KMS_OK;
}

bool kms_audit_prepare(kms_audit_preparer *preparer, uint32_t number)
{
    pthread_mutex_lock(&preparer->lock);
    if (preparer->state == IDLE && kms_monotonic_us() >= preparer->not_before_us) {
        preparer->state = WANTED;
        preparer->number = number;
        pthread_cond_broadcast(&preparer->changed);
    }
    bool ready = preparer->state == READY;
    pthread_mutex_unlock(&preparer->lock);
    return ready;
}

void kms_audit_prepare_trouble(kms_audit_preparer *preparer, struct kms_why *ret_why)
{
    pthread_mutex_lock(&preparer->lock);
    *ret_why = preparer->trouble;
    pthread_mutex_unlock(&preparer->lock);
}

kms_err kms_audit_prepared(kms_audit_preparer *preparer, uint32_t number, struct kms_audit_file *ret_file,
                           struct kms_why *why)
{
    struct kms_audit_file file = {.fd = -1};
    pthread_mutex_lock(&preparer->lock);
    if (preparer->state == WANTED) preparer->state = IDLE;
    while (preparer->state == WORKING) pthread_cond_wait(&preparer->changed, &preparer->lock);
    if (preparer->state == READY) {
        file = preparer->ready;
        preparer->ready.fd = -1;
        preparer->state = IDLE;
    }
    pthread_mutex_unlock(&preparer->lock);
    if (file.fd < 0) KMS_TRY(create_segment(preparer, number, &file, why));
    *ret_file = file;
    return KMS_OK;
}

void kms_audit_preparer_free(kms_audit_preparer *preparer)
{
    if (preparer == NULL) return;
    if (preparer->started) {
        pthread_mutex_lock(&preparer->lock);
        while (preparer->state == WORKING) pthread_cond_wait(&preparer->changed, &preparer->lock);
        preparer->state = STOP;
        pthread_cond_broadcast(&preparer->changed);
        pthread_mutex_unlock(&preparer->lock);
        pthread_join(preparer->thread, NULL);
    }
    if (preparer->ready.fd >= 0) {
        char name[KMS_AUDIT_NAME_BYTES];
        kms_audit_segment_name(preparer->options.instance, preparer->ready.number, name);
        unlinkat(preparer->options.dir_fd, name, 0);
        kms_audit_file_close(&preparer->ready);
    }
    pthread_mutex_destroy(&preparer->lock);
    pthread_cond_destroy(&preparer->changed);
    free(preparer);
}
