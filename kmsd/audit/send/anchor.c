/* The thread that writes heads to a second place. */
#include "kmsd/audit/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"

enum { STOP_SECONDS = 5, RETRY_SECONDS = 1 };

struct kms_anchor {
    char instance[KMS_AUDIT_HEAD_INSTANCE];
    char *file; /* NULL: none */
    bool to_syslog;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, waiting; /* waiting: head is still to be written */
    bool again;             /* after a failure, unless a newer one comes before */
    struct kms_audit_signed_head head;
    uint64_t in_syslog; /* sequence; the thread's own */
    uint64_t written;   /* sequence; 0: none */
    struct kms_why trouble;
};

static kms_err io_failed(const char *file, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", file, strerror(errno));
    return KMS_FAIL(IO);
}

static bool write_all(int fd, struct kms_bytes data)
{
    while (data.len > 0) {
        ssize_t done = write(fd, data.ptr, data.len);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        data = kms_bytes_of(data.ptr + done, data.len - (size_t)done);
    }
    return true;
}

/* The last byte there is a line feed, or there is none. */
static bool ends_well(int fd)
{
    char last = '\n';
    off_t end = lseek(fd, 0, SEEK_END);
    return end <= 0 || (pread(fd, &last, 1, end - 1) == 1 && last == '\n');
}

kms_err kms_anchor_append(const char *file, struct kms_bytes line, struct kms_why *why)
{
    KMS_OWN_FD fd = open(file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd < 0) return io_failed(file, why);
    if (!ends_well(fd) && !write_all(fd, kms_bytes_text("\n"))) return io_failed(file, why);
    if (!write_all(fd, line) || fsync(fd) != 0) return io_failed(file, why);
    return KMS_OK;
}

static kms_err write_head(kms_anchor *anchor, const struct kms_audit_signed_head *head, struct kms_why *why)
{
    bool to_syslog =
        anchor->to_syslog && head->sequence != anchor->in_syslog; /* once, also when tried again */
    char line[KMS_AUDIT_ANCHOR_BYTES];
    size_t len = kms_audit_anchor_line(anchor->instance, head, line);
    anchor->in_syslog = head->sequence;
    if (to_syslog) syslog(LOG_AUTHPRIV | LOG_NOTICE, "%.*s", (int)len - 1, line);
    return anchor->file != NULL ? kms_anchor_append(anchor->file, kms_bytes_of(line, len), why) : KMS_OK;
}

/* With the lock held, which it gives up while it writes. */
static void write_one(kms_anchor *anchor)
{
    struct kms_audit_signed_head head = anchor->head;
    struct kms_why why = {{0}};
    anchor->waiting = anchor->again = false;
    pthread_mutex_unlock(&anchor->lock);
    bool written = !kms_failed(write_head(anchor, &head, &why));
    pthread_mutex_lock(&anchor->lock);
    if (written) anchor->written = head.sequence;
    anchor->trouble = why;
    anchor->again = !written && !anchor->waiting;
}

/* With the lock held. An idle log has no new head for long: the one that failed is not left at that. */
static void wait_for_head(kms_anchor *anchor)
{
    const struct timespec until = kms_in_ms(RETRY_SECONDS * 1000);
    if (!anchor->again)
        pthread_cond_wait(&anchor->wake, &anchor->lock);
    else if (pthread_cond_timedwait(&anchor->wake, &anchor->lock, &until) == ETIMEDOUT)
        anchor->waiting = true;
    if (anchor->stopping && anchor->again) anchor->waiting = true; /* once more */
}

static void *anchor_main(void *self)
{
    kms_anchor *anchor = self;
    prctl(PR_SET_NAME, "anchor");
    pthread_mutex_lock(&anchor->lock);
    while (!anchor->stopping || anchor->waiting) {
        if (anchor->waiting)
            write_one(anchor);
        else
            wait_for_head(anchor);
    }
    pthread_mutex_unlock(&anchor->lock);
    return NULL;
}

static void free_anchor(kms_anchor *anchor)
{
    pthread_cond_destroy(&anchor->wake);
    pthread_mutex_destroy(&anchor->lock);
    free(anchor->file);
    free(anchor);
}

kms_err kms_anchor_start(const char *instance, const char *file, bool to_syslog, kms_anchor **ret_anchor)
{
    kms_anchor *anchor = calloc(1, sizeof *anchor);
    if (anchor == NULL) return KMS_FAIL(NO_MEMORY);
    snprintf(anchor->instance, sizeof anchor->instance, "%s", instance);
    anchor->to_syslog = to_syslog;
    pthread_mutex_init(&anchor->lock, NULL);
    kms_cond_init(&anchor->wake);
    bool has_file = file != NULL && file[0] != '\0';
    if (has_file) anchor->file = strdup(file);
    if ((has_file && anchor->file == NULL) ||
        pthread_create(&anchor->thread, NULL, anchor_main, anchor) != 0) {
        free_anchor(anchor);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_anchor = anchor;
    return KMS_OK;
}

void kms_anchor_put(kms_anchor *anchor, const struct kms_audit_signed_head *head)
{
    pthread_mutex_lock(&anchor->lock);
    anchor->head = *head;
    anchor->waiting = true;
    pthread_cond_signal(&anchor->wake);
    pthread_mutex_unlock(&anchor->lock);
}

void kms_anchor_status(kms_anchor *anchor, uint64_t *ret_sequence, struct kms_why *ret_trouble)
{
    pthread_mutex_lock(&anchor->lock);
    *ret_sequence = anchor->written;
    *ret_trouble = anchor->trouble;
    pthread_mutex_unlock(&anchor->lock);
}

void kms_anchor_stop(kms_anchor *anchor)
{
    if (anchor == NULL) return;
    pthread_mutex_lock(&anchor->lock);
    anchor->stopping = true;
    pthread_cond_signal(&anchor->wake);
    pthread_mutex_unlock(&anchor->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_SECONDS;
    if (pthread_timedjoin_np(anchor->thread, NULL, &until) == 0) free_anchor(anchor);
}
