/* One file: compress, sync, compare, rename, remove. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "kmsd/audit/segment.h"
#include "kmsd/audit/twin.h"
#include "kmsd/audit/unpack.h"
#include "kmsd/audit/write/pack.h"

enum { PIECE_BYTES = 256 * 1024, LEVEL = 3 };

struct packing {
    int dir_fd;
    const char *plain; /* name */
    int from, to;
    uint64_t read, written;
    uint8_t *input, *output;
    ZSTD_CCtx *context;
    const atomic_bool *stopping;
    struct kms_why *why;
};

static void drop_packing(struct packing *p)
{
    kms_fd_drop(&p->from);
    kms_fd_drop(&p->to);
    free(p->input);
    free(p->output);
    ZSTD_freeCCtx(p->context);
}

static kms_err complain(const struct packing *p, const char *what, const char *cause)
{
    kms_why_set(p->why, "%s: cannot be compressed, so it stays as it is: %s: %s", p->plain, what, cause);
    return KMS_FAIL(IO);
}

static kms_err read_piece(int fd, uint8_t *to, uint64_t offset, size_t *ret_len)
{
    ssize_t got;
    do got = pread(fd, to, PIECE_BYTES, (off_t)offset);
    while (got < 0 && errno == EINTR);
    *ret_len = got > 0 ? (size_t)got : 0;
    return got < 0 ? KMS_FAIL(IO) : KMS_OK;
}

static kms_err write_output(struct packing *p, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t wrote = pwrite(p->to, p->output + done, len - done, (off_t)p->written);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return complain(p, "writing", strerror(wrote < 0 ? errno : ENOSPC));
        done += (size_t)wrote;
        p->written += (uint64_t)wrote;
    }
    return KMS_OK;
}

static kms_err compress_piece(struct packing *p, size_t len, ZSTD_EndDirective end)
{
    ZSTD_inBuffer input = {.src = p->input, .size = len};
    for (;;) {
        ZSTD_outBuffer output = {.dst = p->output, .size = PIECE_BYTES};
        size_t left = ZSTD_compressStream2(p->context, &output, &input, end);
        if (ZSTD_isError(left)) return complain(p, "zstd", ZSTD_getErrorName(left));
        KMS_TRY(write_output(p, output.pos));
        if (end == ZSTD_e_end ? left == 0 : input.pos == input.size) return KMS_OK;
    }
}

static kms_err compress(struct packing *p)
{
    for (;;) {
        size_t len;
        if (p->stopping != NULL && atomic_load(p->stopping)) return complain(p, "stopped", "for now");
        if (kms_failed(read_piece(p->from, p->input, p->read, &len)))
            return complain(p, "reading", strerror(errno));
        p->read += len;
        KMS_TRY(compress_piece(p, len, len == 0 ? ZSTD_e_end : ZSTD_e_continue));
        if (len == 0) return KMS_OK;
    }
}

/* What was written says the same as the plain file, byte by byte. */
static kms_err compare(const struct packing *p)
{
    KMS_OWN(kms_audit_unpacker) unpacker = NULL;
    KMS_TRY(kms_audit_unpacker_new(&unpacker));
    for (uint64_t at = 0;;) {
        size_t plain_len, len = 0, more;
        if (p->stopping != NULL && atomic_load(p->stopping)) return complain(p, "stopped", "for now");
        if (kms_failed(read_piece(p->from, p->input, at, &plain_len)))
            return complain(p, "reading", strerror(errno));
        for (more = 1; more > 0 && len < PIECE_BYTES; len += more)
            if (kms_failed(
                    kms_audit_unpack(unpacker, p->to, at + len, p->output + len, PIECE_BYTES - len, &more)))
                return complain(p, "reading back", "what was written is damaged");
        if (len != plain_len || memcmp(p->input, p->output, len) != 0)
            return complain(p, "reading back", "what was written is something else");
        if (len == 0) return KMS_OK;
        at += len;
    }
}

static kms_err open_files(struct packing *p, const char *temporary)
{
    struct stat status;
    p->from = kms_audit_open_file(p->dir_fd, p->plain, O_NOFOLLOW);
    if (p->from < 0 || fstat(p->from, &status) != 0) return complain(p, "opening", strerror(errno));
    p->to = openat(p->dir_fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->to < 0) return complain(p, temporary, strerror(errno));
    p->input = malloc(PIECE_BYTES);
    p->output = malloc(PIECE_BYTES);
    p->context = ZSTD_createCCtx();
    if (p->input == NULL || p->output == NULL || p->context == NULL) return KMS_FAIL(NO_MEMORY);
    ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(p->context, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setPledgedSrcSize(p->context, (unsigned long long)status.st_size);
    const struct timespec times[] = {status.st_atim, status.st_mtim};
    KMS_TRY(compress(p));
    if (fchmod(p->to, status.st_mode & 0777) != 0 || futimens(p->to, times) != 0 || fsync(p->to) != 0)
        return complain(p, "syncing", strerror(errno));
    return KMS_OK;
}

static kms_err remove_plain(const struct packing *p, const char *packed)
{
    if (fsync(p->dir_fd) != 0) return complain(p, "syncing the directory", strerror(errno));
    if (unlinkat(p->dir_fd, p->plain, 0) == 0) return KMS_OK;
    if (errno != ENOENT) return complain(p, "removing", strerror(errno));
    unlinkat(p->dir_fd, packed, 0); /* retention took it meanwhile: what is dropped does not come back */
    return KMS_OK;
}

static kms_err replace(const struct packing *p, const char *temporary, const char *packed)
{
    if (renameat(p->dir_fd, temporary, p->dir_fd, packed) != 0)
        return complain(p, "renaming", strerror(errno));
    return remove_plain(p, packed);
}

/* A packer that was killed left both. But of two that differ none is removed: one is what was written. */
static kms_err settle(const struct packing *p, const char *packed, bool *ret_done)
{
    struct kms_audit_twin twin;
    if (kms_failed(kms_audit_twin_look(p->dir_fd, p->plain, &twin)))
        return complain(p, packed, "it is there already and cannot be read");
    *ret_done = twin.both && twin.same;
    if (twin.both && !twin.same)
        return complain(p, packed,
                        "it is there already and says something else: move the wrong one of the two away "
                        "(kmsctl audit verify)");
    return *ret_done ? remove_plain(p, packed) : KMS_OK;
}

kms_err kms_audit_pack_file(int dir_fd, const char *instance, uint32_t number, const atomic_bool *stopping,
                            struct kms_why *why)
{
    char plain[KMS_AUDIT_NAME_BYTES], packed[KMS_AUDIT_NAME_BYTES], temporary[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(instance, number, plain);
    kms_audit_packed_name(plain, packed);
    kms_audit_packing_name(instance, temporary);
    __attribute__((cleanup(drop_packing))) struct packing p = {
        .dir_fd = dir_fd, .plain = plain, .from = -1, .to = -1, .stopping = stopping, .why = why};
    bool done = false;
    KMS_TRY(settle(&p, packed, &done));
    if (done) return KMS_OK;
    kms_err err = open_files(&p, temporary);
    if (!kms_failed(err)) err = compare(&p);
    if (!kms_failed(err)) err = replace(&p, temporary, packed);
    if (kms_failed(err)) unlinkat(dir_fd, temporary, 0);
    return err;
}
