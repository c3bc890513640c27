/* libzstd's streaming decompression, fed by reads at growing offsets. */
#include "kmsd/audit/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { INPUT_BYTES = 64 * 1024, HEADER_BYTES = 18 /* longest header of a frame */ };

struct kms_audit_unpacker {
    ZSTD_DCtx *context;
    ZSTD_inBuffer input; /* what was read and not taken yet */
    uint64_t read;       /* bytes of the file */
    uint64_t given;      /* bytes of the content */
    bool at_end;         /* of a frame: the file may end here */
    uint8_t buffer[INPUT_BYTES];
};

kms_err kms_audit_unpacker_new(kms_audit_unpacker **ret_unpacker)
{
    kms_audit_unpacker *unpacker = calloc(1, sizeof *unpacker);
    if (unpacker == NULL) return KMS_FAIL(NO_MEMORY);
    unpacker->context = ZSTD_createDCtx();
    if (unpacker->context == NULL) {
        free(unpacker);
        return KMS_FAIL(NO_MEMORY);
    }
    unpacker->input.src = unpacker->buffer;
    *ret_unpacker = unpacker;
    return KMS_OK;
}

void kms_audit_unpacker_free(kms_audit_unpacker *unpacker)
{
    if (unpacker == NULL) return;
    ZSTD_freeDCtx(unpacker->context);
    free(unpacker);
}

void kms_audit_unpacker_drop(kms_audit_unpacker **unpacker)
{
    kms_audit_unpacker_free(*unpacker);
}

void kms_audit_unpacker_restart(kms_audit_unpacker *unpacker)
{
    ZSTD_DCtx_reset(unpacker->context, ZSTD_reset_session_only);
    unpacker->input.pos = unpacker->input.size = 0;
    unpacker->read = unpacker->given = 0;
    unpacker->at_end = false;
}

static kms_err read_at(int fd, uint8_t *to, size_t room, uint64_t offset, size_t *ret_len)
{
    ssize_t got;
    do got = pread(fd, to, room, (off_t)offset);
    while (got < 0 && errno == EINTR);
    *ret_len = got > 0 ? (size_t)got : 0;
    return got < 0 ? KMS_FAIL(IO) : KMS_OK;
}

static kms_err next_piece(kms_audit_unpacker *unpacker, int fd, uint8_t *to, size_t room, size_t *ret_len)
{
    ZSTD_outBuffer output = {.dst = to, .size = room};
    while (output.pos == 0) {
        if (unpacker->input.pos == unpacker->input.size) {
            KMS_TRY(read_at(fd, unpacker->buffer, sizeof unpacker->buffer, unpacker->read,
                            &unpacker->input.size));
            unpacker->input.pos = 0;
            unpacker->read += unpacker->input.size;
        }
        bool over = unpacker->input.size == 0;
        if (over && unpacker->at_end) break;
        size_t rc = ZSTD_decompressStream(unpacker->context, &output, &unpacker->input);
        if (ZSTD_isError(rc))
            return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? KMS_FAIL(NO_MEMORY)
                                                                         : KMS_FAIL(CORRUPT);
        unpacker->at_end = rc == 0;
        if (over && output.pos == 0 && !unpacker->at_end) return KMS_FAIL(CORRUPT); /* cut off */
    }
    unpacker->given += output.pos;
    *ret_len = output.pos;
    return KMS_OK;
}

kms_err kms_audit_unpack(kms_audit_unpacker *unpacker, int fd, uint64_t offset, uint8_t *to, size_t room,
                         size_t *ret_len)
{
    if (offset < unpacker->given) kms_audit_unpacker_restart(unpacker);
    while (unpacker->given < offset) {
        uint64_t skip = offset - unpacker->given;
        size_t len;
        KMS_TRY(next_piece(unpacker, fd, to, skip < room ? (size_t)skip : room, &len));
        if (len == 0) break;
    }
    return next_piece(unpacker, fd, to, room, ret_len);
}

uint64_t kms_audit_unpacked_bytes(int fd)
{
    uint8_t header[HEADER_BYTES];
    size_t len;
    if (kms_failed(read_at(fd, header, sizeof header, 0, &len))) return 0;
    unsigned long long bytes = ZSTD_getFrameContentSize(header, len);
    return bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes == ZSTD_CONTENTSIZE_ERROR ? 0 : bytes;
}
