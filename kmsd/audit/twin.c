/* Both are read once, side by side, in pieces. */
#include "kmsd/audit/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"

enum { PIECE_BYTES = 16 * 1024 };

static kms_err read_plain(int fd, uint64_t offset, uint8_t *to, size_t len, size_t *ret_len)
{
    for (*ret_len = 0; *ret_len < len;) {
        ssize_t got = pread(fd, to + *ret_len, len - *ret_len, (off_t)(offset + *ret_len));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return KMS_FAIL(IO);
        if (got == 0) break;
        *ret_len += (size_t)got;
    }
    return KMS_OK;
}

static uint64_t line_feeds(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t count = 0;
    for (size_t i = 0; i < len && a[i] == b[i]; i++) count += a[i] == '\n';
    return count;
}

static kms_err compare(int plain_fd, int packed_fd, struct kms_audit_twin *twin)
{
    uint8_t plain[PIECE_BYTES], packed[PIECE_BYTES];
    KMS_OWN(kms_audit_unpacker) unpacker = NULL;
    KMS_TRY(kms_audit_unpacker_new(&unpacker));
    twin->line = 1;
    for (uint64_t at = 0;;) {
        size_t len = 0, plain_len;
        kms_err err = kms_audit_unpack(unpacker, packed_fd, at, packed, sizeof packed, &len);
        if (kms_is(err, KMS_E_CORRUPT)) return KMS_OK;
        KMS_TRY(err);
        KMS_TRY(read_plain(plain_fd, at, plain, len > 0 ? len : 1, &plain_len));
        twin->line += line_feeds(plain, packed, len < plain_len ? len : plain_len);
        if (len != plain_len || memcmp(plain, packed, len) != 0) return KMS_OK;
        twin->same = len == 0;
        if (len == 0) return KMS_OK;
        at += len;
    }
}

kms_err kms_audit_twin_look(int dir_fd, const char *name, struct kms_audit_twin *ret_twin)
{
    char packed_name[KMS_AUDIT_NAME_BYTES];
    struct kms_audit_twin twin = {.both = false};
    kms_audit_packed_name(name, packed_name);
    KMS_OWN_FD packed_fd = kms_audit_open_file(dir_fd, packed_name, 0);
    KMS_OWN_FD plain_fd = packed_fd < 0 ? -1 : kms_audit_open_file(dir_fd, name, 0);
    twin.both = packed_fd >= 0 && plain_fd >= 0;
    if (twin.both) KMS_TRY(compare(plain_fd, packed_fd, &twin));
    *ret_twin = twin;
    return KMS_OK;
}
