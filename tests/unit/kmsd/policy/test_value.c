/* Numbers, dates, flags and addresses as conditions read them. */
#include "kmsd/policy/value.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static void numbers(void)
{
    static const struct {
        const char *text;
        bool good;
        int64_t want;
    } rows[] = {
        {"0", true, 0},
        {"5", true, 5000000},
        {"-5", true, -5000000},
        {"+5.25", true, 5250000},
        {"0.000001", true, 1},
        {"-0.000001", true, -1},
        {"007", true, 7000000},
        {"999999999999.999999", true, 999999999999999999},
        {"", false, 0},
        {"-", false, 0},
        {".5", false, 0},
        {"5.", false, 0},
        {"1e3", false, 0},
        {"0x10", false, 0},
        {" 5", false, 0},
        {"5 ", false, 0},
        {"1000000000000", false, 0},
        {"0.0000001", false, 0},
        {"+-5", false, 0},
        {"1.2.3", false, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        int64_t number = 42;
        CU_ASSERT_EQUAL(kms_value_number(kms_bytes_text(rows[i].text), &number), rows[i].good);
        CU_ASSERT_EQUAL(number, rows[i].good ? rows[i].want : 42);
        if (number != (rows[i].good ? rows[i].want : 42)) fprintf(stderr, "\n%s\n", rows[i].text);
    }
}

static void dates(void)
{
    static const struct {
        const char *text;
        bool good;
        int64_t want_seconds;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"1970-01-01", true, 0},
        {"1970-01", true, 0},
        {"1970", true, 0},
        {"2000-02-29T12:34Z", true, 951827640},
        {"2000-03-01", true, 951868800},
        {"2026-11-22T12:00:00Z", true, 1795348800},
        {"2026-11-22T12:00:00.000000Z", true, 1795348800},
        {"2026-11-22T14:00:00+02:00", true, 1795348800},
        {"2026-11-22T06:30:00-05:30", true, 1795348800},
        {"2026-11-23T11:59:00+23:59", true, 1795348800},
        {"1969-12-31T23:59:59Z", true, -1},
        {"0000-01-01", true, -62167219200},
        {"0000-03-01", true, -62162035200},
        {"0001-01-01", true, -62135596800},
        {"9999-12-31T23:59:59Z", true, 253402300799},
        {"1795348800", true, 1795348800},
        {"-1", true, -1},
        {"2100-02-29", false, 0},
        {"2026-02-30", false, 0},
        {"2026-00-10", false, 0},
        {"2026-13-10", false, 0},
        {"2026-11-00", false, 0},
        {"2026-11-22T12:00:00", false, 0},
        {"2026-11-22T24:00:00Z", false, 0},
        {"2026-11-22T12:60:00Z", false, 0},
        {"2026-11-22T12:00:60Z", false, 0},
        {"2026-11-22T12Z", false, 0},
        {"2026-11-22 12:00:00Z", false, 0},
        {"2026-11-22T12:00:00Zx", false, 0},
        {"2026-11-22T12:00:00+0200", false, 0},
        {"2026-11-22T12:00:00+24:00", false, 0},
        {"2026-11-22T12:00:00.Z", false, 0},
        {"2026-11-22Z", false, 0},
        {"2026-1-2", false, 0},
        {"tomorrow", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        int64_t us = 42, want = rows[i].good ? rows[i].want_seconds * KMS_MILLION : 42;
        CU_ASSERT_EQUAL(kms_value_date(kms_bytes_text(rows[i].text), &us), rows[i].good);
        CU_ASSERT_EQUAL(us, want);
        if (us != want) fprintf(stderr, "\n%s: %lld\n", rows[i].text, (long long)us);
    }
    int64_t us;
    CU_ASSERT_TRUE(kms_value_date(kms_bytes_text("1970-01-01T00:00:01.25Z"), &us));
    CU_ASSERT_EQUAL(us, 1250000);
}

static void flags(void)
{
    int64_t flag = 42;
    CU_ASSERT_TRUE(kms_value_flag(kms_bytes_text("true"), &flag) && flag == 1);
    CU_ASSERT_TRUE(kms_value_flag(kms_bytes_text("False"), &flag) && flag == 0);
    CU_ASSERT_FALSE(kms_value_flag(kms_bytes_text("1"), &flag));
    CU_ASSERT_FALSE(kms_value_flag(kms_bytes_text(""), &flag));
    CU_ASSERT_FALSE(kms_value_flag(kms_bytes_text("true "), &flag));
}

static void networks(void)
{
    static const struct {
        const char *block, *address;
        bool contains;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.9.9.9/8", "10.1.1.1", true}, /* host bits are put aside */
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"192.168.128.0/17", "192.168.127.255", false},
        {"192.168.128.0/17", "192.168.128.0", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1", "2001:DB8:0:0::1", true},
        {"2001:db8::1/127", "2001:db8::", true},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true}, /* an IPv4 peer on a dual-stack socket */
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"fe80::/10", "fe80::1%eth0", true},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_network block, address;
        CU_ASSERT_TRUE_FATAL(kms_value_network(kms_bytes_text(rows[i].block), &block));
        CU_ASSERT_TRUE_FATAL(kms_value_address(kms_bytes_text(rows[i].address), &address));
        CU_ASSERT_EQUAL(kms_network_contains(&block, &address), rows[i].contains);
        if (kms_network_contains(&block, &address) != rows[i].contains)
            fprintf(stderr, "\n%s\n", rows[i].block);
    }
}

static void networks_refused(void)
{
    static const char *const blocks[] = {
        "",          "10.0.0",          "10.0.0.0/33",  "10.0.0.0/",  "10.0.0.0/-1",
        "/8",        "2001:db8::/129",  "10.0.0.0/8/8", "10.0.0.256", "10.0.0.0/08x",
        "010.0.0.1", "fe80::1%eth0/64", "localhost",    "10.*"};
    struct kms_network network;
    for (size_t i = 0; i < KMS_COUNT(blocks); i++)
        CU_ASSERT_FALSE(kms_value_network(kms_bytes_text(blocks[i]), &network));
    CU_ASSERT_FALSE(kms_value_address(kms_bytes_text("10.0.0.0/8"), &network));
    CU_ASSERT_FALSE(kms_value_address(kms_bytes_of("10.0.0.1\0", 9), &network));
    CU_ASSERT_FALSE(kms_value_address(kms_bytes_text("unix:"), &network));
}

KMS_TEST_MAIN("policy value", {"numbers are exact decimals", numbers},
              {"dates are ISO 8601 or epoch seconds", dates}, {"flags are true or false", flags},
              {"blocks of IPv4 and IPv6 contain addresses", networks},
              {"what is no block is refused", networks_refused})
