/* UTF-8, base64, CRC-32C, and the words of errors. */
#include "base/text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Well-formed sequences by their first two bytes (Unicode 15, table 3-7); what follows is 80..bf. */
static const struct {
    uint8_t first_low, first_high, second_low, second_high;
    size_t len;
} sequences[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, /* less is overlong */
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, /* more is a surrogate */
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, /* less is overlong */
    {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}, /* more is above U+10FFFF */
};

/* Length of the sequence that starts at p, 0 when it is not well-formed or is NUL. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) return p[0] != 0 ? 1 : 0;
    size_t row = 0, rows = sizeof sequences / sizeof sequences[0];
    while (row < rows && (p[0] < sequences[row].first_low || p[0] > sequences[row].first_high)) row++;
    if (row == rows || sequences[row].len > left) return 0;
    if (p[1] < sequences[row].second_low || p[1] > sequences[row].second_high) return 0;
    for (size_t i = 2; i < sequences[row].len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return sequences[row].len;
}

bool kms_utf8_valid(struct kms_bytes text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_sequence(text.ptr + at, text.len - at);
        if (len == 0) return false;
        at += len;
    }
    return true;
}

void kms_printable(struct kms_bytes from, char *to, size_t room)
{
    size_t len = from.len < room ? from.len : room - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = from.ptr[i] >= 0x20 && from.ptr[i] < 0x7f ? (char)from.ptr[i] : '?';
    to[len] = '\0';
}

size_t kms_base64_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

void kms_base64(struct kms_bytes data, char *text)
{
    if (data.len == 0)
        text[0] = '\0';
    else
        EVP_EncodeBlock((unsigned char *)text, data.ptr, (int)data.len);
}

static bool base64_shape(struct kms_bytes text, size_t *ret_padding)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (text.len == 0 || text.len % 4 != 0 || text.len > INT32_MAX) return false;
    size_t padding = text.ptr[text.len - 1] != '=' ? 0 : text.ptr[text.len - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < text.len - padding; i++)
        if (text.ptr[i] == 0 || strchr(alphabet, text.ptr[i]) == NULL) return false;
    *ret_padding = padding;
    return true;
}

bool kms_unbase64(struct kms_bytes text, uint8_t *data, size_t *ret_len)
{
    size_t padding;
    if (!base64_shape(text, &padding)) return false; /* EVP_DecodeBlock alone would skip blanks */
    int len = EVP_DecodeBlock(data, text.ptr, (int)text.len);
    if (len < 0) return false;
    *ret_len = (size_t)len - padding;
    return true;
}

#if defined(__x86_64__)
/* The processor's own instruction (SSE 4.2), eight bytes at a time. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_processor(uint32_t crc, struct kms_bytes data)
{
    uint64_t wide = crc, word;
    size_t at = 0;
    for (; at + sizeof word <= data.len; at += sizeof word) {
        memcpy(&word, data.ptr + at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; at < data.len; at++) crc = __builtin_ia32_crc32qi(crc, data.ptr[at]);
    return crc;
}
#endif

uint32_t kms_crc32c_portable(uint32_t crc, struct kms_bytes data)
{
    static const uint32_t table[16] = {
        /* of each half byte, polynomial 0x82f63b78 (reversed) */
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    crc = ~crc;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= data.ptr[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t kms_crc32c(uint32_t crc, struct kms_bytes data)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_by_processor(~crc, data);
#endif
    return kms_crc32c_portable(crc, data);
}

/* gRPC statuses that are faults of the service: what lies behind them is told in its log. */
static bool is_callers_business(kms_err err)
{
    enum { STATUS_INTERNAL = 13, STATUS_UNAVAILABLE = 14, STATUS_DATA_LOSS = 15 };
    int status = kms_err_grpc_status(err);
    if (kms_is(err, KMS_E_BAD_COMPRESSION)) return true; /* gRPC has these be INTERNAL */
    return status != STATUS_INTERNAL && status != STATUS_UNAVAILABLE && status != STATUS_DATA_LOSS;
}

/* why was cut at a fixed length, perhaps inside a character; protobuf strings are UTF-8 or other clients
 * fail. */
static void keep_utf8(char *text)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut < 4 && cut < len; cut++) {
        if (!kms_utf8_valid(kms_bytes_of(text, len - cut))) continue;
        text[len - cut] = '\0';
        return;
    }
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
}

void kms_err_public(kms_err err, const struct kms_why *why, char *to, size_t room)
{
    bool with_why = why != NULL && why->text[0] != '\0' && is_callers_business(err);
    snprintf(to, room, "%s%s%s", kms_err_text(err), with_why ? ": " : "", with_why ? why->text : "");
    keep_utf8(to);
}
