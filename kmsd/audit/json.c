/* Escaping and bounds. Most texts are plain ASCII, so eight bytes are looked at together. */
#include "kmsd/audit/json.h"

#include "base/text.h"

#define EACH_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

size_t kms_audit_digits(uint64_t number, char text[KMS_AUDIT_NUMBER_BYTES])
{
    char reversed[KMS_AUDIT_NUMBER_BYTES];
    size_t len = 0;
    do reversed[len++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    for (size_t i = 0; i < len; i++) text[i] = reversed[len - 1 - i];
    return len;
}

void kms_audit_json_number(struct kms_audit_json *json, uint64_t number)
{
    char text[KMS_AUDIT_NUMBER_BYTES];
    kms_audit_json_raw(json, text, kms_audit_digits(number, text));
}

static uint64_t zero_bytes(uint64_t v)
{
    return (v - EACH_BYTE(1)) & ~v & EACH_BYTE(0x80);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool all_plain(uint64_t v)
{
    uint64_t odd = v | (v + EACH_BYTE(1)); /* top bit set: above 0x7e */
    odd |= (v - EACH_BYTE(0x20)) & ~v;     /* below 0x20 */
    odd |= zero_bytes(v ^ EACH_BYTE('"')) | zero_bytes(v ^ EACH_BYTE('\\'));
    return (odd & EACH_BYTE(0x80)) == 0;
}

/* Copies the plain bytes that text begins with, at most len, and returns how many. */
static size_t copy_plain(uint8_t *to, const uint8_t *text, size_t len)
{
    size_t run = 0;
    for (uint64_t v; len - run >= sizeof v; run += sizeof v) {
        memcpy(&v, text + run, sizeof v);
        if (!all_plain(v)) break;
        memcpy(to + run, &v, sizeof v);
    }
    for (; run < len && is_plain(text[run]); run++) to[run] = text[run];
    return run;
}

/* One character of a text as it is written. */
struct unit {
    uint8_t out[6];
    size_t out_len, in_len; /* bytes */
};

static struct unit escaped(unsigned code, size_t in_len)
{
    static const char digits[] = "0123456789abcdef";
    struct unit unit = {.out = {'\\', 'u'}, .out_len = 6, .in_len = in_len};
    for (unsigned i = 0; i < 4; i++) unit.out[2 + i] = (uint8_t)digits[code >> (12 - 4 * i) & 15];
    return unit;
}

static size_t sequence_len(uint8_t lead)
{
    return lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Characters that move the cursor, break the line or turn the direction of what a terminal shows. */
static bool is_unsafe(const uint8_t *sequence, size_t len, unsigned *ret_code)
{
    unsigned code = 0;
    if (len == 2) code = (sequence[0] & 0x1fu) << 6 | (sequence[1] & 0x3fu);
    if (len == 3) code = (sequence[0] & 0x0fu) << 12 | (sequence[1] & 0x3fu) << 6 | (sequence[2] & 0x3fu);
    *ret_code = code;
    return (code >= 0x80 && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

static struct unit next_unit(const uint8_t *text, size_t len)
{
    unsigned code;
    if (text[0] == '"' || text[0] == '\\')
        return (struct unit){.out = {'\\', text[0]}, .out_len = 2, .in_len = 1};
    if (is_plain(text[0]))
        return (struct unit){.out = {text[0]}, .out_len = 1, .in_len = 1}; /* did not fit */
    if (text[0] < 0x80) return escaped(text[0], 1);
    size_t sequence = sequence_len(text[0]);
    if (sequence == 1 || sequence > len || !kms_utf8_valid(kms_bytes_of(text, sequence)))
        return (struct unit){.out = {0xef, 0xbf, 0xbd}, .out_len = 3, .in_len = 1}; /* U+FFFD */
    if (is_unsafe(text, sequence, &code)) return escaped(code, sequence);
    struct unit unit = {.out_len = sequence, .in_len = sequence};
    kms_copy(unit.out, text, sequence);
    return unit;
}

/* The longest plain beginning of text that fits in `left` and in memory. */
static size_t put_plain(struct kms_audit_json *json, const uint8_t *text, size_t len, size_t left)
{
    size_t room = (size_t)(json->end - json->at);
    if (len > left) len = left;
    if (len > room) len = room;
    size_t run = copy_plain(json->at, text, len);
    json->at += run;
    return run;
}

void kms_audit_json_text(struct kms_audit_json *json, struct kms_bytes text, size_t max_len)
{
    size_t left = max_len, at = 0;
    kms_audit_json_raw(json, "\"", 1);
    while (at < text.len && !json->overflow) {
        size_t run = put_plain(json, text.ptr + at, text.len - at, left);
        at += run;
        left -= run;
        if (at == text.len) break;
        struct unit unit = next_unit(text.ptr + at, text.len - at);
        if (unit.out_len > left) {
            kms_audit_json_raw(json, "\xe2\x80\xa6", 3); /* U+2026 */
            json->cut = true;
            break;
        }
        kms_audit_json_raw(json, unit.out, unit.out_len);
        at += unit.in_len;
        left -= unit.out_len;
    }
    kms_audit_json_raw(json, "\"", 1);
}
