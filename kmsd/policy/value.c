/* Reads numbers, dates, booleans and addresses. */
#include "kmsd/policy/value.h"

#include <arpa/inet.h>
#include <string.h>

#include "kmsd/policy/match.h"

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Takes exactly `count` digits off the front. */
static bool take_digits(struct kms_bytes *text, size_t count, int64_t *ret_number)
{
    int64_t number = 0;
    if (text->len < count) return false;
    for (size_t i = 0; i < count; i++) {
        if (!digit(text->ptr[i])) return false;
        number = number * 10 + (text->ptr[i] - '0');
    }
    *text = kms_bytes_of(text->ptr + count, text->len - count);
    *ret_number = number;
    return true;
}

static bool take(struct kms_bytes *text, char c)
{
    if (text->len == 0 || text->ptr[0] != (uint8_t)c) return false;
    *text = kms_bytes_of(text->ptr + 1, text->len - 1);
    return true;
}

static size_t digits_ahead(struct kms_bytes text)
{
    size_t count = 0;
    while (count < text.len && digit(text.ptr[count])) count++;
    return count;
}

/* ".25" as millionths; nothing there is 0. */
static bool take_fraction(struct kms_bytes *text, int64_t *ret_millionths)
{
    int64_t millionths = 0;
    if (take(text, '.')) {
        size_t count = digits_ahead(*text);
        if (count == 0 || count > 6) return false;
        if (!take_digits(text, count, &millionths)) return false;
        for (; count < 6; count++) millionths *= 10;
    }
    *ret_millionths = millionths;
    return true;
}

bool kms_value_number(struct kms_bytes text, int64_t *ret_millionths)
{
    int64_t whole, fraction;
    bool negative = take(&text, '-');
    if (!negative) take(&text, '+');
    size_t count = digits_ahead(text);
    if (count == 0 || count > 12 || !take_digits(&text, count, &whole)) return false;
    if (!take_fraction(&text, &fraction) || text.len != 0) return false;
    whole = whole * KMS_MILLION + fraction;
    *ret_millionths = negative ? -whole : whole;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar, years from 0 on. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    static const int16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t last = month > 2 ? year : year - 1; /* the last year whose 29 February may lie behind us */
    int64_t leap_days = last < 0 ? -1 : last / 4 - last / 100 + last / 400;
    return year * 365 + leap_days + before[month - 1] + day - 1 - 719527;
}

static bool day_exists(int64_t year, int64_t month, int64_t day)
{
    static const uint8_t most[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= most[month - 1] + (leap && month == 2);
}

/* "Z" or "+hh:mm", as seconds east of Greenwich; must end the text. */
static bool take_zone(struct kms_bytes text, int64_t *ret_seconds)
{
    int64_t hours, minutes;
    if (take(&text, 'Z')) {
        *ret_seconds = 0;
        return text.len == 0;
    }
    bool west = take(&text, '-');
    if (!west && !take(&text, '+')) return false;
    if (!take_digits(&text, 2, &hours) || !take(&text, ':') || !take_digits(&text, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59 || text.len != 0) return false;
    *ret_seconds = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

/* "hh:mm[:ss[.s]]ZONE" as microseconds since midnight UTC. */
static bool read_time(struct kms_bytes text, int64_t *ret_us)
{
    int64_t hour, minute, second = 0, fraction = 0, zone;
    if (!take_digits(&text, 2, &hour) || !take(&text, ':') || !take_digits(&text, 2, &minute)) return false;
    if (take(&text, ':') && (!take_digits(&text, 2, &second) || !take_fraction(&text, &fraction)))
        return false;
    if (hour > 23 || minute > 59 || second > 59 || !take_zone(text, &zone)) return false;
    *ret_us = ((hour * 60 + minute) * 60 + second - zone) * KMS_MILLION + fraction;
    return true;
}

static bool read_iso_date(struct kms_bytes text, int64_t *ret_us)
{
    int64_t year, month = 1, day = 1, time_us = 0;
    if (!take_digits(&text, 4, &year)) return false;
    if (text.len > 0 && (!take(&text, '-') || !take_digits(&text, 2, &month))) return false;
    if (text.len > 0 && (!take(&text, '-') || !take_digits(&text, 2, &day))) return false;
    if (text.len > 0 && (!take(&text, 'T') || !read_time(text, &time_us))) return false;
    if (!day_exists(year, month, day)) return false;
    *ret_us = days_since_1970(year, month, day) * 86400 * KMS_MILLION + time_us;
    return true;
}

bool kms_value_date(struct kms_bytes text, int64_t *ret_us)
{
    return read_iso_date(text, ret_us) || kms_value_number(text, ret_us);
}

bool kms_value_flag(struct kms_bytes text, int64_t *ret_flag)
{
    bool yes = kms_folded_equal(text, kms_bytes_text("true"));
    if (!yes && !kms_folded_equal(text, kms_bytes_text("false"))) return false;
    *ret_flag = yes;
    return true;
}

/* A dual-stack socket calls the IPv4 peer 192.0.2.1 "::ffff:192.0.2.1" (RFC 4291, 2.5.5.2). */
static void unmap(struct kms_network *network)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (network->len != 16 || network->prefix_bits < 96 || memcmp(network->bytes, mapped, 12) != 0) return;
    memmove(network->bytes, network->bytes + 12, 4);
    memset(network->bytes + 4, 0, 12);
    network->len = 4;
    network->prefix_bits = (uint8_t)(network->prefix_bits - 96);
}

static bool read_address(struct kms_bytes text, struct kms_network *ret_network)
{
    char copy[INET6_ADDRSTRLEN];
    struct kms_network network = {.len = 4, .prefix_bits = 32};
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, 0, text.len) != NULL) return false;
    kms_copy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, network.bytes) != 1) {
        network = (struct kms_network){.len = 16, .prefix_bits = 128};
        if (inet_pton(AF_INET6, copy, network.bytes) != 1) return false;
    }
    *ret_network = network;
    return true;
}

bool kms_value_network(struct kms_bytes text, struct kms_network *ret_network)
{
    struct kms_network network;
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    size_t address_len = slash == NULL ? text.len : (size_t)(slash - text.ptr);
    if (!read_address(kms_bytes_of(text.ptr, address_len), &network)) return false;
    if (slash != NULL) {
        struct kms_bytes prefix = kms_bytes_of(slash + 1, text.len - address_len - 1);
        int64_t bits;
        if (prefix.len == 0 || prefix.len > 3 || !take_digits(&prefix, prefix.len, &bits)) return false;
        if (bits > network.prefix_bits) return false;
        network.prefix_bits = (uint8_t)bits;
    }
    unmap(&network);
    *ret_network = network;
    return true;
}

bool kms_value_address(struct kms_bytes text, struct kms_network *ret_address)
{
    struct kms_network address;
    const uint8_t *zone = text.len == 0 ? NULL : memchr(text.ptr, '%', text.len);
    if (zone != NULL) text.len = (size_t)(zone - text.ptr);
    if (!read_address(text, &address)) return false;
    unmap(&address);
    *ret_address = address;
    return true;
}

bool kms_network_contains(const struct kms_network *network, const struct kms_network *address)
{
    if (network->len != address->len) return false;
    size_t whole = network->prefix_bits / 8, rest = network->prefix_bits % 8;
    if (memcmp(network->bytes, address->bytes, whole) != 0) return false;
    return rest == 0 || (network->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}
