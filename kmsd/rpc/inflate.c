/* zlib, given locked memory and a ceiling. */
#include "kmsd/rpc/inflate.h"

#include <zlib.h>

#include "base/secret.h"

enum {
    ZLIB_BYTES = 64 * 1024, /* state and window, which is plaintext; 1.2.13 takes 40 KiB */
    FIRST_BYTES = 16 * 1024,
    GROWTH = 4,
    WINDOW_BITS = 15,
    GZIP = 16 /* added to them: gzip's header and trailer */
};

/* zlib asks twice and gives back at the end, so nothing need be found again. */
struct room {
    uint8_t *start;
    size_t used;
};

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt bytes)
{
    struct room *room = opaque;
    size_t len = ((size_t)items * bytes + 63) / 64 * 64;
    if (len > ZLIB_BYTES - room->used) return Z_NULL;
    void *p = room->start + room->used;
    room->used += len;
    return p;
}

static void zlib_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    (void)p;
}

void kms_inflated_free(struct kms_inflated *inflated)
{
    kms_locked_free(inflated->room, inflated->room_len);
    *inflated = (struct kms_inflated){0};
}

/* One byte more than is allowed, to see that it comes. */
static kms_err grow(struct kms_inflated *out, size_t most)
{
    struct kms_inflated more = {.room_len = out->room == NULL ? FIRST_BYTES : out->room_len * GROWTH,
                                .len = out->len};
    if (more.room_len > most + 1) more.room_len = most + 1;
    more.room = kms_locked_alloc(more.room_len);
    if (more.room == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(more.room, out->room, out->len);
    kms_inflated_free(out);
    *out = more;
    return KMS_OK;
}

static kms_err refused(struct kms_why *why, const char *what)
{
    kms_why_set(why, "%s", what);
    return KMS_FAIL(BAD_COMPRESSION);
}

static kms_err run(z_stream *stream, size_t most, struct kms_inflated *out, struct kms_why *why)
{
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        if (out->len == out->room_len) KMS_TRY(grow(out, most));
        stream->next_out = out->room + out->len;
        stream->avail_out = (uInt)(out->room_len - out->len);
        state = inflate(stream, Z_NO_FLUSH);
        out->len = out->room_len - stream->avail_out;
        if (out->len > most) {
            kms_why_set(why, "a compressed request of more than %zu bytes, which is the most", most);
            return KMS_FAIL(LIMIT_EXCEEDED);
        }
        if (state == Z_MEM_ERROR) return KMS_FAIL(NO_MEMORY);
        if (state != Z_OK && state != Z_BUF_ERROR && state != Z_STREAM_END)
            return refused(why, "what should be compressed is not");
        if (state != Z_STREAM_END && stream->avail_out > 0) return refused(why, "the end of it is missing");
    }
    return stream->avail_in == 0 ? KMS_OK : refused(why, "something stands behind its end");
}

static kms_err inflate_in(struct room *room, enum kms_packing packing, struct kms_bytes packed, size_t most,
                          struct kms_inflated *out, struct kms_why *why)
{
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = room};
    stream.next_in = (z_const Bytef *)(uintptr_t)packed.ptr;
    stream.avail_in = (uInt)packed.len;
    if (inflateInit2(&stream, WINDOW_BITS + (packing == KMS_PACKED_GZIP ? GZIP : 0)) != Z_OK)
        return KMS_FAIL(NO_MEMORY);
    kms_err err = run(&stream, most, out, why);
    inflateEnd(&stream);
    return err;
}

kms_err kms_inflate(enum kms_packing packing, struct kms_bytes packed, size_t most,
                    struct kms_inflated *ret_inflated, struct kms_why *why)
{
    struct kms_inflated out = {0};
    if (packed.len > UINT32_MAX || most >= KMS_LOCKED_MAX_BYTES) return KMS_FAIL(LIMIT_EXCEEDED);
    struct room room = {.start = kms_locked_alloc(ZLIB_BYTES)};
    if (room.start == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = inflate_in(&room, packing, packed, most, &out, why);
    kms_locked_free(room.start, ZLIB_BYTES);
    if (kms_failed(err))
        kms_inflated_free(&out);
    else
        *ret_inflated = out;
    return err;
}
