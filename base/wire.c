/* Big-endian cursors. */
#include "base/wire.h"

#include <string.h>

struct kms_writer kms_writer_over(void *memory, size_t cap)
{
    return (struct kms_writer){.at = memory, .end = (uint8_t *)memory + cap};
}

void kms_put_raw(struct kms_writer *w, const void *data, size_t len)
{
    if (w->overflow || len > (size_t)(w->end - w->at)) {
        w->overflow = true;
        return;
    }
    kms_copy(w->at, data, len);
    w->at += len;
}

static void put_int(struct kms_writer *w, uint64_t v, size_t width)
{
    uint8_t b[8];
    for (size_t i = 0; i < width; i++) b[i] = (uint8_t)(v >> (8 * (width - 1 - i)));
    kms_put_raw(w, b, width);
}

void kms_put_u8(struct kms_writer *w, uint8_t v)
{
    put_int(w, v, 1);
}
void kms_put_u16(struct kms_writer *w, uint16_t v)
{
    put_int(w, v, 2);
}
void kms_put_u32(struct kms_writer *w, uint32_t v)
{
    put_int(w, v, 4);
}
void kms_put_u64(struct kms_writer *w, uint64_t v)
{
    put_int(w, v, 8);
}

void kms_put_blob(struct kms_writer *w, struct kms_bytes b)
{
    if (b.len > UINT32_MAX) w->overflow = true;
    kms_put_u32(w, (uint32_t)b.len);
    kms_put_raw(w, b.ptr, b.len);
}

struct kms_reader kms_reader_over(struct kms_bytes input)
{
    static const uint8_t nothing[1] = {0};
    const uint8_t *at = input.ptr != NULL ? input.ptr : nothing;
    return (struct kms_reader){.at = at, .end = at + input.len};
}

struct kms_bytes kms_get_view(struct kms_reader *r, size_t len)
{
    if (r->short_ || len > (size_t)(r->end - r->at)) {
        r->short_ = true;
        return (struct kms_bytes){0};
    }
    struct kms_bytes view = kms_bytes_of(r->at, len);
    r->at += len;
    return view;
}

bool kms_get_raw(struct kms_reader *r, void *data, size_t len)
{
    struct kms_bytes view = kms_get_view(r, len);
    if (r->short_) memset(data, 0, len);
    kms_copy(data, view.ptr, view.len);
    return !r->short_;
}

static uint64_t get_int(struct kms_reader *r, size_t width)
{
    struct kms_bytes view = kms_get_view(r, width);
    uint64_t v = 0;
    for (size_t i = 0; i < view.len; i++) v = v << 8 | view.ptr[i];
    return v;
}

uint8_t kms_get_u8(struct kms_reader *r)
{
    return (uint8_t)get_int(r, 1);
}
uint16_t kms_get_u16(struct kms_reader *r)
{
    return (uint16_t)get_int(r, 2);
}
uint32_t kms_get_u32(struct kms_reader *r)
{
    return (uint32_t)get_int(r, 4);
}
uint64_t kms_get_u64(struct kms_reader *r)
{
    return get_int(r, 8);
}
struct kms_bytes kms_get_blob(struct kms_reader *r)
{
    return kms_get_view(r, kms_get_u32(r));
}
bool kms_reader_done(const struct kms_reader *r)
{
    return !r->short_ && r->at == r->end;
}
