/* Direct writes take whole blocks, so the last, partly filled block is kept in front and written again. */
#include "kmsd/audit/write/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"

struct kms_audit_sink {
    struct kms_audit_sink_options options;
    kms_audit_preparer *preparer;
    struct kms_audit_file file;
    bool failed;      /* file is not written again */
    uint64_t durable; /* bytes of file */
    uint64_t offset;  /* of memory[0] in file */
    size_t tail;      /* durable bytes in memory, before the space */
    uint8_t *memory;  /* aligned */
    uint32_t next_number;
};

static size_t to_block(size_t len)
{
    return (len + KMS_AUDIT_BLOCK_BYTES - 1) & ~(size_t)(KMS_AUDIT_BLOCK_BYTES - 1);
}

kms_err kms_audit_sink_new(const struct kms_audit_sink_options *options, kms_audit_sink **ret_sink)
{
    kms_audit_sink *sink = calloc(1, sizeof *sink);
    void *memory = NULL;
    if (sink == NULL) return KMS_FAIL(NO_MEMORY);
    sink->options = *options;
    sink->file.fd = -1;
    sink->next_number = options->first_number;
    size_t len = to_block(options->batch_bytes) +
                 2 * (size_t)KMS_AUDIT_BLOCK_BYTES; /* tail in front, padding behind */
    kms_err err = KMS_FAIL(NO_MEMORY);
    if (posix_memalign(&memory, KMS_AUDIT_BLOCK_BYTES, len) == 0) {
        sink->memory = memory;
        const struct kms_audit_preparer_options prepare = {.dir_fd = options->dir_fd,
                                                           .instance = options->instance,
                                                           .segment_bytes = options->segment_bytes,
                                                           .cached = options->cached};
        err = kms_audit_preparer_new(&prepare, &sink->preparer);
    }
    if (kms_failed(err)) {
        kms_audit_sink_free(sink);
        return err;
    }
    *ret_sink = sink;
    return KMS_OK;
}

/* Done with the current file. Truncating is a courtesy to other tools, so its failure changes nothing. */
static void retire(kms_audit_sink *sink)
{
    char name[KMS_AUDIT_NAME_BYTES];
    if (sink->file.fd < 0) return;
    kms_audit_segment_name(sink->options.instance, sink->file.number, name);
    if (sink->durable == 0)
        unlinkat(sink->options.dir_fd, name, 0); /* nothing in it was ever acknowledged */
    else if (!sink->failed && ftruncate(sink->file.fd, (off_t)sink->durable) != 0)
        errno = 0;
    kms_audit_file_close(&sink->file);
}

kms_err kms_audit_sink_roll(kms_audit_sink *sink, struct kms_why *why)
{
    struct kms_audit_file file;
    uint32_t number = sink->next_number;
    kms_err err = kms_audit_prepared(sink->preparer, number, &file, why);
    if (kms_failed(err)) {
        char name[KMS_AUDIT_NAME_BYTES];
        kms_audit_segment_name(sink->options.instance, number, name);
        bool exists = faccessat(sink->options.dir_fd, name, F_OK, 0) == 0;
        if (exists) sink->next_number++; /* not ours: leave it alone, and try another next time */
        return err;
    }
    retire(sink);
    sink->file = file;
    sink->next_number = file.number + 1;
    sink->failed = false;
    sink->durable = sink->offset = 0;
    sink->tail = 0;
    return KMS_OK;
}

uint32_t kms_audit_sink_number(const kms_audit_sink *sink)
{
    return sink->file.fd < 0 || sink->failed ? 0 : sink->file.number;
}

/* One byte stays NUL: by it readers tell a file that was closed from one that was not. */
bool kms_audit_sink_fits(const kms_audit_sink *sink, size_t len)
{
    return kms_audit_sink_number(sink) != 0 && sink->durable + len < sink->options.segment_bytes;
}

bool kms_audit_sink_ready(kms_audit_sink *sink, struct kms_why *ret_why)
{
    bool ready = kms_audit_prepare(sink->preparer, sink->next_number);
    kms_audit_prepare_trouble(sink->preparer, ret_why);
    return ready;
}

bool kms_audit_sink_in_place(const kms_audit_sink *sink)
{
    char name[KMS_AUDIT_NAME_BYTES];
    struct stat written, named;
    kms_audit_segment_name(sink->options.instance, sink->file.number, name);
    if (fstat(sink->file.fd, &written) != 0) return true; /* nothing is known */
    if (fstatat(sink->options.dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0) return errno != ENOENT;
    return written.st_dev == named.st_dev && written.st_ino == named.st_ino;
}

uint8_t *kms_audit_sink_space(kms_audit_sink *sink)
{
    return sink->memory + sink->tail;
}

static bool write_all(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
    ssize_t done;
    do done = pwrite(fd, data, len, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done >= 0 && done != (ssize_t)len)
        errno = ENOSPC; /* a short write tells no cause; this is the usual one */
    return done == (ssize_t)len;
}

static bool write_durably(kms_audit_sink *sink, size_t len)
{
    if (sink->options.cached) return write_all(sink->file.fd, sink->memory, len, sink->offset);
    if (!sink->file.direct)
        return write_all(sink->file.fd, sink->memory, len, sink->offset) && fdatasync(sink->file.fd) == 0;
    size_t padded = to_block(len);
    memset(sink->memory + len, 0, padded - len);
    return write_all(sink->file.fd, sink->memory, padded, sink->offset);
}

kms_err kms_audit_sink_commit(kms_audit_sink *sink, size_t len, struct kms_why *why)
{
    size_t filled = sink->tail + len;
    if (!kms_audit_sink_fits(sink, len)) return KMS_FAIL(INTERNAL);
    if (!write_durably(sink, filled)) {
        char name[KMS_AUDIT_NAME_BYTES];
        kms_audit_segment_name(sink->options.instance, sink->file.number, name);
        kms_why_set(why, "%s: cannot be written: %s", name, strerror(errno));
        sink->failed = true;
        return KMS_FAIL(AUDIT_UNAVAILABLE);
    }
    size_t whole = sink->file.direct ? filled & ~(size_t)(KMS_AUDIT_BLOCK_BYTES - 1) : filled;
    sink->tail = filled - whole;
    memmove(sink->memory, sink->memory + whole, sink->tail);
    sink->offset += whole;
    sink->durable += len;
    if (sink->durable >= sink->options.segment_bytes / 2)
        kms_audit_prepare(sink->preparer, sink->next_number);
    return KMS_OK;
}

void kms_audit_sink_free(kms_audit_sink *sink)
{
    if (sink == NULL) return;
    kms_audit_preparer_free(sink->preparer);
    retire(sink);
    free(sink->memory);
    free(sink);
}
