/* Making and taking apart the fixed members of a line. */
#include "kmsd/audit/chain.h"

#include <string.h>

#include "kmsd/audit/json.h"

/* 64 zeros */
const struct kms_audit_head kms_audit_no_head = {
    .hash = "0000000000000000000000000000000000000000000000000000000000000000"};

#define SEQ  "{\"seq\":"
#define TIME ",\"time\":\""
#define PREV "\",\"prev\":\""
#define KIND "\",\"kind\":\""
#define HASH ",\"hash\":\""
#define END  "\"}"
enum {
    TIME_LEN = KMS_TIME_TEXT - 1,
    MICROS_AT = 20,
    TAIL_LEN = sizeof HASH - 1 + KMS_AUDIT_HASH_HEX + sizeof END - 1
};

static const char *time_text(struct kms_audit_chain *chain, uint64_t time_us)
{
    if (chain->time[0] == '\0' || time_us / 1000000 != chain->second) {
        kms_time_text(time_us, chain->time);
        chain->second = time_us / 1000000;
        return chain->time;
    }
    uint32_t micros = (uint32_t)(time_us % 1000000);
    for (size_t i = 6; i > 0; i--, micros /= 10) chain->time[MICROS_AT + i - 1] = (char)('0' + micros % 10);
    return chain->time;
}

static uint8_t *put(uint8_t *to, const void *data, size_t len)
{
    memcpy(to, data, len);
    return to + len;
}

kms_err kms_audit_seal(struct kms_audit_chain *chain, uint64_t time_us, struct kms_bytes body, uint8_t *line,
                       size_t *ret_len)
{
    uint8_t digest[KMS_DIGEST_BYTES], *at = line;
    char number[KMS_AUDIT_NUMBER_BYTES];
    at = put(at, SEQ, sizeof SEQ - 1);
    at = put(at, number, kms_audit_digits(chain->head.sequence + 1, number));
    at = put(at, TIME, sizeof TIME - 1);
    at = put(at, time_text(chain, time_us), TIME_LEN);
    at = put(at, PREV, sizeof PREV - 1);
    at = put(at, chain->head.hash, KMS_AUDIT_HASH_HEX);
    at = put(at, "\"", 1);
    at = put(at, body.ptr, body.len);
    struct kms_bytes hashed = kms_bytes_of(line, (size_t)(at - line));
    KMS_TRY(kms_digest_run(chain->digest, &hashed, 1, digest));
    chain->head.sequence++;
    kms_hex(digest, sizeof digest, chain->head.hash);
    at = put(at, HASH, sizeof HASH - 1);
    at = put(at, chain->head.hash, KMS_AUDIT_HASH_HEX);
    at = put(at, END "\n", sizeof END);
    *ret_len = (size_t)(at - line);
    return KMS_OK;
}

/* The cursor of the scanner: every step fails once one has failed. */
struct cursor {
    const char *at, *end;
    bool failed;
};

static const char *take(struct cursor *c, size_t len)
{
    const char *at = c->at;
    if (c->failed || (size_t)(c->end - c->at) < len) {
        c->failed = true;
        return NULL;
    }
    c->at += len;
    return at;
}

static void expect(struct cursor *c, const char *text, size_t len)
{
    const char *at = take(c, len);
    if (at == NULL || memcmp(at, text, len) != 0) c->failed = true;
}

static uint64_t take_number(struct cursor *c)
{
    uint64_t number = 0;
    const char *start = c->at;
    while (!c->failed && c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        uint64_t digit = (uint64_t)(*c->at++ - '0');
        if (number > (UINT64_MAX - digit) / 10)
            c->failed = true;
        else
            number = number * 10 + digit;
    }
    if (number == 0 || *start == '0') c->failed = true;
    return number;
}

static struct kms_bytes take_word(struct cursor *c)
{
    const char *start = c->at;
    while (!c->failed && c->at < c->end && *c->at >= 'a' && *c->at <= 'z') c->at++;
    size_t len = (size_t)(c->at - start);
    expect(c, "\"", 1);
    return kms_bytes_of(start, len);
}

bool kms_audit_scan_record(struct kms_bytes line, struct kms_audit_record *ret_record)
{
    if (line.len <= TAIL_LEN) return false;
    const char *text = (const char *)line.ptr, *end = text + line.len;
    struct cursor c = {.at = text, .end = end - TAIL_LEN};
    struct kms_audit_record record = {.hashed = kms_bytes_of(text, line.len - TAIL_LEN)};
    expect(&c, SEQ, sizeof SEQ - 1);
    record.sequence = take_number(&c);
    expect(&c, TIME, sizeof TIME - 1);
    record.time = take(&c, TIME_LEN);
    expect(&c, PREV, sizeof PREV - 1);
    record.prev = take(&c, KMS_AUDIT_HASH_HEX);
    expect(&c, KIND, sizeof KIND - 1);
    record.kind = take_word(&c);
    if (c.failed) return false;
    c = (struct cursor){.at = end - TAIL_LEN, .end = end};
    expect(&c, HASH, sizeof HASH - 1);
    record.hash = take(&c, KMS_AUDIT_HASH_HEX);
    expect(&c, END, sizeof END - 1);
    if (c.failed) return false;
    *ret_record = record;
    return true;
}

kms_err kms_audit_check_record(kms_digest *digest, const struct kms_audit_record *record, bool *ret_same)
{
    uint8_t computed[KMS_DIGEST_BYTES];
    char hex[KMS_AUDIT_HASH_HEX + 1];
    KMS_TRY(kms_digest_run(digest, &record->hashed, 1, computed));
    kms_hex(computed, sizeof computed, hex);
    *ret_same = memcmp(hex, record->hash, KMS_AUDIT_HASH_HEX) == 0;
    return KMS_OK;
}

void kms_audit_head_of(const struct kms_audit_record *record, struct kms_audit_head *ret_head)
{
    ret_head->sequence = record->sequence;
    memcpy(ret_head->hash, record->hash, KMS_AUDIT_HASH_HEX);
    ret_head->hash[KMS_AUDIT_HASH_HEX] = '\0';
}
